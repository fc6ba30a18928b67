"""How pictures look: one style for all, in colours for a light and for a dark page.

A picture is as wide as half a page, so that its letters can be read beside a table and on a phone
alike; it is written as SVG, which is sharp on both. What is asynclog's has the accent, whatever stands beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

#: Whose line or bar has the accent: names that start like this.
OURS = "asynclog"

_WIDTH = 5.6  # inches of 72 points: what a phone shows of it is 9/10 in size
_SMALL = 8.5
_NORMAL = 9.5


@dataclass(frozen=True, slots=True)
class Theme:
    """The colours of a picture."""

    paper: str
    ink: str
    soft: str
    grid: str
    accent: str
    others: tuple[str, ...]


LIGHT = Theme(
    paper="#ffffff",
    ink="#1f2328",
    soft="#59636e",
    grid="#d5dae0",
    accent="#0b62c4",
    others=("#57606a", "#c2570c", "#1a7f37", "#8250df", "#b3261e", "#9a6700", "#0e7490", "#bf3989"),
)
DARK = Theme(
    paper="#14171a",
    ink="#e3e6e9",
    soft="#9aa4ae",
    grid="#3a4047",
    accent="#6cb0ff",
    others=("#aab4be", "#f2a065", "#57c273", "#bc9aff", "#ff6f66", "#d9a532", "#4cc3d9", "#f28bc4"),
)


def theme(dark: bool) -> Theme:
    """Return the colours for a dark page or a light one."""
    return DARK if dark else LIGHT


def figure(dark: bool, height: float = 3.4, rows: int = 1) -> tuple[Figure, list[Any], Theme]:
    """Make a figure in the common style.

    Args:
        dark: For a dark page.
        height: Inches; the width is the same for all.
        rows: Panels below each other that share the horizontal axis.

    Returns:
        The figure, its panels, and the colours to draw with.
    """
    colours = theme(dark)
    made = Figure(figsize=(_WIDTH, height), facecolor=colours.paper, layout="constrained")
    panels = list(made.subplots(rows, 1, sharex=True, squeeze=False)[:, 0])
    for axes in panels:
        axes.set_facecolor(colours.paper)
        axes.tick_params(colors=colours.ink, labelsize=_SMALL, length=0, which="both")
        axes.grid(color=colours.grid, linewidth=0.6)
        axes.set_axisbelow(True)
        for spine in axes.spines.values():
            spine.set_visible(False)
    return made, panels, colours


def save(made: Figure, file: Any) -> None:
    """Write a figure as SVG; the same picture gives the same bytes, so that a new run shows what changed."""
    with mpl.rc_context({"svg.hashsalt": "asynclog", "svg.fonttype": "path"}):
        made.savefig(file, format="svg", facecolor=made.get_facecolor(), metadata={"Date": None, "Creator": None})


def label(axes: Any, colours: Theme, *, x: str = "", y: str = "", title: str = "") -> None:
    """Write what the axes are."""
    axes.set_xlabel(x, color=colours.soft, fontsize=_SMALL)
    axes.set_ylabel(y, color=colours.soft, fontsize=_SMALL)
    if title:
        axes.set_title(title, loc="left", color=colours.ink, fontsize=_NORMAL)


def legend(made: Figure, axes: Any, colours: Theme) -> None:
    """Put the names below the picture, where they hide nothing."""
    handles, names = axes.get_legend_handles_labels()
    made.legend(
        handles,
        names,
        loc="outside lower left",
        ncols=2 if max(map(len, names), default=0) > 24 else 3,
        frameon=False,
        labelcolor=colours.ink,
        fontsize=_SMALL,
    )


def colours_of(names: Iterable[str], colours: Theme) -> dict[str, str]:
    """Give each contender a colour, the accent to asynclog."""
    found: dict[str, str] = {}
    for name in names:
        others = len([one for one in found if not one.startswith(OURS)])
        found[name] = colours.accent if name.startswith(OURS) else colours.others[others % len(colours.others)]
    return found


def bars(
    file: Any,
    dark: bool,
    rows: Mapping[str, tuple[float, float, float]],
    *,
    unit: str,
    log: bool = False,
) -> None:
    """Draw a bar (a dot, if logarithmic) a contender, the largest last, with its spread and its number.

    Args:
        file: To write the SVG to.
        dark: For a dark page.
        rows: Middle, low end and high end of the spread of each.
        unit: What the numbers are.
        log: Whether the scale is logarithmic, where the largest is hundreds of times the smallest.
    """
    ordered = sorted(rows, key=lambda name: rows[name][0], reverse=True)
    made, (axes,), colours = figure(dark, height=0.9 + 0.27 * len(ordered))
    middles = [rows[name][0] for name in ordered]
    spread = [
        [max(0.0, rows[name][0] - rows[name][1]) for name in ordered],
        [max(0.0, rows[name][2] - rows[name][0]) for name in ordered],
    ]
    shades = [colours.accent if name.startswith(OURS) else colours.soft for name in ordered]
    if log:  # a bar's length says nothing where there is no zero to begin at
        axes.scatter(middles, ordered, color=shades, s=42, zorder=3)
    else:
        axes.barh(ordered, middles, color=shades, height=0.68)
    axes.errorbar(middles, ordered, xerr=spread, fmt="none", ecolor=colours.ink, elinewidth=0.9, capsize=2)
    if log:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    top = max((rows[name][2] for name in ordered), default=1.0)
    axes.set_xlim(right=top * (4 if log else 1.18))
    for name in ordered:
        axes.annotate(
            _short(rows[name][0]),
            (max(rows[name][0], rows[name][2]), name),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            color=colours.ink,
            fontsize=_SMALL,
        )
    axes.grid(axis="y", visible=False)
    axes.set_ylim(-0.6, len(ordered) - 0.4)
    label(axes, colours, x=unit)
    save(made, file)


def percentile_curves(
    file: Any, dark: bool, series: Mapping[str, Sequence[float]], *, unit: str, log: bool = True
) -> None:
    """Draw how long the slowest took: the horizontal axis gives p50, p90, p99, p99.9 … equal room.

    Args:
        file: To write the SVG to.
        dark: For a dark page.
        series: Every sample of each contender, in any order.
        unit: What the samples are.
        log: Whether the vertical axis is logarithmic.
    """
    made, (axes,), colours = figure(dark, height=3.6)
    most = max((len(values) for values in series.values()), default=1)
    for name, colour in colours_of(series, colours).items():
        # What is below p50 is off the picture, and would stretch its vertical axis.
        whole = sorted(series[name])
        ordered = whole[(len(whole) - 1) // 2 :]
        before = len(whole) - len(ordered)
        points = [_nines(before + place, len(whole)) for place in range(len(ordered))]
        keep = _spread_out(points)
        axes.plot(
            [points[place] for place in keep],
            [ordered[place] for place in keep],
            color=colour,
            label=name,
            linewidth=2.2 if name.startswith(OURS) else 1.3,
            zorder=3 if name.startswith(OURS) else 2,
        )
    decades = max(1, math.floor(math.log10(max(most, 10))))
    ticks = [_decade(0.5), *range(1, decades + 1)]
    axes.set_xlim(_decade(0.5), max(decades, _nines(most - 1, most)))
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    names = {round(_decade(0.5), 6): "p50", 1: "p90", 2: "p99"}
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: names.get(round(value, 6), f"p99.{'9' * (round(value) - 2)}"))
    )
    if log:
        axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    label(axes, colours, y=unit)
    legend(made, axes, colours)
    save(made, file)


def time_series(
    file: Any,
    dark: bool,
    series: Mapping[str, Sequence[tuple[float, float]]],
    *,
    x: str,
    y: str,
    log: bool = False,
) -> None:
    """Draw values over time.

    Args:
        file: To write the SVG to.
        dark: For a dark page.
        series: Times and values of each contender, in the order of time.
        x: What the times are.
        y: What the values are.
        log: Whether the vertical axis is logarithmic.
    """
    made, (axes,), colours = figure(dark)
    for name, colour in colours_of(series, colours).items():
        axes.plot(
            [at for at, _ in series[name]],
            [value for _, value in series[name]],
            color=colour,
            label=name,
            linewidth=2.0 if name.startswith(OURS) else 1.3,
            zorder=3 if name.startswith(OURS) else 2,
        )
    if log:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    label(axes, colours, x=x, y=y)
    legend(made, axes, colours)
    save(made, file)


def _decade(share: float) -> float:
    return -math.log10(1 - share)


def _nines(place: int, count: int) -> float:
    # The middle of the place: the worst of n samples stands for more than the (n-1)/n percentile.
    return _decade((place + 0.5) / count)


def _spread_out(points: Sequence[float], between: float = 0.01) -> list[int]:
    """Return the places that can be told apart: of 100,000 samples below p90 a few hundred do."""
    kept, last = [], -1.0
    for place, point in enumerate(points):
        if point >= last + between:
            kept.append(place)
            last = point
    return kept


def _short(value: float) -> str:
    if abs(value) >= 1e6:
        return f"{value / 1e6:.3g} M"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
