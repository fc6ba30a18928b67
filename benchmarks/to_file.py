"""From the call to the disk: records into a file, by asynclog and by the standard library's pair."""

from __future__ import annotations

import logging
import logging.handlers
import queue
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import asynclog

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

#: Logs so many records with the logger it is given.
Calls = Callable[[logging.Logger], None]


@dataclass(frozen=True, slots=True)
class Written:
    """What a run into a file took.

    Attributes:
        seconds: From the first call until the last byte was written.
        calling: CPU seconds of the thread that called.
        working: CPU seconds of all other threads of the process.
        lines: What was written, without the time stamps.
    """

    seconds: float
    calling: float
    working: float
    lines: list[bytes]


def by_stdlib(path: Path, calls: Calls) -> Written:
    """Write with `logging.handlers.QueueHandler`, `QueueListener` and a `FileHandler`."""
    target = file_handler(path)
    waiting: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    listener = logging.handlers.QueueListener(waiting, target)  # type: ignore[arg-type]
    listener.start()
    try:
        return _measured(path, logging.handlers.QueueHandler(waiting), calls, listener.stop)  # type: ignore[arg-type]
    finally:
        target.close()


def by_asynclog(path: Path, calls: Calls) -> Written:
    """Write with the same `FileHandler` wrapped; its queue is large enough to drop nothing."""
    handler = asynclog.wrap(file_handler(path), maxsize=1_000_000, max_memory=4 << 30)
    listener = handler.listener
    listener.start()

    def finish() -> None:
        if not listener.flush(120):
            raise TimeoutError(f"not all was written: {listener.stats()}")

    try:
        written = _measured(path, handler, calls, finish)
    finally:
        listener.stop()
    counts = listener.stats()
    if counts["delivered"] != counts["accepted"]:
        raise AssertionError(f"records were lost: {counts}")
    return written


def file_handler(path: Path) -> logging.FileHandler:
    """Make the handler that both write with."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter(FORMAT))
    return handler


def _measured(path: Path, handler: logging.Handler, calls: Calls, finish: Callable[[], None]) -> Written:
    logger = logging.Logger("benchmarks.to_file")
    logger.addHandler(handler)
    process, thread, began = time.process_time(), time.thread_time(), time.perf_counter()
    calls(logger)
    finish()
    seconds = time.perf_counter() - began
    calling = time.thread_time() - thread
    working = time.process_time() - process - calling
    # Two runs are seconds apart: all but the time stamp is compared.
    lines = [line[24:] if line[:2] == b"20" else line for line in path.read_bytes().splitlines()]
    return Written(seconds, calling, working, lines)
