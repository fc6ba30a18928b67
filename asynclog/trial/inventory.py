"""Which log handlers a process has, and what they are given and fail to send or write."""

from __future__ import annotations

import logging
import logging.handlers
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from asynclog.listeners import all_listeners
from asynclog.sinks.smtp import SMTPSink
from asynclog.wrappers import find_lane

MAIL_KINDS = (logging.handlers.SMTPHandler, SMTPSink)
# One mail for a record, or a count of it: what a subclass emits may be anything.
EXACT = tuple(kind.emit for kind in MAIL_KINDS)
_SERVERS_LOGGERS = ("gunicorn", "uvicorn")


class Count:
    """A number that several threads add to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.value = 0

    def add(self) -> None:
        """Add one."""
        with self._lock:
            self.value += 1


class Given(Count):
    """Counts the records that get past a handler's level and filters; a filter itself."""

    def __init__(self, handler: logging.Handler) -> None:
        super().__init__()
        self.handler = handler

    def filter(self, _: logging.LogRecord) -> bool:
        """Count a record and let it pass."""
        self.add()
        return True


def count_failures(kind: type, counts: Mapping[tuple[type, ...], Count]) -> None:
    """Count what handlers of a kind could not send or write, on the class that defines ``handleError``.

    What a lane of asynclog's serves is left out: its failures are in the lane's own counts.

    Args:
        kind: The handler's class.
        counts: By the kinds that each is for, since they have that class in common; the same at every call.
    """
    owner: Any = next(one for one in kind.__mro__ if "handleError" in vars(one))
    original = vars(owner)["handleError"]
    if getattr(original, "_counts", False):
        return

    def counting(self: Any, record: logging.LogRecord) -> None:
        if find_lane(self) is None:
            for kinds, count in counts.items():
                if isinstance(self, kinds):
                    count.add()
        original(self, record)

    counting._counts = True  # type: ignore[attr-defined]
    owner.handleError = counting


def loggers() -> list[logging.Logger]:
    """Return every logger, the root first."""
    known = list(logging.root.manager.loggerDict.values())
    return [logging.root, *(one for one in known if isinstance(one, logging.Logger))]


def is_the_servers(logger: logging.Logger) -> bool:
    """Say whether a logger is gunicorn's or uvicorn's own."""
    return logger.name.split(".")[0] in _SERVERS_LOGGERS


def writes_nowhere_else(handler: logging.Handler) -> bool:
    """Say whether a handler writes to a stream such as the console's, or nowhere."""
    plain = isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler)
    return plain or isinstance(handler, logging.NullHandler)


def behind(logger: logging.Logger) -> list[logging.Handler]:
    """Return a logger's handlers, and those that they pass records on to."""
    found = list(logger.handlers)
    for handler in found:
        others = [getattr(handler, "target", None), getattr(handler, "original", None)]
        others += getattr(getattr(handler, "listener", None), "handlers", ())
        found += [one for one in others if isinstance(one, logging.Handler) and all(one is not two for two in found)]
    return found


def all_handlers() -> Iterable[logging.Handler]:
    """Return every handler that lives, also what is behind others."""
    known = [reference() for reference in list(vars(logging)["_handlerList"])]
    found = {id(one): one for logger in loggers() for one in behind(logger)}
    found.update((id(one), one) for one in known if one is not None)
    return found.values()


def lane_counts(kinds: tuple[type, ...]) -> list[dict[str, Any]]:
    """Return the counts of asynclog's lanes that serve handlers of some kinds."""
    return [
        lane.ledger.snapshot()
        for listener in all_listeners()
        for lane in listener.lanes
        if isinstance(lane.face, kinds)
    ]
