"""The hot path's numbers as pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchmarks.hot_path import calls, rounds
from benchmarks.hot_path.figures import PLAIN, TEN
from benchmarks.peers import FLOOR, OURS, QUEUE_PAIR
from benchmarks.result import Picture

if TYPE_CHECKING:
    from benchmarks.hot_path import Measured

#: Shown in pictures of percentiles: with all contenders no line could be told from another.
_CURVES = (FLOOR, OURS, QUEUE_PAIR, "stdlib FileHandler", "backgroundlog", "loguru, enqueue=True")


def pictures(measured: Measured) -> list[Picture]:
    """Return the pictures."""
    return [
        Picture(
            "hot-path-plain",
            "A plain call: best round, and the span of 8 in 10 rounds.",
            _bars(measured.rounds[PLAIN], measured.contenders, "µs a call, logarithmic"),
        ),
        Picture(
            "hot-path-exception",
            "A call with an exception of 10 frames.",
            _bars(measured.rounds[TEN], measured.contenders, "µs a call, logarithmic"),
        ),
        Picture(
            "hot-path-single",
            "Single calls with an exception, the workers running: how long the slowest take.",
            _curves(measured.exception),
        ),
        Picture(
            "hot-path-threads",
            "Plain calls from four threads at once.",
            _curves(measured.threads[4]),
        ),
    ]


def _bars(by_name: Mapping[str, rounds.Summary], names: Sequence[str] | Mapping[str, Any], unit: str) -> Any:
    rows = {name: (by_name[name].best, by_name[name].best, by_name[name].high) for name in names if name in by_name}

    def draw(file: Any, dark: bool) -> None:
        from benchmarks import pictures as style

        style.bars(file, dark, rows, unit=unit, log=True)

    return draw


def _curves(taken: calls.Calls) -> Any:
    series = {name: taken[name] for name in _CURVES if name in taken}

    def draw(file: Any, dark: bool) -> None:
        from benchmarks import pictures as style

        style.percentile_curves(file, dark, series, unit="µs")

    return draw
