"""The hand-off between the caller and the worker: bounded, never blocking unless asked to.

A deque and counters, and no lock: ``append`` and ``popleft`` are atomic, safe in a signal handler
and during garbage collection, where `queue.Queue.put` deadlocks. Bounds are therefore kept within
the number of threads that put at the same instant.

Rejected: `queue.SimpleQueue`, whose ``get`` cannot be told how much is waiting in bytes and which
cannot give up its oldest record; `queue.Queue`, which costs ten times as much and holds a lock.
"""

from __future__ import annotations

import asyncio
import collections
import logging
import os
import queue as stdlib_queue
import time
from collections.abc import Callable
from typing import Any

from asynclog import checks, threads
from asynclog.capture.gate import Gate
from asynclog.capture.record import capture_for_all
from asynclog.errors import QueueEmptyError
from asynclog.fork import process_state
from asynclog.options import QueueOptions
from asynclog.render.rebuild import rebuild
from asynclog.stats import DELIVERED, DROPPED, Ledger
from asynclog.values import Entry

_POLL = 0.002
_MAX_NOTES = 32

# Threads that are inside asynclog's slow path right now, by ident: a record logged meanwhile by the
# same thread comes from a signal handler, a __del__ or the app's own __str__, and may not wait.
inside: set[int] = set()


class _EmptyError(QueueEmptyError, stdlib_queue.Empty):
    """No record came in time."""


class RecordQueue:
    """A bounded queue of log records that never blocks the caller unless asked to.

    Args:
        maxsize: Records that may wait; default 10,000.
        max_memory: Bytes, by estimate, that they may take; default 64 MiB.
        overflow: ``"drop_oldest"`` (default), ``"drop_newest"``, ``"block"`` or ``"block:SECONDS"``.
            Whichever it is, with less than a fifth of the room free, records below WARNING are
            refused first.
        exceptions: ``"capture"`` or ``"keep"``; default captured, kept for third-party handlers.

    Raises:
        OptionTypeError: An option is of the wrong type.
        OptionValueError: An option has a value it cannot take.
    """

    def __init__(
        self,
        maxsize: int = 10_000,
        *,
        max_memory: int = 64 * 1024 * 1024,
        overflow: str = "drop_oldest",
        exceptions: str | None = None,
    ) -> None:
        self.options = QueueOptions(maxsize, max_memory, overflow, exceptions)
        # Every attribute below is read on the caller's path by QueueHandler.handle, which reaches
        # in here instead of calling a method: a call would cost a tenth of its budget.
        self.entries: collections.deque[Entry] = collections.deque()
        self.ledger = Ledger()
        self.bytes_in = 0
        self.bytes_out = 0
        self.soft_limit = max(1, self.options.maxsize * 4 // 5)
        self.soft_memory = self.options.max_memory * 4 // 5
        self.pid = os.getpid()
        #: True while nobody is looking: the next put wakes the worker (or starts it).
        self.sleeping = True
        self.gate: Gate | None = None
        #: Called by a put that finds `sleeping` set; the listener's.
        self.on_wake: Callable[[], None] | None = None
        #: The listener that drains this queue.
        self.owner: Any = None
        self.notes: collections.deque[tuple[str, str]] = collections.deque(maxlen=_MAX_NOTES)
        self.errors: dict[str, int] = {}
        self.unfinished = 0
        process_state.register(self)

    # -- putting: on the caller -----------------------------------------------------------------

    def note(self, kind: str, text: str) -> None:
        """Count something that the app's own code did on the caller's path; the worker tells it."""
        self.errors.setdefault(kind, 0)
        self.errors[kind] += 1
        self.notes.append((kind, text))

    def put_entry(self, entry: Entry) -> None:
        """Accept one captured record, by the overflow policy if there is little room."""
        self.ledger.accepted += 1
        self._append(entry)

    def put_group(self, entries: list[Entry]) -> None:
        """Accept one record that was captured in several entries."""
        self.ledger.accepted += 1
        for entry in entries:
            self._append(entry)

    def _append(self, entry: Entry) -> None:
        size = entry[2]
        waiting = len(self.entries)
        memory = self.bytes_in - self.bytes_out + size
        if (waiting >= self.soft_limit or memory > self.soft_memory) and not self._make_room(entry):
            return
        self.bytes_in += size
        self.entries.append(entry)
        if self.sleeping:
            self.wake()

    def wake(self) -> None:
        """Ring once for a burst: whoever finds `sleeping` set clears it."""
        self.sleeping = False
        if self.on_wake is not None:
            self.on_wake()

    def _make_room(self, entry: Entry) -> bool:
        """Apply the overflow policy to a record that finds the queue nearly full."""
        fields, _, size, _ = entry
        if fields["levelno"] < logging.WARNING:
            self._drop(entry, "queue_full")
            return False
        if self._has_room(size):
            return True
        if self.options.overflow == "block" and self._wait_for_room(size):
            return True
        if self.options.overflow != "drop_oldest" or size > self.options.max_memory:
            self._drop(entry, "queue_full")
            return False
        while not self._has_room(size):
            try:
                oldest = self.entries.popleft()
            except IndexError:
                break
            oldest_size = oldest[2]
            self.bytes_out += oldest_size
            self._drop(oldest, "queue_full")
        return True

    def _has_room(self, size: int) -> bool:
        memory = self.bytes_in - self.bytes_out + size
        return len(self.entries) < self.options.maxsize and memory <= self.options.max_memory

    def _wait_for_room(self, size: int) -> bool:
        """Poll for room; never where waiting could wait for itself."""
        ident = threads.real_ident()
        if threads.is_own_thread() or ident in inside or _in_event_loop():
            return False
        if self.sleeping:
            self.wake()
        inside.add(ident)
        try:
            deadline = time.monotonic() + self.options.block_timeout
            while not self._has_room(size):
                if time.monotonic() >= deadline:
                    return False
                time.sleep(_POLL)  # under gevent the patched sleep, which lets others run
        finally:
            inside.discard(ident)
        return True

    def _drop(self, entry: Entry, reason: str) -> None:
        fields, mask, _, captured = entry
        levelno = fields["levelno"]
        shared = captured.shared if captured is not None else None
        if shared is None:
            self.ledger.settle(DROPPED, 1, reason, levelno)
        else:
            self.ledger.settle_shared(shared, DROPPED, mask.bit_count(), reason, levelno)

    # -- taking: on the worker -----------------------------------------------------------------

    def pop_entry(self) -> Entry | None:
        """Take the oldest entry, or ``None``."""
        try:
            entry = self.entries.popleft()
        except IndexError:
            return None
        size = entry[2]
        self.bytes_out += size
        return entry

    def after_fork(self) -> None:
        """Start empty in a forked child: what waits is the parent's."""
        self.entries.clear()
        self.notes.clear()
        self.errors = {}
        self.ledger.reset()
        self.bytes_in = self.bytes_out = self.unfinished = 0
        self.pid = os.getpid()
        self.sleeping = True

    # -- the face of queue.Queue, which dictConfig and the standard QueueListener ask for ---------

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
            self.unfinished += 1
            self.put_entry(capture_for_all(item, self.note))
        elif item is None:
            self.entries.append(_SENTINEL)
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
            if entry is not None:
                return None if entry is _SENTINEL else rebuild(entry[0], entry[3])
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
        return not self._has_room(0)

    def task_done(self) -> None:
        """Say that a record taken by `get` was dealt with."""
        if self.unfinished <= 0:
            raise ValueError("task_done() called too many times")
        self.unfinished -= 1
        self.ledger.settle(DELIVERED)

    def join(self) -> None:
        """Wait until every record taken by `get` was dealt with."""
        while self.unfinished > 0:
            time.sleep(_POLL)

    def __repr__(self) -> str:
        return f"<RecordQueue {len(self.entries)} of {self.options.maxsize} records>"


_SENTINEL: Entry = ({}, 0, 0, None)


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
