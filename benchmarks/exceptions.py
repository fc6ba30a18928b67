"""What an exception costs: captured on the caller, printed in the worker, against the standard library.

Run it as ``python benchmarks/exceptions.py``. Only ratios within one run mean something: what
`traceback.format_exception` takes on this machine at this moment is 1.
"""

from __future__ import annotations

import importlib.util
import platform
import sys
import tempfile
import timeit
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from asynclog.capture.exception import capture_exc_info
from asynclog.render.standin import exc_info
from asynclog.render.traceback import clear_cache, format_exception_text

FILES = 4


def deep_exception(frames: int, folder: Path) -> BaseException:
    """Raise through ``frames`` functions, each different, in four files, with carets to draw."""
    modules: list[Any] = []
    for number in range(FILES):
        lines: list[str] = []
        for index in range(number, frames, FILES):
            lines += [f"def level_{index}(following, values):", "    total = len(values) + 1"]
            if index == frames - 1:
                lines += ["    return values[total] + total * values['missing']", ""]
            else:
                lines += [f"    return total + following[{index + 1}](following, values) * 2", ""]
        path = folder / f"layer_{number}_{frames}.py"
        path.write_text("\n".join(lines))
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        modules.append(module)
    levels = [getattr(modules[index % FILES], f"level_{index}") for index in range(frames)]
    try:
        levels[0](levels, [1])
    except IndexError as error:
        return error
    raise AssertionError("nothing was raised")


def microseconds(run: Callable[[], object], number: int) -> float:
    return min(timeit.repeat(run, number=number, repeat=25)) / number * 1e6


def main() -> None:
    print(f"{platform.python_implementation()} {platform.python_version()}")
    print(f"{'':28}{'10 frames':>22}{'40 frames':>22}")
    with tempfile.TemporaryDirectory() as folder:
        errors = [deep_exception(frames, Path(folder)) for frames in (10, 40)]
        rows: dict[str, list[tuple[float, float]]] = {}
        for error in errors:
            info = (type(error), error, error.__traceback__)
            captured = capture_exc_info(info)
            assert captured is not None
            assert format_exception_text(captured) == "".join(traceback.format_exception(*info))[:-1]

            def first(captured: Any = captured) -> str:
                clear_cache()
                return format_exception_text(captured)

            standard = microseconds(lambda info=info: traceback.format_exception(*info), 10)
            for name, run, number in (
                ("traceback.format_exception", None, 0),
                ("caller: capture", lambda info=info: capture_exc_info(info), 500),
                ("worker: text, first time", first, 10),
                ("worker: text, repeated", lambda captured=captured: format_exception_text(captured), 500),
                ("worker: stand-in", lambda captured=captured: exc_info(captured), 500),
            ):
                took = standard if run is None else microseconds(run, number)
                rows.setdefault(name, []).append((took, took / standard))
        for name, cells in rows.items():
            print(f"{name:28}" + "".join(f"{took:>10.1f} us {ratio:>7.2%} " for took, ratio in cells))


if __name__ == "__main__":
    main()
