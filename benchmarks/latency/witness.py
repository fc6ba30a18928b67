"""What an app's process knows of itself, told so that it can be read whatever becomes of the process."""

from __future__ import annotations

import _thread
import json
import logging
import mmap
import os
import re
import signal
import struct
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asynclog.trial.plan import RAISING_PATH

_FORMAT = struct.Struct("<QQ")
_MESSAGE = re.compile(rf"Exception on (?:{RAISING_PATH} \[GET\]|request GET {RAISING_PATH})")

SETTINGS = "ASYNCLOG_BENCH_LATENCY"
"""The environment variable that tells an app's process its `Settings`, as JSON."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a served app is told.

    Attributes:
        kind: The contender's key.
        mail_port: The mail server's, on 127.0.0.1.
        folder: Where it leaves what it knows.
        exit_timeout: asynclog's, in seconds.
        grace: Seconds that it has to end.
        exits: Whether exit functions will run in its process.
    """

    kind: str
    mail_port: int
    folder: str
    exit_timeout: float
    grace: float
    exits: bool

    @classmethod
    def of_process(cls) -> Settings:
        """Return this process's."""
        return cls(**json.loads(os.environ[SETTINGS]))


class Raised:
    """Counts the exceptions that no view handled, in a file that outlives a SIGKILL."""

    def __init__(self, settings: Settings) -> None:
        path = _path(settings.folder, settings.kind)
        path.write_bytes(_FORMAT.pack(os.getpid(), 0))
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), _FORMAT.size)
        self._lock = threading.Lock()
        self._count = 0

    def add(self) -> None:
        """Count one."""
        with self._lock:
            self._count += 1
            _FORMAT.pack_into(self._shared, 0, os.getpid(), self._count)


def read_raised(folder: Path, kind: str) -> tuple[int, int]:
    """Return the id of the process that serves the app, and what it has raised."""
    pid, raised = _FORMAT.unpack(_path(str(folder), kind).read_bytes())
    return pid, raised


def _path(folder: str, kind: str) -> Path:
    return Path(folder, f"{kind}.raised")


class StatsAtExit(logging.Handler):
    """Writes asynclog's last counts when `logging.shutdown` closes it, or when it is told to.

    A handler, because an ``atexit`` function of ours would run before asynclog's, which was
    registered earlier; `logging` registered its own before either.
    """

    def __init__(self, settings: Settings, stats: Callable[[], Any]) -> None:
        super().__init__()
        self._path = stats_path(Path(settings.folder), settings.kind)
        self._stats = stats

    def write(self) -> None:
        """Write them as they are now; the last word counts."""
        self._path.write_text(json.dumps(self._stats()), encoding="utf-8")

    def close(self) -> None:
        """Write them at the end."""
        self.write()
        super().close()


def stats_path(folder: Path, kind: str) -> Path:
    """Return where an app leaves its last counts."""
    return folder / f"{kind}.stats.json"


def log_path(folder: Path, kind: str) -> Path:
    """Return where a contender writes its file."""
    return folder / f"{kind}.log"


def count_in_file(folder: Path, kind: str) -> int:
    """Return how many of an app's errors its file tells of; none where it has no file.

    By the messages that Flask and Quart log, which stand once in a record whatever its format.
    """
    try:
        return len(_MESSAGE.findall(log_path(folder, kind).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return 0


def end_with_the_harness() -> None:
    """Have this process and its group ended when the benchmark is gone, even if it was killed.

    Its end of our stdin closes then. A bare thread, because under gevent one of `threading` is a
    greenlet, and its blocking read would stop the whole server.
    """
    start = _thread.start_new_thread
    if "gevent.monkey" in sys.modules:
        start = sys.modules["gevent.monkey"].get_original("_thread", "start_new_thread")

    def watch() -> None:
        while os.read(0, 1):
            pass
        os.killpg(os.getpgrp(), signal.SIGKILL)

    start(watch, ())
