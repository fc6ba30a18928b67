"""Whether one sink delivers just now, when a failed attempt is made again, and what is told of it."""

from __future__ import annotations

from collections.abc import Callable

from asynclog.alarm import AlarmBoard
from asynclog.delivery.retry import Backoff, Breaker
from asynclog.options import LaneOptions
from asynclog.values import RetryLater


class Health:
    """Keeps backoff and breaker of one lane.

    Args:
        options: The lane's options.
        board: Where alarms go.
        name: The lane's name in them.
        chance: Even draws from 0 to 1.

    Attributes:
        retry_at: When what failed is tried again, unless the breaker has it wait longer.
        last_failure: Why the last attempt failed; empty once one succeeded.
    """

    def __init__(self, options: LaneOptions, board: AlarmBoard, name: str, chance: Callable[[], float]) -> None:
        self.breaker = Breaker(options.breaker_reset)
        self.retry_at = 0.0
        self.last_failure = ""
        self._backoff = Backoff(options.retry_initial, options.retry_max, chance)
        self._board = board
        self._name = name

    def retry_now(self, now: float) -> None:
        """Make the next attempt at once: somebody asked for a flush."""
        self._backoff.reset()
        self.breaker.probe_now()
        self.retry_at = now

    def succeeded(self, now: float) -> None:
        """Note that the sink took something."""
        self._backoff.reset()
        self.last_failure = ""
        was_open = self.breaker.succeeded(now)
        if was_open is not None:
            self._board.tell("breaker_closed", self._name, f"delivering again after {was_open:.0f} s", always=True)

    def failed(self, retry: RetryLater, now: float, waiting: int, *, works: bool) -> None:
        """Note that an attempt failed.

        Args:
            retry: The sink's verdict.
            now: The time.
            waiting: Records that wait, for the alarm.
            works: Whether the sink took part of it: one recipient or one record has to wait.
        """
        self.last_failure = retry.reason
        self.retry_at = now + self._backoff.delay(retry.after)
        self._board.count("attempt_failed")
        if works and not retry.circuit:
            return
        if self.breaker.failed(now, at_once=retry.circuit):
            self._board.tell(
                "breaker_open",
                self._name,
                f"not delivering: {retry.reason}; {waiting} records wait, next attempt in"
                f" {self.breaker.reset_after:.0f} s",
                always=True,
            )
        elif not self.breaker.is_open:
            self.tell_waiting(retry.reason, waiting)

    def tell_waiting(self, reason: str, waiting: int) -> None:
        """Tell that records wait for another attempt."""
        self._board.tell("delivery_failed", self._name, f"{reason}; {waiting} records wait for a retry")
