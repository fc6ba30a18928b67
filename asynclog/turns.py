"""Taking turns with the app's threads for the interpreter, in the middle of long work.

The interpreter lock changes hands when it is asked for and given up for real: a thread that sleeps
for zero seconds takes it back at once, and another thread got nothing for seconds. So a thread of
asynclog's own works for a short slice and sleeps for a moment.

How long that moment takes says how many others compute. Alone it is a tenth of a millisecond. Beside
one thread that computes it is CPython's switch interval, 5 ms; beside eight, which take their turns
one after the other, 40 ms: after slices of half a millisecond the worker would have an eightieth of
the interpreter, and a dialogue of fifty steps with a mail server would take seconds. So a slice is
as long as a fair share of the pause before it, and whoever lost the lock in the middle of a slice has
paused already.
"""

from __future__ import annotations

import time

from asynclog.threads import real_ident, real_sleep

#: A slice of work where nobody else wants the interpreter, and the sleep that ends it; seconds.
SLICE = 0.0005
PAUSE = 50e-6
# Of the time that the others had: beside one thread that computes it makes a slice of 0.6 ms for 5.
_SHARE = 1 / 8
# The longest slice, which is CPython's default switch interval: whoever waits has the lock by then.
_LONGEST = 0.005
# Off the processor for so long in the middle of a slice: the lock was lost, and not a tick's time.
_LOST = 0.004


def _is_coarse() -> bool:
    """Say whether `time.thread_time` has steps longer than slices are.

    On Windows it moves by the system's tick, 15.6 ms, and its clock info calls the unit of what
    GetThreadTimes() returns, 100 ns, its resolution.
    """
    info = time.get_clock_info("thread_time")
    return info.resolution > 0.001 or info.implementation == "GetThreadTimes()"


# Then a slice is one of the wall's: a clock that stands still says of each long piece of work that the
# lock was lost meanwhile, and the others were let in once a tick.
_by_wall = _is_coarse()


class Turns:
    """Says when a thread's slice is over, and sleeps then.

    Args:
        slice: Seconds that a slice lasts where nobody else wants the interpreter; default 0.0005.
    """

    def __init__(self, slice: float = SLICE) -> None:
        self._slice = slice
        self.begin()

    def begin(self) -> None:
        """Begin a slice: the thread has waited for something else than the interpreter."""
        self._grant(0.0)

    def _grant(self, away: float) -> None:
        # A clock each: what lies between them is the time that others had.
        self._began, self._cpu = time.perf_counter(), 0.0 if _by_wall else time.thread_time()
        self._length = min(max(self._slice, away * _SHARE), _LONGEST)
        self._look_at = self._began + self._length

    @property
    def left(self) -> float:
        """Seconds that are left of the slice."""
        return max(0.0, self._look_at - time.perf_counter())

    def pause(self) -> None:
        """Let the others in if the slice is over; call it between two pieces of work."""
        now = time.perf_counter()
        if now < self._look_at:
            return
        worked = now - self._began if _by_wall else time.thread_time() - self._cpu
        away = now - self._began - worked
        if away >= _LOST:
            self._grant(away)
        elif worked >= self._length:
            real_sleep(PAUSE)
            self._grant(time.perf_counter() - now)
        else:  # a short wait of the thread's own, for a file or a socket
            self._look_at = now + self._length - worked


# Each thread's turns, by its real ident: the few threads there are, and one that is gone gives its
# place to the next with its ident.
_turns: dict[int, Turns] = {}


def turns() -> Turns:
    """Return the calling thread's turns."""
    ident = real_ident()
    found = _turns.get(ident)
    if found is None:
        found = _turns[ident] = Turns()
    return found


def breathe() -> None:
    """Let the app's threads in if the calling thread's slice is over: for the middle of long work."""
    turns().pause()
