"""The latency of every request over time, one panel for each app, as a PNG."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from asynclog.trial.load import Sample
from asynclog.trial.measure import waited
from asynclog.trial.plan import PATIENCE
from asynclog.trial.run import Outcome


@dataclass(frozen=True, slots=True)
class Theme:
    """The colours of a picture."""

    paper: str
    ink: str
    grid: str
    answered: str
    raised: str
    failed: str
    bands: tuple[tuple[str, str], ...]

    def band(self, phase: str) -> str:
        """Return the colour behind a phase."""
        return dict(self.bands)[phase]


LIGHT = Theme(
    paper="#ffffff",
    ink="#1f2328",
    grid="#d5dae0",
    answered="#2563a8",
    raised="#c2570c",
    failed="#b3261e",
    bands=(
        ("healthy", "#eef6ef"),
        ("slow", "#fdf3d7"),
        ("refusing", "#fbe3e1"),
        ("silent", "#ece4f6"),
        ("recovered", "#eef6ef"),
    ),
)
DARK = Theme(
    paper="#14171a",
    ink="#e3e6e9",
    grid="#3a4047",
    answered="#7db3ee",
    raised="#f2a065",
    failed="#ff6f66",
    bands=(
        ("healthy", "#17221a"),
        ("slow", "#2e2812"),
        ("refusing", "#341b1a"),
        ("silent", "#271d35"),
        ("recovered", "#17221a"),
    ),
)


def draw(outcome: Outcome, theme: Theme, *, narrow: bool) -> bytes:
    """Draw the picture.

    Args:
        outcome: The run.
        theme: Its colours.
        narrow: For a phone: as wide as its screen with letters that can be read there.

    Returns:
        A PNG.
    """
    figure = Figure(figsize=(4.3, 8.6) if narrow else (11, 8.4), dpi=170, facecolor=theme.paper, layout="constrained")
    shown = [(number, app.title) for number, app in enumerate(outcome.apps) if app.title]
    panels = figure.subplots(len(shown), 1, sharex=True, sharey=True)
    for axes, (number, title) in zip(panels, shown, strict=True):
        own = [sample for sample in outcome.samples if sample.app == number]
        _frame(axes, outcome, theme, narrow=narrow)
        _dots(axes, own, outcome, theme, narrow=narrow)
        axes.set_title(title, loc="left", color=theme.ink, fontsize=9 if narrow else 11, pad=18)
    panels[-1].set_xlabel("seconds", color=theme.ink, fontsize=8 if narrow else 9)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=1 if narrow else 3,
        frameon=False,
        labelcolor=theme.ink,
        fontsize=8 if narrow else 9,
        markerscale=2,
    )
    png = io.BytesIO()
    figure.savefig(png, format="png", facecolor=theme.paper)
    return png.getvalue()


def _frame(axes: Any, outcome: Outcome, theme: Theme, *, narrow: bool) -> None:
    axes.set_facecolor(theme.paper)
    axes.set_yscale("log")
    axes.set_ylim(0.0007, 1.8 * PATIENCE)
    axes.set_xlim(0, outcome.seconds)
    axes.set_yticks([0.001, 0.01, 0.1, 1, 10])
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(_tick))
    axes.grid(axis="y", color=theme.grid, linewidth=0.6)
    axes.tick_params(colors=theme.ink, labelsize=7 if narrow else 9, length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    for phase in outcome.plan:
        axes.axvspan(phase.start, phase.end, color=theme.band(phase.key), linewidth=0, zorder=0)
        axes.text(
            (phase.start + phase.end) / 2,
            1.02,
            phase.short,
            transform=axes.get_xaxis_transform(),
            ha="center",
            va="bottom",
            color=theme.ink,
            fontsize=5.5 if narrow else 9,
        )


def _tick(seconds: float, _: int) -> str:
    return f"{seconds:g} s" if seconds >= 1 else f"{seconds * 1000:g} ms"


def _dots(axes: Any, own: list[Sample], outcome: Outcome, theme: Theme, *, narrow: bool) -> None:
    kinds = (
        ("answered", theme.answered, ".", [s for s in own if not s.failed and not s.raises]),
        (
            "logged an error, answered" if outcome.own else "raised an error, answered",
            theme.raised,
            ".",
            [s for s in own if not s.failed and s.raises],
        ),
        (f"failed: no answer within {PATIENCE:g} s, or a wrong one", theme.failed, "x", [s for s in own if s.failed]),
    )
    for label, colour, marker, some in kinds:
        axes.scatter(
            [sample.due for sample in some],
            [waited(sample) for sample in some],
            s=(9 if narrow else 22) if marker == "." else (9 if narrow else 16),
            c=colour,
            marker=marker,
            linewidths=0 if marker == "." else 0.7,
            label=label,
            zorder=3,
        )
