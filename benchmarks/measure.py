"""Measuring: contenders alternate in short rounds, and the best round of each counts.

On a shared machine the minimum of many interleaved rounds is the figure that repeats (within 10 %);
medians wobble by half.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping

#: Runs so many calls and returns the seconds they took.
Round = Callable[[int], float]


def best_of(contenders: Mapping[str, Round], calls: int, rounds: int) -> dict[str, float]:
    """Return each contender's best seconds per call over interleaved rounds."""
    best = dict.fromkeys(contenders, float("inf"))
    for name, run in contenders.items():
        run(max(1, calls // 10))
        best[name] = float("inf")
    for _ in range(rounds):
        for name, run in contenders.items():
            gc.collect()
            best[name] = min(best[name], run(calls) / calls)
    return best


def timed(function: Callable[[int], None]) -> Round:
    """Make a round of a function that loops by itself."""

    def run(calls: int) -> float:
        started = time.perf_counter()
        function(calls)
        return time.perf_counter() - started

    return run


def percentile(values: list[float], percent: float) -> float:
    """Return the smallest value that at least ``percent`` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
