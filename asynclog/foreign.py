"""Reading a queue that is not ours: one of `queue`, of `multiprocessing`, or any like them.

Such a queue can only be waited on by a thread. The thread asks the gate (levels and filters run
here, on the worker's side), captures, and puts on a queue of ours, which the listener drains.
"""

from __future__ import annotations

import contextlib
import logging
import queue as stdlib_queue
from typing import TYPE_CHECKING, Any

from asynclog import threads
from asynclog.capture.record import capture
from asynclog.queue import RecordQueue
from asynclog.stats import Ledger

if TYPE_CHECKING:
    from asynclog.listener import QueueListener

# How long the reader waits before it looks whether it was stopped.
_LOOK = 0.1


class ForeignReader:
    """Moves records from a foreign queue to one of ours.

    Args:
        queue: Anything with ``get(block, timeout)``.

    Attributes:
        inner: Our queue behind it.
    """

    def __init__(self, queue: Any) -> None:
        self.queue = queue
        self.inner = RecordQueue()
        self._generation = 0
        self._running = False
        self._refused = 0
        self._told = 0

    def start(self, listener: QueueListener) -> None:
        """Start the reading thread unless it runs."""
        if self._running:
            return
        self._generation += 1
        generation = self._generation
        self._running = threads.start(lambda: self._read(listener, generation))

    def stop(self) -> None:
        """Have the reading thread end; what it has not read stays in the queue."""
        self._generation += 1
        self._running = False

    def after_fork(self) -> None:
        """Forget the parent's thread; the queue itself may be shared with the parent."""
        self._running = False
        self._refused = self._told = 0

    def is_empty(self) -> bool:
        """Say whether nothing waits, as far as the queue can tell."""
        try:
            return bool(self.queue.empty())
        except (AttributeError, NotImplementedError, OSError):
            return True

    def _read(self, listener: QueueListener, generation: int) -> None:
        while generation == self._generation:
            try:
                record = self.queue.get(True, _LOOK)
            except stdlib_queue.Empty:
                continue
            except (EOFError, OSError, ValueError):
                return  # the queue was closed
            if not isinstance(record, logging.LogRecord):
                self._refused += 1  # the standard listener's sentinel
                continue
            gate = self.inner.gate
            entries = capture(record, gate, self.inner.note) if gate is not None else []
            if entries:
                self.inner.put_group(entries)
            else:
                self._refused += 1
                self.tell_done(listener.inner.ledger)

    def tell_done(self, ledger: Ledger) -> None:
        """Call ``task_done`` for every record that has its outcome."""
        told = getattr(self.queue, "task_done", None)
        if told is None:
            return
        counts = ledger.snapshot()
        settled = counts["accepted"] - counts["pending"] + self._refused
        while self._told < settled:
            self._told += 1
            with contextlib.suppress(ValueError):
                told()
