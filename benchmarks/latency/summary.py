"""The numbers of a cell, and whether asynclog's are those of the app that logs nowhere."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from asynclog.trial.measure import percentile
from benchmarks.latency.cell import Cell
from benchmarks.latency.plan import AGAIN, ASYNCLOG, NOWHERE, Contender

BOUND = 1.05
"""A percentile within this ratio of the app that logs nowhere keeps the promise whatever the spread is."""

WIDEST = 1.5
"""Where the app that logs nowhere is found this far above itself, nothing can be said of a ratio above `BOUND`."""

WITHIN, UNCERTAIN, ABOVE = "within", "cannot tell", "above"

SHARES = (0.5, 0.9, 0.99, 0.999)
NAMES = ("p50", "p90", "p99", "p99.9")
JUDGED = (0.5, 0.99, 0.999)

_DRAWS = 400
_BLOCK = 1.0


@dataclass(frozen=True, slots=True)
class Latencies:
    """What the clients of one contender saw; seconds.

    Attributes:
        requests: How many count.
        at: The percentiles of `SHARES`; a failed request counts with its client's patience at least.
        worst: The slowest.
        failed: Requests without the answer that was owed.
        first: The process's first error.
        cold: The slowest of those before the ones that count.
    """

    requests: int
    at: tuple[float, ...]
    worst: float
    failed: int
    first: float
    cold: float


def latencies(cell: Cell, contender: Contender) -> Latencies:
    """Sum up a contender's requests."""
    samples = cell.of(contender)
    times = sorted(map(cell.waited, samples))
    cold = [cell.waited(one) for one in cell.of(contender, cold=True)]
    return Latencies(
        len(times),
        tuple(percentile(times, share) for share in SHARES),
        times[-1],
        sum(one.failed for one in samples),
        cold[0],
        max(cold),
    )


@dataclass(frozen=True, slots=True)
class Ratio:
    """A percentile of asynclog's app, as a ratio to that of the app that logs nowhere.

    Attributes:
        asynclog: To the geometric mean of the two copies of that app. Not to both together: the second
            slowest of one app's requests is no match for the second slowest of twice as many.
        twin: The second copy to the first.
        low: What an identical app would come to in 19 of 20 runs: from here …
        high: … to here.
    """

    asynclog: float
    twin: float
    low: float
    high: float

    @property
    def spread(self) -> float:
        """How much slower than itself the app that logs nowhere can be found."""
        return max(self.high, self.twin, 1 / self.twin)

    @property
    def verdict(self) -> str:
        """Whether it is within 5 % of the app that logs nowhere or inside its own spread, if that can be told."""
        if self.asynclog <= BOUND or self.asynclog <= self.spread <= WIDEST:
            return WITHIN
        return UNCERTAIN if self.asynclog <= self.spread else ABOVE


def ratios(cells: Sequence[Cell], *, seed: int = 7) -> Mapping[float, Ratio]:
    """Compare asynclog with the app that logs nowhere, at each of the `JUDGED` percentiles.

    The spread is that of runs put together by chance from seconds of the real ones (a block
    bootstrap): three runs, the first as a ratio to the geometric mean of the other two. Whole seconds
    and not single requests, since what disturbs one disturbs its neighbours too; from each cell as many
    as a run has of it.

    Args:
        cells: One, or several taken together.
        seed: Of what is drawn.
    """
    own, first, second = (_waited(cells, one) for one in (ASYNCLOG, NOWHERE, AGAIN))
    by_chance = _by_chance([_blocks(cell) for cell in cells], random.Random(seed))
    found = {}
    for share in JUDGED:
        spread = sorted(by_chance[share])
        found[share] = Ratio(
            _to_mean(own, first, second, share),
            percentile(second, share) / percentile(first, share),
            percentile(spread, 0.025),
            percentile(spread, 0.975),
        )
    return found


def _waited(cells: Sequence[Cell], contender: Contender) -> list[float]:
    return sorted(cell.waited(one) for cell in cells for one in cell.of(contender))


def _to_mean(one: Sequence[float], first: Sequence[float], second: Sequence[float], share: float) -> float:
    return percentile(one, share) / math.sqrt(percentile(first, share) * percentile(second, share))


def _blocks(cell: Cell) -> list[list[float]]:
    blocks: dict[tuple[int, int], list[float]] = defaultdict(list)
    for one in (NOWHERE, AGAIN):
        for sample in cell.of(one):
            blocks[sample.app, int(sample.due / _BLOCK)].append(cell.waited(sample))
    return list(blocks.values())


def _by_chance(cells: Sequence[Sequence[Sequence[float]]], draw: random.Random) -> Mapping[float, list[float]]:
    found: dict[float, list[float]] = {share: [] for share in JUDGED}

    def run() -> list[float]:
        chosen = (draw.choices(blocks, k=max(1, len(blocks) // 2)) for blocks in cells)
        return sorted(time for blocks in chosen for block in blocks for time in block)

    for _ in range(_DRAWS):
        one, first, second = run(), run(), run()
        for share, ratio in found.items():
            ratio.append(_to_mean(one, first, second, share))
    return found
