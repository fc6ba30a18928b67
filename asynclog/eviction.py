"""What is owed for records that the queue gives up: the room they took, and an outcome each.

A signal's handler that raises may cut this short wherever something is called, and wherever a loop
turns. So each step owes what it is about to count until the very statement in which it is counted,
and whoever is cut short goes on from there before the exception passes.
"""

from __future__ import annotations

from itertools import repeat, starmap
from typing import TYPE_CHECKING, Any, Protocol, cast

from asynclog.captured import LONE_SIZE
from asynclog.ledger import Ledger
from asynclog.plain import RECORD_SIZE
from asynclog.values import Captured, Entry, Queued

if TYPE_CHECKING:
    from collections import deque

REASON = "queue_full"

#: What the standard listener's ``None`` is in the queue.
SENTINEL: Entry = ({}, 0, RECORD_SIZE, None)


class Creditor(Protocol):
    """The queue, as far as it is owed something.

    Attributes:
        ledger: Where outcomes are counted.
    """

    ledger: Ledger

    def account(self, size: int) -> None:
        """Add to the bytes that wait beyond the records themselves; calls nothing."""

    def grant(self, entries: int) -> None:
        """Let so many more entries in; calls nothing."""

    def drop(self, entry: Entry, reason: str) -> None:
        """Count a record as dropped, in as many lanes as it was for."""


class Eviction:
    """The oldest records of a queue, taken out in one go.

    In a storm the queue is full all the time. Taken out one by one, each of its records would cost the
    call that takes its place more than the queue itself does.
    """

    __slots__ = ("_levels", "_out", "_several", "_texts", "taken")

    def __init__(self) -> None:
        self.taken: list[Queued] = []
        # What is still owed. None: nobody has added it up yet.
        self._levels: dict[int, int] | None = None
        self._several: list[Entry] = []
        self._out = 0
        self._texts = 0

    def run(self, entries: deque[Queued], most: int, queue: Creditor) -> int:
        """Take up to so many out, and count them as dropped.

        Returns:
            How many were taken.
        """
        taken = self.taken
        try:
            # All in C: what was taken out is in the list whatever happens, and nobody comes in between.
            taken.extend(starmap(entries.popleft, repeat((), most)))
        except IndexError:  # there were fewer
            pass
        finally:
            try:
                self._settle(queue)
            except BaseException:
                self._settle(queue)
                raise
        return len(taken)

    def _settle(self, queue: Creditor) -> None:
        if self._levels is None:
            self._add_up()
        queue.grant(self._out)
        self._out = 0
        queue.account(self._texts)
        self._texts = 0
        levels: Any = self._levels
        ledger = queue.ledger
        for level in levels:
            ledger.expect(REASON, level)
            dropped, dropped_levels, records = ledger.dropped, ledger.dropped_levels, levels[level]
            # Three statements and no call.
            levels[level] = 0
            dropped[REASON] += records
            dropped_levels[level] += records
        while self._several:
            # It is counted in one stretch, and nothing comes in between as a function in Python returns.
            queue.drop(self._several[-1], REASON)
            del self._several[-1]

    def _add_up(self) -> None:
        taken = self.taken
        texts = 0
        levels: dict[int, int] = {}
        several: list[Entry] = []
        for queued in taken:
            if type(queued) is dict:
                carried = queued["stack_info"]
                if carried is not None:
                    texts += (carried if type(carried) is int else carried[LONE_SIZE]) - RECORD_SIZE
                level = queued["levelno"]
            else:
                fields, _, size, captured = entry = cast("Entry", queued)
                texts += size - RECORD_SIZE
                if entry is SENTINEL:
                    continue
                if isinstance(captured, Captured) and captured.shared is not None:
                    several.append(entry)
                    continue
                level = fields.get("levelno", 0)
            if type(level) is not int:
                # An IntEnum's __hash__ is written in Python.
                level = int(level)
            try:
                levels[level] += 1
            except KeyError:
                levels[level] = 1
        out = len(taken)
        # From here on it is owed.
        self._several = several
        self._out = out
        self._texts = -texts
        self._levels = levels
