"""python-logstash-async with its cache in memory."""

from __future__ import annotations

from typing import Any

from logstash_async.constants import constants
from logstash_async.handler import AsynchronousLogstashHandler

from benchmarks.peers.base import Destination, Facts, UnderLogging


class _Transport:
    def __init__(self, destination: Destination) -> None:
        self.destination = destination

    def send(self, events: list[Any], **_: Any) -> None:
        for event in events:
            self.destination.write(event.decode() if isinstance(event, bytes) else event)

    def close(self) -> None:
        """Nothing is open."""


class Logstash(UnderLogging):
    facts = Facts(
        "python-logstash-async",
        "python-logstash-async",
        under_logging=True,
        formats="caller",
        pins=False,
        bounded="unbounded",
        words="Formats JSON with the traceback's text on the caller; one worker for the whole process. Measured with "
        "its cache in memory, and with its worker looking every 10 ms instead of every 2 s, so that rounds end.",
    )
    primes = False

    def __init__(self, destination: Destination) -> None:
        constants.QUEUE_CHECK_INTERVAL = 0.01
        constants.QUEUED_EVENTS_FLUSH_INTERVAL = 0.05
        super().__init__(
            destination, AsynchronousLogstashHandler("localhost", 0, None, transport=_Transport(destination))
        )

    def flush(self) -> None:
        self.handler.flush()

    def close(self) -> None:
        self.destination.open()
        super().close()
