"""Places of an app that raise and log it, each a kind of error of its own to whoever groups them."""

from __future__ import annotations

import importlib.util
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType


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
    module = _module(folder / "failing_shop.py", lines)  # a name that nobody else imports
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
