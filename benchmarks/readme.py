"""Takes the numbers of reports over into README.md and docs/: ``python -m benchmarks --readme FOLDER …``.

A page says between two marks what it wants, and what stands there is written anew::

    <!-- benchmarks: table plain -->
    …
    <!-- /benchmarks -->

``claims`` is a table of all numbers to reach, with a column for each Python that was measured;
``missed`` a list of those that are not reached, with what is known about why; ``table KEY`` and
``picture NAME`` are one of those, ``tables KEY`` is a table as each Python gave it; ``machine`` says
where and when; ``all`` is everything, benchmark by benchmark, and ``all but NAME …`` leaves some out.
Numbers come from ``docs/benchmarks.json`` alone, which `write` makes of the reports, so a test can see
whether a page shows what was measured.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks import documents, report, words

ROOT = Path(__file__).resolve().parent.parent
PAGES = (Path("README.md"), Path("docs/benchmarks.md"))
NUMBERS = Path("docs/benchmarks.json")
IMAGES = Path("docs/images")

_MARK = re.compile(r"(?P<open><!-- benchmarks: (?P<what>[^>]+?) -->\n).*?(?P<close><!-- /benchmarks -->)", re.DOTALL)
_WIDTH = 560

#: Benchmarks by name, of one Python.
Run: TypeAlias = Mapping[str, Mapping[str, Any]]


class NotForShowError(ValueError):
    """A report that README and docs must not show."""


def write(folders: Sequence[Path], root: Path = ROOT) -> list[Path]:
    """Take reports over, the first as the one whose tables and pictures are shown.

    Args:
        folders: Of the reports, one for each Python.
        root: Of the checkout.

    Returns:
        The files that were written.

    Raises:
        NotForShowError: A report is empty, has a quick run in it, or a benchmark that failed.
    """
    runs = [documents.read(folder) for folder in folders]
    for folder, run in zip(folders, runs, strict=True):
        _check(folder, run)
        _check_alike(folder, run, runs[0])
    written = [root / NUMBERS]
    documents.replace(root / NUMBERS, _as_json(runs))
    (root / IMAGES).mkdir(parents=True, exist_ok=True)
    for picture in (picture for one in runs[0].values() for picture in one["pictures"]):
        for source in documents.picture_paths(folders[0], picture):
            documents.replace(root / IMAGES / source.name, source.read_bytes())
            written.append(root / IMAGES / source.name)
    shown = read(root)
    for page in PAGES:
        old = (root / page).read_text("utf-8")
        new = fill(old, shown, page)
        if new != old:
            documents.replace(root / page, new.encode("utf-8"))
            written.append(root / page)
    return written


def _check(folder: Path, run: Run) -> None:
    if not run:
        raise NotForShowError(f"{folder} has no {documents.RESULTS}: run `python -m benchmarks --into {folder}` first")
    for name, one in run.items():
        if one["quick"]:
            raise NotForShowError(f"{folder}: {name} was a quick run, which is too rough to show")
        if one["fault"]:
            raise NotForShowError(f"{folder}: {name} was not measured: {one['fault']}")


def _check_alike(folder: Path, run: Run, first: Run) -> None:
    # Claims stand beside each other by their place, and those of another version of a benchmark would stand wrong.
    for name, one in run.items():
        if name in first and len(one["claims"]) != len(first[name]["claims"]):
            raise NotForShowError(f"{folder}: {name} was measured by another version than in the first report")


def _as_json(runs: Sequence[Run]) -> bytes:
    # With every sample's summary: who doubts a number can work it out anew from a clone.
    document = {"format": documents.FORMAT, "runs": [list(run.values()) for run in runs]}
    return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode("utf-8")


def read(root: Path = ROOT) -> list[Run]:
    """Return the numbers that README and docs show, the shown tables' first."""
    runs = json.loads((root / NUMBERS).read_text("utf-8"))["runs"]
    return [documents.in_order(run) for run in runs]


def fill(text: str, runs: Sequence[Run], page: Path) -> str:
    """Return a page with what its marks ask for.

    Args:
        text: Of the page.
        runs: The numbers.
        page: Where it is in the checkout, for the way to the pictures.

    Raises:
        KeyError: A mark asks for what was not measured.
    """
    to_images = Path(os.path.relpath(IMAGES, page.parent)).as_posix()

    def replaced(match: re.Match[str]) -> str:
        return f"{match['open']}\n{_what(match['what'], runs, to_images)}\n\n{match['close']}"

    return _MARK.sub(replaced, text)


def _what(asked: str, runs: Sequence[Run], to_images: str) -> str:
    kind, _, key = asked.partition(" ")
    if kind == "all":
        left_out = key.removeprefix("but ").split()
        return "\n\n".join(_benchmark(one, to_images) for name, one in runs[0].items() if name not in left_out)
    if kind == "claims":
        return _claims(runs)
    if kind == "missed":
        return _missed(runs)
    if kind == "machine":
        return " ".join(_machine(run) for run in runs)
    if kind == "tables":
        return _of_each_python(key, runs)
    found = {
        "table": {table["key"]: _table(table) for table in _each(runs[0], "tables") if table["key"]},
        "picture": {picture["name"]: _picture(picture, to_images) for picture in _each(runs[0], "pictures")},
    }[kind]
    if key not in found:
        raise KeyError(f"no {kind} {key!r} was measured: {', '.join(found)}")
    return found[key]


def _of_each_python(key: str, runs: Sequence[Run]) -> str:
    tables = {_python(run): table for run in runs for table in _each(run, "tables") if table["key"] == key}
    if not tables:
        raise KeyError(f"no table {key!r} was measured")
    title = next(iter(tables.values()))["title"]
    return "\n\n".join([f"**{title}**", *(f"{python}:\n\n{_table(table)}" for python, table in tables.items())])


def _each(run: Run, what: str) -> Iterable[Mapping[str, Any]]:
    return (item for one in run.values() for item in one[what])


def _benchmark(one: Mapping[str, Any], to_images: str) -> str:
    parts = [f"### {one['title']}", *one["lines"]]
    for kind, item in report.by_turns(one):
        parts.append(f"**{item['title']}**\n\n{_table(item)}" if kind == "table" else _picture(item, to_images))
    return "\n\n".join(parts)


def _table(table: Mapping[str, Any]) -> str:
    return words.as_markdown(table) + (f"\n\n{table['note']}" if table["note"] else "")


def _picture(picture: Mapping[str, Any], to_images: str) -> str:
    light, dark = (f"{to_images}/{picture['name']}-{theme}{picture['suffix']}" for theme in documents.THEMES)
    return (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{dark}">'
        f'<img src="{light}" width="{_WIDTH}" alt="{picture["caption"]}"></picture>'
    )


def _claims(runs: Sequence[Run]) -> str:
    """Return all numbers to reach; one that is missed says so beside what was measured."""
    pythons = [_python(run) for run in runs]
    lines = [f"| number to reach | bound | {' | '.join(pythons)} |", f"|---|---|{'---|' * len(runs)}"]
    for name, one in runs[0].items():
        for place, claim in enumerate(one["claims"]):
            # By place and not by text: a bound that differs by Python stands in the text.
            cells = [_reached(run.get(name, {}).get("claims", ())[place : place + 1]) for run in runs]
            bounds = dict.fromkeys(
                words.bound(one) for run in runs for one in run.get(name, {}).get("claims", ())[place : place + 1]
            )
            lines.append(f"| {claim['text']} | {' / '.join(bounds)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _missed(runs: Sequence[Run]) -> str:
    """Return a line for each number that is missed, with what is known about why."""
    lines = [
        f"- {claim['text']}: **{words.measured(claim)}** on {_python(run)}, and not"
        f" {words.bound(claim)}. {claim['why_not']}".rstrip()
        for run in runs
        for one in run.values()
        for claim in one["claims"]
        if not claim["holds"]
    ]
    return "\n".join(lines) or "None."


def _reached(claims: Sequence[Mapping[str, Any]]) -> str:
    if not claims:
        return words.NOTHING
    (claim,) = claims
    shown = words.measured(claim)
    return words.noted(claim, shown if claim["holds"] else f"**missed:** {shown}; {words.bound(claim)}")


def _python(run: Run) -> str:
    return str(next(iter(run.values()))["machine"]["python"])


def _machine(run: Run) -> str:
    """Return where a report was measured, of which commits, when, and how busy the machine was before each part."""
    machines = {name: one["machine"] for name, one in run.items()}
    first = next(iter(machines.values()))
    loads = [machine["load"] for machine in machines.values() if machine["load"] is not None]
    load = f"; load average before each part {_span([f'{one:.2f}' for one in sorted(loads)])}" if loads else ""
    return (
        f"{first['python']}, {first['cores']} cores of {first['cpu']}, {first['system'].split()[0]}, asynclog"
        f" {first['asynclog']}{_commits(machines)},"
        f" {_span(sorted(machine['date'] for machine in machines.values()))}{load}."
    )


def _commits(machines: Mapping[str, Mapping[str, Any]]) -> str:
    parts: dict[str, list[str]] = {}
    for name, machine in machines.items():
        if machine["commit"]:
            parts.setdefault(machine["commit"], []).append(name)
    if len(parts) == 1:
        return f" at {next(iter(parts))}"
    return "".join(f" at {commit} ({', '.join(names)})" for commit, names in parts.items())


def _span(ordered: Sequence[str]) -> str:
    return ordered[0] if ordered[0] == ordered[-1] else f"{ordered[0]} to {ordered[-1]}"
