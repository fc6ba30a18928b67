"""asynclog itself, through its public face only."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import asynclog
from asynclog.values import Batch, Delivered, Part, whole
from benchmarks.peers.base import FORMAT, ROOM, Destination, Facts, UnderLogging


class _ToDestination(asynclog.Sink):
    """Takes each record's text, as a file would."""

    text_only = True

    def __init__(self, destination: Destination) -> None:
        super().__init__(formatter=logging.Formatter(FORMAT))
        self.destination = destination

    async def deliver(self, batch: Batch) -> Sequence[Part]:
        for item in batch.items:
            self.destination.write(item.text)  # waits at a shut gate, and the whole worker with it: wanted
        return whole(batch, Delivered())


class Asynclog(UnderLogging):
    """Under `logging`, with room for all that is logged.

    Attributes:
        options: Of its listener.
    """

    options: ClassVar[Mapping[str, Any]] = {"maxsize": ROOM, "max_memory": 8 << 30}
    facts = Facts(
        "asynclog",
        "",
        under_logging=True,
        formats="worker",
        pins=False,
        bounded="10,000 records, 64 MiB; drops the oldest",
        words="Captures message and traceback, formats in the worker. Here with room for a million records.",
    )

    def __init__(self, destination: Destination) -> None:
        handler = asynclog.wrap(_ToDestination(destination), **self.options)
        super().__init__(destination, handler)
        self._listener = handler.listener
        self._listener.start()

    def flush(self) -> None:
        self._listener.flush(0)

    def pending(self) -> int:
        """Return how many records wait."""
        return int(self._listener.stats()["pending"])

    def dropped(self) -> int:
        """Return how many records it dropped, by its own account."""
        return sum(self._listener.stats()["dropped"].values())

    def close(self) -> None:
        self.destination.open()
        super().close()
        self._listener.stop(5)
