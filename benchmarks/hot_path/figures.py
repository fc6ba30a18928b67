"""What is computed of the rounds: what a contender adds to `logging`'s own call, by either estimate.

Best rounds: the least of one contender's rounds less the least of the dropping handler's. Median round: the
middle, over all turns, of a contender's round less the dropping handler's of the same turn. The first is what the
work takes where nothing disturbs it, the second what it takes on the day; a ratio of costs can differ between them.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from benchmarks.hot_path import rounds
from benchmarks.peers import FLOOR

if TYPE_CHECKING:
    from benchmarks.hot_path import Measured

PLAIN = "plain"
MUTABLE = "mutable argument"
EXTRA = "with extra"
TEN = "exception, 10 frames"
FORTY = "exception, 40 frames"
CHAINED = "chained, 10 + 10 frames"
LONG_PLAIN = "plain, 2,000 a round"
LONG_TEN = "exception, 1,000 a round"

# Of all turns, for the span of a ratio; and how many turns a part has at least.
_PARTS, _LEAST = 10, 10

NOTHING = rounds.Nothing.facts.name
BARE = rounds.Bare.facts.name


def added(measured: Measured, case: str, name: str) -> float | None:
    """Return what a contender under `logging` adds to the dropping handler's call; best rounds, microseconds."""
    by_name = measured.rounds.get(case, {})
    if name not in by_name or not _over_floor(measured, name):
        return None
    return by_name[name].best - by_name[FLOOR].best


def added_by_turn(measured: Measured, case: str, name: str) -> list[float] | None:
    """Return what a contender under `logging` adds in each turn; microseconds, in the order of the turns."""
    turns = measured.turns.get(case, {})
    return above(turns, name, FLOOR) if name in turns and _over_floor(measured, name) else None


def added_median(measured: Measured, case: str, name: str) -> float | None:
    """Return what a contender under `logging` adds in the median turn; microseconds."""
    by_turn = added_by_turn(measured, case, name)
    return statistics.median(by_turn) if by_turn else None


def above(turns: rounds.Rounds, name: str, base: str) -> list[float]:
    """Return a contender's rounds less those of another in the same turn; microseconds a call."""
    return [(one - other) * 1e6 for one, other in zip(turns[name], turns[base], strict=True)]


def instructions_above(measured: Measured, case: str, name: str) -> float | None:
    """Return the instructions of a call above the dropping handler's; ``None`` where they were not counted."""
    counted, floor = (measured.counted.get(one, {}).get(case) for one in (name, FLOOR))
    return counted - floor if counted is not None and floor is not None and name != FLOOR else None


def share(part: float | None, of: float | None) -> float | None:
    """Divide; ``None`` where either number is missing or there is nothing to divide by."""
    return part / of if part is not None and of else None


def span(over: list[float], under: list[float]) -> tuple[float, float] | None:
    """Return the least and the most that the ratio of medians comes to in a tenth of the turns.

    Of turns one after the other, so that a stretch in which the machine was busy is told from the others. Not the ratio
    of single turns: in a disturbed one the lower number is next to nothing, or below.

    Returns:
        ``None`` where there are too few turns for that, or one part has no ratio.
    """
    size = len(over) // _PARTS
    if size < _LEAST:
        return None
    ratios = []
    for start in range(0, size * _PARTS, size):
        below = statistics.median(under[start : start + size])
        if below <= 0:
            return None
        ratios.append(statistics.median(over[start : start + size]) / below)
    return min(ratios), max(ratios)


def per_frame(measured: Measured, name: str) -> float:
    """Return what each frame beyond ten takes; best rounds, microseconds."""
    return (measured.rounds[FORTY][name].best - measured.rounds[TEN][name].best) / 30


def _over_floor(measured: Measured, name: str) -> bool:
    return name != FLOOR and name in measured.contenders and measured.contenders[name].facts.under_logging
