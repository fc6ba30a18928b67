"""Variants of a function: its own source, cut short or without some of its lines, compiled where it stands.

What a piece of a function costs in there, with its neighbours and with the interpreter's caches as they
are, can't be had by calling the piece alone: a call would cost more than most pieces do. The
difference of two variants is what the lines between them cost.
"""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Callable, Sequence
from typing import Any


class LineIsGoneError(LookupError):
    """A line that a variant is made by is not in the source, or not exactly once."""


def cut_short(function: Callable[..., Any], line: str, statement: str) -> Callable[..., Any]:
    """Return a function that does what another does before a line, and then another statement instead.

    Args:
        function: The function, as its module has it.
        line: Stands in it once, without the indent.
        statement: Runs before that line, and returns.

    Raises:
        LineIsGoneError: The line stands nowhere in it, or more than once.
    """
    lines = _lines(function)
    at = _place(lines, line, function)
    lines.insert(at, _indent(lines[at]) + statement)
    return _compiled(function, lines)


def without(function: Callable[..., Any], left_out: Sequence[str]) -> Callable[..., Any]:
    """Return a function without some of another's lines.

    Args:
        function: The function, as its module has it.
        left_out: Each stands in it once, without the indent.

    Raises:
        LineIsGoneError: One stands nowhere in it, or more than once.
    """
    lines = _lines(function)
    for line in left_out:
        del lines[_place(lines, line, function)]
    return _compiled(function, lines)


def _lines(function: Callable[..., Any]) -> list[str]:
    return textwrap.dedent(inspect.getsource(function)).splitlines()


def _place(lines: Sequence[str], line: str, function: Callable[..., Any]) -> int:
    found = [at for at, one in enumerate(lines) if one.strip() == line]
    if len(found) != 1:
        raise LineIsGoneError(f"{function.__qualname__} has {len(found)} times the line: {line}")
    return found[0]


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _compiled(function: Callable[..., Any], lines: Sequence[str]) -> Callable[..., Any]:
    names = dict(vars(sys.modules[function.__module__]))
    exec(compile("\n".join(lines), f"<a variant of {function.__qualname__}>", "exec"), names)
    made: Callable[..., Any] = names[function.__name__]
    return made
