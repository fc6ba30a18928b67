"""The worker's end of the queue: drains it, and gives each record to the lanes that want it."""

from __future__ import annotations

import asyncio
import collections
import logging
import logging.handlers
import time
import weakref
from collections.abc import Callable, Coroutine, Iterable
from types import TracebackType
from typing import Any

from asynclog import checks
from asynclog import worker as worker_module
from asynclog.alarm import AlarmBoard
from asynclog.capture.gate import Gate, LaneGate
from asynclog.clock import SYSTEM_CLOCK, Clock
from asynclog.delivery.lane import Lane
from asynclog.flushing import FlushRequest, may_wait, wait_for
from asynclog.foreign import ForeignReader
from asynclog.fork import process_state
from asynclog.options import LANE_OPTIONS, LaneOptions, QueueOptions, take
from asynclog.queue import RecordQueue
from asynclog.render.rebuild import rebuild
from asynclog.report import Report, Reported
from asynclog.sinks.convert import sink_for
from asynclog.sinks.originals import take_over
from asynclog.stats import DROPPED, UNCOUNTED, add_up, unused_name
from asynclog.values import Captured, Entry, SharedOutcome, in_full
from asynclog.worker import worker

#: Seconds between two announcements of dropped records.
ANNOUNCE_EVERY = 10.0
# Looking at the clock costs as much as a tenth of a record.
_LOOK_AT_CLOCK = 8

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
        self._announced = 0
        self._announced_at = self.clock.monotonic()
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
        used = 0
        for lane in lanes:
            used |= lane.bit
        bit = 1
        while bit & used:
            bit <<= 1
        name = unused_name(sink.label, [lane.name for lane in lanes])
        return Lane(sink, handler, self.options, bounds, self.board, self.inner.ledger, name, bit, self.clock)

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
        if self._spawn is not None:
            worker.post(lambda: self._stop_lanes(gone, timeout))
        return done

    def _stop_lanes(self, lanes: list[Lane], timeout: float) -> None:
        for lane in lanes:
            worker.spawn(lane.stop(timeout))

    def _open_gate(self) -> None:
        self._by_mask = {}
        self.inner.gate = Gate(
            [
                LaneGate(lane.bit, lane.face, runs_user_code=lane.sink.runs_user_code, wants_live=lane.sink.wants_live)
                for lane in self.lanes
            ]
        )
        self.handlers = tuple(lane.face for lane in self.lanes)

    # -- life --------------------------------------------------------------------------------

    def start(self) -> None:
        """Start to deliver; repeatable, also after `stop`."""
        self._state = _RUNNING
        if self not in worker.listeners:
            worker.listeners.append(self)
        self._detached = False
        if self._foreign is not None:
            self._foreign.start(self)
        if worker.ensure():
            worker.post(self._attach_if_new)
        elif worker.exiting:
            self._work_here(time.monotonic() + self.exit_timeout)

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
        self._start_lanes()

    def _start_lanes(self) -> None:
        if self._spawn is not None:
            for lane in self.lanes:
                lane.start(self._spawn)

    def _on_wake(self) -> None:
        """Take notice of the first record of a burst; called on the caller's thread."""
        if worker.exiting:
            # The interpreter is ending and our own exit function has run: now or never.
            self.start()
            self._flush_until(time.monotonic() + self.exit_timeout)
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
            return self.pending() == 0
        return self._flush_until(time.monotonic() + timeout)

    def pending(self) -> int:
        """Return how many accepted records have no outcome yet."""
        return int(self.inner.ledger.snapshot()["pending"])

    def _request(self) -> FlushRequest:
        request = FlushRequest(self.inner.ledger.accepted)
        self._requests.append(request)
        if self._state == _IDLE and self.pending():
            self.start()
        if worker.loop is not None:
            worker.ring()
        return request

    def _flush_until(self, deadline: float) -> bool:
        if self.pending() == 0 and (self._foreign is None or self._foreign.is_empty()):
            return True
        if self._state == _STOPPED:
            return False
        request = self._request()
        if not worker.ensure():
            return self._work_here(deadline)
        return wait_for(lambda: request.done, deadline)

    def _work_here(self, deadline: float) -> bool:
        """Work in the calling thread, where no other can run, until nothing is left or the deadline."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            worker.run_loop(self._work(deadline))
        return self.pending() == 0

    async def _work(self, deadline: float) -> None:
        self.attach(asyncio.get_running_loop().create_task)
        self._request()
        while (self.drain(1.0) or self.pending()) and time.monotonic() < deadline:
            await asyncio.sleep(0.002)
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
            return self.pending() == 0
        deadline = time.monotonic() + seconds
        if self._state != _STOPPED:
            self._flush_until(deadline - min(0.5, seconds / 2))
        self._end(_STOPPED, deadline)
        return self.pending() == 0

    def _end(self, state: str, deadline: float) -> None:
        self._state = state
        self.inner.sleeping = state == _IDLE
        if self._foreign is not None:
            self._foreign.stop()
        if not self._detached and worker.loop is not None and self._spawn is not None:
            worker.post(lambda: self._detach(deadline))
            wait_for(lambda: self._detached, deadline)
        else:
            self._detached = True

    def _detach(self, deadline: float) -> None:
        worker.listeners[:] = [one for one in worker.listeners if one is not self]
        self._spawn = None

        async def end() -> None:
            left = max(0.0, deadline - time.monotonic())
            await asyncio.gather(*(lane.stop(left) for lane in self.lanes))
            self._detached = True

        worker.spawn(end())

    def flush_from_logging(self) -> bool:
        """Flush on behalf of `logging`, which may hold its own lock."""
        return self.flush(self.exit_timeout)

    def close_from_logging(self) -> bool:
        """Stop on behalf of `logging`; the next record starts again."""
        if not may_wait():
            request = self._request()
            if self._state == _RUNNING and worker.loop is not None:
                worker.post(lambda: worker.spawn(self._end_after(request)))
            return False
        if self._state == _RUNNING:
            deadline = time.monotonic() + self.exit_timeout
            self._flush_until(deadline - min(0.5, self.exit_timeout / 2))
            if not worker.exiting:
                self._end(_IDLE, deadline)
        return self.pending() == 0

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
        seconds = self.exit_timeout if timeout is None else checks.seconds("timeout", timeout)
        if self._state != _STOPPED:
            await self._in_steps(max(0.0, seconds - 0.5))
        self._end(_STOPPED, time.monotonic() - 1.0)
        deadline = time.monotonic() + min(seconds, 1.0)
        while not self._detached and time.monotonic() < deadline:
            await asyncio.sleep(0.005)
        return self.pending() == 0

    async def _in_steps(self, seconds: float) -> bool:
        if self.pending() == 0 or self._state == _STOPPED:
            return self.pending() == 0
        request = self._request()
        deadline = time.monotonic() + seconds
        while not request.done and time.monotonic() < deadline:
            await asyncio.sleep(0.005)
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
        if self._state != _RUNNING or (self._is_held_up() and not self._requests):
            return False
        ends = time.perf_counter() + seconds
        count = 0
        entry = queue.pop_entry()
        while entry is not None:
            self._fan_out(entry)
            count += 1
            if count % _LOOK_AT_CLOCK == 0 and time.perf_counter() >= ends:
                break
            entry = queue.pop_entry()
        if count:
            for lane in self.lanes:
                lane.end_slice()
        self._housekeeping()
        return entry is not None

    def _is_held_up(self) -> bool:
        """Say whether a full lane holds up the queue: only where the caller asked to be blocked."""
        return self.inner.options.overflow == "block" and any(
            lane.buffer.is_full(lane.intake.formatting) for lane in self.lanes
        )

    def lie_down(self) -> bool:
        """Mark the queue as unwatched unless there is something to do; called on the loop."""
        if self._state != _RUNNING:
            return True
        if self._requests or self._is_held_up():
            return False
        self.inner.sleeping = True
        if self.inner.entries:
            self.inner.sleeping = False
            return False
        return True

    def _fan_out(self, entry: Entry) -> None:
        fields, mask, size, carried = entry
        captured = in_full(carried)
        if mask < 0:
            mask = self._mask_of(fields, captured)
        lanes = self._by_mask.get(mask)
        if lanes is None:
            lanes = self._by_mask[mask] = tuple(lane for lane in self.lanes if lane.bit & mask)
        shared = captured.shared if captured is not None else None
        if len(lanes) == 1 and (shared is None or mask.bit_count() == 1):
            lanes[0].take(fields, captured, size, shared)
            return
        if shared is None and lanes:
            shared = SharedOutcome(len(lanes))
        elif shared is not None:
            self.inner.ledger.settle_shared(shared, 0, mask.bit_count() - len(lanes), "", 0)
        for lane in lanes:
            lane.take(fields.copy(), captured, size, shared)
        if not lanes:
            self.inner.ledger.settle(DROPPED, 1, "refused", fields["levelno"])

    def _mask_of(self, fields: dict[str, Any], captured: Captured | None) -> int:
        """Ask the gate here, for a record that was put by hand."""
        gate = self.inner.gate
        assert gate is not None
        groups = gate.admit(rebuild(fields.copy(), captured), self.inner.note)
        mask = 0
        for bits, _, _ in groups:
            mask |= bits
        return mask

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
        for request in list(self._requests):
            if request.marks is None:
                if gone < request.target:
                    continue
                request.marks = [(lane, lane.request_flush()) for lane in self.lanes]
            if all(lane.is_past(mark) for lane, mark in request.marks):
                request.done = True
                self._requests.remove(request)
        # A request whose caller has given up is not worked on for ever.
        while len(self._requests) > 100:
            self._requests.popleft()

    def _announce_drops(self) -> None:
        total = self.inner.ledger
        dropped = sum(total.dropped.values())
        now = self.clock.monotonic()
        if dropped == self._announced or now - self._announced_at < ANNOUNCE_EVERY:
            return
        reasons = ", ".join(f"{reason}: {count}" for reason, count in sorted(total.dropped.items()))
        fields = logging.LogRecord(
            "asynclog",
            max(total.dropped_levels, default=logging.WARNING),
            __file__,
            0,
            "asynclog dropped %d records (since the start %s) in %.0f s",
            (dropped - self._announced, reasons, now - self._announced_at),
            None,
        ).__dict__
        self._announced, self._announced_at = dropped, now
        for lane in self.lanes:
            lane.take(fields.copy(), None, 0, UNCOUNTED)
            lane.end_slice()
        self.board.tell("dropped", self.name, f"{dropped} records dropped since the start ({reasons})")

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
        """Return how many records are left, and why, for the line at exit."""
        reasons = {lane.last_failure for lane in self.lanes if lane.last_failure and lane.remaining()}
        return self.pending(), f"({'; '.join(sorted(reasons))})" if reasons else ""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._state}, {', '.join(lane.name for lane in self.lanes)}>"


def all_listeners() -> list[QueueListener]:
    """Return every listener that lives."""
    return list(_listeners)


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
    busy = [(one, deadline) for one, deadline in listeners if one.pending()]
    waiting = may_wait()
    requests = [(one, one._request(), deadline) for one, deadline in busy]
    if not waiting:
        return not busy
    done = True
    for one, request, deadline in requests:
        if worker.ensure():
            done = wait_for(lambda request=request: request.done, deadline) and done  # type: ignore[misc]
        else:
            done = one._work_here(deadline) and done
    return done


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
        if one.pending():
            one.start()
    _flush_all([(one, now + max(0.0, one.exit_timeout - 0.5)) for one in listeners])
    for one in listeners:
        if one._state == _RUNNING:
            one._end(_IDLE, min(time.monotonic() + 0.5, now + one.exit_timeout + 0.5))
        one.inner.sleeping = True


worker_module.finish_listeners = _finish
worker_module.known_listeners = all_listeners
