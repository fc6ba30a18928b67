"""A lane under storm control: records are counted by group, and leave as digests.

What a mail says and when it goes is `Storm`'s to decide; whether and how often it is tried is the
lane's. While a mail is being retried none is composed behind it: what comes meanwhile is counted
and leaves in few mails when the server is back. One may pass a mail that failed often, since it may
be the mail and not the server; a second one may not before the server took something. The one that
is let pass is tried again before each attempt with its follower, so that a server that is back gets
the two in order, and the last word never comes before the first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from asynclog.delivery.fingerprint import Fingerprint
from asynclog.delivery.lane import LET_PASS, Lane
from asynclog.delivery.outcome import Verdicts, Work
from asynclog.delivery.storm import Storm, StormOptions
from asynclog.delivery.storm_intake import StormIntake
from asynclog.ledger import DELIVERED, DROPPED, UNCOUNTED
from asynclog.values import Batch, SharedOutcome, in_full, unpack


@dataclass(frozen=True, slots=True)
class _Outage:
    """A time in which the sink took nothing, on the wall clock; ``until`` is ``None`` while it lasts."""

    since: float
    reason: str
    until: float | None = None


class StormLane(Lane):
    """Takes records for one sink that folds them, and decides when to deliver which digest.

    Args: as for `Lane`.

    Attributes:
        storm: Counts and paces.
        folded: Records whose group is known, ever.
    """

    intake: StormIntake

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.intake = StormIntake(self)
        self.sink.tell = self._tell_of_sink

    def _start_afresh(self) -> None:
        super()._start_afresh()
        sink = self.sink
        self.bucket = None  # storm control has its own
        self.storm = Storm(StormOptions(interval=sink.digest_interval, rate=sink.rate, burst=sink.burst))
        self.folded = 0
        # How many records had been counted before the oldest that may be in no mail yet.
        self._unsaid_from: int | None = None
        # Whether among them is one that counts nowhere, of which `Storm.held` does not know.
        self._has_uncounted = False
        self._let_one_pass = False
        self._outage: _Outage | None = None

    # -- taking records ---------------------------------------------------------------------------

    def take_run(self, run: list[dict[str, Any]]) -> None:
        """Take records as the fast path put them on the queue: each is counted in its group."""
        for queued in run:
            fields, _, size, exception = unpack(queued)
            self.take(fields, in_full(exception), size, None)

    def fold(self, fields: dict[str, Any], group: Fingerprint, shared: SharedOutcome | None) -> bool:
        """Count a record in its group.

        Returns:
            Whether it is kept whole.
        """
        created, levelno, process = fields["created"], fields["levelno"], fields["process"]
        wants = self.storm.observe(
            group,
            self.clock.monotonic(),
            created if type(created) is float else self.clock.time(),
            levelno,
            process if type(process) is int else 0,
            shared,
        )
        if self._unsaid_from is None:
            self._unsaid_from = self.folded
        if shared is UNCOUNTED:
            self._has_uncounted = True
        self.folded += 1
        return wants

    def remaining(self) -> int:
        """Return how many records are not settled."""
        return self.intake.formatting + self.storm.pending()

    # -- flushing -----------------------------------------------------------------------------

    def is_past(self, mark: int) -> bool:
        """Say whether everything taken before the mark is settled."""
        if self.taken - self.intake.formatting < mark or self._has_unsaid(mark):
            return False
        return all(work.counted or work.index >= mark for work in (*self.work, *self.apart))

    def _has_unsaid(self, mark: int) -> bool:
        return self._unsaid_from is not None and self._unsaid_from < mark

    def _may_flush(self) -> bool:
        """Say whether all is there that a flush was asked for, and some of it in no mail yet."""
        mark = self.flush_mark
        rendering = self.intake.rendering
        return (
            self._has_unsaid(mark)
            and self.taken - self.intake.formatting >= mark
            and not (rendering and rendering[0] < mark)
        )

    # -- deciding -----------------------------------------------------------------------------

    def _due_at(self, now: float) -> float | None:
        if self.work:
            return self.health.retry_at
        return self._next_mail_at(now)

    def _next_mail_at(self, now: float) -> float | None:
        return now if self._may_flush() else self.storm.due_at(now)

    def next_work(self, now: float) -> Work | None:
        """Return what to deliver now: a mail that failed, else one that waits apart, else a new one."""
        due = self._due_at(now)
        if self.work and due is not None and due <= now and self._lets_pass(now):
            self._let_one_pass = True
            self._set_apart(self.work, now)
            self.work = []
        passed = [work for work in self.apart if _is_whole(work) and work.due_at <= now]
        if passed:
            return min(passed, key=_serial)
        if self.apart and (due is None or due > now):
            return min(self.apart, key=lambda work: work.due_at)
        if not self.work:
            work = self._compose(now)
            if work is None:
                return None
            self.work.append(work)
        return self.work[0]

    def _lets_pass(self, now: float) -> bool:
        if self._let_one_pass or self.work[0].batch.attempt < LET_PASS:
            return False
        at = self._next_mail_at(now)
        return at is not None and at <= now

    def _compose(self, now: float) -> Work | None:
        flush = self._may_flush()
        index = self.folded if self._unsaid_from is None else self._unsaid_from
        digest = self.storm.compose(now, self.clock.time(), flush=flush)
        if flush or (self.storm.held == 0 and not self._has_uncounted):
            self._unsaid_from, self._has_uncounted = None, False
        if digest is None:
            return None
        batch = Batch(f"{self._token}.{digest.serial}", digest.items, digest=digest)
        outage = self._outage
        if outage is not None and (outage.until is None or min(one.since for one in digest.groups) < outage.until):
            # Its reader asks why nothing came sooner, also where another mail was the one refused.
            batch = replace(batch, refused_since=outage.since, refused_until=outage.until, refusal=outage.reason)
        return Work(batch, index=index)

    def _succeeded(self, now: float) -> None:
        super()._succeeded(now)
        self._let_one_pass = False
        if self._outage is not None and self._outage.until is None:
            self._outage = replace(self._outage, until=self.clock.time())
            # Once: a mail that the server chokes on, tried again after every other, would hold them up.
            self._let_passed_be_due(now)

    def digest(self, work: Work, verdicts: Verdicts, now: float) -> None:
        """Count what came of an attempt, and decide when the next one is."""
        super().digest(work, verdicts, now)
        if verdicts.retry is None or verdicts.any_delivered:
            return
        # As it seems it is the server and not the mail.
        if verdicts.retry.circuit:
            self._let_passed_be_due(now)  # no sooner than the breaker lets anything through
        elif any(one is left for one in verdicts.rest for left in self.work):
            self._let_passed_be_due(self.health.retry_at)

    def _let_passed_be_due(self, at: float) -> None:
        """Let what was let pass go first at the next attempt."""
        self.apart = [replace(one, due_at=min(one.due_at, at)) if _is_whole(one) else one for one in self.apart]

    def _tell_of_sink(self, kind: str, text: str) -> None:
        self.board.tell(kind, self.name, text)

    # -- settling -----------------------------------------------------------------------------

    def _count(self, work: Work, verdicts: Verdicts, now: float) -> None:
        digest = work.batch.digest
        assert digest is not None
        if verdicts.outcome == DELIVERED:
            self.storm.accepted(digest, now).settle(DELIVERED, self.ledger, self.total)
        elif verdicts.outcome is not None:
            self.storm.rejected(digest, now).settle(verdicts.outcome, self.ledger, self.total, verdicts.reason)
        elif not work.counted:
            self.storm.failed(digest, now)
        if verdicts.retry is not None:
            self._note_refusal(work, verdicts, verdicts.retry.reason)

    def _note_refusal(self, work: Work, verdicts: Verdicts, reason: str) -> None:
        batch, wall = work.batch, self.clock.time()
        since = wall if batch.refused_since is None or batch.refused_until is not None else batch.refused_since
        verdicts.rest = [
            replace(one, batch=replace(one.batch, refused_since=since, refused_until=None, refusal=reason))
            for one in verdicts.rest
        ]
        if verdicts.any_delivered or all(one is not work for one in self.work):
            return  # the server takes mails, or may take others than this one, which waits apart
        outage = self._outage
        begun = since if outage is None or outage.until is not None else outage.since
        self._outage = _Outage(begun, reason)

    def _settle_work(self, work: Work, outcome: int, reason: str = "") -> None:
        digest = work.batch.digest
        assert digest is not None
        if not work.counted:
            now = self.clock.monotonic()
            self.storm.rejected(digest, now).settle(outcome, self.ledger, self.total, reason)

    def give_up(self, reason: str) -> None:
        """Count what is left as dropped, once the lane has ended for good."""
        super().give_up(reason)
        if not self.runner.is_running and not self.intake.formatting:
            self.storm.give_up().settle(DROPPED, self.ledger, self.total, reason)
            self._unsaid_from, self._has_uncounted = None, False


def _is_whole(work: Work) -> bool:
    """Say whether nobody has the mail yet: what only some recipients wait for holds nothing up."""
    return work.batch.recipients is None and not work.counted


def _serial(work: Work) -> int:
    assert work.batch.digest is not None
    return work.batch.digest.serial
