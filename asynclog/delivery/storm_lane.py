"""A lane under storm control: records are counted by group, and leave as digests.

What a mail says and when it goes is `Storm`'s to decide; whether and how often it is tried is the
lane's. While a mail is being retried none is composed behind it: what comes meanwhile is counted
and leaves in few mails when the server is back. One may pass a mail that failed often, since it may
be the mail and not the server; a second one may not before the server took something.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from asynclog.delivery.fingerprint import Fingerprint
from asynclog.delivery.lane import LET_PASS, Lane
from asynclog.delivery.outcome import Verdicts, Work
from asynclog.delivery.storm import Storm, StormOptions
from asynclog.delivery.storm_intake import StormIntake
from asynclog.ledger import DELIVERED, DROPPED, UNCOUNTED
from asynclog.values import Batch, SharedOutcome, in_full, unpack


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
        if self.apart and (due is None or due > now):
            return min(self.apart, key=lambda work: work.due_at)
        if self.work and self._lets_pass(now):
            self._let_one_pass = True
            # A flush waits for the one that is let pass as well; at exit there is no later.
            self._set_apart(self.work, now if self._may_flush() else now + self.options.retry_max)
            self.work = []
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
        return Work(Batch(f"{self._token}.{digest.serial}", digest.items, digest=digest), index=index)

    def _succeeded(self, now: float) -> None:
        super()._succeeded(now)
        self._let_one_pass = False

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
            since = work.batch.refused_since
            since = self.clock.time() if since is None else since
            verdicts.rest = [
                replace(one, batch=replace(one.batch, refused_since=since, refusal=verdicts.retry.reason))
                for one in verdicts.rest
            ]

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
