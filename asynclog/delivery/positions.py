"""What is the same of a frame on every host: module, qualified name and the text of its line.

Runs in the worker, once for each position: it reads source files through `linecache`.
"""

from __future__ import annotations

import linecache
import os
from collections import Counter
from contextlib import suppress
from types import CodeType
from typing import Any, Final

from asynclog.captured import Frames, each_frame, line_of
from asynclog.render.app_frames import is_app_file

#: Functions of a stack that make its key.
FRAMES_IN_KEY: Final = 3
# Functions of a recursion's cycle that make its key.
_CYCLE: Final = 12

# Read past any metaclass: its properties are the user's code.
_qualname = type.__dict__["__qualname__"].__get__
_module = type.__dict__["__module__"].__get__


def frame_keys(frames: Frames, *, as_cycle: bool, is_all: bool) -> tuple[list[str], str] | None:
    """Return the keys of the innermost functions of a stack, and the place: the innermost of them.

    A function counts once, with its innermost line: that is why the depth of a recursion makes no
    difference. The app's functions count; where there are none, the libraries'.

    Args:
        frames: Captured frames, outermost first.
        as_cycle: The stack ended because it was too deep. Which function of the cycle was the
            innermost then is chance, so the key is the set of those that came up twice.
        is_all: These are all the frames; else ``None`` is returned where more are needed.
    """
    listed = list(each_frame(frames))
    if as_cycle and is_all:
        cycle = _cycle(listed)
        if cycle is not None:
            return cycle
    if as_cycle and not is_all:
        return None
    app = _innermost([frame for frame in listed if is_app_file(frame[0].co_filename)])
    if len(app) < FRAMES_IN_KEY and not is_all:
        return None
    chosen = app or _innermost(listed)
    return [_frame_key(*frame) for frame in chosen], _place(*chosen[0]) if chosen else ""


_Frame = tuple[CodeType, int, dict[str, Any]]


def _innermost(frames: list[_Frame]) -> list[_Frame]:
    found: dict[tuple[str, str], _Frame] = {}
    for frame in reversed(frames):
        found.setdefault((module_name(frame[0], frame[2]), frame[0].co_qualname), frame)
        if len(found) == FRAMES_IN_KEY:
            break
    return list(found.values())


def _cycle(frames: list[_Frame]) -> tuple[list[str], str] | None:
    functions = [(module_name(code, names), code.co_qualname) for code, _, names in frames]
    app = [name for name, frame in zip(functions, frames, strict=True) if is_app_file(frame[0].co_filename)]
    repeated = sorted(name for name, count in Counter(app or functions).items() if count > 1)[:_CYCLE]
    if not repeated:
        return None
    module, function = repeated[0]
    return [f"{module}\x1f{name}" for module, name in repeated], f"{module}.{plain_qualname(function)}"


def _frame_key(code: CodeType, lasti: int, names: dict[str, Any]) -> str:
    line = line_key(code.co_filename, line_of(code, lasti), code, names)
    return f"{module_name(code, names)}\x1f{code.co_qualname}\x1f{line}"


def _place(code: CodeType, lasti: int, names: dict[str, Any]) -> str:  # noqa: ARG001  (takes a frame)
    function = plain_qualname(code.co_qualname)
    return f"{module_name(code, names)}.{function}" if function else module_name(code, names)


def line_key(filename: str, lineno: int | None, code: CodeType | None, names: dict[str, Any] | None) -> str:
    """Return the text of a source line, in one form whatever its indentation.

    A function may hold the same line twice: the second is told by its number among them. Where
    there is no source, the line's distance from the function's first tells.
    """
    if lineno is None:
        return ""
    text = _source_line(filename, lineno, names)
    if code is None:
        return text
    if not text:
        return f"+{lineno - code.co_firstlineno}"
    lines = sorted({line for _, _, line in code.co_lines() if line is not None and line < lineno})
    before = sum(_source_line(filename, line, names) == text for line in lines)
    return f"{text}\x1f{before}" if before else text


def _source_line(filename: str, lineno: int, names: dict[str, Any] | None) -> str:
    with suppress(Exception):  # a module's loader raised, or another thread emptied linecache
        return " ".join(linecache.getline(filename, lineno, names).split())
    return ""


def module_name(code: CodeType, names: dict[str, Any]) -> str:
    """Return a module's name; that of a script is the file's, in whatever directory it lies."""
    name = names.get("__name__") if type(names) is dict else None
    if type(name) is str and name != "__main__":
        return name
    spec = names.get("__spec__") if type(names) is dict else None
    name = getattr(spec, "name", None)
    return name if type(name) is str else file_stem(code.co_filename)


def file_stem(path: str) -> str:
    """Return a file's name without directory and ending."""
    return os.path.splitext(os.path.basename(path.replace("\\", "/")))[0]


def plain_qualname(qualname: str) -> str:
    """Return a qualified name for people: nothing for a module's own code, and no ``<locals>``."""
    return ".".join(part for part in qualname.split(".") if part not in ("<locals>", "<module>"))


def type_name(kind: type) -> str:
    """Return a type's name as a traceback prints it."""
    module, name = _module(kind), str(_qualname(kind))
    return name if type(module) is not str or module in ("builtins", "__main__") else f"{module}.{name}"
