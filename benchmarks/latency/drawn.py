"""Pictures of the latencies: every request over time, and percentile curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.latency.cell import Cell
from benchmarks.latency.plan import AGAIN
from benchmarks.result import Picture


def pictures(cells: Sequence[Cell]) -> list[Picture]:
    """Make one over time for each server, and one of percentiles for each state."""
    found = []
    for server in dict.fromkeys(cell.server for cell in cells):
        own = [cell for cell in cells if cell.server == server]

        def over_time(file: Any, dark: bool, own: Sequence[Cell] = own) -> None:
            _over_time(file, dark, own)

        caption = f"{server.label}: every request, at the time it was due; crosses: failed, no answer in time"
        found.append(Picture(f"request_latency-{server.key}", caption, over_time))
    for state in dict.fromkeys(cell.state for cell in cells):
        series = _together([cell for cell in cells if cell.state == state])

        def curves(file: Any, dark: bool, series: Mapping[str, Sequence[float]] = series) -> None:
            from benchmarks.pictures import percentile_curves

            percentile_curves(file, dark, series, unit="ms")

        caption = f"Mail server {state.label}: latency by percentile, all servers together"
        found.append(Picture(f"request_latency-{state.key}", caption, curves))
    return found


def _together(cells: Sequence[Cell]) -> dict[str, list[float]]:
    series: dict[str, list[float]] = {}
    for cell in cells:
        for contender in cell.contenders:
            times = [cell.waited(sample) * 1000 for sample in cell.of(contender)]
            series.setdefault(contender.label, []).extend(times)
    return series


def _over_time(file: Any, dark: bool, cells: Sequence[Cell]) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    from benchmarks import pictures as style

    first = cells[0]
    shown = [one for one in first.contenders if one != AGAIN]
    length = first.timing.cold + first.timing.seconds
    made, panels, colours = style.figure(dark, height=0.6 + 1.15 * len(shown), rows=len(shown))
    colour = style.colours_of([one.label for one in shown], colours)
    for axes, contender in zip(panels, shown, strict=True):
        for number, cell in enumerate(cells):
            samples = [*cell.of(contender, cold=True), *cell.of(contender)]
            for failed, marker, size in ((False, ".", 9), (True, "x", 7)):
                some = [sample for sample in samples if sample.failed == failed]
                axes.scatter(
                    [number * length + sample.due for sample in some],
                    [cell.waited(sample) for sample in some],
                    s=size,
                    marker=marker,
                    c=colour[contender.label],
                    linewidths=0.6 if failed else 0,
                    rasterized=True,
                )
            if number:
                axes.axvline(number * length, color=colours.soft, linewidth=0.8)
        axes.set_yscale("log")
        axes.set_ylim(0.0007, 2 * first.timing.patience)
        axes.set_xlim(0, len(cells) * length)
        axes.yaxis.set_major_locator(FixedLocator([0.001, 0.01, 0.1, 1]))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(_seconds))
        axes.grid(axis="x", visible=False)
        style.label(axes, colours, title=contender.label)
    middles = [(number + 0.5) * length for number in range(len(cells))]
    panels[-1].xaxis.set_major_locator(FixedLocator(middles))
    panels[-1].set_xticklabels([cell.state.label for cell in cells])
    style.label(panels[-1], colours, x=f"{length:g} s in each state of the mail server")
    style.save(made, file)


def _seconds(value: float, _: int) -> str:
    return f"{value:g} s" if value >= 1 else f"{value * 1000:g} ms"
