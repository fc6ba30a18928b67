"""What waits in a lane: bounded by the same numbers and the same rule as the queue."""

from __future__ import annotations

import collections
import logging
from collections.abc import Callable
from typing import Any

from asynclog.options import QueueOptions
from asynclog.plain import RECORD_SIZE
from asynclog.values import Item, Rendered, item_of


class LaneBuffer:
    """Rendered records that wait for their batch, oldest first.

    Args:
        options: The queue's options: bounds and policy.
        on_drop: Called with each record that is given up for want of room.
    """

    def __init__(self, options: QueueOptions, on_drop: Callable[[Item], None]) -> None:
        self.items: collections.deque[Rendered] = collections.deque()
        self.memory = 0
        # By how much sizes differ from the one that nearly all have: as long as none does, none is asked for.
        self._uneven = 0
        self.options = options
        self._on_drop = on_drop
        self._soft_records = options.maxsize * 0.8
        self._soft_memory = options.max_memory * 0.8

    def __len__(self) -> int:
        return len(self.items)

    def is_full(self, elsewhere: int = 0) -> bool:
        """Say whether the next record meets the overflow policy.

        Args:
            elsewhere: Records of the lane that wait in other places (being formatted).
        """
        return len(self.items) + elsewhere >= self.options.maxsize or self.memory >= self.options.max_memory

    def is_scarce(self, elsewhere: int = 0) -> bool:
        """Say whether less than a fifth of the room is free."""
        return len(self.items) + elsewhere >= self._soft_records or self.memory >= self._soft_memory

    def room_for_texts(self, records: int, elsewhere: int = 0) -> float:
        """Return the bytes that a run may take beyond a kilobyte for each record before room gets scarce.

        Args:
            records: How many the run has.
            elsewhere: As for `is_full`.

        Returns:
            0 or less where there is too little room for so many records.
        """
        if len(self.items) + elsewhere + records >= self._soft_records:
            return 0
        return self._soft_memory - self.memory - records * RECORD_SIZE

    def admits(self, levelno: int, elsewhere: int = 0) -> bool:
        """Apply the policy to a record that is about to come, making room if that is the policy.

        Returns:
            False where the record itself has to go.
        """
        if len(self.items) + elsewhere < self._soft_records and self.memory < self._soft_memory:
            return True
        if levelno < logging.WARNING:
            return False
        while self.is_full(elsewhere):
            if self.options.overflow == "drop_newest" or not self.items:
                return False
            self._on_drop(self.pop())
        return True

    def append(self, item: Item) -> None:
        """Add the newest."""
        self.memory += item.size
        self._uneven += abs(item.size - RECORD_SIZE)
        self.items.append(item)

    def extend(self, run: list[dict[str, Any]], size: int) -> None:
        """Add the newest, a run of records of the fast path.

        Args:
            run: The records, rendered, oldest first.
            size: Estimated bytes of all of them.
        """
        self.memory += size
        self._uneven += size - len(run) * RECORD_SIZE
        self.items.extend(run)

    def pop(self) -> Item:
        """Take the oldest."""
        item = item_of(self.items.popleft())
        self.memory -= item.size
        self._uneven -= abs(item.size - RECORD_SIZE)
        return item

    def take(self, records: int, size: int) -> list[Rendered]:
        """Take the oldest, up to a number and a size; at least one."""
        items = self.items
        popleft = items.popleft
        most = min(records, len(items))
        if not self._uneven:
            most = max(1, min(most, size // RECORD_SIZE))
            self.memory -= most * RECORD_SIZE
            return [popleft() for _ in range(most)]
        taken: list[Rendered] = []
        total = uneven = 0
        for _ in range(most):
            oldest = items[0]
            more = (oldest["stack_info"] or RECORD_SIZE) if type(oldest) is dict else oldest.size  # type: ignore[union-attr]
            if taken and total + more > size:
                break
            total += more
            uneven += abs(more - RECORD_SIZE)
            taken.append(popleft())
        self.memory -= total
        self._uneven -= uneven
        return taken

    def clear(self) -> None:
        """Forget everything, in a forked child."""
        self.items.clear()
        self.memory = self._uneven = 0
