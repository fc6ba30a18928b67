"""Rounds: contenders take turns in one run, and what comes of it is a middle with its spread."""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Spread:
    """What a number was over all rounds.

    Attributes:
        low: The smallest.
        middle: The median.
        high: The largest.
    """

    low: float
    middle: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Sum up values, of which there is one at least."""
        return cls(min(values), statistics.median(values), max(values))

    def __str__(self) -> str:
        digits = 0 if self.middle >= 100 else 1 if self.middle >= 10 else 2
        return f"{self.low:.{digits}f} to {self.high:.{digits}f}"

    def sample(self) -> dict[str, float]:
        """Return it for ``results.json``."""
        return {"min": self.low, "median": self.middle, "max": self.high}


def in_turn(
    contenders: Mapping[str, Callable[[], _T]], rounds: int, tell: Callable[[str], None] = lambda _: None
) -> dict[str, list[_T]]:
    """Let each contender have its turn in each round, the first of one round last in the next.

    Args:
        contenders: By name; what a turn returns is kept.
        rounds: How many.
        tell: Called after each turn with what comes next.

    Returns:
        What the turns returned, by contender, in the order of the rounds.
    """
    kept: dict[str, list[_T]] = {name: [] for name in contenders}
    names = list(contenders)
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            tell(f"{name}, round {number + 1} of {rounds}")
            gc.collect()
            kept[name].append(contenders[name]())
    return kept


def ratios(over: Sequence[float], under: Sequence[float]) -> Spread:
    """Divide round by round: what slows one round of both down is not in it."""
    return Spread.of([one / other for one, other in zip(over, under, strict=True)])
