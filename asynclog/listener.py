"""The worker's end of the queue: drains it, and gives each record to the lanes that want it."""

from __future__ import annotations

import asyncio
import collections
import logging
import logging.handlers
import time
import weakref
from collections.abc import Callable, Coroutine, Iterable, Sequence
from types import TracebackType
from typing import Any, TypeAlias

from asynclog import checks, uwsgi
from asynclog import worker as worker_module
from asynclog.alarm import AlarmBoard, write_line
from asynclog.capture.gate import Gate, LaneGate
from asynclog.capture.lead_up import LeadUpBuffer
from asynclog.capture.record import capture_late
from asynclog.capture.scope import request_scope
from asynclog.clock import SYSTEM_CLOCK, Clock
from asynclog.delivery.drops import REFUSED, DropNews
from asynclog.delivery.lane import Lane
from asynclog.delivery.storm_lane import StormLane
from asynclog.flushing import FlushRequest, may_wait, wait_for
from asynclog.foreign import ForeignReader
from asynclog.fork import process_state
from asynclog.options import LANE_OPTIONS, LaneOptions, QueueOptions, take
from asynclog.queue import SENTINEL, RecordQueue
from asynclog.report import Report, Reported
from asynclog.sinks.convert import sink_for
from asynclog.sinks.originals import take_over
from asynclog.stats import add_up, unused_name
from asynclog.threads import is_own_thread
from asynclog.values import Captured, Entry, SharedOutcome, in_full
from asynclog.worker import worker

# Plain records that are taken in one go: what a call costs is shared, and the clock is looked at
# every 100 µs or so.
_RUN = 16

# A record on its way into a lane: as `Lane.take` takes it.
_Gift: TypeAlias = tuple[Lane, dict[str, Any], Captured | None, int, SharedOutcome | None]

_IDLE, _RUNNING, _STOPPED = "idle", "running", "stopped"

_listeners: weakref.WeakSet[QueueListener] = weakref.WeakSet()


class QueueListener(logging.handlers.QueueListener):
    """Drains one queue and delivers through its handlers and sinks, each in a lane of its own.

    Starts by itself at the first record, or with `start`. A context manager, and an asynchronous
    one: on the way out it stops.

    Args:
        queue: A `RecordQueue`, or any other queue with ``get``: it is then read on a thread of its
            own, and ``task_done`` is called after the delivery.
        handlers: Sinks, and handlers, which become sinks.
        respect_handler_level: Taken for the standard library's sake; levels are always respected.
        options: The lane keywords; see `LaneOptions`.

    Raises:
        OptionTypeError: There is no such option, or one is of the wrong type.
        OptionValueError: An option has a value it cannot take.
    """

    def __init__(
        self,
        queue: Any,
        *handlers: logging.Handler,
        respect_handler_level: bool = True,  # noqa: ARG002
        **options: Any,
    ) -> None:
        unknown = options.keys() - LANE_OPTIONS
        if unknown:
            checks.unknown_options(type(self).__name__, unknown, LANE_OPTIONS)
        if not callable(getattr(queue, "get", None)):
            checks.bad_type("queue", queue, "give an asynclog.RecordQueue, or a queue with get()")
        super().__init__(queue, *handlers, respect_handler_level=True)
        self.options = take(LaneOptions, LANE_OPTIONS, options)
        self.name = "asynclog"
        #: What was wrapped, and what was left alone and why.
        self.report = Report()
        self.clock: Clock = SYSTEM_CLOCK
        self.board = AlarmBoard(self.options.on_alarm)
        self.lanes: tuple[Lane, ...] = ()
        self._foreign = None if isinstance(queue, RecordQueue) else ForeignReader(queue)
        #: The queue of ours that is drained: the one given, or the one behind a foreign queue.
        self.inner: RecordQueue = queue if self._foreign is None else self._foreign.inner
        self._by_mask: dict[int, tuple[Lane, ...]] = {}
        self._next_bit = 1
        self._lead_up: LeadUpBuffer | None = None
        self._forget()
        self.inner.owner = self
        self.inner.on_wake = self._on_wake
        self.add_handlers(handlers)
        _listeners.add(self)
        process_state.register(self)

    def _forget(self) -> None:
        self._state = _IDLE
        self._requests: collections.deque[FlushRequest] = collections.deque()
        self._detached = True
        self._drops = DropNews(self.clock.monotonic())
        self._drops_timer: asyncio.TimerHandle | None = None
        self._late_until: float | None = None
        self._early_until: float | None = None
        self._told_left = 0
        self._spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]] | None = None

    @property
    def exit_timeout(self) -> float:
        """Seconds that the interpreter's end may take for what is left."""
        return self.options.exit_timeout

    @property
    def sends_mail(self) -> bool:
        """Whether a lane needs the mail library."""
        return any(getattr(lane.sink, "sends_mail", False) for lane in self.lanes)

    def add_handlers(self, handlers: Iterable[logging.Handler], **mail_options: Any) -> None:
        """Open a lane for each handler or sink.

        Args:
            handlers: Handlers and sinks; a handler that has a lane already keeps it.
            mail_options: Mail keywords for the handlers that send mail.
        """
        bounds = self.inner.options
        lanes = list(self.lanes)
        for handler in handlers:
            if any(lane.face is handler for lane in lanes):
                continue
            lanes.append(self._make_lane(handler, bounds, lanes, mail_options))
        for lane in lanes[len(self.lanes) :]:
            take_over(lane.face, lane.sink)
            self._report(lane)
        self.lanes = tuple(lanes)
        self._open_gate()
        if self._state == _RUNNING and self._spawn is not None:
            worker.post(self._start_lanes)

    def _make_lane(
        self, handler: logging.Handler, bounds: QueueOptions, lanes: list[Lane], mail_options: dict[str, Any]
    ) -> Lane:
        sink = sink_for(handler, **mail_options)
        if bounds.exceptions is not None:
            sink.wants_live = bounds.exceptions == "keep"
        # Never a bit that was another lane's: records in the queue may still carry it.
        bit = self._next_bit
        self._next_bit <<= 1
        name = unused_name(sink.label, [lane.name for lane in lanes])
        kind = StormLane if sink.folds else Lane
        return kind(sink, handler, self.options, bounds, self.board, self.inner.ledger, name, bit, self.clock)

    def _report(self, lane: Lane) -> None:
        note = getattr(lane.sink, "tls_note", None)
        self.report.append(Reported(lane.face, wrapped=True, sink=lane.name, note=note or ""))
        if note:
            # By the worker: a write to stderr may block.
            self.inner.note("insecure_mail", f"{lane.name}: {note}")

    def use_own_queue(self) -> RecordQueue:
        """Drain a queue of our own in place of a foreign one that nobody has used yet; return it."""
        self._foreign = None
        self.queue = self.inner
        return self.inner

    def remove_handler(self, handler: logging.Handler, timeout: float) -> bool:
        """Deliver what waits for a handler and close its lane.

        Returns:
            Whether nothing of it was left.
        """
        gone = [lane for lane in self.lanes if lane.face is handler]
        done = self.flush(timeout)
        self.lanes = tuple(lane for lane in self.lanes if lane.face is not handler)
        self.report[:] = [one for one in self.report if one.handler is not handler]
        self._open_gate()
        if self._spawn is not None and worker.loop is not None:
            worker.post(lambda: self._stop_lanes(gone, timeout))
        else:
            for lane in gone:
                lane.give_up("handler_removed")
        return done

    def _stop_lanes(self, lanes: list[Lane], timeout: float) -> None:
        async def stop(lane: Lane) -> None:
            await lane.stop(timeout)
            lane.give_up("handler_removed")

        for lane in lanes:
            worker.spawn(stop(lane))

    def _open_gate(self) -> None:
        self._by_mask = {}
        self.inner.gate = self.gate_for(self.lanes)
        self.handlers = tuple(lane.face for lane in self.lanes)

    def gate_for(self, lanes: Sequence[Lane]) -> Gate:
        """Return what the caller must know of some of the lanes."""
        wanted = max((lane.sink.lead_up for lane in lanes), default=0)
        if wanted and (self._lead_up is None or self._lead_up.size < wanted):
            self._lead_up = LeadUpBuffer(wanted, request_scope)
        return Gate([LaneGate.of_sink(lane.bit, lane.face, lane.sink) for lane in lanes], self._lead_up)

    # -- life --------------------------------------------------------------------------------

    def start(self) -> None:
        """Start to deliver; repeatable, also after `stop`."""
        self._state = _RUNNING
        if self not in worker.listeners:
            worker.listeners.append(self)
        self._detached = False
        if self._foreign is not None:
            self._foreign.start()
        if worker.ensure():
            worker.post(self._attach_if_new)
        elif worker.exiting:
            self._work_here(time.monotonic() + self.exit_timeout)
        else:
            self.inner.sleeping = True  # the next record tries again to start a thread

    def start_if_idle(self) -> None:
        """Start unless it runs or was stopped: at the first record on a foreign queue."""
        if self._state == _IDLE:
            self.start()

    def _attach_if_new(self) -> None:
        if self._spawn is None and not self._detached:
            if self not in worker.listeners:  # started again while it was ending
                worker.listeners.append(self)
            self.attach(worker.spawn)

    def attach(self, spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]) -> None:
        """Start the lanes; called on the loop."""
        self._spawn = spawn
        self._drops_timer = None
        if self.sends_mail:
            worker.load_mail_library()
        self._start_lanes()

    def _start_lanes(self) -> None:
        if self._spawn is not None:
            for lane in self.lanes:
                lane.start(self._spawn)

    def _on_wake(self) -> None:
        """Take notice of the first record of a burst; called on the caller's thread."""
        if worker.finished:
            # The interpreter is ending and our own exit function has run: now or never. All that
            # comes this late has one exit_timeout in all.
            if self._late_until is None:
                self._late_until = time.monotonic() + self.exit_timeout
            self.start()
            if not is_own_thread():
                self._flush_until(self._late_until)
            self.inner.sleeping = True
        elif self._state != _STOPPED and uwsgi.forks_soon() and not worker.ensure():
            # No thread may run in uWSGI's master, which never comes back to Python either. All that
            # is logged there has one exit_timeout in all.
            if self._early_until is None:
                self._early_until = time.monotonic() + self.exit_timeout
            self.start()
            self._work_here(self._early_until)
            self.inner.sleeping = True
        elif self._state == _IDLE:
            self.start()
        elif self._state == _RUNNING and worker.ensure():
            worker.ring()
        else:
            self.inner.sleeping = self._state != _STOPPED

    def flush(self, timeout: float = 5.0) -> bool:
        """Make all that was accepted so far due now, and wait until it is settled.

        Where waiting could deadlock (on a thread of asynclog's own, inside a logging call, while
        this thread holds `logging`'s lock) it only asks and returns at once.

        Args:
            timeout: Seconds to wait at most; default 5.

        Returns:
            Whether nothing of it is left.
        """
        checks.seconds("timeout", timeout)
        if not may_wait():
            self._request()
            return self._is_done()
        return self._flush_until(time.monotonic() + timeout)

    def pending(self) -> int:
        """Return how many accepted records have no outcome yet."""
        return self.inner.pending()

    def _is_done(self) -> bool:
        """Say whether nothing is left, in a foreign queue neither."""
        return self.pending() == 0 and (self._foreign is None or self._foreign.is_empty())

    def _has_news(self) -> bool:
        """Say whether drops have still to be announced."""
        return self._state == _RUNNING and any(lane.has_news() for lane in self.lanes)

    def _request(self, deadline: float | None = None) -> FlushRequest:
        expires = time.monotonic() + self.exit_timeout if deadline is None else deadline
        request = FlushRequest(self.inner.ledger.accepted, expires)
        self._requests.append(request)
        if self._state == _IDLE and not self._is_done():
            self.start()
        if worker.loop is not None:
            worker.ring()
        return request

    def _flush_until(self, deadline: float) -> bool:
        if self._state == _STOPPED:
            return self._is_done()
        if self._foreign is not None:
            if not self._is_done():
                self.start_if_idle()
            if worker.ensure() and not wait_for(self._foreign.watch(), deadline):
                return False
        if self._is_done() and not self._has_news():
            return True
        request = self._request(deadline)
        if not worker.ensure():
            return self._work_here(deadline)
        return wait_for(lambda: request.done, deadline)

    def _work_here(self, deadline: float) -> bool:
        """Work in the calling thread, where no other can run, until nothing is left or the deadline."""
        try:
            asyncio.get_running_loop()
            return self._is_done()
        except RuntimeError:
            pass
        if not worker.run_here(lambda: self._work(deadline)):
            wait_for(self._is_done, deadline)
        return self._is_done()

    async def _work(self, deadline: float) -> None:
        self.attach(asyncio.get_running_loop().create_task)
        try:
            if self._foreign is not None:
                self._foreign.read_here()
            self._request(deadline)
            while (self.drain(1.0) or self.pending()) and time.monotonic() < deadline:
                await asyncio.sleep(0.002)
        finally:
            self._spawn = None
        await asyncio.gather(*(lane.stop(0.0) for lane in self.lanes))

    def stop(self, timeout: float | None = None) -> bool:  # type: ignore[override]
        """Deliver what was accepted, then end; repeatable. Later records wait until `start`, or exit.

        Args:
            timeout: Seconds to wait at most; default ``exit_timeout``. The lanes get half a second
                less, then their connections are closed.

        Returns:
            Whether nothing is left.
        """
        seconds = self.exit_timeout if timeout is None else checks.seconds("timeout", timeout)
        if not may_wait():
            self._request()
            return self._is_done()
        deadline = time.monotonic() + seconds
        if self._state != _STOPPED:
            self._flush_until(deadline - min(0.5, seconds / 2))
        self._end(_STOPPED, deadline)
        return self._is_done()

    def _end(self, state: str, deadline: float) -> None:
        self._state = state
        self.inner.sleeping = state == _IDLE
        if self._foreign is not None:
            self._foreign.stop()
            wait_for(self._has_stopped_reading, min(deadline, time.monotonic() + 0.5))
        if not self._detached and worker.loop is not None and self._spawn is not None:
            worker.post(lambda: self._detach(deadline))
            wait_for(lambda: self._detached, deadline)
        else:
            worker.listeners[:] = [one for one in worker.listeners if one is not self]
            self._detached = True

    def _has_stopped_reading(self) -> bool:
        return self._foreign is None or self._foreign.has_stopped()

    def _detach(self, deadline: float) -> None:
        if self._state == _RUNNING:
            return  # started again meanwhile
        worker.listeners[:] = [one for one in worker.listeners if one is not self]
        self._spawn = None

        async def end() -> None:
            left = max(0.0, deadline - time.monotonic())
            await asyncio.gather(*(lane.stop(left) for lane in self.lanes))
            if self._state == _RUNNING:
                self._start_lanes()  # started again while they were ending
            else:
                self._detached = True

        worker.spawn(end())

    def flush_from_logging(self) -> bool:
        """Flush on behalf of `logging`, which may hold its own lock."""
        if worker.finished:
            return self._is_done()
        return self.flush(self.exit_timeout)

    def close_from_logging(self) -> bool:
        """Stop on behalf of `logging`; the next record starts again."""
        if worker.finished:  # `logging.shutdown`: what can be done was done, within its deadline
            self.tell_left()
            self._close_originals()
            return self._is_done()
        if self._state != _RUNNING and self._is_done():
            self._close_originals()
            return True
        if not may_wait():
            request = self._request()
            if self._state == _RUNNING and worker.loop is not None:
                worker.post(lambda: self._end_soon(request))
            return False
        if self._state == _RUNNING:
            deadline = time.monotonic() + self.exit_timeout
            self._flush_until(deadline - min(0.5, self.exit_timeout / 2))
            if not worker.exiting:
                self._mark_ending()
                self._end(_IDLE, deadline)
                if self.inner.entries:  # they came too late for the flush and too early to start us again
                    self.start()
        return self._is_done()

    def tell_left(self) -> None:
        """Say on stderr how many records are left at the very end that were not told of before."""
        left, why = self.report_left()
        if left:
            write_line(f"asynclog: {left} more records left, {self.name}: {why}")

    def _close_originals(self) -> None:
        """Close the wrapped handlers in the calling thread, as `logging` would: nobody is at work with them."""
        for lane in self.lanes:
            lane.sink.close_original()

    def _mark_ending(self) -> None:
        """Have the wrapped handlers closed too, as `logging` closes a handler that it has itself."""
        for lane in self.lanes:
            lane.sink.ending = True

    def _end_soon(self, request: FlushRequest) -> None:
        worker.spawn(self._end_after(request))

    async def _end_after(self, request: FlushRequest) -> None:
        """End on the loop once all is delivered, unless records go on coming."""
        deadline = self.clock.monotonic() + self.exit_timeout
        while not request.done and self.clock.monotonic() < deadline:
            await asyncio.sleep(0.01)
        if self._state != _RUNNING or self.pending():
            return
        self._state, self.inner.sleeping = _IDLE, True
        # As when lying down: a record that came meanwhile rang nobody, or has started us again.
        if self.inner.entries and self.inner.sleeping:
            self._state, self.inner.sleeping = _RUNNING, False
        if self._state == _IDLE:
            self._mark_ending()
            self._detach(time.monotonic() + self.exit_timeout)

    def __enter__(self) -> QueueListener:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> QueueListener:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.astop()

    async def aflush(self, timeout: float = 5.0) -> bool:
        """Do what `flush` does without holding up the running loop."""
        checks.seconds("timeout", timeout)
        return await self._in_steps(timeout)

    async def astop(self, timeout: float | None = None) -> bool:
        """Do what `stop` does without holding up the running loop."""
        import anyio  # and not asyncio: the app's loop may be trio's

        seconds = self.exit_timeout if timeout is None else checks.seconds("timeout", timeout)
        if self._state != _STOPPED:
            await self._in_steps(seconds - min(0.5, seconds / 2))
        self._end(_STOPPED, time.monotonic() - 1.0)
        deadline = time.monotonic() + min(seconds, 1.0)
        while not (self._detached and self._has_stopped_reading()) and time.monotonic() < deadline:
            await anyio.sleep(0.005)
        return self._is_done()

    async def _in_steps(self, seconds: float) -> bool:
        import anyio

        deadline = time.monotonic() + seconds
        if self._state == _STOPPED:
            return self._is_done()
        if self._foreign is not None:
            if not self._is_done():
                self.start_if_idle()
            is_read = self._foreign.watch()
            while not is_read() and time.monotonic() < deadline:
                await anyio.sleep(0.005)
        if self._is_done() and not self._has_news():
            return True
        request = self._request(deadline)
        while not request.done and time.monotonic() < deadline:
            await anyio.sleep(0.005)
        return request.done

    def after_fork(self) -> None:
        """Start empty in a forked child: what waits is the parent's."""
        stopped = self._state == _STOPPED
        self.inner.after_fork()
        for lane in self.lanes:
            lane.after_fork()
        if self._foreign is not None:
            self._foreign.after_fork()
        self._forget()
        if stopped:
            self._state = _STOPPED
            self.inner.sleeping = False

    # -- the worker's side -------------------------------------------------------------------

    def drain(self, seconds: float) -> bool:
        """Fan records out for a slice of time; called on the loop.

        Returns:
            Whether there is more to do.
        """
        queue = self.inner
        if self._state != _RUNNING:
            return False
        blocking = queue.options.overflow == "block"
        ends = time.perf_counter() + seconds
        worked = False
        more = False
        while not (blocking and self._is_held_up()):
            run = queue.pop_run(1 if blocking else _RUN)
            more = bool(run)
            if not more:
                break
            worked = True
            lanes = self._by_mask.get(run[0][1], ())
            if run[0][3] is None and len(lanes) == 1 and run[0] is not SENTINEL:
                lanes[0].take_plain(run)  # nearly every record
            else:
                for entry in run:
                    self._fan_out(entry)
            if time.perf_counter() >= ends:
                break
        if worked:
            for lane in self.lanes:
                lane.end_slice()
        self._housekeeping()
        return more

    def _is_held_up(self) -> bool:
        """Say whether a lane with little room holds up the queue: only where the caller asked to be blocked."""
        return self.inner.options.overflow == "block" and any(
            lane.buffer.is_scarce(lane.intake.formatting) for lane in self.lanes
        )

    def is_waited_for(self) -> bool:
        """Say whether a caller waits for what the lanes are at: for a flush, or for room."""
        return self._state == _RUNNING and (bool(self._requests) or self._is_held_up())

    def lie_down(self) -> bool:
        """Mark the queue as unwatched unless there is something to do; called on the loop."""
        if self._state != _RUNNING:
            return True
        if self.is_waited_for():
            return False
        self.inner.sleeping = True
        if self.inner.entries:
            self.inner.sleeping = False
            return False
        return True

    def _fan_out(self, entry: Entry) -> None:
        """Give a record to its lanes; one that can't be is counted as dropped."""
        if entry is SENTINEL:
            return
        try:
            gate = self.inner.gate
            if entry[1] >= 0 or gate is None:
                given = [self._to_give(entry)]
            else:
                given = [self._to_give(one) for one in capture_late(entry, gate, self.inner.note)]
        except Exception as error:  # out of memory, or a record of an odd shape
            self.board.tell("worker_error", "worker", f"a record was lost: {type(error).__name__}: {error}")
            self.inner.drop(entry, "worker_error")
            return
        if not given:
            self.inner.drop(entry, REFUSED)
        for gifts in given:
            for lane, fields, captured, size, shared in gifts:
                lane.take(fields, captured, size, shared)

    def _to_give(self, entry: Entry) -> list[_Gift]:
        """Return what goes to which lane; all that can fail is done before the first lane has it."""
        fields, mask, size, carried = entry
        captured = in_full(carried)
        by_mask = self._by_mask  # one and the same: it may be replaced meanwhile
        lanes = by_mask.get(mask)
        if lanes is None:
            lanes = by_mask[mask] = tuple(lane for lane in self.lanes if lane.bit & mask)
        shared = captured.shared if captured is not None else None
        if not lanes:
            self.inner.drop(entry, REFUSED)
            return []
        copies = [fields] if len(lanes) == 1 else [fields.copy() for _ in lanes]
        if shared is None and len(lanes) > 1:
            shared = SharedOutcome(len(lanes))
        elif shared is not None and mask.bit_count() > len(lanes):
            # Lanes that were closed meanwhile have no say in the outcome.
            self.inner.ledger.settle_shared(shared, 0, mask.bit_count() - len(lanes), "", 0)
        return [(lane, copy, captured, size, shared) for lane, copy in zip(lanes, copies, strict=True)]

    def _housekeeping(self) -> None:
        notes = self.inner.notes
        while notes:
            kind, text = notes.popleft()
            self.board.tell(kind, "queue", text)
        if self._foreign is not None:
            self._foreign.tell_done(self.inner.ledger)
        if self._requests:
            self._serve_requests()
        self._announce_drops()

    def _serve_requests(self) -> None:
        queue = self.inner
        gone = queue.ledger.accepted - len(queue.entries)
        now = time.monotonic()
        for request in list(self._requests):
            if request.marks is None and gone >= request.target:
                self._announce_drops(now=True)
                request.marks = [(lane, lane.request_flush()) for lane in self.lanes]
            elif request.marks is None:
                self._make_room()
            if request.marks is not None and all(lane.is_past(mark) for lane, mark in request.marks):
                request.done = True
            # One whose caller has given up is not worked on for ever.
            if request.done or now > request.expires:
                self._requests.remove(request)

    def _make_room(self) -> None:
        """Make what holds up the queue due now: somebody waits for what is behind it."""
        for lane in self.lanes:
            if self._is_held_up() and lane.is_past(lane.flush_mark):
                lane.request_flush()

    def _announce_drops(self, *, now: bool = False) -> None:
        ledger = self.inner.ledger
        if not ledger.dropped:
            return
        clock = self.clock.monotonic()
        soonest: float | None = None
        for lane in self.lanes:
            left = lane.seconds_to_news(clock)
            if lane.has_news() and (now or left == 0.0):
                lane.announce_drops(clock, self._missing(lane))
            elif left is not None and (soonest is None or left < soonest):
                soonest = left
        if soonest is not None and self._drops_timer is None and worker.loop is not None:
            self._drops_timer = worker.loop.call_later(soonest, self._drops_are_due)
        if self._drops.seconds_left(ledger, clock) == 0.0:
            text = self._drops.tell(ledger, clock).getMessage()
            self.board.tell("dropped", self.name, text.removeprefix("asynclog "))

    def _missing(self, lane: Lane) -> dict[str, str]:
        """Return a stand-in for each extra that a lane's format names: no filter will have set it."""
        gate = self.inner.gate
        return {name: "-" for one in (gate.lanes if gate else ()) if one.bit == lane.bit for name in one.names}

    def _drops_are_due(self) -> None:
        self._drops_timer = None
        worker.ring()

    # -- looking in ---------------------------------------------------------------------------

    def stats(self) -> dict[str, Any]:
        """Return the counts, in all and per lane.

        ``accepted = delivered + dropped + dead_lettered + spooled + pending``, at every moment.
        ``dropped`` is by reason, ``errors`` counts what went wrong without costing a record.
        """
        lanes = {lane.name: lane.ledger.snapshot() for lane in self.lanes}
        errors = dict(self.board.counts)
        for kind, count in list(self.inner.errors.items()):
            errors[kind] = max(errors.get(kind, 0), count)
        return {**self.inner.ledger.snapshot(), "lanes": lanes, "errors": errors}

    def report_left(self) -> tuple[int, str]:
        """Return how many records are left since it was last asked, and why, for the line at exit."""
        reasons = {lane.last_failure for lane in self.lanes if lane.last_failure and lane.remaining()}
        left = self.pending() + (self._foreign.waiting() if self._foreign is not None else 0)
        new, self._told_left = left - self._told_left, left
        return max(0, new), f"({'; '.join(sorted(reasons))})" if reasons else ""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._state}, {', '.join(lane.name for lane in self.lanes)}>"


def all_listeners() -> list[QueueListener]:
    """Return every listener that lives."""
    while True:
        try:
            return list(_listeners)
        except RuntimeError:  # another thread has made one meanwhile
            continue


def flush(timeout: float = 5.0) -> bool:
    """Make all that every listener accepted so far due now, and wait until it is settled.

    Args:
        timeout: Seconds to wait at most, in all; default 5.

    Returns:
        Whether nothing of it is left.
    """
    checks.seconds("timeout", timeout)
    deadline = time.monotonic() + timeout
    return _flush_all([(listener, deadline) for listener in all_listeners()])


def _flush_all(listeners: list[tuple[QueueListener, float]]) -> bool:
    busy = [(one, deadline) for one, deadline in listeners if one._has_news() or not one._is_done()]
    # Asked of all before any is waited for: they deliver at the same time.
    for one, deadline in busy:
        one._request(deadline)
    if not may_wait():
        return not busy
    done = [one._flush_until(deadline) for one, deadline in busy]  # every one of them, whatever the first says
    return all(done)


def stats() -> dict[str, Any]:
    """Return the counts of all listeners: `QueueListener.stats`, added up."""
    total = add_up(listener.stats() for listener in all_listeners())
    for kind, count in worker.errors().items():
        total["errors"][kind] = total["errors"].get(kind, 0) + count
    return total


def _finish() -> None:
    """Deliver what is left at the interpreter's end; called by the worker's exit function."""
    now = time.monotonic()
    listeners = all_listeners()
    for one in listeners:
        if not one._is_done():
            one.start()
    _flush_all([(one, now + one.exit_timeout - min(0.5, one.exit_timeout / 2)) for one in listeners])
    for one in listeners:
        if one._state == _RUNNING:
            one._end(_IDLE, min(time.monotonic() + 0.5, now + one.exit_timeout + 0.5))
        one.inner.sleeping = True


worker_module.finish_listeners = _finish
worker_module.known_listeners = all_listeners
