"""Rounds: contenders take turns in one run, and what comes of it is a middle with its spread."""

from __future__ import annotations

import gc
import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

_T = TypeVar("_T")
_SEED = 7


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

    @property
    def span(self) -> tuple[float, float]:
        """The smallest and the largest, as a `benchmarks.result.Claim` shows them."""
        return self.low, self.high

    def __str__(self) -> str:
        digits = 0 if self.middle >= 100 else 1 if self.middle >= 10 else 2
        return f"{self.low:.{digits}f} to {self.high:.{digits}f}"

    def sample(self) -> dict[str, float]:
        """Return it for ``results.json``."""
        return {"min": self.low, "median": self.middle, "max": self.high}


def in_turn(
    contenders: Mapping[str, Callable[[], _T]],
    rounds: int,
    tell: Callable[[str], None] = lambda _: None,
    *,
    before_each_round: Callable[[], object] = lambda: None,
) -> dict[str, list[_T]]:
    """Let each contender have its turn in each round, in an order drawn anew for each.

    Whoever comes after a contender that leaves much behind, a heap or a busy server, would do so in each
    round if a fixed order were only rotated. The draw has a seed, so that a run can be repeated, and
    nobody begins two rounds in succession: two contenders alternate.

    Args:
        contenders: By name; what a turn returns is kept.
        rounds: How many.
        tell: Called before each turn with what comes next.
        before_each_round: Called before the first turn of each round.

    Returns:
        What the turns returned, by contender, in the order of the rounds.
    """
    chance = random.Random(_SEED)
    kept: dict[str, list[_T]] = {name: [] for name in contenders}
    first = None
    for number in range(rounds):
        order = list(contenders)
        chance.shuffle(order)
        while len(order) > 1 and order[0] == first:
            chance.shuffle(order)
        first = order[0]
        before_each_round()
        for name in order:
            tell(f"{name}, round {number + 1} of {rounds}")
            gc.collect()
            kept[name].append(contenders[name]())
    return kept


def ratios(over: Sequence[float], under: Sequence[float]) -> Spread:
    """Divide round by round: what slows one round of both down is not in it."""
    return Spread.of([one / other for one, other in zip(over, under, strict=True)])


def each_round(counts: Sequence[int]) -> str:
    """Return a count as text: once where all rounds agree, else each round's, in their order."""
    shown = counts[:1] if len(set(counts)) == 1 else counts
    return "; ".join(f"{number:,}" for number in shown)
