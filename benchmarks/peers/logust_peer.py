"""logust's file sink with ``enqueue``."""

from __future__ import annotations

import logust

from benchmarks.peers.base import CART, EXTRA, USER, Call, Destination, ExcInfo, Facts, Peer


class Logust(Peer):
    facts = Facts(
        "logust, enqueue=True",
        "logust",
        under_logging=False,
        formats="caller",
        pins=False,
        bounded="not documented",
        words="Own API, in Rust. Takes a finished string and makes the traceback's text on the caller. Only its file "
        "sink has a queue, so it wrote to the null device, in every round.",
    )
    holds = primes = counts = False

    def __init__(self, destination: Destination) -> None:
        super().__init__(destination)
        self.logger = logust.logger  # it has one for the process
        self.logger.remove()
        self._sink = self.logger.add(
            destination.path, enqueue=True, format="{time} {level} {name}: {message}", colorize=False
        )

    def plain(self) -> Call:
        error = self.logger.error
        return lambda number: error(f"user {USER} failed {number}")

    def mutable(self) -> Call | None:
        error = self.logger.error
        return lambda number: error(f"cart {CART} of order {number}")

    def extra(self) -> Call | None:
        bind = self.logger.bind
        return lambda number: bind(**EXTRA).error(f"user {USER} failed {number}")

    def exception(self, info: ExcInfo) -> Call:
        exception = self.logger.exception
        return lambda number: exception(f"order {number} failed")

    def flush(self) -> None:
        self.logger.complete()

    def close(self) -> None:
        self.logger.complete()
        self.logger.remove(self._sink)
