"""The standard library's own ways, and the floor."""

from __future__ import annotations

import logging
import logging.handlers
import queue

from benchmarks.peers.base import FORMAT, Destination, Facts, UnderLogging, Writes


class _Drop(logging.Handler):
    def handle(self, record: logging.LogRecord) -> bool:
        return False


class Dropping(UnderLogging):
    facts = Facts(
        "no delivery",
        "",
        under_logging=True,
        formats="nowhere",
        pins=False,
        bounded="keeps nothing",
        words="The floor: a handler that drops each record, so what is left is what logging itself costs.",
    )
    holds = primes = counts = False

    def __init__(self, destination: Destination) -> None:
        super().__init__(destination, _Drop())


class Direct(UnderLogging):
    facts = Facts(
        "stdlib FileHandler",
        "",
        under_logging=True,
        formats="caller",
        pins=False,
        bounded="no queue",
        words="Formats and writes (here to the null device) on the caller, under the handler's lock.",
    )
    holds = primes = counts = False

    def __init__(self, destination: Destination) -> None:
        handler = logging.FileHandler(destination.path, encoding="utf-8")
        handler.setFormatter(logging.Formatter(FORMAT))
        super().__init__(destination, handler)


class QueuePair(UnderLogging):
    facts = Facts(
        "stdlib QueueHandler",
        "",
        under_logging=True,
        formats="caller",
        pins=False,
        bounded="unbounded",
        words="QueueHandler and QueueListener with a SimpleQueue. The caller merges the message and makes the "
        "traceback's text; the listener's thread writes.",
    )

    def __init__(self, destination: Destination) -> None:
        simple: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
        super().__init__(destination, self._handler(simple))
        self._listener = logging.handlers.QueueListener(simple, Writes(destination))
        self._listener.start()

    def _handler(self, simple: queue.SimpleQueue[logging.LogRecord]) -> logging.Handler:
        return logging.handlers.QueueHandler(simple)

    def close(self) -> None:
        self.destination.open()
        self._listener.stop()
        super().close()


class _Unprepared(logging.handlers.QueueHandler):
    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return record


class UnpreparedQueuePair(QueuePair):
    facts = Facts(
        "stdlib QueueHandler, prepare() off",
        "",
        under_logging=True,
        formats="worker",
        pins=True,
        bounded="unbounded",
        words="The recipe that many use: the record itself is queued. What an argument holds when the listener comes "
        "to it is what is written, and every frame of an exception lives until then.",
    )

    def _handler(self, simple: queue.SimpleQueue[logging.LogRecord]) -> logging.Handler:
        return _Unprepared(simple)
