"""What ``results.json`` holds, and how outcomes become that.

Everything that shows numbers (the page, the README, the docs) reads these plain values, so no number
is shown that isn't in the file.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks import registry
from benchmarks.outcome import Outcome
from benchmarks.result import Claim

RESULTS = "results.json"
PICTURES = "pictures"
THEMES = ("light", "dark")

#: Of ``results.json`` itself; another is not read.
FORMAT = 1


def of(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome as plain values; its pictures by name."""
    return {
        "name": outcome.name,
        "title": outcome.title,
        "quick": outcome.quick,
        "seconds": round(outcome.seconds, 1),
        "machine": outcome.machine,
        "tables": [_finite(dataclasses.asdict(table)) for table in outcome.tables],
        "claims": [_finite(_claim(claim)) for claim in outcome.claims],
        "pictures": [{"name": one.name, "caption": one.caption, "suffix": one.suffix} for one in outcome.pictures],
        "samples": _finite(outcome.samples),
        "lines": list(outcome.lines),
        "fault": outcome.fault,
    }


def _claim(claim: Claim) -> dict[str, Any]:
    return {**dataclasses.asdict(claim), "holds": claim.holds}


def _finite(value: Any) -> Any:
    # JSON has neither infinity nor "not a number"; both mean that there is no figure.
    if isinstance(value, Mapping):
        return {str(key): _finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def read(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the benchmarks in a folder's ``results.json`` by name, in the order of the page; none if it has none.

    Raises:
        ValueError: The file is none of this format.
    """
    try:
        text = (folder / RESULTS).read_text("utf-8")
    except FileNotFoundError:
        return {}
    document = json.loads(text)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError(f"{folder / RESULTS} was written by another version: remove it and measure anew")
    return in_order(document["benchmarks"])


def in_order(benchmarks: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return benchmarks by name, in the order of the page; one that is no more is left out."""
    found = {one["name"]: one for one in benchmarks}
    return {name: found[name] for name in registry.NAMES if name in found}


def merge(folder: Path, outcomes: Iterable[Outcome]) -> dict[str, dict[str, Any]]:
    """Write pictures and ``results.json``; what other benchmarks left there stays.

    One that failed replaces the numbers of its earlier run: they would pass for those of this one.

    Returns:
        All benchmarks there are now, by name.
    """
    benchmarks = read(folder)
    (folder / PICTURES).mkdir(parents=True, exist_ok=True)
    for outcome in outcomes:
        for old in benchmarks.get(outcome.name, {}).get("pictures", ()):
            for path in picture_paths(folder, old):
                path.unlink(missing_ok=True)
        made = benchmarks[outcome.name] = of(outcome)
        for one, described in zip(outcome.pictures, made["pictures"], strict=True):
            for path, content in zip(picture_paths(folder, described), (one.light, one.dark), strict=True):
                replace(path, content)
    benchmarks = in_order(benchmarks.values())
    document = {"format": FORMAT, "benchmarks": list(benchmarks.values())}
    replace(folder / RESULTS, (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode("utf-8"))
    return benchmarks


def picture_paths(folder: Path, picture: Mapping[str, Any]) -> tuple[Path, Path]:
    """Return where a picture's light and dark file are."""
    light, dark = (folder / PICTURES / f"{picture['name']}-{theme}{picture['suffix']}" for theme in THEMES)
    return light, dark


def replace(path: Path, content: bytes) -> None:
    """Write a file so that whoever reads it meanwhile gets the old one or the new one, whole."""
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(content)
    new.replace(path)
