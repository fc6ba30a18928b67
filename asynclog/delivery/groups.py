"""A group of alike records: what was counted since its last mail, and what is kept whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from asynclog.delivery.fingerprint import Fingerprint
from asynclog.delivery.held import Held
from asynclog.digest import GroupKind, GroupReport
from asynclog.values import Item

if TYPE_CHECKING:
    from asynclog.delivery.incident import Incident

#: Records kept whole of the first, and of the newest, for one mail.
KEPT_FIRST: Final = 2
KEPT_LAST: Final = 2
#: Seconds over which a rate is taken that may be news, and the records that it takes at least.
NEWS_WINDOW: Final = 10.0
_NEWS_RECORDS: Final = 10
#: How many times the rate of its last mail is news.
NEWS_FACTOR: Final = 10
_MAX_PROCESSES: Final = 20
_NEVER: Final = float("inf")


class Group:
    """One group.

    Attributes:
        fingerprint: What its records have in common.
        incident: What it was announced in and is paced with; ``None``: it waits to be announced,
            or it was said to be over.
        opens_at: When it may be announced, where it has no incident.
        held: Its records that are in no mail yet.
        fresh: Whether there is anything to announce: with ``held``, or a record that counts nowhere.
        seen: Records since its last mail.
        total: Records announced so far.
        announced: Whether a mail spoke of it.
        owes_over: Whether a mail said that it goes on, after the one that announced it.
        flights: Mails about it that are neither accepted nor rejected.
        awaited: Records that are being rendered for it.
        last_at: When its newest record came, on the monotonic clock; so is every ``…_at``.
        quiet_after: Seconds without a record after which the next one makes it return.
        keep_at: When the next of its newest records is kept whole.
        news_at: Records in a window that are news.
        is_news: There were as many.
    """

    # One dictionary less: a thousand groups are held for good.
    __slots__ = (
        "_processes",
        "announced",
        "awaited",
        "fingerprint",
        "first_items",
        "first_seen",
        "flights",
        "fresh",
        "held",
        "incident",
        "is_news",
        "keep_at",
        "last_at",
        "last_items",
        "last_seen",
        "levelno",
        "mailed_at",
        "news_at",
        "opens_at",
        "owes_over",
        "process",
        "quiet_after",
        "seen",
        "since",
        "since_at",
        "total",
        "window_at",
        "window_count",
    )

    def __init__(self, fingerprint: Fingerprint, now: float, created: float, levelno: int) -> None:
        self.fingerprint = fingerprint
        self.first_seen = self.last_seen = created
        self.total = 0
        self.announced = self.owes_over = False
        self.flights = self.awaited = 0
        self.incident: Incident | None = None
        self.opens_at = self.last_at = self.window_at = now
        self.mailed_at = -_NEVER
        self.quiet_after = self.news_at = _NEVER
        self.window_count = 0
        self.process = 0
        self._processes: dict[int, None] = {}
        self.levelno = levelno
        self._start_over()

    def _start_over(self) -> None:
        """Begin to count for the next mail."""
        self.held = Held()
        self.fresh = self.is_news = False
        self.seen = 0
        self.since = self.since_at = 0.0
        self.first_items: tuple[Item, ...] = ()
        self.last_items: tuple[Item, ...] = ()
        self.keep_at = 0.0

    def start(self, now: float, created: float, levelno: int) -> None:
        """Note the first record for the next mail."""
        self.fresh = True
        self.since, self.since_at, self.levelno = created, now, levelno

    def add_process(self, process: int) -> None:
        """Note a process that the records come from."""
        self.process = process
        if len(self._processes) < _MAX_PROCESSES:
            self._processes[process] = None

    @property
    def is_idle(self) -> bool:
        """Whether it may be forgotten without losing a count or a word that is owed."""
        return not (self.fresh or self.flights or self.awaited or self.owes_over)

    def kept_bytes(self) -> int:
        """Return the estimated bytes of the records kept whole."""
        return sum(item.size for item in self.first_items) + sum(item.size for item in self.last_items)

    def report(
        self, kind: GroupKind, now: float, hosts: tuple[str, ...], over: bool, next_mail: float | None
    ) -> tuple[GroupReport, Held]:
        """Say what there is to say, and begin to count for the next mail.

        Returns:
            The report, and the records that it announces.
        """
        held, count = self.held, self.held.count
        self.total += count
        rate = 0.0
        if self.fresh:
            span = (self.last_at if over else now) - self.since_at
            rate = self.seen / max(1.0, span)
            self.news_at = (
                _NEVER if kind in ("first", "again") else max(_NEWS_RECORDS, rate * NEWS_WINDOW * NEWS_FACTOR)
            )
        print_ = self.fingerprint
        report = GroupReport(
            print_.id,
            kind,
            print_.place,
            print_.exc_type,
            print_.root_type,
            print_.logger,
            self.levelno,
            count,
            self.total,
            self.first_seen,
            self.last_seen,
            self.since if self.fresh else self.last_seen,
            rate,
            hosts,
            tuple(self._processes),
            self.last_seen if over else None,
            None if over else next_mail,
            self.first_items,
            self.last_items,
        )
        self.announced = True
        self.mailed_at = now
        self._start_over()
        return report, held
