r"""What an app's own file handlers are given, and what of it is written.

Three witnesses: a filter counts what gets past a handler's level and filters, the handler's own
``handleError`` (or asynclog's lane) what became of it, and the files themselves what is in them.

Counting lines would be wrong: a traceback has many, and formatters add their own. So each record
ends in a mark: `logging.FileHandler.terminator`, which every standard handler writes behind a
record, is two control characters longer in a trial. Files are read once, at the end, and not while
requests are measured.
"""

from __future__ import annotations

import codecs
import logging
import logging.handlers
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from asynclog.delivery.lane import Lane
from asynclog.listeners import all_listeners
from asynclog.sinks.file import FileSink
from asynclog.trial.inventory import Count, Given, all_handlers, lane_counts
from asynclog.wrappers import find_lane

FILE_KINDS = (logging.FileHandler, FileSink)
# One mark for each record, or a call of `handleError`: what a subclass emits may be anything.
_PLAIN = (
    logging.FileHandler.emit,
    logging.handlers.BaseRotatingHandler.emit,
    logging.handlers.WatchedFileHandler.emit,
)
# Record and unit separator: no formatter writes both before the end of a line.
MARK = "\x1e\x1f\n"
_CHUNK = 1 << 20


def mark_records() -> None:
    """Have every standard file handler end its records in the mark, whenever it is made."""
    logging.FileHandler.terminator = MARK


class FileBook:
    """Keeps the books of an app's file handlers.

    Args:
        folder: Where all of them write.

    Attributes:
        failures: Records that handlers which asynclog does not serve could not write.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._given: dict[int, Given] = {}
        self._started: set[str] = set()
        self._wrapped_before: dict[int, Lane] = {}
        self._before = 0
        self.failures = Count()

    def __contains__(self, handler: logging.Handler) -> bool:
        """Say whether a handler is counted."""
        return id(handler) in self._given

    def __getitem__(self, handler: logging.Handler) -> Given:
        """Return the filter that counts for a handler, made when it is asked for first; the caller adds it.

        What the handler was given before counts too.
        """
        if handler in self:
            return self._given[id(handler)]
        given = self._given[id(handler)] = Given(handler)
        found = find_lane(handler)
        if found is not None:
            # Whatever the filter hears of, some came before it, and may still be on their way into the lane's counts.
            self._wrapped_before[id(handler)] = found[1]
        elif isinstance(handler, logging.FileHandler) and handler.baseFilename not in self._started:
            self._started.add(handler.baseFilename)
            self._before += _marks(Path(handler.baseFilename))
        return given

    def counts(self) -> dict[str, Any]:
        """Return the counts of now; the files are read for it."""
        handlers = [given.handler for given in self._given.values()]
        unwrapped = [given for given in self._given.values() if find_lane(given.handler) is None]
        lanes = lane_counts(FILE_KINDS)
        known = all(one in self for one in file_handlers())
        # Those that were there before the filters, those that asynclog wrote, and what the handlers wrote themselves.
        written = self._before + sum(lane["delivered"] for lane in lanes)
        written += sum(given.value for given in unwrapped) - self.failures.value
        # Where asynclog dropped some, a line of its own in the file says so.
        announced = any(sum(lane["dropped"].values()) for lane in lanes)
        return {
            "handlers": len(handlers),
            "given": self._before + sum(map(self._value, self._given.values())),
            "lanes": lanes,
            "failed": self.failures.value,
            "written": written if known and all(_is_plain(one.handler) for one in unwrapped) else None,
            "on_disk": self._on_disk(handlers) if known and not announced else None,
        }

    def _value(self, given: Given) -> int:
        lane = self._wrapped_before.get(id(given.handler))
        return given.value if lane is None else lane.ledger.accepted

    def _on_disk(self, handlers: Collection[logging.Handler]) -> int | None:
        """Return how many records the files hold; ``None`` where that can't be counted exactly."""
        files = [one for one in handlers if isinstance(one, logging.FileHandler)]
        if len(files) < len(handlers) or not all(_is_plain(one) and _is_marked(one) for one in files):
            return None
        expected = {os.path.realpath(one.baseFilename) for one in files}
        found = {os.path.realpath(one) for one in self._folder.rglob("*") if one.is_file()}
        locks = {os.path.join(os.path.dirname(one), f".{os.path.basename(one)}.lock") for one in expected}
        # Of two on one file, one may write over the other's; and a rollover may have removed an older file.
        if len(expected) < len(files) or not found <= expected | locks:
            return None
        return sum(_marks(Path(one)) for one in found & expected)


def file_handlers() -> list[logging.Handler]:
    """Return every open handler that writes a file, without the sinks that asynclog made for handlers."""
    made = {id(lane.sink) for one in all_listeners() for lane in one.lanes if lane.sink is not lane.face}
    return [
        one
        for one in all_handlers()
        if isinstance(one, FILE_KINDS) and id(one) not in made and not getattr(one, "_closed", False)
    ]


def _is_plain(handler: logging.Handler) -> bool:
    kind = type(handler)
    return kind.emit in _PLAIN and kind.handle is logging.Handler.handle and "emit" not in vars(handler)


def _is_marked(handler: logging.FileHandler) -> bool:
    if handler.terminator != MARK:
        return False
    try:
        # "locale" is no codec; every locale's encoding has ASCII in it.
        return handler.encoding in {None, "locale"} or codecs.encode(MARK, handler.encoding) == MARK.encode("ascii")
    except (LookupError, UnicodeError):
        return False


def _marks(path: Path) -> int:
    mark = MARK.encode("ascii")
    count, rest = 0, b""
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                text = rest + chunk
                count += text.count(mark)
                rest = text[-len(mark) + 1 :]
    except OSError:
        return 0  # not opened yet
    return count
