"""The numbers of a run: percentiles, and how far apart two runs of the same app are."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from asynclog.trial.load import Sample
from asynclog.trial.plan import AGAIN, APPS, ASYNCLOG, NOWHERE, PATIENCE, STDLIB, Phase, phase_at

BOUND = 1.10
"""A p99 within this ratio of the app that logs nowhere keeps the promise whatever the spread is."""

ENOUGH = 1000
"""Requests from which a p99.9 is said: of fewer, it is the worst of all."""

_DRAWS = 400


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least ``share`` of all are not above (nearest rank).

    Args:
        values: In rising order; not empty.
        share: Between 0 and 1.
    """
    return values[max(0, math.ceil(share * len(values)) - 1)]


@dataclass(frozen=True, slots=True)
class Summary:
    """What the clients of one app saw in one state of the mail server; seconds.

    A failed request counts as no faster than the patience of its client: an error page that came
    at once is not a good answer.

    Attributes:
        requests: How many.
        p50: Of what they waited.
        p99: Likewise.
        p999: Likewise; ``None`` where there were fewer than `ENOUGH`.
        worst: Likewise.
        failed: How many of them.
    """

    requests: int
    p50: float
    p99: float
    p999: float | None
    worst: float
    failed: int


def waited(sample: Sample) -> float:
    """Return the seconds that a request counts with."""
    return max(sample.latency, PATIENCE) if sample.failed else sample.latency


def summary(samples: Iterable[Sample]) -> Summary:
    """Sum up the requests of one app; there must be some."""
    known = tuple(samples)
    times = sorted(waited(sample) for sample in known)
    failed = sum(sample.failed for sample in known)
    p999 = percentile(times, 0.999) if len(times) >= ENOUGH else None
    return Summary(len(times), percentile(times, 0.5), percentile(times, 0.99), p999, times[-1], failed)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The p99 of the others as a ratio to that of the app that logs nowhere, in one state.

    Attributes:
        asynclog: asynclog's.
        stdlib: The SMTPHandler's.
        twin: The second copy of the app that logs nowhere, to the first.
        low: What an identical app would come to in 19 of 20 runs: from here …
        high: … to here.
    """

    asynclog: float
    stdlib: float
    twin: float
    low: float
    high: float

    @property
    def within(self) -> bool:
        """Whether asynclog is within 10 % of the app that logs nowhere, or within that app's own spread."""
        return self.asynclog <= max(BOUND, self.high, self.twin, 1 / self.twin)


def compare(by_app: Mapping[str, Sequence[Sample]], *, seed: int = 7) -> Comparison:
    """Compare the p99s of one state.

    The app that logs nowhere runs twice; the ratio is to both together.
    """
    nowhere = (*by_app[NOWHERE.key], *by_app[AGAIN.key])
    base = summary(nowhere).p99
    ratios = _ratios_by_chance(nowhere, base, random.Random(seed))
    return Comparison(
        asynclog=summary(by_app[ASYNCLOG.key]).p99 / base,
        stdlib=summary(by_app[STDLIB.key]).p99 / base,
        twin=summary(by_app[AGAIN.key]).p99 / summary(by_app[NOWHERE.key]).p99,
        low=percentile(ratios, 0.025),
        high=percentile(ratios, 0.975),
    )


def _ratios_by_chance(samples: Sequence[Sample], base: float, draw: random.Random) -> list[float]:
    """Return the p99 ratios of runs put together by chance from seconds of the real ones (a block bootstrap).

    Whole seconds and not single requests: what disturbs a request (another program, a slow disk)
    disturbs its neighbours too, and drawing them one by one would make the spread look too small.
    """
    blocks: dict[tuple[int, int], list[float]] = defaultdict(list)
    for sample in samples:
        blocks[sample.app, int(sample.due)].append(waited(sample))
    seconds = list(blocks.values())
    size = max(1, len(seconds) // 2)
    ratios = []
    for _ in range(_DRAWS):
        times = sorted(time for block in draw.choices(seconds, k=size) for time in block)
        ratios.append(percentile(times, 0.99) / base)
    return sorted(ratios)


@dataclass(frozen=True, slots=True)
class Measured:
    """Every number of a run that comes from the load.

    Attributes:
        summaries: By phase key, then by app key.
        overall: All states together, by app key.
        comparisons: By phase key.
        lateness: How late the load itself sent its requests; seconds at p50, p99 and worst.
    """

    summaries: Mapping[str, Mapping[str, Summary]]
    overall: Mapping[str, Summary]
    comparisons: Mapping[str, Comparison]
    lateness: tuple[float, float, float]


def measure(plan: tuple[Phase, ...], samples: Sequence[Sample]) -> Measured:
    """Sum up a whole run; every app must have been asked in every phase."""
    grouped: dict[str, dict[str, list[Sample]]] = {phase.key: {app.key: [] for app in APPS} for phase in plan}
    for sample in samples:
        grouped[phase_at(plan, sample.due).key][APPS[sample.app].key].append(sample)
    own = {app.key: [one for by_app in grouped.values() for one in by_app[app.key]] for app in APPS}
    late = sorted(sample.late for sample in samples)
    return Measured(
        {phase: {app: summary(some) for app, some in by_app.items()} for phase, by_app in grouped.items()},
        {app: summary(every) for app, every in own.items()},
        {phase: compare(by_app) for phase, by_app in grouped.items()},
        (percentile(late, 0.5), percentile(late, 0.99), late[-1]),
    )


def needless_failures(measured: Measured) -> int:
    """Count the requests that asynclog's app failed beyond what either copy of the app that logs nowhere did."""
    return sum(
        max(0, by_app[ASYNCLOG.key].failed - max(by_app[NOWHERE.key].failed, by_app[AGAIN.key].failed))
        for by_app in measured.summaries.values()
    )
