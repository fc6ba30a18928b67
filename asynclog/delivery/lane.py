"""One sink's lane: a thin loop round pure decisions.

A lane serves one sink, so that a slow mail server never holds up a file. Everything here runs on
the worker's loop; what the user's formatters do runs on a thread of the lane's own.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from asynclog.alarm import AlarmBoard
from asynclog.clock import SYSTEM_CLOCK, Clock
from asynclog.delivery.batch import BatchPolicy
from asynclog.delivery.buffer import LaneBuffer
from asynclog.delivery.drops import ANNOUNCE_EVERY, DropNews
from asynclog.delivery.health import Health
from asynclog.delivery.intake import Intake
from asynclog.delivery.limit import TokenBucket
from asynclog.delivery.outcome import Verdicts, Work
from asynclog.delivery.runner import Runner
from asynclog.ledger import DEAD_LETTERED, DELIVERED, DROPPED, UNCOUNTED, Ledger
from asynclog.options import LaneOptions, QueueOptions
from asynclog.sinks.base import Sink
from asynclog.values import Batch, Captured, Item, LazyItems, SharedOutcome, in_full, item_of, unpack

# A mail that failed this often lets newer ones pass: it may be the mail and not the server.
LET_PASS = 5
# Mails that wait apart, for the recipients that have not taken them; past it the oldest is given up.
_MAX_APART = 100

if TYPE_CHECKING:
    import asyncio


class Lane:
    """Takes records for one sink, decides when to deliver them and what to do with the verdict.

    Args:
        sink: Delivers.
        face: The handler whose level, filters and formatter rule: the wrapped one, or the sink.
        options: The lane's options.
        bounds: The queue's options, whose bounds and policy hold for the lane too.
        board: Where alarms go.
        total: The listener's ledger.
        name: The lane's name in stats and alarms.
        bit: The lane's bit in an entry's mask.
        clock: Where time comes from.
        chance: Where chance comes from: even draws from 0 to 1.
    """

    def __init__(
        self,
        sink: Sink,
        face: logging.Handler,
        options: LaneOptions,
        bounds: QueueOptions,
        board: AlarmBoard,
        total: Ledger,
        name: str,
        bit: int = 1,
        clock: Clock = SYSTEM_CLOCK,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.sink = sink
        self.face = face
        self.options = options
        self.board = board
        self.total = total
        self.name = name
        self.bit = bit
        self.clock = clock
        self.ledger = Ledger()
        self.buffer = LaneBuffer(bounds, self._drop)
        self.intake = Intake(self)
        # A mail a record takes a token of the rate each: more of them in a batch would pass it by.
        is_one_each = sink.sends_mail and not sink.folds
        self.policy = BatchPolicy(
            sink.batch_records if is_one_each else options.batch_records or sink.batch_records,
            sink.batch_age if options.batch_age is None else options.batch_age,
        )
        self._chance = chance
        self._start_afresh()

    def _start_afresh(self) -> None:
        rate = self.sink.rate
        self.bucket = TokenBucket(rate[0], rate[1], self.sink.burst) if rate else None
        #: Whether the sink delivers, and when a failed attempt is made again.
        self.health = Health(self.options, self.board, self.name, self._chance)
        #: What has to be delivered before anything else is: a lane keeps its order.
        self.work: list[Work] = []
        #: What waits apart, each for its own time: mails for recipients that would not take them
        #: yet. One full mailbox must not keep the mail from everybody else.
        self.apart: list[Work] = []
        #: Records that were let in, ever.
        self.taken = 0
        self.last_sent: float | None = None
        self.flush_mark = -1
        self._news = DropNews(self.clock.monotonic())
        self._news_waits = False
        self._sequence = 0
        self._token = f"{int(self.clock.time() * 1000):x}.{random.getrandbits(48):x}"
        #: Called after each attempt, on the loop.
        self.on_outcome: Callable[[], None] | None = None
        #: Makes the attempts.
        self.runner = Runner(self)

    # -- taking records: called by the listener ---------------------------------------------------

    def take(self, fields: dict[str, Any], captured: Captured | None, size: int, shared: SharedOutcome | None) -> None:
        """Take one record from the queue."""
        if shared is not UNCOUNTED:
            self.ledger.accepted += 1
        levelno = fields["levelno"]
        if not self.buffer.admits(levelno, self.intake.formatting):
            self.settle(DROPPED, shared, "lane_full", levelno)
            return
        try:
            self.intake.take(fields, captured, size, shared)
        except BaseException as error:  # out of memory, or a fault of ours: it costs this record, not the worker
            self.settle(DROPPED, shared, "lane_error", levelno)
            self.board.tell("lane_error", self.name, f"a record was lost: {type(error).__name__}: {error}")
            return
        self.taken += 1

    def take_run(self, run: list[dict[str, Any]]) -> None:
        """Take records as the fast path put them on the queue, for this lane alone."""
        room = self.buffer.room_for_texts(len(run), self.intake.formatting)
        if room > 0 and self.intake.takes_runs():
            n = len(run)
            lost, run = self.intake.take_run(run, room)
            n -= len(run)
            self.ledger.accepted += n
            for levelno in lost:
                self.settle(DROPPED, None, "lane_error", levelno)
            self.taken += n - len(lost)
        for queued in run:  # what finds little room
            fields, _, size, exception = unpack(queued)
            self.take(fields, in_full(exception), size, None)

    def end_slice(self) -> None:
        """Set to work on what a slice brought."""
        self.intake.end_slice()
        self.runner.look(self.clock.monotonic())

    def remaining(self) -> int:
        """Return how many records are not settled."""
        return self._behind() + sum(work.pending() for work in (*self.work, *self.apart))

    def _behind(self) -> int:
        return len(self.buffer) + self.intake.formatting

    # -- the news of drops ------------------------------------------------------------------------

    def seconds_to_news(self, now: float) -> float | None:
        """Return the seconds until the lane may announce what was dropped; ``None`` with nothing to announce."""
        left = self._news.seconds_left(self.total, now)
        # One at a time: a sink that is down for hours would collect hundreds.
        return ANNOUNCE_EVERY if left is not None and self._news_waits else left

    def has_news(self) -> bool:
        """Say whether dropped records have still to be announced."""
        return not self._news_waits and self._news.seconds_left(self.total, 0.0) is not None

    def announce_drops(self, now: float, missing: Mapping[str, Any]) -> None:
        """Send word of dropped records down the lane, whatever its level, filters and room.

        Args:
            now: The time.
            missing: Attributes that the lane's format names, and its filters would have set.
        """
        record = self._news.tell(self.total, now)
        self._news_waits = True
        try:
            self.intake.take({**missing, **record.__dict__}, None, 0, UNCOUNTED)
        except Exception as error:
            self.board.tell("lane_error", self.name, f"drops could not be announced: {type(error).__name__}: {error}")
            self.settle(DROPPED, UNCOUNTED)
            return
        self.taken += 1
        self.end_slice()

    # -- flushing -----------------------------------------------------------------------------

    def request_flush(self) -> int:
        """Make all that was taken so far due now.

        Returns:
            A mark for `is_past`.
        """
        now = self.clock.monotonic()
        self.flush_mark = self.taken
        self.health.retry_now(now)
        self.apart = [replace(work, due_at=now) for work in self.apart]
        self.intake.collect()
        self.wake()
        return self.taken

    def is_past(self, mark: int) -> bool:
        """Say whether everything taken before the mark is settled."""
        pending = [work.index for work in (*self.work, *self.apart) if not work.counted]
        return min(pending, default=mark) >= mark and self.taken - self._behind() >= mark

    # -- deciding -----------------------------------------------------------------------------

    def seconds_to_attempt(self, now: float) -> float | None:
        """Return the seconds until the next attempt, 0 for at once, ``None`` with nothing to do."""
        times = [work.due_at for work in self.apart]
        newest = self._due_at(now)
        if newest is not None:
            times.append(newest)
        if not times:
            return None
        return max(0.0, max(min(times), self.health.breaker.allowed_at(now)) - now)

    def _due_at(self, now: float) -> float | None:
        """Return when what keeps its order is due."""
        if self.work:
            return self.health.retry_at
        if not self.buffer.items:
            return None
        if not self.is_past(self.flush_mark):
            return now
        at = self.policy.due_at(now, len(self.buffer), self.last_sent)
        return at if self.bucket is None else max(at, self.bucket.free_at(now))

    def next_work(self, now: float) -> Work | None:
        """Return what to deliver now: what keeps its order if it is due, else the earliest that waits apart.

        Returns:
            ``None`` where nothing is due after all.
        """
        due = self._due_at(now)
        if self.apart and (due is None or due > now):
            return min(self.apart, key=lambda work: work.due_at)
        if self.work and self.work[0].batch.attempt >= LET_PASS and self.buffer.items and self.sink.sends_mail:
            # A flush waits for the one that is let pass as well; at exit there is no later.
            self._set_apart(self.work, now + self.options.retry_max if self.is_past(self.flush_mark) else now)
            self.work = []
        if not self.work:
            self._sequence += 1
            index = self.taken - self._behind()
            taken = self.buffer.take(self.policy.records, self.policy.size)
            items: Any = LazyItems(taken) if self.sink.text_only else tuple(map(item_of, taken))
            self.work.append(Work(Batch(f"{self._token}.{self._sequence}", items), index=index))
            if self.bucket is not None:
                self.bucket.take(now)
        return self.work[0]

    def _set_apart(self, works: list[Work], due_at: float) -> None:
        self.apart.extend(replace(work, due_at=due_at) for work in works)
        while len(self.apart) > _MAX_APART:
            oldest = self.apart.pop(0)
            self._settle_work(oldest, DEAD_LETTERED)
            whom = ", ".join(oldest.batch.recipients or ("all recipients",))
            self.board.tell("rejected", self.name, f"given up after {oldest.batch.attempt} attempts for {whom}")

    def digest(self, work: Work, verdicts: Verdicts, now: float) -> None:
        """Count what came of an attempt, and decide when the next one is."""
        self._count(work, verdicts, now)
        for kind, text in verdicts.reports:
            self.board.tell(kind, self.name, text)
        was_apart = work not in self.work
        self.work = [one for one in self.work if one is not work]
        self.apart = [one for one in self.apart if one is not work]
        # What is left keeps its place (a file's lines stay in order), but what only some recipients
        # have still to take waits apart.
        apart = [one for one in verdicts.rest if was_apart or one.batch.recipients is not None]
        self.work[:0] = [one for one in verdicts.rest if one not in apart]
        if verdicts.retry is None:
            self._succeeded(now)
            return
        if apart:
            bound = min(self.options.retry_max, self.options.retry_initial * 2.0 ** min(work.batch.attempt, 60))
            hint = verdicts.retry.after
            self._set_apart(apart, now + (bound * self._chance() if hint is None else max(0.0, hint)))
        if verdicts.retry.circuit or not apart:
            self.health.failed(verdicts.retry, now, self.remaining(), works=verdicts.any_delivered)
        else:
            if verdicts.any_delivered:
                self._succeeded(now)
            self.health.tell_waiting(verdicts.retry.reason, self.remaining())

    def _count(self, work: Work, verdicts: Verdicts, now: float) -> None:  # noqa: ARG002  (a lane that folds asks)
        """Count the outcomes that an attempt brought."""
        self._settle_delivered(verdicts.delivered)
        for item in verdicts.rejected:
            self.settle(DEAD_LETTERED, item.shared)
        for item, reason in verdicts.lost:
            self.settle(DROPPED, item.shared, reason, item.record.levelno)

    def _settle_work(self, work: Work, outcome: int, reason: str = "") -> None:
        """Count one outcome for what is left of a batch."""
        for item in () if work.counted else work.batch.items:
            self.settle(outcome, item.shared, reason, item.record.levelno)

    def _succeeded(self, now: float) -> None:
        self.last_sent = now
        self.health.succeeded(now)

    def _settle_delivered(self, items: Sequence[Item]) -> None:
        shared = items.shared() if type(items) is LazyItems else [item for item in items if item.shared is not None]
        for item in shared:
            self.settle(DELIVERED, item.shared)
        alone = len(items) - len(shared)
        self.ledger.settle(DELIVERED, alone)
        self.total.settle(DELIVERED, alone)

    def settle(self, outcome: int, shared: SharedOutcome | None, reason: str = "", levelno: int = 0) -> None:
        """Count one record's outcome in this lane, and in all with its last lane."""
        if shared is UNCOUNTED:
            self._news_waits = False
            if outcome == DROPPED:
                self._news.take_back()
            return
        self.ledger.settle(outcome, 1, reason, levelno)
        if shared is None:
            self.total.settle(outcome, 1, reason, levelno)
        else:
            self.total.settle_shared(shared, outcome, 1, reason, levelno)

    def _drop(self, item: Item) -> None:
        self.settle(DROPPED, item.shared, "lane_full", item.record.levelno)

    # -- running ------------------------------------------------------------------------------

    def start(self, spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]) -> None:
        """Begin to deliver, or go on where a delivery that could not be stopped still runs."""
        self.runner.start(spawn)

    def wake(self) -> None:
        """Look again at what is due."""
        self.runner.wake()

    async def stop(self, seconds: float) -> None:
        """End the loop; a delivery that can be cancelled is, another may end by itself.

        Args:
            seconds: How long a delivery that can't be cancelled is waited for.
        """
        await self.runner.stop(seconds)

    def give_up(self, reason: str) -> None:
        """Count what is left as dropped, once the lane has ended for good."""
        if self.runner.is_running or self.intake.formatting:
            return  # a delivery that can't be stopped still runs, and will say what came of it
        self.intake.collect()
        for work in (*self.work, *self.apart):
            self._settle_work(work, DROPPED, reason)
        self.work, self.apart = [], []
        while self.buffer.items:
            item = self.buffer.pop()
            self.settle(DROPPED, item.shared, reason, item.record.levelno)

    def after_fork(self) -> None:
        """Start empty in a forked child: what waits is the parent's."""
        self.buffer.clear()
        self.ledger.reset()
        self.intake.after_fork()
        self._start_afresh()
        self.sink.after_fork()
