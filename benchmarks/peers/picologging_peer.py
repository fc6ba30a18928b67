"""picologging's queue pair."""

from __future__ import annotations

import queue
from typing import Any

import picologging
from picologging.handlers import QueueHandler, QueueListener

from benchmarks.peers.base import CART, EXTRA, FORMAT, USER, Call, Destination, ExcInfo, Facts, Peer


class _Writes(picologging.Handler):  # type: ignore[misc]
    def __init__(self, destination: Destination) -> None:
        super().__init__()
        self.destination = destination
        self.setFormatter(picologging.Formatter(FORMAT))

    def emit(self, record: Any) -> None:
        self.destination.write(self.format(record))


class Picologging(Peer):
    facts = Facts(
        "picologging queue",
        "picologging",
        under_logging=False,
        formats="caller",
        pins=False,
        bounded="unbounded",
        words="Replaces logging by a module in C with the same names; no records of libraries that call logging. The "
        "caller merges the message and makes the traceback's text. No wheel for Python 3.13. Several threads at once "
        "hang for good in its queue handler: a thread waits for the handler's lock without letting go of the "
        "interpreter's. It leaks: frames that called it were alive after delivery, too.",
    )
    crowds = False

    def __init__(self, destination: Destination) -> None:
        super().__init__(destination)
        simple: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.logger = picologging.Logger("shop", picologging.DEBUG)
        self.logger.addHandler(QueueHandler(simple))
        self._listener = QueueListener(simple, _Writes(destination))
        self._listener.start()

    def plain(self) -> Call:
        error = self.logger.error
        return lambda number: error("user %s failed %d", USER, number)

    def mutable(self) -> Call | None:
        error = self.logger.error
        return lambda number: error("cart %s of order %d", CART, number)

    def extra(self) -> Call | None:
        # A copy: it changes the dictionary that it is given, up to one that holds itself.
        error = self.logger.error
        return lambda number: error("user %s failed %d", USER, number, extra={**EXTRA})

    def exception(self, info: ExcInfo) -> Call:
        # Not exc_info=info: given a tuple it crashes the interpreter after some thousand calls.
        exception = self.logger.exception
        return lambda number: exception("order %d failed", number)

    def close(self) -> None:
        self.destination.open()
        self._listener.stop()
