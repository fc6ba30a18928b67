"""What a file sink can be told, checked when it is given."""

from __future__ import annotations

import codecs
import datetime as dt
from dataclasses import dataclass
from typing import Any

from asynclog import checks

WHEN = ("S", "M", "H", "D", "MIDNIGHT", "W0", "W1", "W2", "W3", "W4", "W5", "W6")
_DAILY = ("MIDNIGHT", "W0", "W1", "W2", "W3", "W4", "W5", "W6")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOptions:
    """A file sink's options, as `asynclog.sinks.file.FileSink` explains them.

    Attributes that differ from the keyword: ``path`` is absolute, ``when`` in capitals, ``fsync``
    the seconds between two (0: after every batch; ``None``: never).
    """

    path: str
    max_bytes: int = 0
    when: str | None = None
    interval: int = 1
    utc: bool = False
    at_time: dt.time | None = None
    backup_count: int = 0
    max_age: float | None = None
    max_total_bytes: int | None = None
    compression: str | None = None
    permissions: int | None = None
    fsync: Any = "never"
    encoding: str = "utf-8"
    errors: str = "backslashreplace"
    escape_control: bool = False

    def __post_init__(self) -> None:
        self._set("path", checks.path("path", self.path))
        checks.integer("max_bytes", self.max_bytes)
        checks.integer("interval", self.interval, minimum=1)
        checks.integer("backup_count", self.backup_count)
        checks.flag("utc", self.utc)
        checks.flag("escape_control", self.escape_control)
        if self.max_age is not None:
            self._set("max_age", checks.seconds("max_age", self.max_age, positive=True))
        if self.max_total_bytes is not None:
            checks.integer("max_total_bytes", self.max_total_bytes, minimum=1)
        if self.compression is not None:
            checks.choice("compression", self.compression, ("gz",))
        if self.when is not None:
            self._set("when", _checked_when(self.when))
        _check_at_time(self.at_time, self.when)
        _check_permissions(self.permissions)
        self._set("fsync", _checked_fsync(self.fsync))
        self._set("encoding", _checked_encoding(self.encoding))
        _check_errors(self.errors)
        self._check_rotation()

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _check_rotation(self) -> None:
        if self.when is None:
            for name, value, default in (("interval", self.interval, 1), ("utc", self.utc, False)):
                if value != default:
                    checks.bad_value(name, value, "give when= with it, it counts for rotation by time only")
        if self.max_bytes or self.when is not None:
            return
        for name in ("backup_count", "max_age", "max_total_bytes", "compression"):
            value = getattr(self, name)
            if value:
                checks.bad_value(name, value, "give max_bytes= or when= with it: nothing is rotated without")

    @property
    def rolls_by_size(self) -> bool:
        """Whether size rolls the file over.

        Without a limit on the old files it never does, as with the standard library's handler.
        """
        limited = self.backup_count or self.max_age or self.max_total_bytes or self.when is not None
        return bool(self.max_bytes and limited)

    @property
    def rotates(self) -> bool:
        """Whether the file is ever renamed."""
        return self.rolls_by_size or self.when is not None


def _checked_when(when: Any) -> str:
    fix = f"give one of {', '.join(map(repr, WHEN))}"
    if not isinstance(when, str):
        checks.bad_type("when", when, fix)
    return checks.choice("when", when.upper(), WHEN)


def _check_at_time(at_time: Any, when: str | None) -> None:
    if at_time is None:
        return
    if not isinstance(at_time, dt.time):
        checks.bad_type("at_time", at_time, "give a datetime.time")
    if when not in _DAILY:
        checks.bad_value("at_time", at_time, "give when='midnight' or 'W0' to 'W6' with it")


def _check_permissions(permissions: Any) -> None:
    if permissions is not None and checks.integer("permissions", permissions) > 0o777:
        checks.bad_value("permissions", permissions, "give at most 0o777, in octal, such as 0o640")


def _checked_fsync(fsync: Any) -> float | None:
    if fsync is False or fsync == "never" or fsync is None:
        return None
    if fsync is True or fsync == "batch":
        return 0.0
    if isinstance(fsync, str):
        checks.choice("fsync", fsync, ("never", "batch"))
    return checks.seconds("fsync", fsync, positive=True)


def _checked_encoding(encoding: Any) -> str:
    checks.text("encoding", encoding)
    try:
        "".encode(encoding)
        return codecs.lookup(encoding).name
    except LookupError:
        checks.bad_value("encoding", encoding, "give a text encoding that Python knows, such as 'utf-8'")


def _check_errors(errors: Any) -> None:
    checks.text("errors", errors)
    try:
        codecs.lookup_error(errors)
    except LookupError:
        checks.bad_value("errors", errors, "give an error handler such as 'backslashreplace' or 'strict'")
