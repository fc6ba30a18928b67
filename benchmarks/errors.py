"""Exceptions as apps have them: raised through different functions in several files, with carets to draw.

One function that calls itself would not do: the standard library folds its repeated lines, and
prints in half the time.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType, TracebackType

FILES = 4

#: Raises an `IndexError` through so many frames; what it is given, its outermost frame holds.
Raise = Callable[[object], object]


def raiser(frames: int, folder: Path) -> Raise:
    """Write and import functions that call each other, in four files.

    Args:
        frames: Of the traceback, without the one that catches.
        folder: For the files, which have to be there as long as tracebacks are printed.
    """
    modules = [_module(number, frames, folder) for number in range(FILES)]
    levels = [getattr(modules[index % FILES], f"level_{index}") for index in range(frames)]

    return partial(levels[0], levels, [1])  # and no lambda, which would be one frame more


def _module(number: int, frames: int, folder: Path) -> ModuleType:
    lines: list[str] = []
    for index in range(number, frames, FILES):
        lines += [f"def level_{index}(following, values, held=None):", "    total = len(values) + 1"]
        if index == frames - 1:
            lines += ["    return values[total] + total * values['missing']", ""]
        else:
            lines += [f"    return total + following[{index + 1}](following, values) * 2", ""]
    path = folder / f"layer_{number}_of_{frames}.py"
    path.write_text("\n".join(lines), "utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def caught(raising: Raise, held: object = None) -> BaseException:
    """Return the exception, its traceback without the frame of this function."""
    try:
        raising(held)
    except IndexError as error:
        return error.with_traceback(_without_first(error))
    raise AssertionError("nothing was raised")


def chained(cause: Raise, effect: Raise) -> BaseException:
    """Return an exception that was raised from another."""
    made = caught(effect)
    made.__cause__ = caught(cause)
    return made


def _without_first(error: BaseException) -> TracebackType | None:
    assert error.__traceback__ is not None
    return error.__traceback__.tb_next
