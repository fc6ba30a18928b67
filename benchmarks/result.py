"""What a benchmark returns: tables, pictures and the claims it was made to test.

A module of a benchmark has ``TITLE``, ``MINUTES`` (full, quick) and
``run(scale: Scale, progress: Progress) -> Result``. It neither prints nor writes; `benchmarks.report`
makes the page, ``results.json`` and the README's tables of what it returns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Scale:
    """How thoroughly to measure.

    Attributes:
        quick: A rougher picture in a tenth of the time; its claims are still judged, but not shown as held.
    """

    quick: bool = False

    def of(self, full: int, quick: int) -> int:
        """Return the number for this scale."""
        return quick if self.quick else full


class Progress(Protocol):
    """Hears how far a benchmark is."""

    def begin(self, steps: int) -> None:
        """Say how many steps there are."""

    def step(self, text: str) -> None:
        """Say that a step is done and what comes next."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        title: Its head, with the unit.
        decimals: Digits after the point; ``None`` for text.
        percent: Whether a ratio is shown in per cent.
    """

    title: str
    decimals: int | None = 2
    percent: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose first column is each row's name.

    Attributes:
        title: What is compared.
        columns: The columns after the name.
        rows: A name and a value for each column; ``None`` where there is none, which ``note`` explains.
        note: How to read it, and what a row does not do that others do.
        key: How the README asks for it; empty: it stands on the page alone.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[tuple[str, Sequence[float | str | None]]]
    note: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """A number to reach.

    Attributes:
        text: What is promised, in a sentence with its bound.
        measured: What was measured.
        bound: Where it ends to hold.
        unit: Of both; ``%`` shows ratios in per cent.
        at_least: The bound is a floor and not a ceiling.
        why_not: What is known about why it does not hold; shown only where it doesn't.
        span: The lowest and the highest of the rounds that `measured` stands for; shown beside it.
        note: What one has to know to read the number right, whether it holds or not; shown after it.
    """

    text: str
    measured: float
    bound: float
    unit: str = ""
    at_least: bool = False
    why_not: str = ""
    span: tuple[float, float] | None = None
    note: str = ""

    @property
    def holds(self) -> bool:
        """Whether it holds."""
        return self.measured >= self.bound if self.at_least else self.measured <= self.bound


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture beside the tables.

    Attributes:
        name: Of the file, without its end.
        caption: What is to be seen in it.
        draw: Draws it with matplotlib, given a file to write as SVG or PNG and whether it is for a
            dark page; imported late, as only the report needs it.
    """

    name: str
    caption: str
    draw: Callable[[Any, bool], None]


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a benchmark.

    Attributes:
        tables: In the order of the page.
        claims: In the order of the page.
        pictures: In the order of the page.
        samples: Every sample's summary, for ``results.json``: medians, spreads, percentiles, counts.
        lines: Plain sentences for the terminal, where a table would say less.
    """

    tables: Sequence[Table] = ()
    claims: Sequence[Claim] = ()
    pictures: Sequence[Picture] = ()
    samples: dict[str, Any] = field(default_factory=dict)
    lines: Sequence[str] = ()
