"""The business of the demo's app: a small shop with a fault in it, and a database that can go down."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path


class OutOfStockError(Exception):
    """There is not enough left."""


class DatabaseUnavailableError(Exception):
    """The database does not answer."""


class Database:
    """The shop's database, which is down for one span of a run if it is told so.

    Args:
        outage_file: Where the demo writes from when to when it is down, a JSON list of two times on
            the monotonic clock that all processes share; as long as there is no such file it is up.
            A file and not a request to the app: an app whose threads all hang would hear of the end too late.
            ``None``: it is never down.
        clock: Seconds, monotonic.
    """

    def __init__(self, outage_file: Path | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = outage_file
        self._clock = clock
        self._outage: tuple[float, float] | None = None

    def connect(self) -> None:
        """Connect.

        Raises:
            DatabaseUnavailableError: It is down.
        """
        if self._is_down():
            raise DatabaseUnavailableError("could not connect to orders-db.shop.example:5432: connection refused")

    def _is_down(self) -> bool:
        if self._file is None:
            return False
        if self._outage is None:
            try:
                start, end = json.loads(self._file.read_text(encoding="ascii"))
            except FileNotFoundError:
                return False
            self._outage = (start, end)
        return self._outage[0] <= self._clock() < self._outage[1]


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


def checkout(basket: Mapping[int, int], database: Database) -> int:
    """Buy a basket, product numbers to how many; return what it costs in cents."""
    database.connect()
    return sum(_take(PRODUCTS[number], count) for number, count in basket.items())


def _take(product: Product, count: int) -> int:
    _reserve(product, count)
    return product.price * count


def _reserve(product: Product, count: int) -> None:
    left = _STOCK[product.number]
    if count > left:
        raise OutOfStockError(f"{count} of {product.name} asked for, {left} left")
