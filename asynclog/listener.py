"""A queue's listener: delivers what is put there through its handlers and sinks."""

from __future__ import annotations

import asyncio
import logging
import logging.handlers
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from types import TracebackType
from typing import Any

from asynclog import checks
from asynclog.alarm import AlarmBoard, write_line
from asynclog.capture.gate import Gate
from asynclog.clock import SYSTEM_CLOCK, Clock
from asynclog.delivery.lane import Lane
from asynclog.drain import Drain
from asynclog.flushing import may_wait
from asynclog.foreign import ForeignReader
from asynclog.fork import process_state
from asynclog.lanes import Lanes
from asynclog.lifecycle import RUNNING, STOPPED, Lifecycle
from asynclog.listeners import living
from asynclog.options import LANE_OPTIONS, LaneOptions, take
from asynclog.queue import RecordQueue
from asynclog.report import Report, Reported
from asynclog.sinks.originals import take_over
from asynclog.worker import worker


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
        foreign = None if isinstance(queue, RecordQueue) else ForeignReader(queue)
        #: The queue of ours that is drained: the one given, or the one behind a foreign queue.
        self.inner: RecordQueue = queue if foreign is None else foreign.inner
        self._lanes = Lanes(self.inner, self.options, self.board, self.clock)
        self._drain = Drain(self.inner, self._lanes, self.board, self.name, self.clock)
        #: Starts, waits and ends.
        self.lifecycle = Lifecycle(self, self.inner, self._lanes, self._drain, foreign, self.options, self.clock)
        self._told_left = 0
        self.inner.owner = self
        self.inner.on_wake = self.lifecycle.on_wake
        self.inner.on_full = worker.let_in
        self.add_handlers(handlers)
        living.add(self)
        process_state.register(self)

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """The lanes, in the order of their handlers."""
        return self._lanes.all

    @property
    def exit_timeout(self) -> float:
        """Seconds that the interpreter's end may take for what is left."""
        return self.options.exit_timeout

    def add_handlers(self, handlers: Iterable[logging.Handler], **mail_options: Any) -> None:
        """Open a lane for each handler or sink.

        Args:
            handlers: Handlers and sinks; a handler that has a lane already keeps it.
            mail_options: Mail keywords for the handlers that send mail.
        """
        new = self._lanes.make(handlers, mail_options)
        for lane in new:
            take_over(lane.face, lane.sink)
            self._report(lane)
        self._lanes.add(new)
        self.handlers = tuple(lane.face for lane in self.lanes)
        self.lifecycle.start_new_lanes()

    def _report(self, lane: Lane) -> None:
        note = getattr(lane.sink, "tls_note", None)
        self.report.append(Reported(lane.face, wrapped=True, sink=lane.name, note=note or ""))
        if note:
            # By the worker: a write to stderr may block.
            self.inner.note("insecure_mail", f"{lane.name}: {note}")

    def use_own_queue(self) -> RecordQueue:
        """Drain a queue of our own in place of a foreign one that nobody has used yet; return it."""
        self.lifecycle.foreign = None
        self.queue = self.inner
        return self.inner

    def remove_handler(self, handler: logging.Handler, timeout: float) -> bool:
        """Deliver what waits for a handler and close its lane.

        Returns:
            Whether nothing of it was left.
        """
        done = self.flush(timeout)
        gone = self._lanes.remove(handler)
        self.report[:] = [one for one in self.report if one.handler is not handler]
        self.handlers = tuple(lane.face for lane in self.lanes)
        if self.lifecycle.spawn is not None and worker.loop is not None:
            worker.post(lambda: _stop_lanes(gone, timeout))
        else:
            for lane in gone:
                lane.give_up("handler_removed")
        return done

    def gate_for(self, lanes: Sequence[Lane]) -> Gate:
        """Return what the caller must know of some of the lanes."""
        return self._lanes.gate_for(lanes)

    # -- for those who log -------------------------------------------------------------------

    def start(self) -> None:
        """Start to deliver; repeatable, also after `stop`."""
        self.lifecycle.start()

    def start_if_idle(self) -> None:
        """Start unless it runs or was stopped: at the first record on a foreign queue."""
        self.lifecycle.start_if_idle()

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
            self.lifecycle.request()
            return self.lifecycle.is_done()
        return self.lifecycle.flush_until(time.monotonic() + timeout)

    def pending(self) -> int:
        """Return how many accepted records have no outcome yet."""
        return self.inner.pending()

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
            self.lifecycle.request()
            return self.lifecycle.is_done()
        deadline = time.monotonic() + seconds
        if self.lifecycle.state != STOPPED:
            self.lifecycle.flush_until(deadline - min(0.5, seconds / 2))
        self.lifecycle.end(STOPPED, deadline)
        return self.lifecycle.is_done()

    async def aflush(self, timeout: float = 5.0) -> bool:
        """Do what `flush` does without holding up the running loop."""
        checks.seconds("timeout", timeout)
        return await self.lifecycle.flush_in_steps(time.monotonic() + timeout)

    async def astop(self, timeout: float | None = None) -> bool:
        """Do what `stop` does without holding up the running loop."""
        import anyio  # and not asyncio: the app's loop may be trio's

        seconds = self.exit_timeout if timeout is None else checks.seconds("timeout", timeout)
        if self.lifecycle.state != STOPPED:
            await self.lifecycle.flush_in_steps(time.monotonic() + seconds - min(0.5, seconds / 2))
        self.lifecycle.end(STOPPED, time.monotonic() - 1.0)
        deadline = time.monotonic() + min(seconds, 1.0)
        while not self.lifecycle.has_ended() and time.monotonic() < deadline:
            await anyio.sleep(0.005)
        return self.lifecycle.is_done()

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

    # -- for logging -------------------------------------------------------------------------

    def flush_from_logging(self) -> bool:
        """Flush on behalf of `logging`, which may hold its own lock."""
        if worker.finished:
            return self.lifecycle.is_done()
        return self.flush(self.exit_timeout)

    def close_from_logging(self) -> bool:
        """Stop on behalf of `logging`; the next record starts again."""
        if worker.finished:  # `logging.shutdown`: what can be done was done, within its deadline
            self.tell_left()
            self._close_originals()
            return self.lifecycle.is_done()
        if self.lifecycle.state != RUNNING and self.lifecycle.is_done():
            self._close_originals()
            return True
        return self.lifecycle.close()

    def tell_left(self) -> None:
        """Say on stderr how many records are left at the very end that were not told of before."""
        left, why = self.report_left()
        if left:
            write_line(f"asynclog: {left} more records left, {self.name}: {why}")

    def _close_originals(self) -> None:
        """Close the wrapped handlers in the calling thread, as `logging` would: nobody is at work with them."""
        for lane in self.lanes:
            lane.sink.close_original()

    # -- for the worker ----------------------------------------------------------------------

    def attach(self, spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]) -> None:
        """Start the lanes; called on the loop."""
        self.lifecycle.attach(spawn)

    def drain(self, seconds: float) -> bool:
        """Fan records out for a slice of time; called on the loop.

        Returns:
            Whether there is more to do.
        """
        return self.lifecycle.work(seconds)

    def has_records(self) -> bool:
        """Say whether records wait that it would drain."""
        return self.lifecycle.has_records()

    def is_waited_for(self) -> bool:
        """Say whether a caller waits for what the lanes are at: for a flush, or for room."""
        return self.lifecycle.is_waited_for()

    def lie_down(self) -> bool:
        """Mark the queue as unwatched unless there is something to do; called on the loop."""
        return self.lifecycle.lie_down()

    def after_fork(self) -> None:
        """Start empty in a forked child: what waits is the parent's."""
        self.inner.after_fork()
        for lane in self.lanes:
            lane.after_fork()
        self._drain.after_fork()
        self.lifecycle.after_fork()
        self._told_left = 0

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
        left, why = self.left()
        new, self._told_left = left - self._told_left, left
        return max(0, new), why

    def left(self) -> tuple[int, str]:
        """Return how many records are left, and why in brackets, where that is known."""
        reasons = {lane.health.last_failure for lane in self.lanes if lane.health.last_failure and lane.remaining()}
        foreign = self.lifecycle.foreign
        left = self.pending() + (foreign.waiting() if foreign is not None else 0)
        return left, f"({'; '.join(sorted(reasons))})" if reasons else ""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.lifecycle.state}, {', '.join(lane.name for lane in self.lanes)}>"


def _stop_lanes(lanes: list[Lane], seconds: float) -> None:
    """End lanes whose handler was removed; called on the loop."""

    async def stop(lane: Lane) -> None:
        await lane.stop(seconds)
        lane.give_up("handler_removed")

    for lane in lanes:
        worker.spawn(stop(lane))
