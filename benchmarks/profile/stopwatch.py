"""Clocks round functions of a running worker: how much of its threads' CPU goes into each.

What a piece costs by itself, with warm caches and nobody else about, is not what it costs in a worker; so
the pieces are measured where they run. A thread's own clock, of its CPU alone: while it waits for the
interpreter, that stands still.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch


@dataclass(frozen=True, slots=True)
class Clock:
    """A function that gets a clock.

    Attributes:
        owner: A class or module.
        name: The function there.
        piece: What its time counts as.
        makes: It returns the function that is timed.
    """

    owner: Any
    name: str
    piece: str
    makes: bool = False


class _OfThread(threading.local):
    """What one thread has measured; no two add to the same number.

    Attributes:
        stack: Of each clock that runs: its piece, what was spent inside of it under other clocks, and how often.
        sums: Of each piece: nanoseconds, how often it was timed, and how often others inside of it.
    """

    def __init__(self, every: list[dict[str, list[int]]]) -> None:
        self.stack: list[list[Any]] = []
        self.sums: dict[str, list[int]] = {}
        every.append(self.sums)


class Stopwatch:
    """Adds up the CPU time of functions, by piece.

    A function inside another one counts as its own piece, and is taken off the outer one; inside of a
    function of the same kind of work, in `whole`, it counts as part of that.

    Args:
        whole: Pieces inside of which no other is looked for.
    """

    def __init__(self, whole: Sequence[str] = ()) -> None:
        self._whole = frozenset(whole)
        self._every: list[dict[str, list[int]]] = []
        self._own = _OfThread(self._every)

    def timed(self, piece: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function with a clock."""
        clock, whole, of_thread = time.thread_time_ns, self._whole, self._own

        def run(*args: Any, **keywords: Any) -> Any:
            stack = of_thread.stack
            if stack and stack[-1][0] in whole:
                return function(*args, **keywords)
            own: list[Any] = [piece, 0, 0]
            stack.append(own)
            began = clock()
            try:
                return function(*args, **keywords)
            finally:
                taken = clock() - began
                stack.pop()
                if stack:
                    stack[-1][1] += taken
                    stack[-1][2] += 1
                sums = of_thread.sums.setdefault(piece, [0, 0, 0])
                sums[0] += taken - own[1]
                sums[1] += 1
                sums[2] += own[2]

        return run

    @contextmanager
    def on(self, clocks: Sequence[Clock]) -> Iterator[None]:
        """Have the clocks on."""
        patches = [patch.object(one.owner, one.name, self._wrapped(one)) for one in clocks]
        try:
            for one in patches:
                one.start()
            yield
        finally:
            for one in patches:
                one.stop()

    def _wrapped(self, one: Clock) -> Callable[..., Any]:
        original = getattr(one.owner, one.name)
        if not one.makes:
            return self.timed(one.piece, original)

        def make(*args: Any, **keywords: Any) -> Any:
            made = original(*args, **keywords)
            return None if made is None else self.timed(one.piece, made)

        return make

    def seconds(self, piece: str) -> float:
        """Return what a piece took in all, less what the clocks themselves took of that."""
        inside, outside = _own_cost()
        spent, calls, others = self._sums(piece)
        return max(0.0, (spent - calls * inside - others * outside) / 1e9)

    def calls(self, piece: str) -> int:
        """Return how often it was timed."""
        return self._sums(piece)[1]

    def _sums(self, piece: str) -> tuple[int, int, int]:
        spent, calls, others = (sum(some[piece][at] for some in self._every if piece in some) for at in range(3))
        return spent, calls, others


_SOME = 2000


@functools.cache
def _own_cost() -> tuple[float, float]:
    """Return the nanoseconds that a clock adds to its own piece, and to the one round that."""
    watch, clock = Stopwatch(), time.thread_time_ns
    inside = float(min(-(clock() - clock()) for _ in range(_SOME)))

    def nothing() -> None:
        pass

    timed = watch.timed("", nothing)

    def whole(function: Callable[[], None]) -> float:
        began = clock()
        for _ in range(_SOME):
            function()
        return (clock() - began) / _SOME

    return inside, max(0.0, min(whole(timed) - whole(nothing) for _ in range(5)) - inside)
