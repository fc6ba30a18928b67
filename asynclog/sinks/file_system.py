"""The operating system's functions that a file sink calls, in one place: a test makes the n-th fail."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Sequence

from asynclog.threads import real_sleep

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_EVERY_OPEN = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
_MOST_BUFFERS = 512


class FileSystem:
    """Files, locks and clocks as the operating system has them."""

    #: Where a lock is held as long as its file is open, so that a second process is refused.
    one_process_only = sys.platform == "win32"

    def open(self, path: str, flags: int, mode: int = 0o666) -> int:
        """Open a descriptor that no child program inherits and no terminal is gained by."""
        return os.open(path, flags | _EVERY_OPEN, mode)

    def close(self, descriptor: int) -> None:
        """Close a descriptor."""
        os.close(descriptor)

    def read(self, descriptor: int, count: int) -> bytes:
        """Read at most ``count`` bytes."""
        return os.read(descriptor, count)

    def read_start(self, descriptor: int, count: int) -> bytes:
        """Read at most ``count`` bytes from the beginning of the file."""
        os.lseek(descriptor, 0, os.SEEK_SET)
        return os.read(descriptor, count)

    def write_start(self, descriptor: int, data: bytes) -> int:
        """Write at the beginning of the file."""
        os.lseek(descriptor, 0, os.SEEK_SET)
        return os.write(descriptor, data)

    def write(self, descriptor: int, buffers: Sequence[bytes | memoryview]) -> int:
        """Write buffers in one call and return how many bytes the system took."""
        if len(buffers) == 1 or sys.platform == "win32":
            return os.write(descriptor, buffers[0])
        return os.writev(descriptor, buffers[:_MOST_BUFFERS])

    def stat(self, path: str) -> os.stat_result:
        """Return the status of what a path names, links followed."""
        return os.stat(path)

    def fstat(self, descriptor: int) -> os.stat_result:
        """Return the status of an open file."""
        return os.fstat(descriptor)

    def truncate(self, descriptor: int, size: int) -> None:
        """Cut an open file."""
        os.ftruncate(descriptor, size)

    def fsync(self, descriptor: int) -> None:
        """Wait until the device has the file's bytes."""
        os.fsync(descriptor)

    def rename(self, source: str, target: str) -> None:
        """Rename a file over whatever has the name."""
        os.replace(source, target)

    def remove(self, path: str) -> None:
        """Remove a file."""
        os.remove(path)

    def listdir(self, path: str) -> list[str]:
        """Return the names in a folder."""
        return os.listdir(path)

    def chmod(self, descriptor: int, path: str, mode: int) -> None:
        """Set an open file's permissions."""
        if hasattr(os, "fchmod"):
            os.fchmod(descriptor, mode)
        else:
            os.chmod(path, mode)

    def set_times(self, path: str, status: os.stat_result) -> None:
        """Give a file the times of another."""
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    def lock(self, descriptor: int) -> None:
        """Lock an open file for this descriptor alone.

        Raises:
            BlockingIOError: Another descriptor has it.
        """
        if sys.platform == "win32":
            try:
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            except PermissionError as error:
                raise BlockingIOError(error.errno, error.strerror) from error
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def unlock(self, descriptor: int) -> None:
        """Let go of the lock (on Windows, closing does)."""
        if sys.platform != "win32":
            fcntl.flock(descriptor, fcntl.LOCK_UN)

    def time(self) -> float:
        """Return the seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds that only grow."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Sleep this thread for real."""
        real_sleep(seconds)


SYSTEM = FileSystem()


def identity(status: os.stat_result) -> tuple[int, int]:
    """Return what tells a file from every other: its device and inode."""
    return status.st_dev, status.st_ino


def exists(system: FileSystem, path: str) -> bool:
    """Say whether a path names something.

    Raises:
        OSError: It can't be told: a folder without search permission is no proof of absence.
    """
    try:
        system.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def remove_if_there(system: FileSystem, path: str) -> None:
    """Remove a file that may be gone already."""
    with contextlib.suppress(FileNotFoundError):
        system.remove(path)
