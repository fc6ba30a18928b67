"""Standard file handlers: what a sink must know to write what one of them would have written."""

from __future__ import annotations

import contextlib
import locale
import logging
import logging.handlers
import math
import os
import re
import time
from typing import Any, NamedTuple

from asynclog.errors import AsynclogError
from asynclog.plain import is_overridden_on
from asynclog.sinks.file_options import FileOptions
from asynclog.sinks.file_schedule import Schedule

_KINDS: tuple[type[logging.FileHandler], ...] = (
    logging.handlers.TimedRotatingFileHandler,
    logging.handlers.RotatingFileHandler,
    logging.handlers.WatchedFileHandler,
    logging.FileHandler,
)
# What a subclass may define, or an instance hold, without changing what is written.
_HARMLESS = {"__init__", "__repr__", "__str__", "terminator", "get_name", "set_name", "name", "lock"}
_MODE = re.compile(r"[aw]t?\+?t?")


class HandlerSettings(NamedTuple):
    """What a standard handler is set to.

    Attributes:
        options: As a sink's options.
        terminator: What ends a line.
        schedule: Its rollovers by time.
        rollover_at: The next of them, in seconds since the epoch.
        truncate: Whether the file is emptied when it is opened for the first time.
    """

    options: FileOptions
    terminator: str
    schedule: Schedule | None
    rollover_at: float | None
    truncate: bool


def settings_of(handler: logging.Handler) -> HandlerSettings | None:
    """Read a handler's settings; ``None`` where a sink can't do what it does."""
    kind = next((one for one in _KINDS if isinstance(handler, one)), None)
    if kind is None or not isinstance(handler, logging.FileHandler) or _overrides(handler, kind):
        return None
    try:
        if not _opens_plainly(handler):
            return None
        return _settings(handler)
    except (AsynclogError, AttributeError, TypeError, ValueError, OSError, LookupError):
        return None  # set to something that the handler itself would stumble over: it stays as it is


def _settings(handler: logging.FileHandler) -> HandlerSettings:
    words: dict[str, Any] = {"path": handler.baseFilename, "fsync": "never"}
    words["encoding"], words["errors"] = _encoding_of(handler)
    schedule, rollover_at = None, None
    if isinstance(handler, logging.handlers.TimedRotatingFileHandler):
        words["when"] = handler.when
        schedule, rollover_at = Schedule(handler.baseFilename, handler), handler.rolloverAt
    elif isinstance(handler, logging.handlers.RotatingFileHandler) and handler.maxBytes > 0:
        words["max_bytes"] = math.ceil(handler.maxBytes)
        words["backup_count"] = max(0, handler.backupCount)
    truncate = handler.stream is None and handler.mode.startswith("w")
    options = FileOptions(**words)
    if not isinstance(handler.terminator, str):
        raise TypeError("a terminator that is no text")
    return HandlerSettings(options, handler.terminator, schedule, rollover_at, truncate)


def _overrides(handler: logging.Handler, kind: type[logging.Handler]) -> bool:
    """Say whether a handler's class or the handler itself replaces what its kind defines."""
    for one in type(handler).__mro__:
        if one is kind:
            break
        if any(hasattr(kind, name) and name not in _HARMLESS and not _is_machinery(name) for name in vars(one)):
            return True
    # An object's own double-underscore method is never called.
    methods = [name for name in dir(kind) if name[:2] != "__" and callable(getattr(kind, name))]
    if any(is_overridden_on(handler, name) for name in methods if name not in _HARMLESS):
        return True
    return getattr(handler, "namer", None) is not None or getattr(handler, "rotator", None) is not None


def _is_machinery(name: str) -> bool:
    # What every class statement defines; an overridden __getattribute__ and the like is no such.
    return name in {
        "__module__", "__doc__", "__qualname__", "__dict__", "__weakref__", "__firstlineno__",
        "__static_attributes__", "__annotations__", "__slots__", "__orig_bases__", "__parameters__",
    }  # fmt: skip


def _opens_plainly(handler: logging.FileHandler) -> bool:
    """Say whether the handler writes the file it names, from where a sink would go on."""
    if not isinstance(handler.mode, str) or not _MODE.fullmatch(handler.mode):
        return False
    stream: Any = handler.stream
    if stream is not None:
        # Replaced by setStream, or closed under the handler: it knows better than we do.
        return getattr(stream, "name", None) == handler.baseFilename and not stream.closed
    # A closed handler of mode "w" writes nothing more, ever.
    return not (handler.mode.startswith("w") and getattr(handler, "_closed", False))


def _encoding_of(handler: logging.FileHandler) -> tuple[str, str]:
    stream: Any = handler.stream
    if stream is not None:
        return stream.encoding, stream.errors
    encoding = handler.encoding
    if encoding is None or encoding == "locale":
        encoding = locale.getencoding() if encoding == "locale" else locale.getpreferredencoding(do_setlocale=False)
    return encoding, handler.errors or "strict"


def release(handler: logging.Handler) -> None:
    """Flush and close a handler's stream; its file is never emptied when it is opened again."""
    if not isinstance(handler, logging.FileHandler):
        return
    handler.acquire()
    try:
        stream: Any = handler.stream
        if stream is None:
            return
        _append_from_now_on(handler)
        handler.stream = None
        # what it still held can't be written: the handler would have lost it just the same
        with contextlib.suppress(OSError, ValueError):
            stream.close()
    finally:
        handler.release()


def give_back(handler: logging.Handler) -> None:
    """Let a handler open its file again, appending, with a schedule that fits the file as it is."""
    if not isinstance(handler, logging.FileHandler):
        return
    handler.acquire()
    try:
        _append_from_now_on(handler)
        if isinstance(handler, logging.handlers.TimedRotatingFileHandler):
            handler.rolloverAt = _next_rollover(handler)
    finally:
        handler.release()


def _append_from_now_on(handler: logging.FileHandler) -> None:
    if handler.mode.startswith("w"):
        handler.mode = "a" + handler.mode[1:]


def _next_rollover(handler: logging.handlers.TimedRotatingFileHandler) -> int:
    # As its constructor does: the sink may have rolled the file over in the meantime.
    try:
        last = os.stat(handler.baseFilename).st_mtime
    except OSError:
        last = time.time()
    return handler.computeRollover(int(last))
