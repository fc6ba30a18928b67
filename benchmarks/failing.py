"""Code that fails: tracebacks of so many frames, and places that raise."""

from __future__ import annotations

import importlib.util
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TypeAlias

ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None]

FILES = 4


def deep_exception(frames: int, folder: Path) -> ExcInfo:
    """Raise through functions that all differ, in four files, with carets to draw.

    Args:
        frames: How many functions.
        folder: Where their files go; it must stay as long as tracebacks are printed.
    """
    modules: list[ModuleType] = []
    for number in range(FILES):
        lines: list[str] = []
        for index in range(number, frames, FILES):
            lines += [f"def level_{index}(following, values):", "    total = len(values) + 1"]
            if index == frames - 1:
                lines += ["    return values[total] + total * values['missing']", ""]
            else:
                lines += [f"    return total + following[{index + 1}](following, values) * 2", ""]
        modules.append(_module(folder / f"layer_{number}_{frames}.py", lines))
    levels = [getattr(modules[index % FILES], f"level_{index}") for index in range(frames)]
    try:
        levels[0](levels, [1])
    except IndexError as error:
        return type(error), error, error.__traceback__
    raise AssertionError("nothing was raised")


def failing_places(count: int, folder: Path) -> list[Callable[[logging.Logger, int], None]]:
    """Make functions each of which raises in a helper of its own and logs that with `Logger.exception`.

    Args:
        count: How many; each is a place of its own to whoever groups errors.
        folder: Where their file goes.
    """
    lines = []
    for index in range(count):
        lines += [
            f"def charge_{index}(order):",
            f"    raise ValueError('no such order in shop {index}')",
            "",
            f"def view_{index}(logger, order):",
            "    try:",
            f"        charge_{index}(order)",
            "    except ValueError:",
            "        logger.exception('order %d failed', order)",
            "",
        ]
    module = _module(folder / "shop.py", lines)
    return [getattr(module, f"view_{index}") for index in range(count)]


def _module(path: Path, lines: list[str]) -> ModuleType:
    path.write_text("\n".join(lines), encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # In place, so that the source is found again by whoever prints a traceback.
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module
