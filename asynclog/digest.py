"""What one mail of storm control says: a frozen value from the lane to the sink and the templates.

Every number in it is fixed when it is composed, so that a retry under the same id is the same mail.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from asynclog.values import Item

GroupKind: TypeAlias = Literal["first", "again", "news", "digest", "over"]

#: The kinds, most important first: a mail has the first of these that any of its groups has.
KINDS: Final[tuple[GroupKind, ...]] = ("first", "again", "news", "digest", "over")

#: The id of the group that counts what found no room among the groups.
OTHER_ID: Final = "other"


@dataclass(frozen=True, slots=True)
class GroupReport:
    """One group's part of a mail.

    Attributes:
        id: 16 hex digits, equal on every host; `OTHER_ID` for the group of the rest.
        kind: ``"first"``: never announced before; ``"again"``: back after quiet; ``"news"``: ten
            times the rate of its last mail; ``"digest"``: more of the same; ``"over"``: it ended.
        place: Where it happened, as in ``"shop.checkout"``; empty for the rest.
        exc_type: The type of the logged exception, as a traceback prints it; empty without one.
        root_type: The type of the exception that it all began with; empty without one.
        logger: The logger's name.
        levelno: The highest level among the records announced; the group's where there are none.
        count: Records that this mail announces for the first time.
        total: Records announced so far, these included.
        first_seen: Wall time of the first record ever, in seconds since the epoch.
        last_seen: Wall time of the newest record.
        since: Wall time of the oldest record announced here; ``last_seen`` where there is none.
        rate: Records a second, over the time from ``since`` to ``last_seen``, at least a second.
        hosts: Names of the hosts that it came from.
        processes: Process ids that it came from, 20 at most.
        over_since: Wall time of the last record where it is over; ``None``: it is still on.
        next_mail: Wall time before which no further mail about it comes; ``None`` where it is over.
        first_items: The first of the records announced, whole.
        last_items: Some of the newest, whole; none of ``first_items``.
    """

    id: str
    kind: GroupKind
    place: str
    exc_type: str
    root_type: str
    logger: str
    levelno: int
    count: int
    total: int
    first_seen: float
    last_seen: float
    since: float
    rate: float
    hosts: tuple[str, ...] = ()
    processes: tuple[int, ...] = ()
    over_since: float | None = None
    next_mail: float | None = None
    first_items: tuple[Item, ...] = ()
    last_items: tuple[Item, ...] = ()

    @property
    def items(self) -> tuple[Item, ...]:
        """The records kept whole, oldest first."""
        return self.first_items + self.last_items

    @property
    def is_over(self) -> bool:
        """Whether it ended."""
        return self.over_since is not None

    @property
    def is_other(self) -> bool:
        """Whether it counts what found no room among the groups."""
        return self.id == OTHER_ID


@dataclass(frozen=True, slots=True)
class Digest:
    """What one mail says.

    Attributes:
        serial: A number that no other digest of this storm control has.
        kind: The most important kind among its groups.
        groups: The groups, most important first; never empty.
        count: Records that this mail announces for the first time: the sum over its groups.
        made_at: Wall time when it was composed.
        thread: 16 hex digits that mails about the same groups share; empty where groups share a
            mail that have nothing to do with each other.
        scope: Over what the counts go: ``"process"``.
    """

    serial: int
    kind: GroupKind
    groups: tuple[GroupReport, ...]
    count: int
    made_at: float
    thread: str
    scope: str = "process"

    @property
    def is_shared(self) -> bool:
        """Whether several groups share the mail."""
        return len(self.groups) > 1

    @property
    def is_over(self) -> bool:
        """Whether all of it ended."""
        return all(group.is_over for group in self.groups)

    @property
    def is_lone(self) -> bool:
        """Whether it announces one record of one new group, kept whole, and nothing else."""
        return self.count == 1 and len(self.groups) == 1 and self.kind == "first" and len(self.groups[0].items) == 1

    @property
    def items(self) -> tuple[Item, ...]:
        """All records kept whole, oldest first."""
        items = [item for group in self.groups for item in group.items]
        return tuple(sorted(items, key=lambda item: item.record.created))

    @property
    def other_count(self) -> int:
        """Records announced here of groups that found no room."""
        return sum(group.count for group in self.groups if group.is_other)

    @property
    def levelno(self) -> int:
        """The highest level."""
        return max(group.levelno for group in self.groups)
