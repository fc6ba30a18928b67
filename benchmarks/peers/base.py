"""What every contender has behind its adapter: where its records end, what it says about itself, its calls."""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ClassVar, TypeAlias

#: One logging call; its number goes into the message.
Call: TypeAlias = Callable[[int], object]
ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None]

#: What each contender that takes a format writes.
FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
#: Larger than any round, so that no contender wins by dropping or loses by waiting for room.
ROOM = 1_000_000

USER = "bob"
CART = {"items": [3, 5, 8], "total": 19.5}
EXTRA = {"request_id": "8f14e45f", "user_id": 42}

_PATIENCE = 20.0
_POLL = 0.0005


class LostError(Exception):
    """A contender did not deliver what was logged."""


class Destination:
    """Where a contender's records end: nowhere, counted.

    Its gate can be shut; then whoever writes waits there, and with it the contender's worker, so
    that a round measures the call alone.

    Args:
        keep: Whether to keep what is written, for tests.
        path: The file that contenders write to which can write to nothing else.
    """

    def __init__(self, *, keep: bool = False, path: str = "/dev/null") -> None:
        self.path = path
        self.kept: list[str] | None = [] if keep else None
        self.count = 0
        self.blocked = threading.Event()
        self._gate = threading.Event()
        self._gate.set()
        self._lock = threading.Lock()  # some deliver on their callers' threads

    def write(self, text: Any, records: int = 1) -> None:
        """Take what was delivered of so many records."""
        if not self._gate.is_set():
            self.blocked.set()
            self._gate.wait()
        with self._lock:
            self.count += records
            if self.kept is not None:
                self.kept.append(str(text))

    def shut(self) -> None:
        """Let whoever writes wait from now on."""
        self.blocked.clear()
        self._gate.clear()

    def open(self) -> None:
        """Let them go on."""
        self._gate.set()

    def flush(self) -> None:
        """Do nothing: for contenders that take it for a stream."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a contender is and does.

    Attributes:
        name: In tables.
        distribution: The package it needs, or empty.
        under_logging: Whether apps go on calling `logging`; else it has an API of its own.
        formats: Where message and traceback become text: ``caller`` or ``worker``.
        pins: Whether an exception's frames, and all their locals, live until the worker comes to it.
        bounded: What bounds its queue, by default.
        words: What else one has to know to judge its numbers.
    """

    name: str
    distribution: str
    under_logging: bool
    formats: str
    pins: bool
    bounded: str
    words: str


class Peer(ABC):
    """A contender that is set up and delivers to a `Destination`.

    Attributes:
        facts: About it.
        holds: Whether its worker waits at a shut gate while callers go on.
        primes: Whether one record brings its worker to the gate at once (else a timer does, or nothing).
        counts: Whether the destination hears of each record.
        crowds: Whether several threads can call it at once.
    """

    facts: ClassVar[Facts]
    holds: ClassVar[bool] = True
    primes: ClassVar[bool] = True
    counts: ClassVar[bool] = True
    crowds: ClassVar[bool] = True

    def __init__(self, destination: Destination) -> None:
        self.destination = destination
        #: Records logged so far; whoever calls adds to it.
        self.logged = 0

    @abstractmethod
    def plain(self) -> Call:
        """Return a call with a string and a number as arguments."""

    def mutable(self) -> Call | None:
        """Return a call with an argument that could change later; ``None`` where it takes none."""
        return None

    def extra(self) -> Call | None:
        """Return a call with two fields beside the message; ``None`` where it takes none."""
        return None

    @abstractmethod
    def exception(self, info: ExcInfo) -> Call:
        """Return a call with this exception, which is being handled when the call is made."""

    def flush(self) -> None:
        """Ask for delivery now; need not wait."""

    @abstractmethod
    def close(self) -> None:
        """End it."""

    def hold(self) -> None:
        """Make its worker wait, so that only the caller's share is left."""
        if not self.holds:
            return
        self.destination.shut()
        if self.primes:
            self.plain()(0)
            self.logged += 1
            self.destination.blocked.wait(1.0)

    def empty(self) -> None:
        """Let the worker go on, and wait until all that was logged is delivered.

        Raises:
            LostError: It isn't.
        """
        self.destination.open()
        self.flush()
        deadline = time.monotonic() + _PATIENCE
        while self.counts and self.destination.count < self.logged:
            if time.monotonic() > deadline:
                raise LostError(f"{self.facts.name} delivered {self.destination.count} of {self.logged}")
            time.sleep(_POLL)


class UnderLogging(Peer):
    """A contender under the standard `logging`: a handler on a logger that nobody else knows."""

    def __init__(self, destination: Destination, handler: logging.Handler) -> None:
        super().__init__(destination)
        self.handler = handler
        self.logger = logging.Logger("shop")
        self.logger.addHandler(handler)

    def plain(self) -> Call:
        error = self.logger.error
        return lambda number: error("user %s failed %d", USER, number)

    def mutable(self) -> Call | None:
        error = self.logger.error
        return lambda number: error("cart %s of order %d", CART, number)

    def extra(self) -> Call | None:
        error = self.logger.error
        return lambda number: error("user %s failed %d", USER, number, extra=EXTRA)

    def exception(self, info: ExcInfo) -> Call:
        error = self.logger.error
        return lambda number: error("order %d failed", number, exc_info=info)

    def close(self) -> None:
        self.logger.removeHandler(self.handler)
        self.handler.close()


class Writes(logging.Handler):
    """What stands at the end of a standard listener: formats, and writes to the destination."""

    def __init__(self, destination: Destination) -> None:
        super().__init__()
        self.destination = destination
        self.setFormatter(logging.Formatter(FORMAT))

    def emit(self, record: logging.LogRecord) -> None:
        self.destination.write(self.format(record))
