"""What waits in a lane: bounded by the same numbers and the same rule as the queue."""

from __future__ import annotations

import collections
import logging
from collections.abc import Callable

from asynclog.options import QueueOptions
from asynclog.values import Item


class LaneBuffer:
    """Rendered records that wait for their batch, oldest first.

    Args:
        options: The queue's options: bounds and policy.
        on_drop: Called with each record that is given up for want of room.
    """

    def __init__(self, options: QueueOptions, on_drop: Callable[[Item], None]) -> None:
        self.items: collections.deque[Item] = collections.deque()
        self.memory = 0
        self.options = options
        self._on_drop = on_drop

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
        waiting = len(self.items) + elsewhere
        return waiting * 5 >= self.options.maxsize * 4 or self.memory * 5 >= self.options.max_memory * 4

    def admits(self, levelno: int, elsewhere: int = 0) -> bool:
        """Apply the policy to a record that is about to come, making room if that is the policy.

        Returns:
            False where the record itself has to go.
        """
        if not self.is_scarce(elsewhere):
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
        self.items.append(item)

    def pop(self) -> Item:
        """Take the oldest."""
        item = self.items.popleft()
        self.memory -= item.size
        return item

    def take(self, records: int, size: int) -> tuple[Item, ...]:
        """Take the oldest, up to a number and a size; at least one."""
        taken = [self.pop()]
        total = taken[0].size
        while self.items and len(taken) < records and total + self.items[0].size <= size:
            item = self.pop()
            total += item.size
            taken.append(item)
        return tuple(taken)

    def clear(self) -> None:
        """Forget everything, in a forked child."""
        self.items.clear()
        self.memory = 0
