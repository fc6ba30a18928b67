"""Storm control: which mail goes when, and what it counts. Pure: the time is an argument.

The pace:

* The first new group leaves at once; groups that open within the next 10 s share one mail.
* Later records are counted, and leave as a digest after an interval that grows from 1 minute to
  30 and falls back after quiet: no record for the shorter of the interval and 5 minutes.
* Ten times the rate of a group's last mail is news at once, once in an interval.
* A group that sent a digest gets a last mail, "over", unless its last one said so. A digest that
  would leave while it looks over waits until it can say so.
* A bucket caps all mails. Digests never take its last 3 tokens; new groups and CRITICAL may. Where
  it has too few for every mail that is due, these share one.

The numbers: a record is held in its group until a mail announces it, and that mail holds it until
it was accepted or rejected. It is in one place at any time, so the counts of all mails and what is
held add up to what was observed, exactly.

A store for more than one process (host, fleet) has to offer what `Storm` does: observe a record of
a group, say when the next mail is due, and give the right to send it to one taker.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from asynclog.delivery.fingerprint import OTHER, Fingerprint
from asynclog.delivery.groups import KEPT_FIRST, KEPT_LAST, NEWS_WINDOW, Group
from asynclog.delivery.held import Held, Settlement
from asynclog.delivery.incident import Incident
from asynclog.delivery.limit import TokenBucket
from asynclog.delivery.pace import JOIN, RESERVE, Candidate, choose, incident_candidate, opening_candidates
from asynclog.delivery.storm_options import StormOptions
from asynclog.digest import KINDS, Digest, GroupKind, GroupReport
from asynclog.values import Item, SharedOutcome

# Whole records that are rendered a second at most for the sake of "the newest", over all groups.
_SAMPLES_A_SECOND: Final = 50
# A share of the groups that is forgotten at once, so that the search for them costs little.
_EVICTED_SHARE: Final = 0.1
# Seconds until the groups are searched again where none could be forgotten.
_SEARCH_AGAIN: Final = 1.0
_NEVER: Final = float("inf")


@dataclass(slots=True)
class _Flight:
    """What a mail on its way holds."""

    groups: list[Group]
    held: list[Held]
    counts: list[int]
    size: int


class Storm:
    """Counts the records of one lane by group and decides when which mail goes.

    Args:
        options: Pace and bounds.

    Attributes:
        held: Records that are in no mail yet.
        outstanding: Records in mails that are neither accepted nor rejected.
    """

    def __init__(self, options: StormOptions | None = None) -> None:
        self.options = options or StormOptions()
        rate = self.options.rate
        self._bucket = TokenBucket(rate[0], rate[1], self.options.burst) if rate else None
        self._reserve = min(RESERVE, self.options.burst - 1)
        self._hosts = (self.options.host,) if self.options.host else ()
        self._serial = 0
        self._forget()

    def _forget(self) -> None:
        self.held = self.outstanding = 0
        self._groups: dict[str, Group] = {}
        self._opening: list[Group] = []
        self._incidents: list[Incident] = []
        self._flights: dict[int, _Flight] = {}
        self._join_until = -_NEVER
        self._kept = 0
        self._search_at = -_NEVER
        # The candidates' due times as they were looked up last; later records only put them off.
        self._looked: list[Candidate] | None = None

    # -- records ----------------------------------------------------------------------------------

    def observe(
        self,
        fingerprint: Fingerprint,
        now: float,
        created: float,
        levelno: int,
        process: int = 0,
        shared: SharedOutcome | None = None,
    ) -> bool:
        """Count a record.

        Args:
            fingerprint: Its group.
            now: Monotonic seconds.
            created: Wall time of the record.
            levelno: Its level.
            process: Its process id.
            shared: What its lanes settle together; ``UNCOUNTED``: it is in no count.

        Returns:
            True where it is kept whole: then `keep` has to be called, once.
        """
        group = self._groups.get(fingerprint.id)
        if group is None:
            group = self._open(fingerprint, now, created, levelno)
        elif now - group.last_at >= group.quiet_after:
            self._reopen(group, now)
        held = group.held
        before = held.count
        held.add(shared, levelno)
        added = held.count - before
        self.held += added
        group.last_at = now
        if not group.fresh:
            group.start(now, created, levelno)
            self._looked = None
        elif levelno > group.levelno:
            group.levelno = levelno
            self._looked = None  # a CRITICAL may take the reserve
        if created > group.last_seen:  # noqa: PLR1730  (every record comes by here, and max() is a call)
            group.last_seen = created
        if process != group.process:
            group.add_process(process)
        group.seen += 1
        if now - group.window_at > NEWS_WINDOW:
            group.window_at = now
            group.window_count = 1
        else:
            group.window_count += 1
            if group.window_count >= group.news_at:
                self._news(group)
        return (group.seen <= KEPT_FIRST or now >= group.keep_at) and self._wants(group, now)

    def _open(self, fingerprint: Fingerprint, now: float, created: float, levelno: int) -> Group:
        other = self._groups.get(OTHER.id)
        if len(self._groups) - (other is not None) >= self.options.groups and not self._evict(now):
            fingerprint = OTHER
            if other is not None:
                if now - other.last_at >= other.quiet_after:
                    self._reopen(other, now)
                return other
        group = Group(fingerprint, now, created, levelno)
        self._groups[fingerprint.id] = group
        self._opening.append(group)
        self._looked = None
        return group

    def _evict(self, now: float) -> bool:
        """Forget the groups that were quiet longest and have nothing left to say."""
        if now < self._search_at:
            return False
        idle = [group for group in self._groups.values() if group.is_idle and group.fingerprint is not OTHER]
        idle.sort(key=lambda group: group.last_at)
        for group in idle[: max(1, int(self.options.groups * _EVICTED_SHARE))]:
            self._leave(group)
            del self._groups[group.fingerprint.id]
        if not idle:
            self._search_at = now + _SEARCH_AGAIN
        return bool(idle)

    def _leave(self, group: Group) -> None:
        incident = group.incident
        if incident is not None:
            incident.dismiss(group)
            if not incident.groups:
                self._incidents.remove(incident)
        self._looked = None

    def _reopen(self, group: Group, now: float) -> None:
        """Let a group return after quiet: it is announced again, and its interval is the shortest."""
        self._leave(group)
        group.quiet_after = group.news_at = _NEVER
        group.owes_over = False
        group.opens_at = max(now, group.mailed_at + self.options.interval[0])
        self._opening.append(group)

    def _news(self, group: Group) -> None:
        group.news_at = _NEVER  # until its next mail sets another rate
        incident = group.incident
        if incident is not None and not incident.had_news:
            incident.news = group.is_news = True
            self._looked = None

    def _wants(self, group: Group, now: float) -> bool:
        group.keep_at = now + max(1.0, len(self._groups) / _SAMPLES_A_SECOND)
        # Half of the room is for the first of each group.
        room = self.options.kept_bytes if group.seen == 1 else self.options.kept_bytes // 2
        if self._kept >= room or group.fingerprint is OTHER:
            return False
        group.awaited += 1
        return True

    def keep(self, fingerprint: Fingerprint, item: Item | None) -> None:
        """Keep a record whole.

        Args:
            fingerprint: Its group.
            item: The record, rendered; ``None`` where that failed.
        """
        group = self._groups.get(fingerprint.id)
        if group is None or not group.awaited:
            return  # all was given up meanwhile
        group.awaited -= 1
        if group.incident is None:
            self._looked = None
        if item is None or not group.fresh or self._kept + item.size > self.options.kept_bytes:
            return
        self._kept += item.size
        if len(group.first_items) < KEPT_FIRST:
            group.first_items += (item,)
            return
        kept = (*group.last_items, item)
        self._kept -= sum(one.size for one in kept[:-KEPT_LAST])
        group.last_items = kept[-KEPT_LAST:]

    # -- when -------------------------------------------------------------------------------------

    def due_at(self, now: float) -> float | None:
        """Return when the next mail is due, ``now`` or before for at once; ``None`` with nothing to say."""
        at = self._earliest(now)
        if at is not None and at <= now:
            self._looked = None  # what came since may have put it off
            at = self._earliest(now)
        return at

    def _earliest(self, now: float) -> float | None:
        if self._looked is None:
            self._looked = list(self._candidates(now))
        times = [max(one.due_at, self._token_at(now, one.may_take_reserve)) for one in self._looked]
        return min(times, default=None)

    def _token_at(self, now: float, may_take_reserve: bool) -> float:
        if self._bucket is None:
            return now
        return self._bucket.free_at(now, 0 if may_take_reserve else self._reserve)

    def _candidates(self, now: float) -> Iterator[Candidate]:
        yield from opening_candidates(self._ready(), self._join_until)
        spent = []
        for incident in self._incidents:
            found = incident_candidate(incident, now)
            if found is not None:
                yield found
            elif incident.is_spent(now):
                spent.append(incident)
        for incident in spent:
            for group in list(incident.groups):
                self._end(group)

    def _ready(self) -> list[Group]:
        # A group whose records are all still being rendered would be announced without any.
        return [group for group in self._opening if not group.awaited or group.first_items]

    def _end(self, group: Group) -> None:
        """Let a group go that is over: its next record makes it return."""
        group.quiet_after = 0.0
        group.owes_over = False
        self._leave(group)

    # -- mails ------------------------------------------------------------------------------------

    def compose(self, now: float, wall: float, *, flush: bool = False) -> Digest | None:
        """Make the next mail, if one is due; its counts are no longer held but outstanding.

        Args:
            now: Monotonic seconds.
            wall: The same moment on the wall clock.
            flush: Everything that is held leaves now, in one mail.
        """
        if flush:
            return self._compose_all(now, wall)
        self._looked = list(self._candidates(now))
        due = [one for one in self._looked if one.due_at <= now]
        chosen = choose(due, self._bucket, self._reserve, now)
        if not chosen:
            return None
        opening = [group for group in self._ready() if group.opens_at <= now]
        return self._make(
            now,
            wall,
            opening if any(one.incident is None for one in chosen) else [],
            [one.incident for one in chosen if one.incident is not None],
        )

    def _compose_all(self, now: float, wall: float) -> Digest | None:
        opening = list(self._opening)
        incidents = [one for one in self._incidents if any(group.fresh for group in one.groups)]
        return self._make(now, wall, opening, incidents, flush=True) if opening or incidents else None

    def _make(
        self, now: float, wall: float, opening: list[Group], incidents: list[Incident], *, flush: bool = False
    ) -> Digest:
        flight = _Flight([], [], [], 0)
        reports: list[GroupReport] = []
        for incident in incidents:
            reports += self._report_incident(incident, now, wall, flight, flush)
        thread = incidents[0].thread if len(incidents) == 1 and not opening else ""
        if opening:
            incident = self._announce(opening, now, wall, flight, reports)
            thread = "" if incidents else incident.thread
        if self._bucket is not None:
            self._bucket.take(now)
        reports.sort(key=lambda one: (KINDS.index(one.kind), -one.levelno, -one.count, one.id))
        self._serial += 1
        count = sum(flight.counts)
        self.held -= count
        self.outstanding += count
        self._flights[self._serial] = flight
        self._looked = None
        return Digest(self._serial, reports[0].kind, tuple(reports), count, wall, thread)

    def _announce(
        self, groups: list[Group], now: float, wall: float, flight: _Flight, reports: list[GroupReport]
    ) -> Incident:
        leaving = set(map(id, groups))
        self._opening = [group for group in self._opening if id(group) not in leaving]
        incident = Incident(groups, now, self.options.interval)
        self._incidents.append(incident)
        self._join_until = now + JOIN
        for group in list(groups):
            over = incident.is_over(group, now)
            kind: GroupKind = "again" if group.announced else "first"
            reports.append(self._report(group, kind, now, over, wall + incident.interval, flight))
            group.quiet_after = incident.quiet
            if over:
                self._end(group)
        return incident

    def _report_incident(
        self, incident: Incident, now: float, wall: float, flight: _Flight, flush: bool
    ) -> list[GroupReport]:
        quiet = [group for group in incident.groups if incident.is_over(group, now)]
        speaking = [group for group in incident.groups if group.fresh or (group.owes_over and group in quiet)]
        incident.told(now, flushed=flush)
        next_mail = wall + incident.mailed_at + incident.interval - now
        reports = []
        for group in speaking:
            over = group in quiet
            kind: GroupKind = "over" if over else "news" if group.is_news else "digest"
            reports.append(self._report(group, kind, now, over, next_mail, flight))
            group.owes_over = True
        for group in incident.groups:
            group.quiet_after = incident.quiet
        for group in quiet:
            self._end(group)
        return reports

    def _report(
        self, group: Group, kind: GroupKind, now: float, over: bool, next_mail: float, flight: _Flight
    ) -> GroupReport:
        flight.size += group.kept_bytes()
        report, held = group.report(kind, now, self._hosts, over, next_mail)
        flight.groups.append(group)
        flight.held.append(held)
        flight.counts.append(report.count)
        group.flights += 1
        return report

    # -- what came of them ------------------------------------------------------------------------

    def accepted(self, digest: Digest, now: float) -> Settlement:  # noqa: ARG002
        """Note that the server has a mail.

        Its interval goes on counting from when it was made. Rejected: from now, when people can read
        it. After an outage of the server its numbers are old, and those of now would wait once more.

        Returns:
            The records whose outcome it is.
        """
        return Settlement(self._land(digest).held)

    def failed(self, digest: Digest, now: float) -> None:  # noqa: ARG002  (one shape with the others)
        """Note that a mail did not leave and will be tried again: it keeps its id and its numbers.

        Raises:
            KeyError: The mail was accepted or rejected before.
        """
        if digest.serial not in self._flights:
            raise KeyError(digest.serial)

    def rejected(self, digest: Digest, now: float) -> Settlement:  # noqa: ARG002
        """Note that a mail never will be taken: its records are announced nowhere.

        Returns:
            The records that leave with it.
        """
        flight = self._land(digest)
        for group, count in zip(flight.groups, flight.counts, strict=True):
            group.total -= count
        return Settlement(flight.held)

    def _land(self, digest: Digest) -> _Flight:
        flight = self._flights.pop(digest.serial)
        self.outstanding -= digest.count
        self._kept -= flight.size
        for group in flight.groups:
            group.flights -= 1
        self._search_at = -_NEVER
        self._looked = None
        return flight

    def give_up(self) -> Settlement:
        """Forget everything, at the lane's end.

        Returns:
            The records that were held or outstanding.
        """
        held = [group.held for group in self._groups.values()]
        held += [one for flight in self._flights.values() for one in flight.held]
        self._forget()
        return Settlement(held)

    def pending(self) -> int:
        """Return how many records have no outcome yet."""
        return self.held + self.outstanding


__all__ = ["Storm", "StormOptions"]
