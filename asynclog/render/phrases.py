"""What a mail says of its numbers: how often, whether it is over, when the next one comes."""

from __future__ import annotations

from typing import Final

from asynclog.digest import Digest, GroupKind, GroupReport
from asynclog.render import words
from asynclog.render.mail_view import Fact, HeldUp

#: The newest record may be this old, in seconds, and "still happening" is still said.
STILL = 300.0
# What announces a group: another mail follows only where more comes.
_ANNOUNCING: Final[tuple[GroupKind, ...]] = ("first", "again")
_NEWS: Final[dict[GroupKind, str]] = {
    "first": "new, ",
    "again": "back after quiet, ",
    "news": "10× as often, ",
}


class Phrases:
    """Put a digest's numbers into words.

    Args:
        digest: Has them.
        now: Wall time of sending, which "2 s ago" is counted to.
    """

    def __init__(self, digest: Digest, now: float) -> None:
        self._digest = digest
        self._now = now

    def headline(self) -> str:
        """Return what a mail about several groups is about."""
        groups = self._digest.groups
        on = sum(not group.is_over for group in groups)
        counted = _counted(self._digest.count, sum(group.total for group in groups))
        problems = f"{words.number(len(groups))} problems, {counted}"
        if not on:
            return f"{problems}, all {self._over(max(group.over_since or group.last_seen for group in groups))}"
        many = "" if on == len(groups) else f"{words.number(on)} of them "
        return f"{problems}, {many}{self._still(max(group.last_seen for group in groups))}"

    def of_group(self, group: GroupReport) -> str:
        """Return how often there was a group, and whether it is over."""
        lasted = max(group.last_seen - group.since, 1.0)
        count = _counted(group.count, group.total, f" in {words.span(lasted)}" if group.count > 1 else "")
        if group.over_since is not None:
            return f"{self._over(group.over_since)}: {count}"
        age = self._now - group.last_seen
        if group.count == 1 and group.total == 1 and age <= STILL:
            return f"{count}, new ({words.ago(age)})"
        return f"{count}, {_NEWS.get(group.kind, '')}{self._still(group.last_seen)}"

    def short_state(self, group: GroupReport) -> str:
        """Return the same without the count, which stands beside it in the overview."""
        state = self._still(group.last_seen) if group.over_since is None else self._over(group.over_since)
        return state if group.count == group.total else f"{state}, {words.number(group.total)}× in all"

    def next_mail(self, group: GroupReport) -> list[Fact]:
        """Return when a reader hears of a group again: what is not said, people take for forgotten."""
        if group.is_over:
            return [Fact("next mail", "only if it comes back")]
        if group.next_mail is None:
            return []
        when = self._when(group.next_mail)
        if group.kind not in _ANNOUNCING:
            sooner = " (at once if it comes 10× as often as now)" if group.kind == "digest" else ""
            return [Fact("next mail", f"{when}{sooner}; and an all-clear when it is over")]
        # Without more records none follows, and the reader must not wait for one.
        again = "none unless it happens again" if group.count == 1 else "none unless it goes on"
        return [Fact("next mail", f"{again}; then the count, {when}, and an all-clear when it is over")]

    def next_of_all(self) -> list[Fact]:
        """Return when a reader hears of any of the groups again."""
        # In few words: each group has its own, and the overview is to be seen beneath.
        groups = self._digest.groups
        on = [(group.kind in _ANNOUNCING, group.next_mail) for group in groups if group.next_mail is not None]
        if not on:
            return self.next_mail(groups[0])
        announces, at = min(on)
        return [Fact("next mail", f"{'if it goes on: ' if announces else ''}{self._when(at)}")]

    def _when(self, at: float) -> str:
        if at <= self._now:
            return "at once"
        return f"in {words.span(at - self._now)}, not before {words.near(at, self._now)}"

    def held_up(self, held: HeldUp, reason: str) -> Fact:
        """Return when the mail server took nothing.

        Args:
            held: From when to when.
            reason: Why, as one line; empty: unknown.
        """
        is_short = held.until - held.since < words.NEAR
        since, until = (words.clock(when, self._now, seconds=is_short) for when in (held.since, held.until))
        span = words.span(held.until - held.since)
        why = f" ({reason})" if reason else ""
        if held.is_past:
            return Fact("mail server", f"refused mail for {span}, from {since} to {until}{why}")
        return Fact("delayed", f"{span}: the mail server refused it from {since} to {until}{why}")

    def _still(self, last: float) -> str:
        age = self._now - last
        if age > STILL:
            return f"last seen {words.near(last, self._now)} ({words.ago(age)})"
        return f"still happening (last one {words.ago(age)})"

    def _over(self, since: float) -> str:
        return f"over since {words.near(since, self._now)} ({words.ago(self._now - since)})"


def _counted(count: int, total: int, span: str = "") -> str:
    """Return the new records, with the total beside them where it is another number."""
    if count == total:
        return f"{words.number(count)}×{span}"
    if count == 0:
        return f"{words.number(total)}× in all"
    return f"{words.number(count)}× more{span} ({words.number(total)}× in all)"
