"""Compression of old log files, a piece at a time.

Promises:

- The old file goes only after its compressed form is whole, on the device and under its name.
- What a crash leaves is finished or begun again by whoever comes next; where it fell between
  naming the new and removing the old, the two are compared first.
- One process compresses a file; a rollover that renames it meanwhile is noticed.
"""

from __future__ import annotations

import contextlib
import os
import stat
import struct
import zlib

from asynclog.sinks.file_options import FileOptions
from asynclog.sinks.file_system import FileSystem, identity, remove_if_there
from asynclog.sinks.filelock import drop_inherited
from asynclog.sinks.retention import GZ, Backup, Backups

# Compressed between two batches, in about 10 ms; zlib lets go of the interpreter lock meanwhile.
_PIECE = 256 * 1024
_LEVEL = 6
_GZIP_FORMAT = 31


class Compressor:
    """Compresses the old files of one log.

    Args:
        options: The sink's.
        backups: Its old files.
        system: The operating system.
    """

    def __init__(self, options: FileOptions, backups: Backups, system: FileSystem) -> None:
        self._folder, self._base = os.path.split(options.path)
        self._backups = backups
        self._system = system
        self._job: _Job | None = None

    def step(self) -> bool:
        """Compress the next piece; called under the lock.

        Returns:
            Whether there is more to do.

        Raises:
            OSError: It failed and is begun again the next time.
        """
        try:
            if self._job is None:
                self._job = self._next()
                return self._job is not None
            if not self._job.read_on():
                self._finish(self._job)
                self.abandon()
            return True
        except BaseException:
            self.abandon()
            raise

    def abandon(self) -> None:
        """Let go of the file in work; its temporary file is taken up or overwritten later."""
        job, self._job = self._job, None
        if job is not None:
            job.close()

    def forget(self) -> None:
        """Drop, in a forked child, the work that is the parent's."""
        job, self._job = self._job, None
        if job is not None:
            job.forget()

    def _next(self) -> _Job | None:
        found = self._backups.list()
        ready = {backup.path: backup for backup in found}
        self._remove_stale({backup.file[1] for backup in found})
        for backup in reversed(found):
            if backup.compressed:
                continue
            twin = ready.get(backup.path + GZ)
            if twin is not None:
                if self._same(backup, twin):
                    remove_if_there(self._system, backup.path)
                continue
            job = self._claim(backup)
            if job is not None:
                return job
        return None

    def _claim(self, backup: Backup) -> _Job | None:
        temporary = os.path.join(self._folder, f".{self._base}.{backup.file[1]}{GZ}.tmp")
        job = _Job(self._system, backup, temporary)
        mine = False
        try:
            mine = job.begin()
        finally:
            if not mine:
                job.close()
        return job if mine else None

    def _remove_stale(self, inodes: set[int]) -> None:
        """Remove temporary files whose old file is gone."""
        start, end = f".{self._base}.", f"{GZ}.tmp"
        for name in self._system.listdir(self._folder):
            inode = name[len(start) : -len(end)]
            if name.startswith(start) and name.endswith(end) and inode.isdecimal() and int(inode) not in inodes:
                remove_if_there(self._system, os.path.join(self._folder, name))

    def _finish(self, job: _Job) -> None:
        """Put the compressed file in the old one's place, wherever that is by now."""
        now = next((one for one in self._backups.list() if one.file == job.backup.file), None)
        if now is None or now.compressed or now.size != job.read:
            remove_if_there(self._system, job.temporary)  # pruned, or still written by another program
            return
        job.complete()
        job.close()  # an open file can't be renamed on Windows
        self._system.rename(job.temporary, now.path + GZ)
        self._system.remove(now.path)

    def _same(self, plain: Backup, compressed: Backup) -> bool:
        """Say whether a compressed file is the other's, by the check sum and length at its end."""
        if compressed.size < 8:
            return False
        with open(compressed.path, "rb") as file:
            file.seek(-8, os.SEEK_END)
            check, length = struct.unpack("<II", file.read(8))
        if length != plain.size & 0xFFFFFFFF:
            return False
        found = 0
        with open(plain.path, "rb") as file:
            while piece := file.read(_PIECE):
                found = zlib.crc32(piece, found)
        return bool(found == check)


class _Job:
    """One file in work: its temporary file is locked as long as somebody works on it."""

    def __init__(self, system: FileSystem, backup: Backup, temporary: str) -> None:
        self.backup = backup
        self.temporary = temporary
        self.read = 0
        self._system = system
        self._source: int | None = None
        self._target: int | None = None
        self._target_file: tuple[int, int] | None = None
        self._packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP_FORMAT)

    def begin(self) -> bool:
        """Open both files.

        Returns:
            False if another process has this file in work.
        """
        system = self._system
        source = self._source = system.open(self.backup.path, os.O_RDONLY)
        status = system.fstat(source)
        mode = stat.S_IMODE(status.st_mode)
        target = self._target = system.open(self.temporary, os.O_WRONLY | os.O_CREAT, mode)
        self._target_file = identity(system.fstat(target))
        try:
            system.lock(target)
        except BlockingIOError:
            return False
        except OSError:
            pass  # a file system without locks: one process only is safe there anyway
        system.truncate(target, 0)
        system.chmod(target, self.temporary, mode)
        return True

    def read_on(self) -> bool:
        """Compress one piece.

        Returns:
            Whether there was one.
        """
        assert self._source is not None
        piece = self._system.read(self._source, _PIECE)
        self.read += len(piece)
        self._write(self._packer.compress(piece) if piece else self._packer.flush())
        return bool(piece)

    def complete(self) -> None:
        """Have the compressed file on the device, with the old one's times."""
        assert self._source is not None
        assert self._target is not None
        self._system.set_times(self.temporary, self._system.fstat(self._source))
        # Always, whatever the sink's policy for lines: the old file is about to be removed.
        self._system.fsync(self._target)

    def close(self) -> None:
        """Close both files."""
        for descriptor in (self._source, self._target):
            if descriptor is not None:
                with contextlib.suppress(OSError):
                    self._system.close(descriptor)
        self._source = self._target = None

    def forget(self) -> None:
        """Drop the descriptors that a forked child inherited."""
        drop_inherited(self._source, self.backup.file)
        drop_inherited(self._target, self._target_file)

    def _write(self, data: bytes) -> None:
        assert self._target is not None
        while data:
            data = data[self._system.write(self._target, [data]) :]
