"""What asynclog itself has to say: a throttled line on stderr, and a call to ``on_alarm``.

It never goes through `logging`: a shipper that logs its own failures feeds on itself. Alarms are
raised on asynclog's own threads only; what goes wrong on the caller's is counted there and told
here, since a write to stderr lets go of the interpreter lock and may block.
"""

from __future__ import annotations

import collections
import contextlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from asynclog.clock import SYSTEM_CLOCK, Clock
from asynclog.threads import original

#: Seconds between two alarms of one kind from one place; what comes meanwhile is counted.
THROTTLE = 60.0
# A pipe that says it is writable takes PIPE_BUF bytes without blocking (POSIX; 4096 on Linux).
_MAX_LINE = 4000
_MAX_PLACES = 1000


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that the people who run the app should know.

    Attributes:
        kind: A word to act on, such as ``"breaker_open"`` or ``"formatter_error"``.
        where: The lane it is about, or ``"queue"`` or ``"worker"``.
        text: What happened, for people; without secrets.
        repeats: How many of the same kind and place were held back since the last one.
    """

    kind: str
    where: str
    text: str
    repeats: int = 0

    def line(self) -> str:
        """Return the line for stderr."""
        again = f" ({self.repeats} more of these since the last report)" if self.repeats else ""
        text = " ".join(self.text.split())
        return f"asynclog: {self.where}: {text}{again}"


# What went wrong on the caller's side where no queue of ours is there to note it.
caller_notes: collections.deque[tuple[str, str]] = collections.deque(maxlen=32)
caller_errors: dict[str, int] = {}


def note_from_caller(kind: str, text: str) -> None:
    """Count a failure on the caller's side; the worker tells it."""
    caller_errors.setdefault(kind, 0)
    caller_errors[kind] += 1
    caller_notes.append((kind, text))


class AlarmBoard:
    """Throttles, writes and counts alarms.

    Args:
        on_alarm: Called with each alarm that is not held back.
        clock: Decides the throttling.
    """

    def __init__(self, on_alarm: Callable[[Alarm], object] | None = None, clock: Clock = SYSTEM_CLOCK) -> None:
        self.on_alarm = on_alarm
        self.counts: dict[str, int] = {}
        self._clock = clock
        self._last: dict[tuple[str, str], float] = {}
        self._held: dict[tuple[str, str], int] = {}

    def count(self, kind: str, n: int = 1) -> None:
        """Count without telling."""
        self.counts.setdefault(kind, 0)
        self.counts[kind] += n

    def tell(self, kind: str, where: str, text: str, *, always: bool = False) -> None:
        """Count, and tell unless the same was told within `THROTTLE` seconds."""
        self.count(kind)
        key = (kind, where)
        now = self._clock.monotonic()
        last = self._last.get(key)
        if not always and last is not None and now - last < THROTTLE:
            self._held[key] = self._held.get(key, 0) + 1
            return
        if len(self._last) > _MAX_PLACES:
            self._last.clear()
        self._last[key] = now
        alarm = Alarm(kind, where, text, self._held.pop(key, 0))
        write_line(alarm.line())
        if self.on_alarm is not None:
            try:
                self.on_alarm(alarm)
            except BaseException as error:  # the user's function, on a thread of ours: nothing may pass
                self.count("on_alarm_error")
                write_line(f"asynclog: on_alarm raised {type(error).__name__}")


def write_line(line: str) -> bool:
    """Write a line to stderr unless that would block or fail.

    Returns:
        Whether it was written.
    """
    stream: Any = sys.stderr
    if stream is None:
        return False
    text = line.encode("utf-8", "backslashreplace")[:_MAX_LINE].decode("utf-8", "ignore") + "\n"
    try:
        if not _is_ready(stream):
            return False
        stream.write(text)
        stream.flush()
    except Exception:  # stderr closed, replaced or full: there is nobody left to tell
        return False
    return True


def _is_ready(stream: Any) -> bool:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        fd = stream.fileno()
        poll = original("select", "poll")()
        poll.register(fd, 4)  # POLLOUT
        return bool(poll.poll(0))
    return True  # no descriptor behind it (a StringIO, a test's capture): cannot block
