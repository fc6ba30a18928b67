"""How many deliveries a while allows: a token bucket. Pure: the time is an argument."""

from __future__ import annotations


class TokenBucket:
    """A bucket of ``burst`` tokens that fills at ``count`` tokens every ``period`` seconds.

    Args:
        count: Tokens that come back in a period.
        period: Seconds.
        burst: Tokens that it holds at most, and at first.
    """

    def __init__(self, count: int, period: float, burst: int) -> None:
        self.per_second = count / period
        self.burst = float(burst)
        self.tokens = float(burst)
        self._filled_at: float | None = None

    def _fill(self, now: float) -> None:
        if self._filled_at is not None:
            # max: a monotonic clock handed in by a test may stand still, never run back
            self.tokens = min(self.burst, self.tokens + max(0.0, now - self._filled_at) * self.per_second)
        self._filled_at = now

    def free_at(self, now: float, reserve: int = 0) -> float:
        """Return when the next token is there; ``now`` means at once.

        Args:
            now: The time.
            reserve: Tokens that have to be left after it.
        """
        self._fill(now)
        missing = 1.0 + reserve - self.tokens
        return now if missing <= 1e-9 else now + missing / self.per_second

    def free(self, now: float) -> int:
        """Return how many tokens are there; 0 where some are owed."""
        self._fill(now)
        return max(0, int(self.tokens + 1e-9))

    def take(self, now: float) -> None:
        """Take a token; one that is not there is owed, so that a forced flush counts too.

        The debt is bounded by one bucket, else many flushes would silence the lane for hours.
        """
        self._fill(now)
        self.tokens = max(self.tokens - 1.0, -self.burst)
