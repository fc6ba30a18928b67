"""What the tests of `wrap` and `install` share: loggers nobody else has, and a handler that remembers."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable
from typing import Any

_numbers = itertools.count()


def fresh_logger(prefix: str = "wrapped") -> logging.Logger:
    """Return a logger of its own, that passes nothing on."""
    logger = logging.getLogger(f"tests.{prefix}.{next(_numbers)}")
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    return logger


class Remembering(logging.Handler):
    """A third party's handler: remembers the lines it emitted, and can be made to fail."""

    def __init__(self, fails: bool = False) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.records: list[logging.LogRecord] = []
        self.fails = fails
        self.told: list[logging.LogRecord] = []
        self.closed = 0

    def emit(self, record: logging.LogRecord) -> None:
        if self.fails:
            try:
                raise OSError("gone")
            except OSError:
                self.handleError(record)
            return
        self.records.append(record)
        self.lines.append(self.format(record))

    def handleError(self, record: logging.LogRecord) -> None:
        self.told.append(record)

    def close(self) -> None:
        self.closed += 1
        super().close()


def is_listed(handler: logging.Handler) -> bool:
    return any(reference() is handler for reference in logging._handlerList)  # type: ignore[attr-defined]


def until(condition: Callable[[], Any], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.005)
