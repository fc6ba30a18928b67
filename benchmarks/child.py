"""One benchmark in a process of its own.

What a benchmark imports, patches and leaves on the heap would be part of the next one's numbers, and
a contender written in C that crashes would take the results of all others with it.
"""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import sys
import time
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks import machine, outcome
from benchmarks.outcome import Outcome
from benchmarks.progress import Display
from benchmarks.registry import load
from benchmarks.result import Scale

_GRACE = 10.0


class _Told:
    """A `Progress` that tells the parent process."""

    def __init__(self, to: Connection) -> None:
        self._to = to

    def begin(self, steps: int) -> None:
        self._to.send(("begin", steps))

    def step(self, text: str) -> None:
        self._to.send(("step", text))


def run(name: str, scale: Scale, show: Display, log: Path) -> Outcome:
    """Run a benchmark in a new process.

    Args:
        name: Of the benchmark.
        scale: How thoroughly.
        show: Hears how far it is.
        log: Gets what it prints, contenders' complaints included.

    Returns:
        Its outcome; that of a benchmark which raised or crashed has a ``fault``.
    """
    started, found = time.monotonic(), machine.facts()
    context = multiprocessing.get_context("spawn")  # a fork would bring the parent's heap along
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_main, args=(name, scale, theirs, str(log), found), name=f"benchmark {name}")
    process.start()
    theirs.close()
    try:
        done = _listen(ours, show)
    except KeyboardInterrupt:
        process.join(_GRACE)  # it heard of it too, and ends the servers that it started
        raise
    finally:
        ours.close()
        process.join(_GRACE)
        if process.is_alive():  # it has said all it had to say, or had its time to end
            process.kill()
            process.join(_GRACE)
    if done is None:
        fault = f"its process ended with {process.exitcode}; see {log.name}"
        return Outcome(name, name, scale.quick, time.monotonic() - started, found, fault=fault)
    return done


def _listen(told: Connection, show: Display) -> Outcome | None:
    while True:
        try:
            kind, value = told.recv()
        except EOFError:
            return None
        if kind == "begin":
            show.begin(value)
        elif kind == "step":
            show.step(value)
        else:
            assert isinstance(value, Outcome)
            return value


def _main(name: str, scale: Scale, to: Connection, log: str, found: dict[str, Any]) -> None:
    _redirect(log)
    faulthandler.enable()
    started, title = time.monotonic(), name
    try:
        benchmark = load(name)
        title = benchmark.TITLE
        result = benchmark.run(scale, _Told(to))
        done = outcome.of(
            result, name=name, title=title, quick=scale.quick, seconds=time.monotonic() - started, machine=found
        )
    except Exception as error:
        traceback.print_exc()
        fault = "".join(traceback.format_exception_only(error)).strip()
        done = Outcome(name, title, scale.quick, time.monotonic() - started, found, fault=fault)
    to.send(("done", done))
    to.close()
    sys.stdout.flush()
    sys.stderr.flush()


def _redirect(log: str) -> None:
    # By descriptors, so that what a contender's C code or a server prints is caught as well.
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
