"""Clocks round functions of a running worker: how much of its threads' CPU goes into each.

What a piece costs by itself, with warm caches and nobody else about, is not what it costs in a worker; so
the pieces are measured where they run. A thread's own clock, of its CPU alone: while it waits for the
interpreter, that stands still.
"""

from __future__ import annotations

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


class Stopwatch:
    """Adds up the CPU time of functions, by piece.

    A function inside another one counts as its own piece, and is taken off the outer one; inside of a
    function of the same kind of work, in `whole`, it counts as part of that.

    Args:
        whole: Pieces inside of which no other is looked for.
    """

    def __init__(self, whole: Sequence[str] = ()) -> None:
        self._whole = frozenset(whole)
        self._spent: dict[tuple[int, str], int] = {}
        self._calls: dict[tuple[int, str], int] = {}
        self._open = threading.local()

    def timed(self, piece: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function with a clock."""
        clock, spent, calls, whole, opened = time.thread_time_ns, self._spent, self._calls, self._whole, self._open

        def run(*args: Any, **keywords: Any) -> Any:
            # Of each clock that runs on this thread: its piece, and what was spent inside of it by others.
            stack: list[Any] = opened.__dict__.setdefault("stack", [])
            if stack and stack[-1][0] in whole:
                return function(*args, **keywords)
            own = [piece, 0]
            stack.append(own)
            began = clock()
            try:
                return function(*args, **keywords)
            finally:
                taken = clock() - began
                stack.pop()
                if stack:
                    stack[-1][1] += taken
                # By thread: no two add to the same number.
                key = (threading.get_ident(), piece)
                spent[key] = spent.get(key, 0) + taken - own[1]
                calls[key] = calls.get(key, 0) + 1

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
        """Return what a piece took in all, less what its clock itself took of that."""
        spent = sum(taken for (_, name), taken in self._spent.items() if name == piece)
        return max(0.0, (spent - self.calls(piece) * _own_cost()) / 1e9)

    def calls(self, piece: str) -> int:
        """Return how often it was timed."""
        return sum(number for (_, name), number in self._calls.items() if name == piece)


_costs: list[float] = []


def _own_cost() -> float:
    """Return the nanoseconds between two readings of the clock with nothing between."""
    if not _costs:
        clock = time.thread_time_ns
        _costs.append(min(-(clock() - clock()) for _ in range(2000)))
    return _costs[0]
