"""The business of the benchmark's apps: an order that fails at one of five places, each time at the next."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass


class OrderError(Exception):
    """An order can't be taken."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a customer wants; numbers of products to how many."""

    customer: str
    lines: Mapping[int, int]
    step: int


_STOCK = {7: 0, 8: 3}
_PRICES = {8: 4500}
_number = itertools.count()


def place_order() -> int:
    """Take an order, and fail."""
    order = Order("bob", {7: 1}, next(_number))
    return _total(order)


def _total(order: Order) -> int:
    return sum(_line(order, product, count) for product, count in order.lines.items())


def _line(order: Order, product: int, count: int) -> int:
    check = _CHECKS[order.step % len(_CHECKS)]
    return check(order, product, count)


def _check_stock(_: Order, product: int, count: int) -> int:
    return _take_from_stock(product, count)


def _take_from_stock(product: int, count: int) -> int:
    left = _STOCK[product]
    if count > left:
        raise OrderError(f"{count} of product {product} asked for, {left} left")
    return count


def _check_price(_: Order, product: int, count: int) -> int:
    return count * _price_of(product)


def _price_of(product: int) -> int:
    return _PRICES[product]


def _check_voucher(order: Order, product: int, count: int) -> int:
    return count * _voucher(order.customer)["discount"] * product


def _voucher(customer: str) -> Mapping[str, int]:
    try:
        return {"discount": int(customer)}
    except ValueError as error:
        raise OrderError(f"the voucher of {customer} can't be read") from error


def _check_address(order: Order, *_: int) -> int:
    return len(_postcode(order.customer.partition("@")[2]))


def _postcode(place: str) -> str:
    return place.split()[1]


def _check_card(order: Order, *_: int) -> int:
    return _charge(order.customer, 29.0)


def _charge(customer: str, amount: float) -> int:
    raise OrderError(f"the card of {customer} was declined for {amount:.2f}")


_CHECKS: tuple[Callable[[Order, int, int], int], ...] = (
    _check_stock,
    _check_price,
    _check_voucher,
    _check_address,
    _check_card,
)
