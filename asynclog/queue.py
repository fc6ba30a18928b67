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
import contextlib
import logging
import os
import time
from _thread import get_ident
from collections.abc import Callable
from itertools import repeat
from typing import Any

from asynclog import threads
from asynclog.capture.gate import Gate
from asynclog.eviction import REASON, Eviction
from asynclog.fork import process_state
from asynclog.ledger import DROPPED, Ledger
from asynclog.options import QueueOptions
from asynclog.plain import RECORD_SIZE
from asynclog.queue_face import QueueFace
from asynclog.reentry import enter, inside, waiting
from asynclog.values import Captured, Entry, Queued, texts_size, unpack

_POLL = 0.002
# More than any queue holds.
_ALL = 1 << 60
_MAX_NOTES = 32
# What a full queue gives up at once: one record in so many, and so many at most. More would cost a single
# call more than 20 µs, and nobody any less: the interpreter keeps 80 dictionaries and lists for its next ones.
_SHARE = 16
_MOST_AT_ONCE = 64
# Exceptions and long texts in one run: a traceback that was never printed may take a quarter of a millisecond.
_MOST_HEAVY = 16


class _QueueLedger(Ledger):
    """A queue's ledger: what was accepted is counted by the queue's own two numbers."""

    def __init__(self, queue: RecordQueue) -> None:
        self._queue = queue
        super().__init__()

    @property
    def accepted(self) -> int:
        """Records that were accepted."""
        queue = self._queue
        return queue._granted - queue.left

    @accepted.setter
    def accepted(self, accepted: int) -> None:
        queue = self._queue
        queue._granted = queue.left + accepted


class RecordQueue(QueueFace):
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
        self.entries: collections.deque[Queued] = collections.deque()
        #: Estimated bytes that wait beyond a `RECORD_SIZE` for each entry.
        self.texts = 0
        self.soft_limit = max(1, self.options.maxsize * 4 // 5)
        self.soft_memory = self.options.max_memory * 4 // 5
        # What the fast path asks: as long as room is `left`, and the texts of what waits take no more
        # than `room_for_texts`, no limit is near. It counts `left` down, and whoever takes entries out
        # grants as many anew; so one number bounds the queue and counts what was accepted, which is
        # all that was granted less what is left. Past either bound `_append` looks closely.
        self._most_room = min(self.soft_limit, self.soft_memory // (2 * RECORD_SIZE))
        self.left = self._granted = self._most_room
        #: Entries that were ever taken out, on whichever side.
        self.gone = 0
        self.room_for_texts = self.soft_memory - self._most_room * RECORD_SIZE
        #: How low `left` may go for records at WARNING and above, which have all the room.
        self.lowest = self._most_room - min(
            self.options.maxsize, (self.options.max_memory - self.room_for_texts) // RECORD_SIZE
        )
        self._is_tight = False
        self._blocks = self.options.overflow == "block"
        self._drops_oldest = self.options.overflow == "drop_oldest"
        self.drops_newest = self.options.overflow == "drop_newest"
        self.ledger: Ledger = _QueueLedger(self)
        self.pid = os.getpid()
        #: True while nobody is looking: the next put wakes the worker (or starts it).
        self.sleeping = True
        self.gate: Gate | None = None
        #: Called by a put that finds `sleeping` set; the listener's.
        self.on_wake: Callable[[], None] | None = None
        #: Called by a put that found the queue full, after a run of records was given up; the listener's.
        self.on_full: Callable[[], None] | None = None
        self._gave_up = False
        #: The listener that drains this queue.
        self.owner: Any = None
        self.notes: collections.deque[tuple[str, str]] = collections.deque(maxlen=_MAX_NOTES)
        self.errors: dict[str, int] = {}
        self._sentinels_taken = 0
        process_state.register(self)

    @property
    def memory(self) -> int:
        """Estimated bytes that wait."""
        return max(0, self.texts) + len(self.entries) * RECORD_SIZE

    # -- putting: on the caller -----------------------------------------------------------------

    def note(self, kind: str, text: str) -> None:
        """Count something that the app's own code did on the caller's path; the worker tells it."""
        self.errors.setdefault(kind, 0)
        self.errors[kind] += 1
        self.notes.append((kind, text))

    def put_entry(self, entry: Entry) -> None:
        """Accept one captured record, by the overflow policy if there is little room."""
        fields, _, size, _ = entry
        if not self._admits(fields["levelno"], size):
            return
        # From the account to the append nothing lets a signal's handler in that might raise, as in `_refuse`.
        self.account(size - RECORD_SIZE)
        self.left -= 1
        try:
            self.entries.append(entry)
            self._let_know()
        except BaseException:
            self.wake_if_asleep()
            raise

    def put_group(self, entries: list[Entry]) -> None:
        """Accept one record that was captured in several entries: all of them, or none.

        One for another would leave lanes that never settle it where a signal's handler raises halfway.
        """
        number = len(entries)
        size = sum(entry[2] for entry in entries)
        if not self._admits(entries[0][0]["levelno"], size, number):
            return
        append, more = self.entries.extend, number - 1
        self.account(size - number * RECORD_SIZE)
        self.left -= number
        self._granted -= more
        try:
            append(entries)
            self._let_know()
        except BaseException:
            self.wake_if_asleep()
            raise

    def put_scarce(self, queued: dict[str, Any], texts: int = 0) -> None:
        """Accept a record of the fast path that finds little room.

        Args:
            queued: The record.
            texts: What it takes beyond a record's kilobyte, by estimate.
        """
        if self._blocks:
            # It may have to wait, and one that is logged meanwhile may not.
            ident = enter()
            try:
                self.put_entry(unpack(queued))
            finally:
                if ident in inside:  # see `asynclog.reentry.enter`
                    inside[ident] -= 1
                    if not inside[ident]:
                        del inside[ident]
            return
        if not self._admits(queued["levelno"], RECORD_SIZE + texts):
            return
        if texts:
            self.account(texts)
        self.left -= 1
        self.entries.append(queued)
        self._let_know()

    def refuses(self, levelno: int) -> bool:
        """Refuse, and count, a record for which there is no room whatever it brings along.

        Asked while little is `left`, before an exception is captured that would come to nothing.
        """
        if levelno < logging.WARNING:
            if len(self.entries) < self.soft_limit and self.memory + RECORD_SIZE <= self.soft_memory:
                return False
        elif not self.drops_newest or self.has_room(RECORD_SIZE):
            return False
        self._refuse(levelno)
        return True

    def _refuse(self, levelno: int, reason: str = REASON) -> None:
        """Accept a record and drop it at once."""
        level, ledger = int(levelno), self.ledger
        ledger.expect(reason, level)
        dropped, levels = ledger.dropped, ledger.dropped_levels
        # In one stretch, without a call: a signal's handler that raises finds it counted, or not at all.
        self._granted += 1
        dropped[reason] += 1
        levels[level] += 1
        if not dropped[reason] % _MOST_AT_ONCE:
            self._let_worker_in()

    def _let_worker_in(self) -> None:
        """Let the worker at the interpreter, if it waits for it: it can't keep up, or nothing would be given up.

        Called once for a run of records that are given up, by a caller whose own record has its place
        or its outcome.
        """
        self._gave_up = False
        if self.on_full is not None:
            self.on_full()

    def _let_know(self) -> None:
        """Tell whoever has to know that a record came, which has its place by now."""
        if self.sleeping:
            self.wake()
        if self._gave_up:
            self._let_worker_in()

    def wake_if_asleep(self) -> None:
        """Ring for a record that may be in the queue, though an exception from outside cut its call short."""
        if self.sleeping:
            self.wake()

    def wake(self) -> None:
        """Ring once for a burst: whoever finds `sleeping` set clears it.

        The record is in the queue by now: an exception of ours would look as if it were not, and a
        second try would log it twice. So only what comes from outside passes, such as a Ctrl-C.
        """
        self.sleeping = False
        if self.on_wake is not None:
            try:
                self.on_wake()
            except BaseException as error:
                # Of a signal's handler, perhaps, before anybody was woken: a ring too many harms nobody.
                try:
                    self.on_wake()
                except BaseException:  # the next put tries again
                    self.sleeping = True
                if not isinstance(error, Exception):
                    raise
                self.note("wake_error", f"the worker could not be woken: {type(error).__name__}: {error}")

    def account(self, size: int) -> None:
        """Add to the bytes that wait beyond the records themselves."""
        self.texts += size
        is_tight = self.texts > self.room_for_texts
        if is_tight is not self._is_tight:
            # Nothing lets another thread in here either.
            self._is_tight = is_tight
            # The fast path is closed by taking away what is left of it, and more.
            withheld = _ALL if is_tight else -_ALL
            self.left -= withheld
            self._granted -= withheld

    def grant(self, entries: int) -> None:
        """Let so many more entries in, which does not change what was accepted."""
        self.left += entries
        self._granted += entries
        if entries > 0:
            self.gone += entries

    def put_so_far(self) -> int:
        """Return how many entries were ever put; all of them are out once `gone` has come to it."""
        room = self._most_room - _ALL if self._is_tight else self._most_room
        return room + self.gone - self.left

    def _admits(self, levelno: int, size: int, entries: int = 1) -> bool:
        """Make room for a record, by the overflow policy if there is little; where there is none, refuse it.

        What an exception cuts short in here was never accepted, but for one that had to wait.
        """
        if len(self.entries) + entries <= self.soft_limit and self.memory + size <= self.soft_memory:
            return True
        if levelno >= logging.WARNING:
            if self.has_room(size, entries):
                return True
            if self._blocks:
                try:
                    if self._wait_for_room(size, entries):
                        return True
                except BaseException:  # a signal handler's, or a greenlet's timeout: it passes, and is counted
                    self._refuse(levelno, "interrupted")
                    raise
            elif self._drop_oldest(size, entries):
                return True
        self._refuse(levelno)
        return False

    def _drop_oldest(self, size: int, number: int) -> bool:
        """Make room for so many bytes, and entries, at the cost of the oldest, if that is the policy.

        A run of them goes at once, so that the next calls find room: of a default queue's 10,000 the
        newest 9,936 stay.
        """
        if not self._drops_oldest or size > self.options.max_memory:
            return False
        entries = self.entries
        while not self.has_room(size, number):
            if not Eviction().run(entries, min(len(entries) // _SHARE, _MOST_AT_ONCE) or 1, self):
                break
            self._gave_up = True
        return True

    def has_room(self, size: int, number: int = 1) -> bool:
        """Say whether so many bytes and entries are within the bounds."""
        memory = self.memory + size
        # A queue that holds fewer than belong to one record takes them when it is empty.
        room = max(self.options.maxsize - number, 0)
        return len(self.entries) <= room and memory <= self.options.max_memory

    def _wait_for_room(self, size: int, number: int) -> bool:
        """Poll for room; never where waiting could wait for itself."""
        ident = get_ident()
        # A depth of 1 is the logging call itself; a depth of 2 is one inside another.
        if threads.is_own_thread() or inside.get(ident, 0) > 1 or ident in waiting or _in_event_loop():
            return False
        if self.sleeping:
            self.wake()
        try:
            waiting.add(ident)  # in here: after a call a signal's handler may raise
            deadline = time.monotonic() + self.options.block_timeout
            while not self.has_room(size, number):
                if time.monotonic() >= deadline:
                    return False
                time.sleep(_POLL)  # under gevent the patched sleep, which lets others run
        finally:
            waiting.discard(ident)
        return True

    def drop(self, entry: Entry, reason: str) -> None:
        """Count a record as dropped, in as many lanes as it was for."""
        fields, mask, _, carried = entry
        level, lanes, ledger = int(fields.get("levelno", 0)), mask.bit_count(), self.ledger
        shared = carried.shared if isinstance(carried, Captured) else None
        if shared is not None:
            if shared.worst < DROPPED:  # there is no worse one: whoever comes last counts it
                shared.worst = DROPPED
                shared.reason = reason
                shared.level = level
            reason, level = shared.reason, shared.level
        ledger.expect(reason, level)
        dropped, levels = ledger.dropped, ledger.dropped_levels
        # In one stretch, as in `_refuse`.
        if shared is not None:
            shared.left -= lanes
            if shared.left != 0:
                return
        dropped[reason] += 1
        levels[level] += 1

    # -- taking: on the worker -----------------------------------------------------------------

    def pop_entry(self) -> Entry | None:
        """Take the oldest entry, or ``None``."""
        try:
            queued = self.entries.popleft()
        except IndexError:
            return None
        entry = unpack(queued)
        self.grant(1)
        if entry[2] != RECORD_SIZE:
            self.account(RECORD_SIZE - entry[2])
        return entry

    def pop_run(self, most: int) -> list[Queued]:
        """Take the oldest entries that are alike: those of the fast path for the same lanes, or one of another kind."""
        entries = self.entries
        popleft = entries.popleft
        try:
            first = popleft()
        except IndexError:
            return []
        run: list[Queued] = [first]
        texts = texts_size(first)
        if type(first) is dict:
            # By identity: a lane's mark is one object. This loop is part of what every record costs.
            mark, append, heavy = first["exc_info"], run.append, 1
            with contextlib.suppress(IndexError):
                for _ in repeat(None, most - 1):
                    queued = popleft()
                    if type(queued) is not dict or queued["exc_info"] is not mark:
                        entries.appendleft(queued)
                        break
                    append(queued)
                    if queued["stack_info"] is not None:
                        texts += texts_size(queued)
                        heavy += 1
                        if heavy >= _MOST_HEAVY:
                            break
        self.grant(len(run))
        if texts:
            self.account(-texts)
        return run

    def clear(self) -> None:
        """Forget what waits, and count it nowhere."""
        accepted = self.ledger.accepted
        self.entries.clear()
        self.texts = 0
        self._is_tight = False
        self.gone = 0
        self.left = self._most_room
        self._granted = accepted + self.left

    def after_fork(self) -> None:
        """Start empty in a forked child: what waits is the parent's."""
        self.clear()
        self.notes.clear()
        self.errors = {}
        self.ledger.reset()
        self._sentinels_taken = 0
        self.pid = os.getpid()
        self.sleeping = True

    def pending(self) -> int:
        """Return how many accepted records have no outcome yet."""
        return int(self.ledger.snapshot()["pending"])

    def __repr__(self) -> str:
        return f"<RecordQueue {len(self.entries)} of {self.options.maxsize} records>"


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
