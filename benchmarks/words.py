"""Numbers and tables as people read them: on the terminal, on the page and in Markdown."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

#: What stands where there is no value.
NOTHING = "\N{EN DASH}"

_TERMINAL = 200
_NOTE = 100


def cell(value: float | str | None, column: Mapping[str, Any]) -> str:
    """Return a table's value as its column wants it."""
    if value is None:
        return NOTHING
    if isinstance(value, str):
        return value
    if not math.isfinite(value):
        return NOTHING
    decimals = column["decimals"]
    if decimals is not None and round(value, decimals + 2 * column["percent"]) == 0:
        value = 0.0  # and not "-0.00"
    if column["percent"]:
        return f"{value * 100:,.{decimals or 0}f} %"
    return f"{value:,g}" if decimals is None else f"{value:,.{decimals}f}"


def quantity(value: float | None, unit: str) -> str:
    """Return a claim's number: three digits, and all of those before the point."""
    if value is None or not math.isfinite(value):
        return "not measured"
    if unit == "%":
        return f"{_digits(value * 100)} %"
    return f"{_digits(value)} {unit}".rstrip()


def measured(claim: Mapping[str, Any]) -> str:
    """Return what was measured of a claim, and from where to where its rounds went."""
    shown = quantity(claim["measured"], claim["unit"])
    span = claim.get("span")
    if span is None or None in span:
        return shown
    low, high = (quantity(one, claim["unit"]).removesuffix(claim["unit"]).rstrip() for one in span)
    return shown if low == high else f"{shown} ({low} to {high})"


def noted(claim: Mapping[str, Any], shown: str) -> str:
    """Return a claim's number as it is shown, with what one has to know to read it right."""
    return f"{shown}; {claim['note']}" if claim.get("note") else shown


def _digits(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def bound(claim: Mapping[str, Any]) -> str:
    """Return where a claim ends to hold."""
    return f"{'at least' if claim['at_least'] else 'at most'} {quantity(claim['bound'], claim['unit'])}"


def rows(table: Mapping[str, Any]) -> list[list[str]]:
    """Return a table's cells as text, its head first."""
    columns = table["columns"]
    head = ["", *(column["title"] for column in columns)]
    return [
        head,
        *(
            [name, *(cell(value, column) for value, column in zip(values, columns, strict=True))]
            for name, values in table["rows"]
        ),
    ]


def as_text(table: Mapping[str, Any]) -> str:
    """Return a table for the terminal; one that is mostly words is named only, since no terminal is wide enough."""
    lines = rows(table)
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    if sum(widths) > _TERMINAL:
        return f"{table['title']}: on the page"
    shown = [
        "  ".join(
            [line[0].ljust(widths[0]), *(one.rjust(width) for one, width in zip(line[1:], widths[1:], strict=True))]
        ).rstrip()
        for line in lines
    ]
    note = textwrap.wrap(table["note"], _NOTE)
    return "\n".join([table["title"], *(f"  {line}" for line in [*shown, *note])])


def as_markdown(table: Mapping[str, Any], ours: str = "asynclog") -> str:
    """Return a table in Markdown, the rows of asynclog in bold."""
    head, *body = rows(table)
    lines = [_line(head), _line(["---", *("---:" for _ in head[1:])])]
    lines += [
        _line([f"**{one}**" if one else "" for one in line] if line[0].startswith(ours) else line) for line in body
    ]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(one.replace("|", "\\|") for one in cells) + " |"
