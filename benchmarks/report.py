"""The report: one page with everything in it, made from ``results.json`` and the pictures beside it.

One benchmark can be measured anew and the others stay; each says when and of which commit it is.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from benchmarks import documents, words
from benchmarks.outcome import Outcome

PAGE = "index.html"

#: A table with more columns than this gets the whole width of the page.
MANY_COLUMNS = 4

_TEMPLATES = Path(__file__).parent / "templates"
_KINDS = {".svg": "image/svg+xml", ".png": "image/png"}


def write(outcomes: Iterable[Outcome], folder: Path) -> Path:
    """Write or complete the report.

    Returns:
        The page's path.
    """
    benchmarks = documents.merge(folder, outcomes)
    page = folder / PAGE
    documents.replace(page, render(benchmarks, folder).encode("utf-8"))
    return page


def render(benchmarks: Mapping[str, Mapping[str, Any]], folder: Path) -> str:
    """Return the page.

    Args:
        benchmarks: By name, as in ``results.json``.
        folder: Where their pictures are.
    """
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(cell=words.cell, bound=words.bound, measured=words.measured, verdict=verdict)
    claims = [(one, claim) for one in benchmarks.values() for claim in one["claims"]]
    return environment.get_template("report.html.j2").render(
        benchmarks=benchmarks.values(),
        claims=claims,
        held=sum(claim["holds"] for _, claim in claims),
        quick=any(one["quick"] for one in benchmarks.values()),
        first=next(iter(benchmarks.values())),
        items={name: list(_items(one, folder)) for name, one in benchmarks.items()},
    )


def verdict(claim: Mapping[str, Any], quick: bool) -> tuple[str, str]:
    """Return what is to be said of a claim, and its class on the page.

    A quick run is too short to hold a claim; where one fails it is said all the same.
    """
    if quick:
        return ("rough: yes", "fair") if claim["holds"] else ("rough: no", "bad")
    return ("holds", "good") if claim["holds"] else ("does not hold", "bad")


def by_turns(one: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Give a benchmark's tables and pictures by turns, so that they stand beside each other."""
    for table, picture in zip_longest(one["tables"], one["pictures"]):
        if table is not None:
            yield "table", table
        if picture is not None:
            yield "picture", picture


def _items(one: Mapping[str, Any], folder: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for kind, item in by_turns(one):
        if kind == "table":
            yield kind, {**item, "wide": len(item["columns"]) > MANY_COLUMNS}
        else:
            light, dark = (_data_uri(path) for path in documents.picture_paths(folder, item))
            yield kind, {**item, "light": light, "dark": dark}


def _data_uri(path: Path) -> str:
    return f"data:{_KINDS[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"
