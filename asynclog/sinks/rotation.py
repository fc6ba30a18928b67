"""Rolling a log file over: when, to which name, and what a failure in the middle leaves.

Promises:

- The record before which the file rolls over, and the names, are those of the standard handler of
  this Python. Time is the record's own, not the clock's: a record that waited is filed where it
  belongs.
- Renaming loses nothing and is resumed where it failed.
- Processes that share the file share its schedule, in the lock's file: what one has rolled over,
  another doesn't roll over again.

Rolled by size, old files are numbered, ``app.log.1`` the newest; by time, they carry the start of
their time, ``app.log.2024-05-17_10``; by both, the same, and the second file of that hour is
``app.log.2024-05-17_10.1``. A name that is taken gets the next number too, where the standard
handler would overwrite the old file (3.11, 3.12) or never roll over again (3.13); only what was
made from such a handler does as that handler does.
"""

from __future__ import annotations

import contextlib
import math

from asynclog.sinks.file_options import FileOptions
from asynclog.sinks.file_schedule import ROLLS_EMPTY, Schedule
from asynclog.sinks.file_system import FileSystem, exists, identity, remove_if_there
from asynclog.sinks.filelock import FileLock, State
from asynclog.sinks.retention import GZ, Backups
from asynclog.values import LazyItems

_NO_FILE = (0, 0)


class Rotation:
    """The rollovers of one file; every method but `due` and `outgrown` is called under the lock.

    Args:
        options: The sink's.
        schedule: The rollovers by time, if there are any.
        system: The operating system.
        lock: The lock that holds the schedule's state.
        as_standard: Whether names that are taken are treated, and old files deleted, as by the
            standard handler.
        rollover_at: The first rollover by time, where it is known.
    """

    def __init__(
        self,
        options: FileOptions,
        schedule: Schedule | None,
        system: FileSystem,
        lock: FileLock,
        *,
        as_standard: bool = False,
        rollover_at: float | None = None,
    ) -> None:
        self.backups = Backups(options, schedule.suffix if schedule else None, system)
        self._options = options
        self._schedule = schedule
        self._system = system
        self._lock = lock
        self._as_standard = as_standard
        self._given = rollover_at
        self._begun_at = system.time()
        self._rollover_at = math.inf
        self._file: tuple[int, int] | None = None
        self._stopped: tuple[tuple[int, int] | None, int] | None = None

    # -- decisions -----------------------------------------------------------------------------

    def due(self, items: LazyItems, start: int) -> int:
        """Return the first record from ``start`` on before which time rolls the file over.

        Returns:
            ``len(items)`` if there is none.
        """
        if self._schedule is None:
            return len(items)
        rollover_at = math.ceil(self._rollover_at)
        try:
            return next((at for at in range(start, len(items)) if items.created(at) >= rollover_at), len(items))
        except TypeError:  # a record whose time is no number must not stop the others for ever
            return len(items)

    def is_due(self, created: float) -> bool:
        """Say whether time rolls the file over before a record of that time."""
        return int(created) >= self._rollover_at

    def fits(self, end: int) -> bool:
        """Say whether a file that would end there is surely not rolled over by size."""
        return not self._options.rolls_by_size or end + 1 < self._options.max_bytes

    def outgrown(self, position: int, characters: int) -> bool:
        """Say whether size rolls the file over before a record.

        Args:
            position: Bytes in the file.
            characters: The length of the record's text; the standard handler adds one, and takes
                no account of what they are encoded to.
        """
        if position == 0 and not ROLLS_EMPTY:
            return False
        return position + characters + 1 >= self._options.max_bytes

    # -- the schedule's state --------------------------------------------------------------------

    def adopt(self, file: tuple[int, int], *, made: bool, changed: float) -> None:
        """Take up the schedule of the file that is open, after it may have been changed.

        Args:
            file: Its device and inode.
            made: Whether this process made it.
            changed: When it was last written, in seconds since the epoch.
        """
        if self._schedule is None:
            return
        state = self._lock.read_state()
        if state is not None and state.schedule != self._schedule.key:
            state = None
        known = self._file is not None
        if state is not None and (known or state.file in (file, _NO_FILE)):
            self._rollover_at = state.rollover_at
        elif not known:
            # A file that nobody has a schedule for; what a lock's file from long ago says is void.
            given = self._given
            self._rollover_at = self._schedule.first(self._begun_at if made else changed) if given is None else given
        self._file = file
        if state is None or state.file != file:
            self._publish(file)

    def _publish(self, file: tuple[int, int]) -> None:
        if self._schedule is not None:
            self._lock.write_state(State(file, self._rollover_at, self._schedule.key))

    # -- renaming ----------------------------------------------------------------------------------

    def roll(self, created: float, *, unused: bool = False) -> bool:
        """Rename the file, which is closed, and remove old files that are not kept.

        Args:
            created: The time of the record that is next.
            unused: Whether the file was made a moment ago and holds nothing: time alone makes no
                old file of it, only a new schedule.

        Returns:
            False where the standard handler would go on with the same file, by time, and where
            the record's time is no time at all.

        Raises:
            OSError: It could not be renamed; called again, it goes on where it stopped.
        """
        if self._schedule is None:
            self._shift()
        else:
            try:
                if not self._roll_by_date(self._schedule, created, unused=unused):
                    return False
            except (ValueError, OverflowError):  # infinite, or further off than the calendar goes
                return False
        self._prune(created)
        return True

    def _roll_by_date(self, schedule: Schedule, created: float, *, unused: bool) -> bool:
        by_time = self.is_due(created)
        path = self._options.path
        if self._as_standard:
            roll = schedule.roll(self._rollover_at, created, lambda name: exists(self._system, name))
            if roll.target is None:
                self._rollover_at = roll.rollover_at
                return False
            target = roll.target
        else:
            roll = schedule.roll(self._rollover_at, created, lambda _: False)
            assert roll.target is not None
            target = self.backups.free_name(roll.target)
        if not unused and exists(self._system, path):
            self._system.rename(path, target)
        if by_time:
            self._rollover_at = roll.rollover_at
        # Before the new file is there: whoever makes it, perhaps another process, takes this up.
        self._publish(_NO_FILE)
        return True

    def _shift(self) -> None:
        path = self._options.path
        current = identity(self._system.stat(path)) if exists(self._system, path) else None
        oldest = self._oldest() + 1
        last = min(self._options.backup_count or oldest, oldest)
        # Resumed and not begun again: a second pass over the whole would push out one file more.
        resumed = self._stopped is not None and self._stopped[0] == current
        number = self._stopped[1] if self._stopped is not None and resumed else last - 1
        while number > 0:
            self._stopped = (current, number)
            self._move(f"{path}.{number}", f"{path}.{number + 1}")
            number -= 1
        self._stopped = (current, 0)
        if current is not None:
            self._system.rename(path, f"{path}.1")
            if not self._as_standard:
                self._drop_twin(f"{path}.1{GZ}")
        self._stopped = None

    def _move(self, source: str, target: str) -> None:
        endings = ("",) if self._as_standard else ("", GZ)
        there = [ending for ending in endings if exists(self._system, source + ending)]
        for ending in there:
            self._system.rename(source + ending, target + ending)
        if there and not self._as_standard:
            for ending in {"", GZ} - set(there):
                self._drop_twin(target + ending)

    def _drop_twin(self, path: str) -> None:
        """Remove the older file of a number in the other form, or leave it to the next pruning."""
        with contextlib.suppress(OSError):
            remove_if_there(self._system, path)

    def _oldest(self) -> int:
        return max((-backup.order[1] for backup in self.backups.list()), default=0)

    def _prune(self, now: float) -> None:
        # An old file that can't be removed must not hold up the new one.
        try:
            if not self._as_standard:
                self.backups.prune(now)
            elif self._schedule is not None:
                for path in self._schedule.to_delete():
                    self._system.remove(path)
        except OSError:
            pass
