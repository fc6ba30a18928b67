"""Records that were folded into counts, and how their outcome is counted once their mail has one.

A lane that folds records keeps no object for each. What stands in the way is the count over all
lanes: one record, one outcome, the worst of its lanes. So a record that other lanes have still to
settle is kept as its `SharedOutcome` and no longer than that: once this lane is the last, what the
others said is a key to count under. Where the only lanes left fold records themselves (two mail
sinks), all records that lie in the same two places are alike, and become one `_Joint` count.
"""

from __future__ import annotations

from typing import Final

from asynclog.ledger import UNCOUNTED, Ledger
from asynclog.values import SharedOutcome

_FIRST_SWEEP: Final = 64


class _Joint:
    """Some records, all alike, whose last lanes all fold."""

    __slots__ = ("count", "left", "levelno", "reason", "worst")

    def __init__(self, lanes: int, worst: int, reason: str, levelno: int) -> None:
        self.count = 0
        self.left = lanes
        self.worst = worst
        self.reason = reason
        self.levelno = levelno

    def settle(self, outcome: int, reason: str, total: Ledger) -> None:
        if outcome > self.worst:
            self.worst, self.reason = outcome, reason
        self.left -= 1
        if self.left == 0:
            total.settle(self.worst, self.count, self.reason, self.levelno)


class Held:
    """Folded records of one lane that get their outcome together.

    Attributes:
        count: How many there are; what is counted nowhere (`UNCOUNTED`) is not.
    """

    __slots__ = ("_alone", "_joint", "_last", "_sweep_at", "_waiting", "count")

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self.count = 0
        self._alone: dict[int, int] = {}
        # Records of which this lane is the last: by what the others said, and level.
        self._last: dict[tuple[int, str, int], int] = {}
        self._waiting: list[tuple[SharedOutcome, int]] = []
        self._joint: dict[object, _Joint] = {}
        self._sweep_at = _FIRST_SWEEP

    def add(self, shared: SharedOutcome | None, levelno: int) -> None:
        """Take a record in.

        Args:
            shared: What its lanes settle together; ``None`` with a single lane.
            levelno: Its level, under which a drop is counted.
        """
        if shared is None:
            self.count += 1
            alone = self._alone
            alone[levelno] = alone.get(levelno, 0) + 1
        elif shared is not UNCOUNTED:
            self.count += 1
            self._add_shared(shared, levelno)

    def _add_shared(self, shared: SharedOutcome, levelno: int) -> None:
        if shared.left == 1:
            self._add_last(shared, levelno)
            return
        if shared.folded is None:
            shared.folded = [self]
        else:
            shared.folded.append(self)
        self._waiting.append((shared, levelno))
        if len(self._waiting) >= self._sweep_at:
            self._sweep()

    def _add_last(self, shared: SharedOutcome, levelno: int) -> None:
        key = (shared.worst, shared.reason, levelno)
        self._last[key] = self._last.get(key, 0) + 1

    def _sweep(self) -> None:
        """Let go of the records that can be counted; at a size that doubles, so that it costs little."""
        waiting = []
        for shared, levelno in self._waiting:
            folded = shared.folded
            if not folded:
                continue  # another lane's sweep made it one of a joint count
            if shared.left == 1:
                self._add_last(shared, levelno)
            elif shared.left == len(folded):
                self._join(shared, folded, levelno)
            else:
                waiting.append((shared, levelno))
        self._waiting = waiting
        self._sweep_at = max(_FIRST_SWEEP, 2 * len(waiting))

    def _join(self, shared: SharedOutcome, folded: list[Held], levelno: int) -> None:
        # The key holds the places themselves and not their ids, which are used again.
        key = (tuple(folded), shared.worst, shared.reason, levelno)
        joint = self._joint.get(key)
        if joint is None:
            joint = _Joint(shared.left, shared.worst, shared.reason, levelno)
            for held in folded:
                held._joint[key] = joint
        joint.count += 1
        shared.folded = []

    @property
    def objects(self) -> int:
        """How many records are kept as an object, for other lanes' sake."""
        return len(self._waiting)

    def settle(self, outcome: int, lane: Ledger, total: Ledger, reason: str = "") -> None:
        """Count the outcome of all of them, in the lane and, with their last lane, in all.

        Args:
            outcome: One of `asynclog.ledger`.
            lane: The lane's ledger.
            total: The listener's.
            reason: What a drop is counted under.
        """
        self._sweep()
        for levelno, count in self._alone.items():
            lane.settle(outcome, count, reason, levelno)
            total.settle(outcome, count, reason, levelno)
        for (worst, why, levelno), count in self._last.items():
            lane.settle(outcome, count, reason, levelno)
            total.settle(*((outcome, count, reason) if outcome > worst else (worst, count, why)), levelno)
        for shared, levelno in self._waiting:
            lane.settle(outcome, 1, reason, levelno)
            assert shared.folded is not None
            shared.folded.remove(self)
            total.settle_shared(shared, outcome, 1, reason, levelno)
        for joint in self._joint.values():
            lane.settle(outcome, joint.count, reason, joint.levelno)
            joint.settle(outcome, reason, total)
        self._reset()  # nothing is settled twice

    def __repr__(self) -> str:
        return f"<Held {self.count} records>"


class Settlement:
    """What gets its outcome together, of one mail or at a lane's end.

    Attributes:
        count: How many records.
    """

    __slots__ = ("_parts", "count")

    def __init__(self, parts: list[Held]) -> None:
        self._parts = parts
        self.count = sum(part.count for part in parts)

    def settle(self, outcome: int, lane: Ledger, total: Ledger, reason: str = "") -> None:
        """Count the outcome of all of them; see `Held.settle`."""
        for part in self._parts:
            part.settle(outcome, lane, total, reason)
        self._parts = []
