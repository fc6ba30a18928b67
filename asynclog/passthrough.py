"""``ASYNCLOG_DISABLED=1``: handlers go on working by themselves, on the caller."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from typing import Any

_OFF = ("", "0", "false", "no", "off")


def is_disabled() -> bool:
    """Say whether the environment turns asynclog off."""
    return os.environ.get("ASYNCLOG_DISABLED", "").strip().lower() not in _OFF


class PassThrough(logging.Handler):
    """Hands each record to several handlers in order, as a logger would.

    Args:
        handlers: The handlers, or a function that returns them at the first record.
    """

    def __init__(self, handlers: Sequence[logging.Handler] | Callable[[], Sequence[logging.Handler]]) -> None:
        super().__init__()
        self._handlers = handlers

    @property
    def handlers(self) -> Sequence[logging.Handler]:
        """The handlers."""
        if callable(self._handlers):
            self._handlers = self._handlers()
            if self.formatter is not None:
                self.setFormatter(self.formatter)
        return self._handlers

    def setFormatter(self, fmt: logging.Formatter | None) -> None:  # noqa: N802
        """Set the formatter of the handlers."""
        super().setFormatter(fmt)
        known = getattr(self, "_handlers", ())
        if not callable(known):
            for handler in known:
                handler.setFormatter(fmt)

    def handle(self, record: logging.LogRecord) -> Any:
        """Hand a record on, without a lock of our own: each handler has one."""
        verdict: Any = self.filter(record)
        if isinstance(verdict, logging.LogRecord):
            record = verdict
        if verdict:
            self.emit(record)
        return verdict

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a record on."""
        for handler in self.handlers:
            if record.levelno >= handler.level:
                handler.handle(record)

    def flush(self) -> None:
        """Flush the handlers."""
        if not callable(self._handlers):
            for handler in self._handlers:
                handler.flush()
