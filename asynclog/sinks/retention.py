"""Which old log files there are, and which have to go.

Old files are counted from the newest; one that is compressed counts as itself. The file being
written is never counted and never removed.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from asynclog.sinks.file_options import FileOptions
from asynclog.sinks.file_system import FileSystem, remove_if_there

GZ = ".gz"


class Backup(NamedTuple):
    """One old file.

    Attributes:
        order: Sorts the oldest first.
        path: Where it is.
        file: Its device and inode.
        size: Bytes on disk.
        changed: When it was last written, in seconds since the epoch.
    """

    order: tuple[str, int]
    path: str
    file: tuple[int, int]
    size: int
    changed: float

    @property
    def compressed(self) -> bool:
        """Whether it is compressed."""
        return self.path.endswith(GZ)


class Backups:
    """The old files of one log.

    Args:
        options: The sink's.
        suffix: The `time.strftime` suffix of files that were rolled over by time; ``None``: they
            are numbered, 1 the newest.
        system: The operating system.
    """

    def __init__(self, options: FileOptions, suffix: str | None, system: FileSystem) -> None:
        self._options = options
        self._system = system
        self._folder, self._base = os.path.split(options.path)
        self._dated = suffix is not None
        date = re.escape(suffix or "").replace("%Y", r"\d{4}")
        date = re.sub(r"%[mdHMS]", r"\\d{2}", date)
        form = rf"({date})(?:\.(\d+))?" if self._dated else r"()([1-9]\d*)"
        self._form = re.compile(rf"{re.escape(self._base)}\.{form}(?:{re.escape(GZ)})?")

    def list(self) -> list[Backup]:
        """Return the old files, the newest first."""
        found = []
        for name in self._system.listdir(self._folder):
            match = self._form.fullmatch(name)
            if match is None:
                continue
            path = os.path.join(self._folder, name)
            try:
                status = self._system.stat(path)
            except FileNotFoundError:
                continue
            number = int(match[2] or 0)
            order = (match[1], number if self._dated else -number)
            file = (status.st_dev, status.st_ino)
            found.append(Backup(order, path, file, status.st_size, status.st_mtime))
        return sorted(found, reverse=True)

    def free_name(self, target: str) -> str:
        """Return ``target``, or with the next number behind it if it was ever used.

        The next and not the first that is free: what retention removed was older.
        """
        name = os.path.basename(target)
        used = re.compile(rf"{re.escape(name)}(?:\.(\d+))?(?:{re.escape(GZ)})?")
        numbers = [int(match[1] or 0) for one in self._system.listdir(self._folder) if (match := used.fullmatch(one))]
        return f"{target}.{max(numbers) + 1}" if numbers else target

    def prune(self, now: float) -> None:
        """Remove what the options don't keep; what can't be removed is tried again next time.

        Args:
            now: Seconds since the epoch.
        """
        options = self._options
        if not (options.backup_count or options.max_age or options.max_total_bytes):
            return
        kept, total = set(), 0
        for backup in self.list():
            kept.add(backup.order)
            total += backup.size
            if (
                (options.backup_count and len(kept) > options.backup_count)
                or (options.max_age and backup.changed < now - options.max_age)
                or (options.max_total_bytes and total > options.max_total_bytes)
            ):
                remove_if_there(self._system, backup.path)
