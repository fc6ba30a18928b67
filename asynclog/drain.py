"""The worker's end of a queue: takes records out in slices and gives each to the lanes that want it."""

from __future__ import annotations

import asyncio
import collections
import time
from typing import Any, TypeAlias

from asynclog.alarm import AlarmBoard
from asynclog.capture.record import capture_late
from asynclog.clock import Clock
from asynclog.delivery.drops import REFUSED, DropNews
from asynclog.delivery.lane import Lane
from asynclog.eviction import SENTINEL
from asynclog.flushing import FlushRequest
from asynclog.lanes import Lanes
from asynclog.queue import RecordQueue
from asynclog.values import FIRST_BIT, Captured, Entry, SharedOutcome, in_full, unpack
from asynclog.worker import worker

# Records of the fast path that are taken in one go, at first and at most: what a call costs is shared. A run
# that took longer than the first of these times is followed by one half as long, one that took less than
# the second by one twice as long; so the clock is looked at every 50 to 100 µs, whatever a record costs.
_RUN, _LONGEST_RUN = 8, 64
_LONG, _SHORT = 100e-6, 40e-6

# A record on its way into a lane: as `Lane.take` takes it.
_Gift: TypeAlias = tuple[Lane, dict[str, Any], Captured | None, int, SharedOutcome | None]


class Drain:
    """Fans one queue out into lanes, serves those who wait for it, and announces what was dropped.

    Everything here runs on the worker's loop, but `requests` is appended to from any thread.

    Args:
        inner: The queue.
        lanes: Where its records go.
        board: Where alarms go.
        name: The listener's name, for alarms.
        clock: Where time comes from.

    Attributes:
        requests: Who waits for what was accepted so far.
    """

    def __init__(self, inner: RecordQueue, lanes: Lanes, board: AlarmBoard, name: str, clock: Clock) -> None:
        self._inner = inner
        self._lanes = lanes
        self._board = board
        self._name = name
        self._clock = clock
        self.after_fork()

    def after_fork(self) -> None:
        """Forget, in a forked child, who waits in the parent."""
        self.requests: collections.deque[FlushRequest] = collections.deque()
        self._drops = DropNews(self._clock.monotonic())
        self._run = _RUN
        self._drops_timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Forget the timer of a loop that has ended."""
        self._drops_timer = None

    def run(self, seconds: float) -> bool:
        """Fan records out for a slice of time.

        Returns:
            Whether there is more to do.
        """
        queue = self._inner
        blocking = queue.options.overflow == "block"
        now = time.perf_counter()
        ends = now + seconds
        most = 1 if blocking else self._run
        worked = False
        more = False
        while not (blocking and self.is_held_up()):
            run = queue.pop_run(most)
            more = bool(run)
            if not more:
                break
            worked = True
            first = run[0]
            lanes = self._lanes.by_mask.get(first["exc_info"] or FIRST_BIT, ()) if type(first) is dict else ()
            if len(lanes) == 1:
                lanes[0].take_run(run)  # type: ignore[arg-type]  # nearly every record
            else:
                for queued in run:
                    self._fan_out(unpack(queued))
            began, now = now, time.perf_counter()
            if now - began > _LONG:
                most = max(1, most // 2)
            elif now - began < _SHORT and len(run) == most and not blocking:
                most = min(2 * most, _LONGEST_RUN)
            if now >= ends:
                break
        if not blocking:
            self._run = most
        if worked:
            for lane in self._lanes.all:
                lane.end_slice()
        return more

    def is_held_up(self) -> bool:
        """Say whether a lane with little room holds up the queue: only where the caller asked to be blocked."""
        return self._inner.options.overflow == "block" and any(
            lane.buffer.is_scarce(lane.intake.formatting) for lane in self._lanes.all
        )

    def _fan_out(self, entry: Entry) -> None:
        """Give a record to its lanes; one that can't be is counted as dropped."""
        if entry is SENTINEL:
            return
        inner = self._inner
        try:
            gate = inner.gate
            if entry[1] >= 0 or gate is None:
                given = [self._to_give(entry)]
            else:
                given = [self._to_give(one) for one in capture_late(entry, gate, inner.note)]
        except Exception as error:  # out of memory, or a record of an odd shape
            self._board.tell("worker_error", "worker", f"a record was lost: {type(error).__name__}: {error}")
            inner.drop(entry, "worker_error")
            return
        if not given:
            inner.drop(entry, REFUSED)
        for gifts in given:
            for lane, fields, captured, size, shared in gifts:
                lane.take(fields, captured, size, shared)

    def _to_give(self, entry: Entry) -> list[_Gift]:
        """Return what goes to which lane; all that can fail is done before the first lane has it."""
        fields, mask, size, carried = entry
        captured = in_full(carried)
        lanes = self._lanes.of_mask(mask)
        shared = captured.shared if captured is not None else None
        if not lanes:
            self._inner.drop(entry, REFUSED)
            return []
        copies = [fields] if len(lanes) == 1 else [fields.copy() for _ in lanes]
        if shared is None and len(lanes) > 1:
            shared = SharedOutcome(len(lanes))
        elif shared is not None and mask.bit_count() > len(lanes):
            # Lanes that were closed meanwhile have no say in the outcome.
            self._inner.ledger.settle_shared(shared, 0, mask.bit_count() - len(lanes), "", 0)
        return [(lane, copy, captured, size, shared) for lane, copy in zip(lanes, copies, strict=True)]

    # -- between the slices ------------------------------------------------------------------

    def tidy(self) -> None:
        """Tell what callers noted, serve those who wait, and announce what was dropped."""
        notes = self._inner.notes
        while notes:
            kind, text = notes.popleft()
            self._board.tell(kind, "queue", text)
        if self.requests:
            self._serve_requests()
        self._announce_drops()

    def _serve_requests(self) -> None:
        queue = self._inner
        now = time.monotonic()
        for request in list(self.requests):
            if request.marks is None and queue.gone >= request.target:
                self._announce_drops(now=True)
                request.marks = [(lane, lane.request_flush()) for lane in self._lanes.all]
            elif request.marks is None:
                self._make_room()
            if request.marks is not None and all(lane.is_past(mark) for lane, mark in request.marks):
                request.done = True
            # One whose caller has given up is not worked on for ever.
            if request.done or now > request.expires:
                self.requests.remove(request)

    def _make_room(self) -> None:
        """Make what holds up the queue due now: somebody waits for what is behind it."""
        for lane in self._lanes.all:
            if self.is_held_up() and lane.is_past(lane.flush_mark):
                lane.request_flush()

    def _announce_drops(self, *, now: bool = False) -> None:
        ledger = self._inner.ledger
        if not ledger.dropped:
            return
        clock = self._clock.monotonic()
        soonest: float | None = None
        for lane in self._lanes.all:
            left = lane.seconds_to_news(clock)
            if lane.has_news() and (now or left == 0.0):
                lane.announce_drops(clock, self._lanes.missing(lane))
            elif left is not None and (soonest is None or left < soonest):
                soonest = left
        if soonest is not None and self._drops_timer is None and worker.loop is not None:
            self._drops_timer = worker.loop.call_later(soonest, self._drops_are_due)
        if self._drops.seconds_left(ledger, clock) == 0.0:
            text = self._drops.tell(ledger, clock).getMessage()
            self._board.tell("dropped", self._name, text.removeprefix("asynclog "))

    def _drops_are_due(self) -> None:
        self._drops_timer = None
        worker.ring()
