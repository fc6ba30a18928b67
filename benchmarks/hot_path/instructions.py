"""Instructions per call, counted: the one figure that a busy machine doesn't change.

By ``perf stat`` where the processor's counters can be read (rarely in a virtual machine), else by
valgrind's cachegrind, which runs the interpreter fifty times slower and counts exactly. Runs with
different numbers of calls are subtracted, so that start and imports fall out.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import errors, peers
from benchmarks.peers.base import Destination

#: The two that compete with asynclog for the cheapest plain call are among them.
CONTENDERS = (peers.FLOOR, peers.OURS, peers.QUEUE_PAIR, "stdlib QueueHandler, prepare() off", "backgroundlog")
CASES = ("plain", "exception, 10 frames")

_ROOT = Path(__file__).resolve().parent.parent.parent
_FEW, _MORE = 100, 600
_PATIENCE = 300.0


def counter() -> str | None:
    """Return ``perf`` or ``cachegrind``, whichever can count here; ``None`` where neither can."""
    if shutil.which("perf") and _by_perf([sys.executable, "-c", "pass"]) is not None:
        return "perf"
    return "cachegrind" if shutil.which("valgrind") else None


def steps() -> int:
    """Return how many steps `count` tells of."""
    return len(_contenders()) * len(CASES)


def count(by: str, tell: Callable[[str], None]) -> dict[str, dict[str, float]]:
    """Return the instructions of a call, by contender and case."""
    run = _by_perf if by == "perf" else _by_cachegrind
    found: dict[str, dict[str, float]] = {}
    for name in _contenders():
        for case in CASES:
            few, more = (run(_command(name, case, calls)) for calls in (_FEW, _MORE))
            if few is not None and more is not None:
                found.setdefault(name, {})[case] = (more - few) / (_MORE - _FEW)
            tell(f"instructions by {by}, {name}, {case}")
    return found


def _contenders() -> list[str]:
    there = peers.installed()
    return [name for name in CONTENDERS if name in there]


def _command(name: str, case: str, calls: int) -> list[str]:
    return [sys.executable, "-m", "benchmarks.hot_path.instructions", name, case, str(calls)]


def _by_perf(command: Sequence[str]) -> int | None:
    done = _run(["perf", "stat", "-e", "instructions:u", "-x", ",", *command])
    found = re.search(r"^(\d+),[^,]*,instructions:u", done.stderr, re.MULTILINE)
    return int(found[1]) if found and done.returncode == 0 else None


def _by_cachegrind(command: Sequence[str]) -> int | None:
    options = ["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null", "--fair-sched=try"]
    done = _run(["valgrind", *options, *command])
    found = re.search(r"I\s+refs:\s+([\d,]+)", done.stderr)
    return int(found[1].replace(",", "")) if found and done.returncode == 0 else None


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    # The same hashes in each run, or dictionaries would collide differently and the counts wobble.
    environment = {**os.environ, "PYTHONHASHSEED": "0", "LC_ALL": "C"}
    return subprocess.run(
        command, cwd=_ROOT, env=environment, capture_output=True, text=True, timeout=_PATIENCE, check=False
    )


def _main(name: str, case: str, calls: int) -> None:
    peer = peers.kind_of(name)(Destination())
    with tempfile.TemporaryDirectory() as folder:
        error = errors.caught(errors.raiser(9, Path(folder)))
        peer.hold()
        call = peer.plain() if case == CASES[0] else peer.exception((type(error), error, error.__traceback__))
        for number in range(calls):
            call(number)
        sys.stdout.flush()
        # Not even the interpreter's own end: it is no part of a call, and the worker is still held.
        shutil.rmtree(folder)
        os._exit(0)


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
