"""FakeClock: time that passes when a test says so."""

from __future__ import annotations


class FakeClock:
    """A `asynclog.clock.Clock` that stands still until it is told to go on.

    >>> clock = FakeClock()
    >>> clock.advance(60)
    >>> clock.monotonic()
    60.0

    Args:
        monotonic: What `monotonic` says at first, in seconds; default 0.
        wall: What `time` says at first, in seconds since the epoch; default the first second of 2024.
    """

    def __init__(self, monotonic: float = 0.0, wall: float = 1_704_067_200.0) -> None:
        self._monotonic = float(monotonic)
        self._wall = float(wall)

    def monotonic(self) -> float:
        """Return seconds that only ever grow."""
        return self._monotonic

    def time(self) -> float:
        """Return seconds since the epoch."""
        return self._wall

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks.

        Args:
            seconds: 0 or more.

        Raises:
            ValueError: A monotonic clock can't go back.
        """
        if seconds < 0:
            raise ValueError(f"seconds={seconds!r}: a monotonic clock can't go back; see jump_wall")
        self._monotonic += seconds
        self._wall += seconds

    def jump_wall(self, seconds: float) -> None:
        """Set the wall clock on or back, as an administrator or NTP does; the monotonic one stays."""
        self._wall += seconds
