"""What the file sink's tests share: items, a folder's contents, an operating system that fails."""

from __future__ import annotations

import errno
import gzip
import logging
import os
import pathlib
from collections.abc import Iterable

from asynclog.sinks.file import FileSink
from asynclog.sinks.file_system import FileSystem
from asynclog.values import Batch, Delivered, Item, Part, Rejected, RetryLater

START = 1_700_000_000.0
#: For child programs: they import these tests, wherever pytest was started.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parents[2])}


def item(text, created=START, **attributes):
    record = logging.makeLogRecord({"msg": text, "created": created, **attributes})
    return Item(record, text, len(text) if isinstance(text, str) else 1)


def batch(items: Iterable) -> Batch:
    return Batch("b", tuple(one if isinstance(one, Item) else item(one) for one in items))


def write(sink: FileSink, items: Iterable):
    return sink.deliver_blocking(batch(items))


def told(parts: Iterable[Part], verdict: type) -> list[str]:
    return [one.text for part in parts if isinstance(part.verdict, verdict) for one in part.items]


def delivered(parts):
    return told(parts, Delivered)


def to_retry(parts):
    return told(parts, RetryLater)


def rejected(parts):
    return told(parts, Rejected)


def reason(parts) -> str:
    return next(part.verdict.reason for part in parts if isinstance(part.verdict, RetryLater))


def files(folder) -> dict[str, bytes]:
    """Return every file of a folder but the sink's own: the lock, what is being compressed."""
    found = {}
    for name in sorted(os.listdir(folder)):
        if not name.endswith((".lock", ".tmp")):
            with open(os.path.join(folder, name), "rb") as file:
                found[name] = file.read()
    return found


def lines_in(folder) -> list[str]:
    """Return all lines in all files of a folder, compressed or not, sorted."""
    found = []
    for name, data in files(folder).items():
        text = gzip.decompress(data) if name.endswith(".gz") else data
        assert text == b"" or text.endswith(b"\n"), f"half a line in {name}"
        found.extend(text.decode().splitlines())
    return sorted(found)


class FaultySystem(FileSystem):
    """Fails the n-th call that does something, once or from then on.

    Args:
        fail_at: Which call, from 1; 0: none.
        for_ever: Whether every later one fails too.
        code: The error number.
        only: The names of the methods that count; all by default.
        half: How many bytes a failing write takes before it fails.
    """

    COUNTED = (
        "open", "read", "read_start", "write_start", "write", "stat", "fstat", "truncate", "fsync", "rename",
        "remove", "listdir", "chmod", "set_times", "lock",
    )  # fmt: skip

    def __init__(self, fail_at=0, *, for_ever=False, code=errno.EIO, only=None, half=0):
        self.fail_at = fail_at
        self.for_ever = for_ever
        self.code = code
        self.only = only or self.COUNTED
        self.half = half
        self.cut_short = False
        self.calls = []

    def fsync(self, descriptor):
        """Count only: thousands of real ones would take minutes."""
        self._counted("fsync", lambda _: None, descriptor)

    def mend(self):
        self.fail_at = 0

    @property
    def failed(self):
        return bool(self.fail_at) and len(self.calls) >= self.fail_at

    def _counted(self, name, call, *args):
        if name in self.only:
            self.calls.append(name)
            count = len(self.calls)
            if self.fail_at and (count == self.fail_at or (self.for_ever and count > self.fail_at)):
                if name == "write" and self.half and not self.cut_short:
                    # As a disk that gets full does: a short write, and the next one fails.
                    self.cut_short = True
                    self.fail_at = count + 1
                    return super().write(args[0], [bytes(args[1][0])[: self.half]])
                raise OSError(self.code, os.strerror(self.code))
        return call(*args)


def _install(name):
    original = getattr(FileSystem, name)

    def counted(self, *args):
        return self._counted(name, lambda *a: original(self, *a), *args)

    setattr(FaultySystem, name, counted)


for _name in FaultySystem.COUNTED:
    if _name != "fsync":
        _install(_name)
