"""What stays of a benchmark that ran: its result with the pictures drawn, or why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from io import BytesIO
from typing import Any

from benchmarks.result import Claim, Picture, Result, Table


@dataclass(frozen=True, slots=True)
class Drawn:
    """A picture, drawn for a light page and for a dark one.

    Attributes:
        name: Of its files, without their ends.
        caption: What is to be seen in it.
        light: SVG or PNG.
        dark: The same for a dark page.
    """

    name: str
    caption: str
    light: bytes
    dark: bytes

    @property
    def suffix(self) -> str:
        """How its files' names end."""
        return suffix_of(self.light)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a benchmark, ready to be written.

    Attributes:
        name: Its module's name.
        title: Its head on the page.
        quick: Whether it was a rough run.
        seconds: How long it took.
        machine: Where, when and of what it was measured (`benchmarks.machine.facts`).
        tables: In the order of the page.
        claims: In the order of the page.
        pictures: In the order of the page.
        samples: Every sample's summary.
        lines: Plain sentences.
        fault: Why it has no result; empty if it has one.
    """

    name: str
    title: str
    quick: bool
    seconds: float
    machine: dict[str, Any]
    tables: Sequence[Table] = ()
    claims: Sequence[Claim] = ()
    pictures: Sequence[Drawn] = ()
    samples: dict[str, Any] = field(default_factory=dict)
    lines: Sequence[str] = ()
    fault: str = ""


def suffix_of(picture: bytes) -> str:
    """Return how the name of such a picture's file ends."""
    return ".png" if picture.startswith(b"\x89PNG") else ".svg"


def draw(pictures: Sequence[Picture]) -> list[Drawn]:
    """Draw the pictures; none where matplotlib is not installed, since the tables say the same."""
    if find_spec("matplotlib") is None:
        return []
    return [Drawn(one.name, one.caption, _bytes(one, False), _bytes(one, True)) for one in pictures]


def _bytes(picture: Picture, dark: bool) -> bytes:
    file = BytesIO()
    picture.draw(file, dark)
    return file.getvalue()


def of(result: Result, *, name: str, title: str, quick: bool, seconds: float, machine: dict[str, Any]) -> Outcome:
    """Make the outcome of a benchmark that returned."""
    return Outcome(
        name,
        title,
        quick,
        seconds,
        machine,
        tables=tuple(result.tables),
        claims=tuple(result.claims),
        pictures=tuple(draw(result.pictures)),
        samples=result.samples,
        lines=tuple(result.lines),
    )
