"""Logbook behind its ThreadedWrapperHandler."""

from __future__ import annotations

from typing import Any

import logbook
from logbook.queues import ThreadedWrapperHandler

from benchmarks.peers.base import CART, EXTRA, USER, Call, Destination, ExcInfo, Facts, Peer


class _Writes(logbook.Handler):  # type: ignore[misc]
    def __init__(self, destination: Destination) -> None:
        super().__init__()
        self.destination = destination
        self.formatter = logbook.StringFormatter("{record.time} {record.level_name} {record.channel}: {record.message}")

    def emit(self, record: Any) -> None:
        self.destination.write(self.format(record))


class Logbook(Peer):
    facts = Facts(
        "Logbook, threaded",
        "Logbook",
        under_logging=False,
        formats="worker",
        pins=False,
        bounded="unbounded",
        words="Own API. The record lets go of its exception before the worker formats it, so its exception rows "
        "deliver no traceback at all.",
    )

    def __init__(self, destination: Destination) -> None:
        super().__init__(destination)
        self._handler = ThreadedWrapperHandler(_Writes(destination))
        self.logger = logbook.Logger("shop")
        self.logger.handlers.append(self._handler)

    def plain(self) -> Call:
        error = self.logger.error
        return lambda number: error("user {} failed {}", USER, number)

    def mutable(self) -> Call | None:
        error = self.logger.error
        return lambda number: error("cart {} of order {}", CART, number)

    def extra(self) -> Call | None:
        error = self.logger.error
        return lambda number: error("user {} failed {}", USER, number, extra=EXTRA)

    def exception(self, info: ExcInfo) -> Call:
        error = self.logger.error
        return lambda number: error("order {} failed", number, exc_info=info)

    def close(self) -> None:
        self.destination.open()
        self._handler.close()
