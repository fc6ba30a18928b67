"""Counting: every record ends in exactly one outcome.

Counters are plain attributes, written by more than one thread without a lock. That is exact on
CPython for one reason only: between reading and storing an attribute in ``x += n`` the interpreter
never switches threads, as long as ``n`` is a local and nothing is called. With a call inside
(``x += len(y)``) up to 45 % of the counts were lost. So: compute first, then add.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, Final

from asynclog.values import SharedOutcome

DELIVERED: Final = 1
SPOOLED: Final = 2
DEAD_LETTERED: Final = 3
DROPPED: Final = 4

# Marks the records that asynclog makes itself (the announcement of drops): they are counted nowhere.
UNCOUNTED: Final = SharedOutcome(0)


class Ledger:
    """What became of the records of one lane, or of one listener."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start at zero, in a forked child."""
        self.accepted = 0
        self.delivered = 0
        self.dead_lettered = 0
        self.spooled = 0
        self.dropped: dict[str, int] = {}
        self.dropped_levels: dict[int, int] = {}

    def settle(self, outcome: int, n: int = 1, reason: str = "", levelno: int = 0) -> None:
        """Count ``n`` records with one outcome."""
        if outcome == DELIVERED:
            self.delivered += n
        elif outcome == DROPPED:
            # A plain int: an IntEnum's __hash__ is written in Python, where threads may switch.
            level = int(levelno)
            self.expect(reason, level)
            self.dropped[reason] += n
            self.dropped_levels[level] += n
        elif outcome == DEAD_LETTERED:
            self.dead_lettered += n
        else:
            self.spooled += n

    def expect(self, reason: str, level: int) -> None:
        """Make sure that drops for a reason, at a level, can be counted without a call.

        First of all: a KeyError between reading and storing is no thread switch, but two threads that
        both start a reason at 0 would lose one.
        """
        self.dropped.setdefault(reason, 0)
        self.dropped_levels.setdefault(level, 0)

    def settle_shared(self, shared: SharedOutcome, outcome: int, lanes: int, reason: str, levelno: int) -> None:
        """Count one record's outcome in some of its lanes; with the last lane the worst wins."""
        if shared is UNCOUNTED:
            return
        if outcome > shared.worst:
            shared.worst = outcome
            shared.reason = reason
            # The lane that delivers it last may not even say which level it has.
            shared.level = levelno
        shared.left -= lanes
        if shared.left == 0:
            self.settle(shared.worst, 1, shared.reason, shared.level)

    def snapshot(self) -> dict[str, Any]:
        """Return the counts; outcomes are read first, so that ``pending`` is never below zero."""
        delivered, dead, spooled, dropped = self.delivered, self.dead_lettered, self.spooled, dict(self.dropped)
        levels = dict(self.dropped_levels)
        accepted = self.accepted
        return {
            "accepted": accepted,
            "delivered": delivered,
            "dropped": dropped,
            "dropped_levels": {logging.getLevelName(level): count for level, count in sorted(levels.items())},
            "dead_lettered": dead,
            "spooled": spooled,
            "pending": accepted - delivered - dead - spooled - sum(dropped.values()),
        }


def add_up(snapshots: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return the sum of several snapshots; lanes of one name get a number behind it."""
    total = Ledger().snapshot()
    total["lanes"] = {}
    total["errors"] = {}
    for one in snapshots:
        for key in ("accepted", "delivered", "dead_lettered", "spooled", "pending"):
            total[key] += one[key]
        for key in ("dropped", "dropped_levels", "errors"):
            for name, count in one[key].items():
                total[key][name] = total[key].get(name, 0) + count
        for name, lane in one["lanes"].items():
            total["lanes"][unused_name(name, total["lanes"])] = lane
    return total


def unused_name(name: str, taken: Iterable[str]) -> str:
    """Return the name, with ``#2``, ``#3``, … behind it where it is taken."""
    taken = set(taken)
    number, candidate = 1, name
    while candidate in taken:
        number += 1
        candidate = f"{name}#{number}"
    return candidate
