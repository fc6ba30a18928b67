"""When a batch is due. Pure: the time is an argument."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """Decides how many records wait for company, and how long.

    The first record after a quiet spell never waits: it may be the only news of a failure.

    Args:
        records: Records in one batch at most; that many waiting make it due.
        age: Seconds since the last batch that later records wait for company.
        size: Bytes in one batch at most, by estimate.
    """

    records: int
    age: float
    size: int = 8 * 1024 * 1024

    def due_at(self, now: float, waiting: int, last_sent: float | None) -> float:
        """Return when the records that wait are due; ``now`` or before means at once."""
        if last_sent is None or waiting >= self.records:
            return now
        return last_sent + self.age
