"""The business of the demo's app: a small shop with a fault in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


class OutOfStockError(Exception):
    """There is not enough left."""


@dataclass(frozen=True, slots=True)
class Product:
    """Something to buy; the price is in cents."""

    number: int
    name: str
    price: int


PRODUCTS: Mapping[int, Product] = {
    7: Product(7, "Teapot", 2900),
    8: Product(8, "Kettle", 4500),
}
_STOCK = {7: 0, 8: 3}


def checkout(basket: Mapping[int, int]) -> int:
    """Buy a basket, product numbers to how many; return what it costs in cents."""
    return sum(_take(PRODUCTS[number], count) for number, count in basket.items())


def _take(product: Product, count: int) -> int:
    _reserve(product, count)
    return product.price * count


def _reserve(product: Product, count: int) -> None:
    left = _STOCK[product.number]
    if count > left:
        raise OutOfStockError(f"{count} of {product.name} asked for, {left} left")
