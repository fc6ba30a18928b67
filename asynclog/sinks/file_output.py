"""The open log file: appends that leave no half line behind.

Promises:

- What `Output.append` returns from is in the file, whole; what it raises from is not in it at all:
  a short write (disk full, size limit) is cut back to where it began, at once or, if the cut fails
  too, before the next append.
- A failed fsync is final. The kernel may have dropped the pages and report success next time, so
  the bytes are cut off, the descriptor is closed, and whoever appends writes them anew.
- Several processes may append; whoever calls holds the lock they share.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import stat
from collections.abc import Sequence

from asynclog.sinks.file_system import FileSystem, identity
from asynclog.sinks.filelock import drop_inherited

_APPEND = os.O_WRONLY | os.O_APPEND | getattr(os, "O_NONBLOCK", 0)
# Seconds that a pipe's or terminal's reader may take before the rest is put off.
STREAM_PATIENCE = 1.0
_STREAM_PAUSE = 0.005
_STREAM_PIECE = getattr(select, "PIPE_BUF", 512)
_NO_DIRECTORY_SYNC = {errno.EINVAL, errno.EACCES, errno.EPERM, errno.EBADF, errno.EISDIR, errno.ENOTSUP}


class Output:
    """A log file by its name, opened again when the name stands for another file.

    Args:
        path: Its name.
        permissions: The mode of a file made here; ``None``: as the umask has it.
        system: The operating system.
    """

    def __init__(self, path: str, permissions: int | None, system: FileSystem) -> None:
        self.path = path
        self.descriptor: int | None = None
        self.file: tuple[int, int] | None = None
        #: False for pipes, terminals and devices: they are never cut, rotated or locked.
        self.regular = True
        self._permissions = permissions
        self._system = system
        self._torn: tuple[tuple[int, int], int, int] | None = None
        self._accepted = 0
        self._tail = b""
        self._begun = False

    # -- opening -------------------------------------------------------------------------------

    def is_current(self) -> bool:
        """Say whether the name still stands for the file that is open."""
        if self.descriptor is None:
            return False
        try:
            return identity(self._system.stat(self.path)) == self.file
        except FileNotFoundError:
            return False

    def open(self, *, truncate: bool = False) -> bool:
        """Open the file, made if missing, without ever waiting for a pipe's reader.

        Returns:
            Whether it was made here.

        Raises:
            OSError: It can't be opened; ``ENXIO`` is a pipe that nobody reads.
        """
        self.close()
        flags = _APPEND | (os.O_TRUNC if truncate else 0)
        descriptor, made = self._open_or_make(flags)
        try:
            status = self._system.fstat(descriptor)
            if made and self._permissions is not None:
                self._system.chmod(descriptor, self.path, self._permissions)
        except BaseException:
            self._system.close(descriptor)
            raise
        self.descriptor, self.file = descriptor, identity(status)
        self.regular = stat.S_ISREG(status.st_mode)
        self._tail, self._begun = b"", False
        return made

    def _open_or_make(self, flags: int) -> tuple[int, bool]:
        try:
            return self._system.open(self.path, flags), False
        except FileNotFoundError:
            pass
        mode = 0o666 if self._permissions is None else self._permissions
        try:
            return self._system.open(self.path, flags | os.O_CREAT | os.O_EXCL, mode), True
        except FileExistsError:
            # Another process was faster, or the name is a link to nothing.
            return self._system.open(self.path, flags | os.O_CREAT, mode), False

    def close(self) -> None:
        """Close the file."""
        descriptor, self.descriptor, self.file = self.descriptor, None, None
        if descriptor is not None:
            # the descriptor is gone all the same
            with contextlib.suppress(OSError):
                self._system.close(descriptor)

    def forget(self) -> None:
        """Drop, in a forked child, the descriptor that is the parent's."""
        drop_inherited(self.descriptor, self.file)
        self.descriptor, self.file, self._tail = None, None, b""

    # -- regular files ---------------------------------------------------------------------------

    def size(self) -> int:
        """Return the file's size, what a failed append left behind cut off first."""
        size = self._system.fstat(self._open_descriptor()).st_size
        if self._torn is not None and self._torn[0] == self.file:
            _, start, end = self._torn
            if size == end:
                self._system.truncate(self._open_descriptor(), start)
                size = start
        self._torn = None
        return size

    def append(self, buffers: Sequence[bytes], *, sync: bool) -> None:
        """Append all the buffers or nothing.

        Args:
            buffers: Bytes, written in one call.
            sync: Whether to wait for the device.

        Raises:
            OSError: They could not be written, or not synced, and aren't in the file.
        """
        start = self.size()
        self._accepted = 0
        try:
            self._write_all(buffers)
            if sync:
                self.sync()
        except BaseException:
            self._cut_back(start)
            raise

    def sync(self) -> None:
        """Wait until the device has the file's bytes.

        Raises:
            OSError: It has not, and never will for sure; the caller closes the file.
        """
        if self.descriptor is not None and self.regular:
            self._system.fsync(self.descriptor)

    def sync_directory(self) -> None:
        """Wait until the device has the file's name, where the system can do that."""
        try:
            descriptor = self._system.open(os.path.dirname(self.path), os.O_RDONLY)
        except OSError:
            return
        try:
            self._system.fsync(descriptor)
        except OSError as error:
            if error.errno not in _NO_DIRECTORY_SYNC:
                raise
        finally:
            self._system.close(descriptor)

    def _write_all(self, buffers: Sequence[bytes]) -> None:
        descriptor = self._open_descriptor()
        left: list[bytes | memoryview] = [one for one in buffers if one]
        while left:
            written = self._system.write(descriptor, left)
            if written <= 0:
                raise OSError(errno.EIO, "nothing was written")
            self._accepted += written
            while left and written >= len(left[0]):
                written -= len(left.pop(0))
            if written:
                left[0] = memoryview(left[0])[written:]

    def _cut_back(self, start: int) -> None:
        """Take a failed append out of the file, and begin anew with a fresh descriptor."""
        assert self.file is not None
        try:
            self._system.truncate(self._open_descriptor(), start)
        except OSError:
            self._torn = (self.file, start, start + self._accepted)
        self.close()

    # -- pipes, terminals, devices -----------------------------------------------------------------

    def stream(self, lines: Sequence[bytes]) -> int:
        """Write lines to something that can't be cut back, each whole as far as that goes.

        A pipe takes up to ``PIPE_BUF`` bytes whole or not at all, so lines leave in pieces of that
        size. The end of a longer line that found no reader in time waits for the next call.

        Returns:
            How many lines are written or, the last one, begun.
        """
        deadline = self._system.monotonic() + STREAM_PATIENCE
        self._tail = self._push(self._tail, deadline)
        done = 0
        while done < len(lines) and not self._tail:
            upto, size = done + 1, len(lines[done])
            while upto < len(lines) and size + len(lines[upto]) <= _STREAM_PIECE:
                size += len(lines[upto])
                upto += 1
            piece = b"".join(lines[done:upto])
            rest = self._push(piece, deadline)
            if len(rest) == len(piece) and piece:
                break
            self._tail, done, self._begun = rest, upto, True
        return done

    @property
    def begun(self) -> bool:
        """Whether anything was written to this stream since it was opened."""
        return self._begun

    def _push(self, piece: bytes, deadline: float) -> bytes:
        descriptor = self._open_descriptor()
        while piece:
            try:
                piece = piece[self._system.write(descriptor, [piece]) :]
            except BlockingIOError:
                # Tried again and not polled: a pipe with one free byte is "writable" and refuses a
                # whole line all the same.
                if self._system.monotonic() >= deadline:
                    break
                self._system.sleep(_STREAM_PAUSE)
        return piece

    def _open_descriptor(self) -> int:
        if self.descriptor is None:
            raise OSError(errno.EBADF, "the file is not open")
        return self.descriptor
