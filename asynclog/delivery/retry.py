"""When to try again. Pure: time and chance are arguments."""

from __future__ import annotations

from collections.abc import Callable


class Backoff:
    """Exponential backoff with full jitter.

    Full jitter (a delay drawn evenly from 0 to the bound) spreads many clients best; see "Exponential
    Backoff And Jitter", AWS Architecture Blog, 2015.

    Args:
        initial: The bound of the first delay in seconds.
        maximum: The largest bound in seconds.
        chance: Returns an even draw from 0 to 1.
    """

    def __init__(self, initial: float, maximum: float, chance: Callable[[], float]) -> None:
        self.initial = initial
        self.maximum = maximum
        self.failures = 0
        self._chance = chance

    def reset(self) -> None:
        """Begin again at the initial delay."""
        self.failures = 0

    def delay(self, hint: float | None = None) -> float:
        """Count a failure and return the seconds to wait; a server's own hint wins."""
        bound = min(self.maximum, self.initial * 2.0 ** min(self.failures, 60))
        self.failures += 1
        if hint is not None:
            return max(0.0, hint)
        return bound * self._chance()


class Breaker:
    """Stops trying for a while when trying is pointless.

    It opens after ``threshold`` failures in a row, or at once when told so, lets a single attempt
    through every ``reset`` seconds (half-open), and closes with the first that succeeds.

    Args:
        reset: Seconds between attempts while open.
        threshold: Failures in a row that open it; 5, as in resilience libraries' defaults
            (pybreaker's ``fail_max``).
    """

    def __init__(self, reset: float, threshold: int = 5) -> None:
        self.reset_after = reset
        self.threshold = threshold
        self.failures = 0
        self.opened_at: float | None = None
        self._next_probe = 0.0

    @property
    def is_open(self) -> bool:
        """Whether attempts are being held back."""
        return self.opened_at is not None

    def allowed_at(self, now: float) -> float:
        """Return when the next attempt may be made; ``now`` means at once."""
        return now if self.opened_at is None else max(now, self._next_probe)

    def probe_now(self) -> None:
        """Let the next attempt through at once: somebody asked for a flush."""
        self._next_probe = 0.0

    def failed(self, now: float, *, at_once: bool = False) -> bool:
        """Count a failure.

        Returns:
            Whether this one opened it.
        """
        self.failures += 1
        self._next_probe = now + self.reset_after
        if self.opened_at is None and (at_once or self.failures >= self.threshold):
            self.opened_at = now
            return True
        return False

    def succeeded(self, now: float) -> float | None:
        """Close it.

        Returns:
            For how many seconds it was open; ``None`` if it was not.
        """
        opened_at, self.opened_at, self.failures = self.opened_at, None, 0
        return None if opened_at is None else now - opened_at
