"""Which benchmarks there are, in the order of the page. A new one is a module here and a line below."""

from __future__ import annotations

import importlib
from typing import Protocol

from benchmarks.result import Progress, Result, Scale

NAMES = (
    "hot_path",
    "request_latency",
    "interference",
    "worker_cost",
    "storm",
    "exit_time",
    "start_time",
    "profile",
)


class Benchmark(Protocol):
    """What a benchmark's module has.

    Attributes:
        TITLE: What it measures, as the head of its part of the page.
        MINUTES: How long it takes: all of it, and ``--quick``.
    """

    TITLE: str
    MINUTES: tuple[float, float]

    def run(self, scale: Scale, progress: Progress) -> Result:
        """Measure."""


def load(name: str) -> Benchmark:
    """Import a benchmark; late, since each may import what the others must not have in their process.

    Raises:
        ValueError: There is no such benchmark.
    """
    if name not in NAMES:
        raise ValueError(f"no benchmark is called {name!r}: {', '.join(NAMES)}")
    return importlib.import_module(f"benchmarks.{name}")
