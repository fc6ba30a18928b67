"""Which frames of a traceback are the app's own."""

from __future__ import annotations

import functools
import os
import re
import sysconfig
from typing import Final

_PACKAGES: Final = re.compile(r"[/\\](?:site|dist)-packages[/\\]")


def _standard_library() -> tuple[str, ...]:
    paths = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib")} | {os.path.dirname(os.__file__)}
    real = {os.path.realpath(path) for path in paths if path}
    return tuple(sorted(path.rstrip("/\\") + os.sep for path in {*paths, *real} if path))


_STANDARD_LIBRARY: Final = _standard_library()


@functools.lru_cache(maxsize=4096)  # asked for every frame of a deep recursion
def is_app_file(filename: str) -> bool:
    """Say whether code of this file is the app's, and not an installed package's or Python's own.

    Args:
        filename: A code object's ``co_filename``. One without a file (``<stdin>``, a template's)
            is the app's, except Python's own ``<frozen …>`` and what libraries generate
            (``<string>``, ``<__array_function__ internals>``).
    """
    if filename.startswith("<"):
        return not filename.startswith(("<frozen ", "<string>", "<__"))
    return not filename.startswith(_STANDARD_LIBRARY) and _PACKAGES.search(filename) is None
