"""The blocking half of a file sink: a file and what belongs to it, used by one thread."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from asynclog.sinks.file_batch import Filler, Progress
from asynclog.sinks.file_compress import Compressor
from asynclog.sinks.file_options import FileOptions
from asynclog.sinks.file_output import Output
from asynclog.sinks.file_schedule import Schedule
from asynclog.sinks.file_system import FileSystem
from asynclog.sinks.file_text import LineEncoder
from asynclog.sinks.filelock import FileLock, lock_descriptor
from asynclog.sinks.rotation import Rotation
from asynclog.values import Item, LazyItems

# Seconds between two looks for old files that have become too old, while nothing is rolled over.
_AGE_CHECK = 600.0
# Seconds after which compression or retention that failed is tried again.
_SECOND_TRY = 60.0


class FileWriter:
    """Writes batches to a file, rolls it over and looks after the old ones.

    Args:
        options: What the sink was told.
        schedule: The rollovers by time, if there are any.
        system: The operating system.
        terminator: What ends a line.
        as_standard: Whether old files are named and deleted as by the standard handler.
        rollover_at: The first rollover by time, where it is known.
        truncate: Whether the file is emptied when it is opened for the first time.
    """

    def __init__(
        self,
        options: FileOptions,
        schedule: Schedule | None,
        system: FileSystem,
        *,
        terminator: str = "\n",
        as_standard: bool = False,
        rollover_at: float | None = None,
        truncate: bool = False,
    ) -> None:
        self._options = options
        self._system = system
        self._terminator = terminator
        self._truncate = truncate
        self._lines = LineEncoder(options.encoding, options.errors, escape_control=options.escape_control)
        self._output = Output(options.path, options.permissions, system)
        # Hidden beside the log, so that a pattern such as `*.log*` doesn't pick it up. Without
        # rotation the log's own descriptor is locked, and no second file is needed.
        folder, base = os.path.split(options.path)
        mode = 0o666 if options.permissions is None else options.permissions
        self._lock = FileLock(os.path.join(folder, f".{base}.lock"), mode, system)
        self._rotation = Rotation(
            options, schedule, system, self._lock, as_standard=as_standard, rollover_at=rollover_at
        )
        self._filler = Filler(options, self._lines, self._rotation, system, terminator)
        self._rotates = options.rolls_by_size or schedule is not None
        self._compressor = Compressor(options, self._rotation.backups, system) if options.compression else None
        self._to_compress = self._compressor is not None
        self._unused = False
        self._unsynced_since = math.inf
        self._sync_failure: OSError | None = None
        self._next_age_check = self._not_before = -math.inf

    # -- writing ---------------------------------------------------------------------------------

    def write(self, items: Sequence[Item]) -> Progress:
        """Write a batch as far as that goes, and say how far it went."""
        progress = Progress(items)
        try:
            self._report_failed_sync()
            with self._exclusive():
                self._write(items if isinstance(items, LazyItems) else LazyItems(items), progress)
        except Exception as error:
            progress.failure = _described(error)
        return progress

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Have the file open, and no other process writing it."""
        if self._rotates or self._system.one_process_only:
            self._lock.acquire()
            try:
                self._open()
                yield
            finally:
                self._lock.release()
            return
        for _ in range(10):
            self._open()
            if not self._output.regular or not lock_descriptor(self._system, self._descriptor()):
                yield
                return
            try:
                # Renamed by another program while the lock was waited for: that file is not ours
                # any more.
                if self._output.is_current():
                    yield
                    return
            finally:
                self._unlock()
        raise OSError("the file is being renamed over and over")

    def _unlock(self) -> None:
        if self._output.descriptor is not None:
            try:
                self._system.unlock(self._output.descriptor)
            except OSError:
                self._output.close()

    def _open(self) -> None:
        if self._output.is_current():
            if self._rotates and self._output.regular and self._output.file is not None:
                self._rotation.adopt(self._output.file, made=False, changed=0.0)
            return
        made = self._output.open(truncate=self._truncate)
        self._truncate = False
        self._unused = made
        if self._output.regular and self._output.file is not None and self._rotates:
            changed = self._system.fstat(self._descriptor()).st_mtime
            self._rotation.adopt(self._output.file, made=made, changed=changed)
        if made and self._options.fsync is not None:
            self._output.sync_directory()

    def _write(self, items: LazyItems, progress: Progress) -> None:
        texts = self._lines.texts(items)
        if not self._output.regular:
            self._stream(texts, progress)
            return
        rolls = self._rotates
        rolled = False
        while progress.done < len(items):
            upto, data = self._filler.fill(items, texts, progress, self._output.size(), rolled=rolled, rolls=rolls)
            if data:
                self._append(data)
            progress.done = upto
            if upto == len(items):
                break
            created = items.created(upto)
            self._before_roll()
            if self._rotation.roll(created, unused=self._unused):
                self._to_compress = self._compressor is not None
            else:
                rolls = False
            self._open()
            rolled = True

    def _append(self, data: list[bytes]) -> None:
        every = self._options.fsync
        self._output.append(data, sync=every == 0.0)
        self._unused = False
        if every:
            self._unsynced_since = min(self._unsynced_since, self._system.monotonic())
            if self._system.monotonic() - self._unsynced_since >= every:
                self._sync()

    def _stream(self, texts: Sequence[str], progress: Progress) -> None:
        encoded = list(self._lines.encode_each(texts, self._terminator, at_start=not self._output.begun))
        progress.rejected.update(at for at, line in enumerate(encoded) if line is None)
        try:
            done = self._output.stream([line or b"" for line in encoded])
        except OSError:
            self._output.close()
            raise
        progress.done = done
        if done < len(texts):
            progress.failure = "nobody reads what is written"

    def _before_roll(self) -> None:
        if self._unsynced_since < math.inf:
            self._sync()
        self._output.close()

    # -- durability ------------------------------------------------------------------------------

    def _sync(self) -> None:
        """Have what was written so far on the device; a failure is told with the next batch."""
        self._unsynced_since = math.inf
        try:
            self._output.sync()
        except OSError as error:
            # What it was about is reported as delivered already and can't be taken back. It is not
            # tried again: the kernel may drop the pages and then report success.
            self._sync_failure = error
            self._output.close()

    def _report_failed_sync(self) -> None:
        failure, self._sync_failure = self._sync_failure, None
        if failure is not None:
            raise OSError(failure.errno, f"earlier lines may be lost, fsync failed: {failure.strerror}")

    # -- housekeeping ----------------------------------------------------------------------------

    def housekeeping_due(self) -> float | None:
        """Return the seconds until there is something to do; ``None``: until the next batch."""
        now, every = self._system.monotonic(), self._options.fsync
        pauses = []
        if self._unsynced_since < math.inf and every:
            pauses.append(self._unsynced_since + every - now)
        if self._to_compress or (self._options.max_age and now >= self._next_age_check):
            # Not beyond the time of a sync that may become due while this is waited for.
            pauses.append(min(self._not_before - now, every or math.inf))
        return max(0.0, min(pauses)) if pauses else None

    def housekeep(self) -> bool:
        """Do the next bit of what is due, on the sink's thread: fsync, retention, compression.

        Returns:
            Whether there is more to do at once.
        """
        try:
            self._keep_house_once()
        except Exception:
            # Old files can wait, new lines must not: no trying over and over.
            self._not_before = self._system.monotonic() + _SECOND_TRY
        return self.housekeeping_due() == 0.0

    def _keep_house_once(self) -> None:
        now, every = self._system.monotonic(), self._options.fsync
        if every and now - self._unsynced_since >= every:
            self._sync()
        look_for_old = bool(self._options.max_age) and now >= self._next_age_check
        if not (look_for_old or self._to_compress) or now < self._not_before:
            return
        self._lock.acquire()
        try:
            if look_for_old:
                self._rotation.backups.prune(self._system.time())
                self._next_age_check = now + _AGE_CHECK
            if self._compressor is not None and self._to_compress:
                self._to_compress = self._compressor.step()
        finally:
            self._lock.release()

    # -- ending ----------------------------------------------------------------------------------

    def close(self) -> None:
        """Sync and close the file; what is left of compression is done after the next start."""
        if self._unsynced_since < math.inf:
            self._sync()
        if self._compressor is not None:
            self._compressor.abandon()
            self._to_compress = True
        self._output.close()
        self._lock.close()

    def forget(self) -> None:
        """Drop, in a forked child, the file and lock that are the parent's."""
        self._output.forget()
        self._lock.forget()
        if self._compressor is not None:
            self._compressor.forget()
        self._unsynced_since = math.inf
        self._sync_failure = None

    def _descriptor(self) -> int:
        assert self._output.descriptor is not None
        return self._output.descriptor


def _described(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {error}"[:200]
