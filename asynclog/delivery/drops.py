"""The news of dropped records: what is told of them, and when. Pure: the time is an argument."""

from __future__ import annotations

import logging
from typing import Any

from asynclog.ledger import Ledger

#: The reason for records that were put by hand and that no lane wanted: nothing to be told of.
REFUSED = "refused"
#: Seconds between two announcements of dropped records.
ANNOUNCE_EVERY = 10.0


class DropNews:
    """Says what was dropped since it was last told.

    Args:
        now: When counting begins.
    """

    def __init__(self, now: float) -> None:
        self._told_at = now
        self._told: dict[str, int] = {}
        self._told_levels: dict[int, int] = {}
        self._before: tuple[dict[str, int], dict[int, int], float] = ({}, {}, now)

    def seconds_left(self, ledger: Ledger, now: float) -> float | None:
        """Return the seconds until there is something to tell, 0 for now; ``None`` with no news."""
        if not _grown(_lost(ledger), self._told):
            return None
        return max(0.0, self._told_at + ANNOUNCE_EVERY - now)

    def tell(self, ledger: Ledger, now: float) -> logging.LogRecord:
        """Make the record that announces what was dropped since the last one."""
        dropped, levels = _lost(ledger), dict(ledger.dropped_levels)
        new = _grown(dropped, self._told)
        reasons = ", ".join(f"{reason}: {count}" for reason, count in sorted(new.items()))
        record = logging.LogRecord(
            "asynclog",
            max(_grown(levels, self._told_levels), default=logging.WARNING),
            __file__,
            0,
            "asynclog dropped %d records (%s) in %.0f s",
            (sum(new.values()), reasons, now - self._told_at),
            None,
        )
        self._before = (self._told, self._told_levels, self._told_at)
        self._told, self._told_levels, self._told_at = dropped, levels, now
        return record

    def take_back(self) -> None:
        """Note that what was told last did not get through: the next record says it again."""
        self._told, self._told_levels, self._told_at = self._before


def _lost(ledger: Ledger) -> dict[str, int]:
    return {reason: count for reason, count in dict(ledger.dropped).items() if reason != REFUSED}


def _grown(after: dict[Any, int], before: dict[Any, int]) -> dict[Any, int]:
    return {key: count - before.get(key, 0) for key, count in after.items() if count > before.get(key, 0)}
