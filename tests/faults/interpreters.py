"""Child processes on this Python and on others, each with a hard end.

Other interpreters are looked for by name (``python3.12``, …) and in the environment variable
``ASYNCLOG_PYTHONS``, whose paths are separated as in ``PATH``.
"""

import functools
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
VERSIONS = ("3.11", "3.12", "3.13")
#: Seconds after which a child dumps its stacks, and after which it is killed.
DUMP_AFTER, KILL_AFTER = 60, 90

_PROBE = "import sys, anyio, aiosmtplib; print('%d.%d' % sys.version_info[:2])"


@functools.cache
def _found() -> dict[str, str]:
    candidates = [sys.executable, *os.environ.get("ASYNCLOG_PYTHONS", "").split(os.pathsep)]
    candidates += [shutil.which(f"python{version}") or "" for version in VERSIONS]
    found: dict[str, str] = {}
    for candidate in filter(None, candidates):
        probe = subprocess.run([candidate, "-c", _PROBE], capture_output=True, text=True, timeout=60, check=False)
        if probe.returncode == 0:
            found.setdefault(probe.stdout.strip(), candidate)
    return found


def interpreter(version: str) -> str:
    """Return a Python of a version that has what asynclog requires; skip the test if there is none."""
    if version not in _found():
        pytest.skip(f"no Python {version} with asynclog's requirements; set ASYNCLOG_PYTHONS to its path")
    return _found()[version]


class Ended:
    """What a child left behind."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    def __repr__(self) -> str:
        return f"exit code {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


def run(code: str, *arguments: object, python: str = sys.executable, folder: Path, **environment: str) -> Ended:
    """Run a script in a child to its end.

    Args:
        code: The script; what it imports from asynclog is this checkout's.
        arguments: Its ``sys.argv[1:]``.
        python: The interpreter.
        folder: Where the script is put, and where it runs.
        environment: More environment.
    """
    script = folder / "script.py"
    head = f"import faulthandler; faulthandler.dump_traceback_later({DUMP_AFTER}, exit=True)\n"
    script.write_text(head + textwrap.dedent(code), encoding="utf-8")
    child = subprocess.run(
        [python, str(script), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=KILL_AFTER,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **environment},
        check=False,
    )
    return Ended(child.returncode, child.stdout, child.stderr)
