"""The app's own frames told apart from library frames, in the text that a user's formatter made.

The text is read and not the exception: so it works alike for any formatter that prints a traceback,
for a record out of the spool, and after redaction. What is not recognised is shown as it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from asynclog.render.app_frames import is_app_file

Kind: TypeAlias = Literal["text", "app", "library", "folded"]

# Inside an exception group every line has a margin.
_FRAME = re.compile(
    r'(?P<indent>[ |]{0,120}+)File "(?P<file>[^"\n]{1,1000})", line (?P<line>\d{1,9}), in (?P<name>[^\n]{1,500})'
)
_MARGIN = re.compile(r"[ |]*+")
# Source, carets and "[Previous line repeated …]": a frame has no more lines than that. A statement
# over several lines has a few more from 3.13 on.
_LINES_OF_FRAME = 12
_PACKAGES_NAMED = 3


@dataclass(frozen=True, slots=True)
class Run:
    """Lines of one kind.

    Attributes:
        kind: ``"app"``: frames of the app; ``"library"``: other frames; ``"folded"``: says what
            was left out; ``"text"``: all else.
        text: The lines, without the last line break.
    """

    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the app it happened: file, line, function, and the source line if it is known."""

    file: str
    line: int
    function: str
    source: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} in {self.function}"


@dataclass(frozen=True, slots=True)
class _Part:
    kind: Kind
    lines: tuple[str, ...]
    place: Place | None = None


def runs(text: str) -> tuple[Run, ...]:
    """Return a text whole, as runs of lines of one kind."""
    return _joined([(part.kind, "\n".join(part.lines)) for part in _parts(text)])


def folded(text: str) -> tuple[Run, ...]:
    """Return a text with each stretch of library frames folded to one line that names the packages.

    A traceback without a frame of the app stays whole: there is nothing else to read.
    """
    parts = _parts(text)
    if not any(part.kind == "app" for part in parts):
        return runs(text)
    found: list[tuple[Kind, str]] = []
    waiting: list[_Part] = []
    for part in parts:
        if part.kind == "library":
            waiting.append(part)
            continue
        found += _fold(waiting)
        waiting = []
        found.append((part.kind, "\n".join(part.lines)))
    found += _fold(waiting)
    return _joined(found)


def innermost(text: str) -> Place | None:
    """Return the innermost frame of the app in the traceback that was printed last, else of any."""
    found: Place | None = None
    for part in _parts(text):
        if part.kind == "app":
            found = part.place
    return found


def _parts(text: str) -> list[_Part]:
    lines = text.split("\n")
    parts: list[_Part] = []
    index = 0
    while index < len(lines):
        match = _FRAME.match(lines[index])
        if match is None:
            parts.append(_Part("text", (lines[index],)))
            index += 1
            continue
        start = index
        index += 1
        while index < len(lines) and index - start < _LINES_OF_FRAME and _belongs(lines[index], match["indent"]):
            index += 1
        source = lines[start + 1].lstrip(" |") if index > start + 1 else ""
        if source.startswith("[Previous line"):
            source = ""
        place = Place(match["file"], int(match["line"]), match["name"], source)
        parts.append(_Part("app" if is_app_file(match["file"]) else "library", tuple(lines[start:index]), place))
    return parts


def _belongs(line: str, indent: str) -> bool:
    """Say whether a line is source or carets of the frame above: it is further in."""
    if line.startswith(indent + "[Previous line repeated "):
        return True
    margin = _MARGIN.match(line)
    return margin is not None and margin.end() >= len(indent) + 2 and margin.end() < len(line)


def _fold(parts: Sequence[_Part]) -> list[tuple[Kind, str]]:
    if not parts:
        return []
    if len(parts) == 1:
        return [("library", "\n".join(parts[0].lines))]
    names = list(dict.fromkeys(_package(part.place.file) for part in parts if part.place is not None))
    shown = ", ".join(names[:_PACKAGES_NAMED]) + (", …" if len(names) > _PACKAGES_NAMED else "")
    margin = _MARGIN.match(parts[0].lines[0])
    return [("folded", f"{margin[0] if margin else '  '}… {len(parts)} library frames: {shown}")]


def _package(file: str) -> str:
    pieces = re.split(r"[/\\]", file)
    for marker in ("site-packages", "dist-packages"):
        if marker in pieces[:-1]:
            return pieces[pieces.index(marker) + 1].removesuffix(".py")
    for index, piece in enumerate(pieces[:-1]):
        if re.fullmatch(r"python3(\.\d+)?|Lib", piece):
            return pieces[index + 1].removesuffix(".py")
    return pieces[-1].removesuffix(".py")


def _joined(pairs: Sequence[tuple[Kind, str]]) -> tuple[Run, ...]:
    found: list[Run] = []
    waiting: list[str] = []
    kind: Kind = "text"
    for each, text in pairs:
        if waiting and each != kind:
            found.append(Run(kind, "\n".join(waiting)))
            waiting = []
        kind = each
        waiting.append(text)
    if waiting:
        found.append(Run(kind, "\n".join(waiting)))
    return tuple(found)
