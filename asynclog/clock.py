"""Where time comes from: the system's clock in production, one that jumps in tests."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Two clocks: one that never jumps, for decisions, and the wall's, for what people read."""

    def monotonic(self) -> float:
        """Return seconds that only ever grow."""
        ...

    def time(self) -> float:
        """Return seconds since the epoch."""
        ...


class SystemClock:
    """The clocks of the operating system."""

    def monotonic(self) -> float:
        """Return `time.monotonic`."""
        return time.monotonic()

    def time(self) -> float:
        """Return `time.time`."""
        return time.time()


SYSTEM_CLOCK = SystemClock()
