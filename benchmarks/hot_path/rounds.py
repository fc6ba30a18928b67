"""Rounds: so many calls on one thread while the contender's worker is held, contenders in turn.

A round's length was fixed before any number was looked at: 200 plain calls, 100 with an exception (50 with
40 frames). A busy app has more lying about before its worker comes; longer rounds stand beside these, in which
the garbage collector's walks over what piles up are measured with the calls.
"""

from __future__ import annotations

import gc
import logging
import random
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import ClassVar

from benchmarks.measure import percentile
from benchmarks.peers.base import USER, Call, Destination, ExcInfo, Facts, Peer

#: Seconds a call in each round of each contender, in the order of the turns.
Rounds = dict[str, list[float]]

_SEED = 7


@dataclass(frozen=True, slots=True)
class Case:
    """A kind of call.

    Attributes:
        name: In tables.
        calls: In a round.
        rounds: In a full run.
        quick: In a quick one.
        make: Makes the call of a contender; ``None`` for those that can't.
        error: What is raised, and being handled, while the calls are made.
        traceback: That it has before it is raised, which adds a frame.
    """

    name: str
    calls: int
    rounds: int
    quick: int
    make: Callable[[Peer], Call | None] | None = None
    error: BaseException | None = None
    traceback: TracebackType | None = None

    def call(self, peer: Peer, info: ExcInfo | None) -> Call | None:
        """Return what is called."""
        if info is not None:
            return peer.exception(info)
        assert self.make is not None
        return self.make(peer)


@dataclass(frozen=True, slots=True)
class Summary:
    """What rounds came to; microseconds a call.

    Attributes:
        best: The fastest round: on a shared machine the figure that repeats.
        median: The middle one.
        low: One in ten was faster.
        high: One in ten was slower.
        rounds: How many there were.
    """

    best: float
    median: float
    low: float
    high: float
    rounds: int

    @classmethod
    def of(cls, seconds: list[float]) -> Summary:
        """Sum up rounds."""
        low, median, high = (percentile(seconds, share) * 1e6 for share in (10, 50, 90))
        return cls(min(seconds) * 1e6, median, low, high, len(seconds))


class Nothing(Peer):
    """What a loop and a call that does nothing cost."""

    facts: ClassVar[Facts] = Facts("an empty call", "", False, "nowhere", False, "", "What the loop itself costs.")
    holds = primes = counts = False

    def plain(self) -> Call:
        return lambda number: None

    def exception(self, info: ExcInfo) -> Call:
        return self.plain()

    def close(self) -> None:
        """Nothing is open."""


class Bare(Nothing):
    """The least that a queue can do: append a record that is there already, and copy its dictionary."""

    facts: ClassVar[Facts] = Facts(
        "deque.append and a dict copy", "", False, "nowhere", False, "", "No record is made and no logger is asked."
    )

    def __init__(self, destination: Destination) -> None:
        super().__init__(destination)
        self._entries: deque[object] = deque()
        self._record = logging.LogRecord("shop", logging.ERROR, __file__, 1, "user %s failed %d", (USER, 1), None)

    def plain(self) -> Call:
        append, record = self._entries.append, self._record

        def call(number: int) -> None:
            append(record)
            record.__dict__.copy()

        return call

    def empty(self) -> None:
        self._entries.clear()


def interleave(case: Case, contenders: Mapping[str, Peer], rounds: int, tell: Callable[[str], None]) -> Rounds:
    """Run a case's rounds, each contender once in each, in an order drawn anew every time.

    Contenders that can't make such a call are left out.
    """
    chance = random.Random(_SEED)
    taken: Rounds = {}
    for name, peer in contenders.items():
        if _round(case, peer, max(1, case.calls // 10)) is not None:  # warm, and not counted
            taken[name] = []
    for number in range(rounds):
        order = list(taken)
        chance.shuffle(order)
        for name in order:
            seconds = _round(case, contenders[name], case.calls)
            assert seconds is not None
            taken[name].append(seconds / case.calls)
        tell(f"{case.name}, round {number + 1} of {rounds}")
    return taken


def _round(case: Case, peer: Peer, calls: int) -> float | None:
    if case.error is None:
        return _timed(case, peer, calls, None)
    try:
        # Each raise puts its frame before the traceback that the exception came with; this takes it off again.
        raise case.error.with_traceback(case.traceback)
    except type(case.error):
        # Inside of the except block: some contenders take the exception that is being handled.
        return _timed(case, peer, calls, sys.exc_info())  # type: ignore[arg-type]


def _timed(case: Case, peer: Peer, calls: int, info: ExcInfo | None) -> float | None:
    call = case.call(peer, info)
    if call is None:
        return None
    gc.collect()
    peer.hold()
    started = time.perf_counter()
    for number in range(calls):
        call(number)
    taken = time.perf_counter() - started
    peer.logged += calls
    peer.empty()
    return taken
