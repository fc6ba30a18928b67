"""Exclusive locks between processes that write one log file.

Locks are ``flock`` locks: they belong to an open file, end with the process however it dies, and
are inherited over a fork, so a forked child opens its own (`FileLock.forget`). They are waited for
by trying, with a limit: a process that was stopped while it held the lock may cost a retry, but
never a thread that hangs for ever in the kernel. On a file system without locks (some network file
systems) there is none, and one process only is safe.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import NamedTuple

from asynclog.sinks.file_system import FileSystem, identity

# Seconds that a lock is waited for before the batch is put off.
PATIENCE = 5.0
_FIRST_PAUSE = 0.0002
_LONGEST_PAUSE = 0.005
_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
_STATE_BYTES = 192


class LockHeldError(OSError):
    """Another process held the lock all the time that was allowed."""


class State(NamedTuple):
    """What the processes that share a rotating file tell one another.

    Attributes:
        file: The device and inode that the schedule belongs to; zeros from the moment the old
            file was renamed until somebody has opened the new one.
        rollover_at: When the file rolls over, in seconds since the epoch.
        schedule: Which options the time was worked out from.
    """

    file: tuple[int, int]
    rollover_at: float
    schedule: str


def lock_descriptor(system: FileSystem, descriptor: int, patience: float = PATIENCE) -> bool:
    """Lock an open file.

    Returns:
        False where the file system has no locks.

    Raises:
        LockHeldError: Another process held it for ``patience`` seconds.
    """
    pause, deadline = _FIRST_PAUSE, system.monotonic() + patience
    while True:
        try:
            system.lock(descriptor)
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return False
            raise
        else:
            return True
        if system.monotonic() >= deadline:
            raise LockHeldError(errno.EAGAIN, "another process holds the file's lock")
        system.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)


class FileLock:
    """A lock on a file beside the log, which stays where it is while the log is renamed.

    Args:
        path: The lock's file, made if missing.
        mode: Its permissions.
        system: The operating system.
    """

    def __init__(self, path: str, mode: int, system: FileSystem) -> None:
        self.path = path
        self._mode = mode
        self._system = system
        self._descriptor: int | None = None
        self._file: tuple[int, int] | None = None
        self._locked = False

    def acquire(self) -> None:
        """Wait for the lock.

        Raises:
            OSError: The file can't be opened, or another process has held the lock too long.
        """
        if self._system.one_process_only and self._locked:
            return
        for _ in range(10):
            if self._descriptor is None:
                self._open()
            descriptor = self._descriptor
            assert descriptor is not None
            self._locked = lock_descriptor(self._system, descriptor)
            if self._is_current():
                return
            # Somebody removed the file: whoever comes next makes a new one and would lock that.
            self.close()
        raise LockHeldError(errno.EAGAIN, "the lock's file is being removed over and over")

    def release(self) -> None:
        """Let go of the lock; a lock that can't be undone is closed."""
        if self._descriptor is None or not self._locked or self._system.one_process_only:
            return
        try:
            self._system.unlock(self._descriptor)
            self._locked = False
        except OSError:
            self.close()

    def close(self) -> None:
        """Close the lock's file."""
        descriptor, self._descriptor, self._locked = self._descriptor, None, False
        if descriptor is not None:
            # the descriptor is gone all the same
            with contextlib.suppress(OSError):
                self._system.close(descriptor)

    def forget(self) -> None:
        """Drop, in a forked child, the lock that is the parent's."""
        drop_inherited(self._descriptor, self._file)
        self._descriptor, self._locked = None, False

    def read_state(self) -> State | None:
        """Return what the last process that rotated left; anything unreadable is nothing."""
        assert self._descriptor is not None
        try:
            words = self._system.read_start(self._descriptor, _STATE_BYTES).decode("ascii").split()
            version, device, inode, rollover_at, schedule = words
            if version != "1":
                return None
            return State((int(device), int(inode)), float(rollover_at), schedule)
        except (OSError, ValueError):
            return None

    def write_state(self, state: State) -> None:
        """Leave word for the others; where it can't be written they go by the file's own times."""
        assert self._descriptor is not None
        line = f"1 {state.file[0]} {state.file[1]} {state.rollover_at!r} {state.schedule}"
        with contextlib.suppress(OSError):
            self._system.write_start(self._descriptor, line.encode("ascii").ljust(_STATE_BYTES - 1) + b"\n")

    def _open(self) -> None:
        descriptor = self._system.open(self.path, os.O_RDWR | os.O_CREAT, self._mode)
        try:
            self._file = identity(self._system.fstat(descriptor))
        except OSError:
            self._system.close(descriptor)
            raise
        self._descriptor = descriptor

    def _is_current(self) -> bool:
        try:
            return identity(self._system.stat(self.path)) == self._file
        except FileNotFoundError:
            return False


def drop_inherited(descriptor: int | None, file: tuple[int, int] | None) -> None:
    """Close a descriptor that a forked child inherited, if it still is what it was.

    Leaving it open would keep the parent's lock alive after the parent was killed. Where the fork
    is noticed late (no hook runs under uWSGI), the number may be another file's by now.
    """
    if descriptor is None or file is None:
        return
    try:
        if identity(os.fstat(descriptor)) == file:
            os.close(descriptor)
    except OSError:
        pass
