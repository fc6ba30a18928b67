"""When a file rolls over by time and what the old one is called: asked of the standard handler.

The arithmetic of `logging.handlers.TimedRotatingFileHandler` (weekdays, `atTime`, daylight saving)
differs between 3.11, 3.12 and 3.13 and was mended in patch releases in between. A copy with a table
of versions would be wrong for the next one, so the handler's own functions are run, on a stand-in
that holds its settings: its clock is the record's time, and the renaming it asks for is written
down instead of done.
"""

from __future__ import annotations

import logging.handlers
import os
import time
import types
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

from asynclog.sinks.file_options import FileOptions

_Timed: Any = logging.handlers.TimedRotatingFileHandler
_SETTINGS = ("when", "interval", "utc", "atTime", "suffix", "extMatch")


class Roll(NamedTuple):
    """What the standard handler would do at a rollover.

    Attributes:
        target: What the old file is renamed to; ``None``: it stays where it is (3.13, where a
            file of that name is there already).
        rollover_at: The next rollover, in seconds since the epoch.
    """

    target: str | None
    rollover_at: float


class Schedule:
    """The rollovers of one file.

    Args:
        path: The file.
        handler: A `TimedRotatingFileHandler` with the settings; only read, here.
    """

    def __init__(self, path: str, handler: logging.handlers.TimedRotatingFileHandler) -> None:
        settings = {name: getattr(handler, name) for name in _SETTINGS}
        settings["dayOfWeek"] = getattr(handler, "dayOfWeek", None)
        self._settings = settings
        self._path = path
        self._backup_count = int(handler.backupCount)
        self.suffix: str = handler.suffix
        words = (handler.when, handler.interval, handler.utc, handler.atTime, handler.suffix)
        #: Tells one set of settings from another, as a word.
        self.key = f"{zlib.crc32(repr(words).encode('utf-8', 'backslashreplace')):08x}"

    @classmethod
    def of_options(cls, options: FileOptions) -> Schedule:
        """Return the schedule that a sink's options describe."""
        # The null device: the constructor looks at the file's times, and ours are looked at later.
        handler = _Timed(
            os.devnull,
            when=options.when,
            interval=options.interval,
            backupCount=options.backup_count,
            encoding="utf-8",
            delay=True,
            utc=options.utc,
            atTime=options.at_time,
        )
        return cls(options.path, handler)

    def first(self, start: float) -> float:
        """Return the first rollover of a file that was begun, or last written, at ``start``."""
        rollover_at: float = self._stand_in().computeRollover(int(start))
        return rollover_at

    def roll(self, rollover_at: float, now: float, exists: Callable[[str], bool]) -> Roll:
        """Return what the handler would do for a record of ``now``.

        Args:
            rollover_at: The rollover that is due.
            now: The record's time, in seconds since the epoch.
            exists: Says whether a path exists.
        """
        stand_in = self._stand_in()
        stand_in.rolloverAt = rollover_at
        names = {**_Timed.doRollover.__globals__, "time": _Clock(now), "os": _System(exists)}
        # Run with other globals, since the handler takes no clock: what it does depends on nothing
        # but these two modules and its own attributes.
        types.FunctionType(_Timed.doRollover.__code__, names)(stand_in)
        return Roll(stand_in.target, stand_in.rolloverAt)

    def to_delete(self) -> list[str]:
        """Return the old files that the handler would delete now."""
        if self._backup_count <= 0:
            return []
        found: list[str] = _Timed.getFilesToDelete(self._stand_in())
        return found

    def _stand_in(self) -> Any:
        stand_in = _StandIn()
        vars(stand_in).update(self._settings, baseFilename=self._path, backupCount=self._backup_count)
        return stand_in


class _StandIn:
    """What the handler's functions see as ``self``."""

    computeRollover = _Timed.computeRollover  # noqa: N815
    stream = None
    delay = True
    namer = None
    target: str | None = None

    def rotation_filename(self, default: str) -> str:
        return default

    def rotate(self, _source: str, target: str) -> None:
        self.target = target

    def getFilesToDelete(self) -> list[str]:  # noqa: N802
        return []


class _Clock:
    """The `time` module with another now."""

    def __init__(self, now: float) -> None:
        self._now = now

    def time(self) -> float:
        return self._now

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


class _System:
    """The `os` module, which looks where it is told to and removes nothing."""

    def __init__(self, exists: Callable[[str], bool]) -> None:
        self.path = types.SimpleNamespace(exists=exists)

    def remove(self, path: str) -> None:
        """Remove nothing: the renaming that follows replaces the file."""


class _EmptyFile:
    """What `RotatingFileHandler.shouldRollover` sees as ``self``: an empty file, a full record."""

    maxBytes = 1  # noqa: N815
    baseFilename = ""  # noqa: N815

    def __init__(self) -> None:
        self.stream = types.SimpleNamespace(tell=lambda: 0, seek=lambda *_: None)

    def format(self, _record: object) -> str:
        return ""


_Sized: Any = logging.handlers.RotatingFileHandler
#: Whether this Python rolls over an empty file for a record that is too large for any.
ROLLS_EMPTY = bool(_Sized.shouldRollover(_EmptyFile(), None))
