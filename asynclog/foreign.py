"""Reading a queue that is not ours: one of `queue`, of `multiprocessing`, or any like them.

Such a queue can only be waited on by a thread. The thread asks the gate (levels and filters run
here, on the worker's side), captures, and puts on a queue of ours, which the listener drains.
"""

from __future__ import annotations

import logging
import queue as stdlib_queue
from collections.abc import Callable
from typing import Any

from asynclog import threads
from asynclog.capture.record import capture
from asynclog.ledger import Ledger
from asynclog.queue import RecordQueue
from asynclog.threads import real_sleep
from asynclog.values import Entry

# How long the reader waits before it looks whether it was stopped.
_LOOK = 0.1
# How long it waits for room in our queue.
_PAUSE = 0.005


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
        self._readers = 0
        self._looks = 0
        self._refused = 0
        self._told = 0

    def start(self) -> None:
        """Start the reading thread unless it runs."""
        if self._running:
            return
        self._generation += 1
        generation = self._generation
        self._readers += 1
        self._running = threads.start(lambda: self._read(generation))
        if not self._running:
            self._readers -= 1

    def stop(self) -> None:
        """Have the reading thread end; what it has not read stays in the queue."""
        self._generation += 1
        self._running = False

    def has_stopped(self) -> bool:
        """Say whether no thread reads any more: one that was told to stop may still be in ``get``."""
        return self._readers == 0

    def after_fork(self) -> None:
        """Forget the parent's thread; the queue itself may be shared with the parent."""
        self._running = False
        self._readers = self._refused = self._told = 0

    def is_empty(self) -> bool:
        """Say whether nothing waits, as far as the queue can tell."""
        try:
            return bool(self.queue.empty())
        except (AttributeError, NotImplementedError, OSError):
            return True

    def waiting(self) -> int:
        """Return how many records wait, as far as the queue can tell."""
        try:
            return int(self.queue.qsize())
        except (AttributeError, NotImplementedError, OSError):
            return 0

    def watch(self) -> Callable[[], bool]:
        """Return a function that says, from some time on, that what is in the queue now is in ours.

        An empty queue is not enough: the reader may hold the last record in its hand. It has let
        go of it when it looks again.
        """
        looks: int | None = None

        def is_read() -> bool:
            nonlocal looks
            if not self._running:
                return self.is_empty()
            if looks is None:
                if not self.is_empty():
                    return False
                looks = self._looks
            return self._looks > looks

        return is_read

    def read_here(self) -> None:
        """Read what waits in the calling thread, where no other can run."""
        while not self._running:
            try:
                record = self.queue.get(False)
            except Exception:  # empty, or closed
                return
            self._move(record)

    def _read(self, generation: int) -> None:
        try:
            self._read_on(generation)
        finally:
            if generation == self._generation:
                self._running = False
            self._readers -= 1

    def _read_on(self, generation: int) -> None:
        while generation == self._generation:
            self._looks += 1
            if self._is_crowded():
                real_sleep(_PAUSE)
                continue
            try:
                record = self.queue.get(True, _LOOK)
            except stdlib_queue.Empty:
                if self.owes(self.inner.ledger):
                    self.inner.wake()  # nothing else might: the worker sleeps when all is delivered
                continue
            except (EOFError, OSError, ValueError):
                return  # the queue was closed
            except Exception as error:  # what was sent could not be unpickled, say
                self.inner.note("foreign_queue_error", f"the queue's get() raised {type(error).__name__}: {error}")
                real_sleep(_LOOK)
                continue
            self._move(record)

    def _is_crowded(self) -> bool:
        """Say whether to leave the rest where it is: behind ours it would only be dropped."""
        inner = self.inner
        return len(inner.entries) * 2 > inner.soft_limit or inner.memory * 2 > inner.soft_memory

    def _move(self, record: Any) -> None:
        inner = self.inner
        entries: list[Entry] = []
        if isinstance(record, logging.LogRecord) and inner.gate is not None:
            try:
                entries = capture(record, inner.gate, inner.note)
            except BaseException as error:  # a record of an odd shape, on a thread of ours: nothing may pass
                inner.note("handler_error", f"a record could not be read from the queue: {type(error).__name__}")
        if entries:
            inner.put_group(entries)
        else:  # what no lane wants, or the standard listener's sentinel
            self._refused += 1
            if inner.sleeping:
                inner.wake()

    def _settled(self, ledger: Ledger) -> int:
        counts = ledger.snapshot()
        return int(counts["accepted"] - counts["pending"]) + self._refused

    def owes(self, ledger: Ledger) -> bool:
        """Say whether a record has its outcome that `tell_done` was not called for."""
        return self._told < self._settled(ledger) and hasattr(self.queue, "task_done")

    def tell_done(self, ledger: Ledger) -> None:
        """Call ``task_done`` for every record that has its outcome; on the worker only."""
        told = getattr(self.queue, "task_done", None)
        if told is None:
            return
        settled = self._settled(ledger)
        while self._told < settled:
            self._told += 1
            try:
                told()
            except ValueError:
                pass  # it was told more often than it was put
            except Exception as error:  # a manager's queue whose process is gone
                self._told = settled
                self.inner.note("foreign_queue_error", f"task_done() raised {type(error).__name__}: {error}")
