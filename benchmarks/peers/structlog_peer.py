"""structlog in front of the standard queue pair."""

from __future__ import annotations

from typing import Any

import structlog

from benchmarks.peers.base import CART, EXTRA, USER, Call, Destination, ExcInfo, Facts
from benchmarks.peers.standard import QueuePair


class Structlog(QueuePair):
    facts = Facts(
        "structlog over QueueHandler",
        "structlog",
        under_logging=False,
        formats="caller",
        pins=False,
        bounded="unbounded",
        words="Own API in front of logging. Renders JSON on the caller, traceback included; below it is the stdlib's "
        "queue pair.",
    )

    def __init__(self, destination: Destination) -> None:
        super().__init__(destination)
        self.log: Any = structlog.wrap_logger(
            self.logger,
            processors=[
                structlog.stdlib.add_log_level,
                structlog.stdlib.PositionalArgumentsFormatter(),
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
            wrapper_class=structlog.stdlib.BoundLogger,
        ).bind()

    def plain(self) -> Call:
        error = self.log.error
        return lambda number: error("user %s failed %d", USER, number)

    def mutable(self) -> Call | None:
        error = self.log.error
        return lambda number: error("cart %s of order %d", CART, number)

    def extra(self) -> Call | None:
        error = self.log.error
        return lambda number: error("user %s failed %d", USER, number, **EXTRA)

    def exception(self, info: ExcInfo) -> Call:
        error = self.log.error
        return lambda number: error("order %d failed", number, exc_info=info)
