"""The face of `queue.Queue`, which dictConfig and the standard library's `QueueListener` ask for."""

from __future__ import annotations

import logging
import queue as stdlib_queue
import time
from abc import abstractmethod
from collections import deque
from typing import Any

from asynclog import checks
from asynclog.capture.record import capture_for_all
from asynclog.errors import QueueEmptyError
from asynclog.eviction import SENTINEL
from asynclog.ledger import DELIVERED, Ledger
from asynclog.options import QueueOptions
from asynclog.render.rebuild import rebuild
from asynclog.values import Entry, Queued, in_full

# How often to look again while somebody waits.
_POLL = 0.002


class _EmptyError(QueueEmptyError, stdlib_queue.Empty):
    """No record came in time."""


class QueueFace:
    """What `asynclog.queue.RecordQueue` shows to those who know a `queue.Queue`."""

    options: QueueOptions
    ledger: Ledger
    entries: deque[Queued]
    _sentinels_taken = 0

    # What the queue itself has; no ABC, whose isinstance() is a call in Python.

    @abstractmethod
    def note(self, kind: str, text: str) -> None:
        """Count something that went wrong on the caller's path."""

    @abstractmethod
    def put_entry(self, entry: Entry) -> None:
        """Accept one captured record."""

    @abstractmethod
    def pop_entry(self) -> Entry | None:
        """Take the oldest entry, or ``None``."""

    @abstractmethod
    def grant(self, entries: int) -> None:
        """Let so many more entries in."""

    @abstractmethod
    def has_room(self, size: int, number: int = 1) -> bool:
        """Say whether so many bytes and entries are within the bounds."""

    @abstractmethod
    def pending(self) -> int:
        """Return how many accepted records have no outcome yet."""

    # -- of queue.Queue ------------------------------------------------------------------------

    @property
    def maxsize(self) -> int:
        """Records that may wait."""
        return self.options.maxsize

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: ARG002
        """Accept a record; the overflow policy decides, never ``block`` or ``timeout``."""
        self.put_nowait(item)

    def put_nowait(self, item: Any) -> None:
        """Accept a record, or a sentinel of the standard listener's."""
        if isinstance(item, logging.LogRecord):
            self.put_entry(capture_for_all(item, self.note))
        elif item is None:
            self.grant(-1)
            self.entries.append(SENTINEL)
        else:
            checks.bad_type("item", item, "put a logging.LogRecord")

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Take the oldest record as a `logging.LogRecord`, for a listener that is not ours.

        Raises:
            queue.Empty: None came within ``timeout`` seconds, or none was there and ``block`` is
                false.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            entry = self.pop_entry()
            if entry is SENTINEL:
                self._sentinels_taken += 1
                return None
            if entry is not None:
                return rebuild(entry[0], in_full(entry[3]))
            if not block or (deadline is not None and time.monotonic() >= deadline):
                raise _EmptyError("no record in the queue")
            time.sleep(_POLL)

    def get_nowait(self) -> Any:
        """Take the oldest record, or raise `queue.Empty`."""
        return self.get(block=False)

    def qsize(self) -> int:
        """Return how many records wait."""
        return len(self.entries)

    def empty(self) -> bool:
        """Say whether none waits."""
        return not self.entries

    def full(self) -> bool:
        """Say whether the next record meets the overflow policy."""
        return not self.has_room(0)

    def task_done(self) -> None:
        """Say that a record taken by `get` was dealt with: it counts as delivered.

        Raises:
            ValueError: There is none that was not dealt with.
        """
        if self._sentinels_taken:
            self._sentinels_taken -= 1
            return
        if self.pending() <= 0:
            raise ValueError("task_done() called too many times")
        self.ledger.settle(DELIVERED)

    def join(self) -> None:
        """Wait until every record that was put has its outcome."""
        while self.pending() > 0:
            time.sleep(_POLL)
