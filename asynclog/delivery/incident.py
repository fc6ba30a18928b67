"""Groups that were announced in one mail, and are paced together from then on.

When a database goes down, fifty groups open within a second. They share the mail that announces
them, so they share those that follow: fifty growing intervals beside each other would be fifty
mails for one failure, whatever each of them promises.
"""

from __future__ import annotations

import hashlib
from typing import Final

from asynclog.delivery.groups import Group

#: Seconds without a record after which something is over, at most.
LONGEST_QUIET: Final = 300.0


class Incident:
    """Groups that are paced together.

    Args:
        groups: Its groups.
        now: When they were announced.
        interval: The shortest and the longest interval between its mails, in seconds.

    Attributes:
        thread: What its mails have in common, on every host.
        interval: Seconds to its next digest.
        mailed_at: When the last one went; news in between doesn't count.
        news: A group's rate is ten times that of its last mail, and a mail shall say so.
        had_news: One said so since the last digest.
    """

    __slots__ = ("_longest", "_shortest", "groups", "had_news", "interval", "mailed_at", "news", "thread")

    def __init__(self, groups: list[Group], now: float, interval: tuple[float, float]) -> None:
        self.groups = groups
        self._shortest, self._longest = interval
        self.interval = self._shortest
        self.mailed_at = now
        self.news = self.had_news = False
        ids = sorted(group.fingerprint.id for group in groups)
        self.thread = ids[0] if len(ids) == 1 else hashlib.blake2b(" ".join(ids).encode(), digest_size=8).hexdigest()
        for group in groups:
            group.incident = self

    @property
    def quiet(self) -> float:
        """Seconds without a record after which a group is over."""
        return min(self.interval, LONGEST_QUIET)

    def due_at(self, now: float) -> float | None:
        """Return when its next mail is due at the earliest; ``None`` with nothing to say.

        Records that come meanwhile may put it off and never bring it forward.
        """
        fresh = any(group.fresh for group in self.groups)
        if fresh and self.news:
            return float("-inf")
        if not fresh and not any(group.owes_over for group in self.groups):
            return None
        last_at = max(group.last_at for group in self.groups)
        quiet_at = last_at + self.quiet
        if not fresh:
            return quiet_at
        at = self.mailed_at + self.interval
        if quiet_at <= at:
            # It ended: the interval falls back to the shortest.
            return min(at, max(quiet_at, self.mailed_at + self._shortest))
        # If it looks by then as if it had ended, the mail waits a little, says so and is the last.
        return quiet_at if now >= at and at - last_at >= self.quiet / 2 else at

    def is_over(self, group: Group, now: float) -> bool:
        """Say whether a group of it ended."""
        return now - group.last_at >= self.quiet

    def told(self, now: float, *, flushed: bool) -> None:
        """Note a mail about it: a digest in its turn makes the next interval twice as long.

        Args:
            now: The time.
            flushed: It was asked for; the interval goes on, as it does after news.
        """
        is_digest = now >= self.mailed_at + self.interval or not (self.news or flushed)
        self.had_news = not is_digest and (self.news or self.had_news)
        self.news = False
        if is_digest:
            self.mailed_at = now
            self.interval = min(self.interval * 2, self._longest)

    def dismiss(self, group: Group) -> None:
        """Let go of a group that is over, or that returns after quiet."""
        self.groups.remove(group)
        self.news = any(one.is_news for one in self.groups)
        group.incident = None

    def is_spent(self, now: float) -> bool:
        """Say whether there is nothing left to say, now or when its groups are quiet long enough."""
        return all(not (group.fresh or group.owes_over) and self.is_over(group, now) for group in self.groups)
