"""How a listener starts, is waited for and ends: from any thread, in a forked child, at exit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Protocol

from asynclog import uwsgi
from asynclog.clock import Clock
from asynclog.drain import Drain
from asynclog.flushing import FlushRequest, may_wait, wait_for
from asynclog.foreign import ForeignReader
from asynclog.lanes import Lanes
from asynclog.options import LaneOptions
from asynclog.queue import RecordQueue
from asynclog.threads import is_own_thread
from asynclog.worker import Drained, worker

#: Not started or between two uses; delivering; stopped by somebody, until `Lifecycle.start`.
IDLE, RUNNING, STOPPED = "idle", "running", "stopped"


class Owner(Drained, Protocol):
    """What a lifecycle is of: a listener, whose class may be a user's own."""

    def start(self) -> None:
        """Start to deliver, by way of `Lifecycle.start`."""
        ...


class Lifecycle:
    """Starts the lanes of a listener, waits for them and ends them.

    Args:
        owner: What the worker drains: the listener.
        inner: The queue of ours that is drained.
        lanes: The lanes.
        drain: What gives them their records.
        foreign: Reads a queue that is not ours into it, if there is one.
        options: Where ``exit_timeout`` comes from.
        clock: Where time comes from.

    Attributes:
        state: `IDLE`, `RUNNING` or `STOPPED`.
        foreign: As given; ``None`` from when it is not read any more.
        is_detached: Whether the worker has nothing to do with the listener.
        spawn: Starts a task on the loop that delivers; ``None`` while none does.
    """

    def __init__(
        self,
        owner: Owner,
        inner: RecordQueue,
        lanes: Lanes,
        drain: Drain,
        foreign: ForeignReader | None,
        options: LaneOptions,
        clock: Clock,
    ) -> None:
        self._owner = owner
        self._inner = inner
        self._lanes = lanes
        self._drain = drain
        self.foreign = foreign
        self._exit_timeout = options.exit_timeout
        self._clock = clock
        self._forget()

    def _forget(self) -> None:
        self.state = IDLE
        self.is_detached = True
        self._late_until: float | None = None
        self._early_until: float | None = None
        self.spawn: Callable[[Coroutine[object, object, None]], asyncio.Task[None]] | None = None

    def after_fork(self) -> None:
        """Start anew in a forked child: thread and loop are the parent's."""
        stopped = self.state == STOPPED
        if self.foreign is not None:
            self.foreign.after_fork()
        self._forget()
        if stopped:
            self.state = STOPPED
            self._inner.sleeping = False

    # -- starting ----------------------------------------------------------------------------

    def start(self) -> None:
        """Start to deliver; repeatable, also after an end."""
        self.state = RUNNING
        if self._owner not in worker.listeners:
            worker.listeners.append(self._owner)
        self.is_detached = False
        if self.foreign is not None:
            self.foreign.start()
        if worker.ensure():
            worker.post(self._attach_if_new)
        elif worker.exiting:
            self._work_here(time.monotonic() + self._exit_timeout)
        else:
            self._inner.sleeping = True  # the next record tries again to start a thread

    def start_if_idle(self) -> None:
        """Start unless it runs or was stopped: at the first record on a foreign queue."""
        if self.state == IDLE:
            self._owner.start()

    def _attach_if_new(self) -> None:
        if self.spawn is None and not self.is_detached:
            if self._owner not in worker.listeners:  # started again while it was ending
                worker.listeners.append(self._owner)
            self._owner.attach(worker.spawn)

    def attach(self, spawn: Callable[[Coroutine[object, object, None]], asyncio.Task[None]]) -> None:
        """Start the lanes; called on the loop."""
        self.spawn = spawn
        self._drain.begin()
        self._start_lanes()

    def start_new_lanes(self) -> None:
        """Start the lanes that were added, if the others run."""
        if self.state == RUNNING and self.spawn is not None:
            worker.post(self._start_lanes)

    def _start_lanes(self) -> None:
        if self.spawn is not None:
            for lane in self._lanes.all:
                if self.foreign is not None:
                    lane.on_outcome = self._tell_done
                lane.start(self.spawn)

    def on_wake(self) -> None:
        """Take notice of the first record of a burst; called on the caller's thread."""
        if worker.finished:
            # The interpreter is ending and our own exit function has run: now or never. All that
            # comes this late has one exit_timeout in all.
            if self._late_until is None:
                self._late_until = time.monotonic() + self._exit_timeout
            self._owner.start()
            if not is_own_thread():
                self.flush_until(self._late_until)
            self._inner.sleeping = True
        elif self.state != STOPPED and uwsgi.forks_soon() and not worker.ensure():
            # No thread may run in uWSGI's master, which never comes back to Python either. All that
            # is logged there has one exit_timeout in all.
            if self._early_until is None:
                self._early_until = time.monotonic() + self._exit_timeout
            self._owner.start()
            self._work_here(self._early_until)
            self._inner.sleeping = True
        elif self.state == IDLE:
            self._owner.start()
        elif self.state == RUNNING and worker.ensure():
            worker.ring(soon=True)
        else:
            self._inner.sleeping = self.state != STOPPED

    # -- working: on the loop ----------------------------------------------------------------

    def work(self, seconds: float) -> bool:
        """Work for a slice of time; say whether there is more to do."""
        if self.state != RUNNING:
            return False
        more = self._drain.run(seconds)
        self._tell_done()
        self._drain.tidy()
        return more

    def _tell_done(self) -> None:
        if self.foreign is not None:
            self.foreign.tell_done(self._inner.ledger)

    def has_records(self) -> bool:
        """Say whether records wait that are to be drained, or outcomes that a foreign queue is to hear of."""
        if self.state != RUNNING:
            return False
        return bool(self._inner.entries) or (self.foreign is not None and self.foreign.owes(self._inner.ledger))

    def is_waited_for(self) -> bool:
        """Say whether a caller waits for what the lanes are at: for a flush, or for room."""
        return self.state == RUNNING and (bool(self._drain.requests) or self._drain.is_held_up())

    def lie_down(self) -> bool:
        """Mark the queue as unwatched unless there is something to do; say whether there is not."""
        if self.state != RUNNING:
            return True
        if self.is_waited_for():
            return False
        self._inner.sleeping = True
        # A record that came meanwhile rang nobody; unless it ended meanwhile, and then the next one has to.
        if self._inner.entries and self.state == RUNNING:
            self._inner.sleeping = False
            return False
        return True

    # -- waiting -----------------------------------------------------------------------------

    def is_done(self) -> bool:
        """Say whether nothing is left, in a foreign queue neither."""
        return self._inner.pending() == 0 and (self.foreign is None or self.foreign.is_empty())

    def has_news(self) -> bool:
        """Say whether drops have still to be announced."""
        return self.state == RUNNING and any(lane.has_news() for lane in self._lanes.all)

    def request(self, deadline: float | None = None) -> FlushRequest:
        """Ask for what was accepted so far, without waiting for it.

        Args:
            deadline: When nobody waits for it any more, on `time.monotonic`; default: after
                ``exit_timeout``.
        """
        expires = time.monotonic() + self._exit_timeout if deadline is None else deadline
        request = FlushRequest(self._inner.put_so_far(), expires)
        self._drain.requests.append(request)
        if self.state == IDLE and not self.is_done():
            self._owner.start()
        if worker.loop is not None:
            worker.ring()
        return request

    def flush_until(self, deadline: float) -> bool:
        """Have all that was accepted delivered and wait for it; say whether nothing of it is left."""
        if self.state == STOPPED:
            return self.is_done()
        if self.foreign is not None:
            if not self.is_done():
                self.start_if_idle()
            if worker.ensure() and not wait_for(self.foreign.watch(), deadline):
                return False
        if self.is_done() and not self.has_news():
            return True
        request = self.request(deadline)
        if not worker.ensure():
            return self._work_here(deadline)
        return wait_for(lambda: request.done, deadline)

    async def flush_in_steps(self, deadline: float) -> bool:
        """Do what `flush_until` does without holding up the running loop."""
        import anyio  # and not asyncio: the app's loop may be trio's

        if self.state == STOPPED:
            return self.is_done()
        if self.foreign is not None:
            if not self.is_done():
                self.start_if_idle()
            is_read = self.foreign.watch()
            while not is_read() and time.monotonic() < deadline:
                await anyio.sleep(0.005)
        if self.is_done() and not self.has_news():
            return True
        request = self.request(deadline)
        while not request.done and time.monotonic() < deadline:
            await anyio.sleep(0.005)
        return request.done

    def _work_here(self, deadline: float) -> bool:
        """Work in the calling thread, where no other can run, until nothing is left or the deadline."""
        try:
            asyncio.get_running_loop()
            return self.is_done()
        except RuntimeError:
            pass
        if not worker.run_here(lambda: self._work_until(deadline)):
            wait_for(self.is_done, deadline)
        return self.is_done()

    async def _work_until(self, deadline: float) -> None:
        self._owner.attach(asyncio.get_running_loop().create_task)
        try:
            if self.foreign is not None:
                self.foreign.read_here()
            self.request(deadline)
            while (self._owner.drain(1.0) or self._inner.pending()) and time.monotonic() < deadline:
                await asyncio.sleep(0.002)
        finally:
            self.spawn = None
        await asyncio.gather(*(lane.stop(0.0) for lane in self._lanes.all))

    # -- ending ------------------------------------------------------------------------------

    def end(self, state: str, deadline: float) -> None:
        """Close the lanes, and wait until they are closed or the deadline."""
        self.state = state
        self._inner.sleeping = state == IDLE
        if self.foreign is not None:
            self.foreign.stop()
            wait_for(self._has_stopped_reading, min(deadline, time.monotonic() + 0.5))
        if not self.is_detached and worker.loop is not None and self.spawn is not None:
            worker.post(lambda: self._detach(deadline))
            wait_for(lambda: self.is_detached, deadline)
        else:
            worker.listeners[:] = [one for one in worker.listeners if one is not self._owner]
            self.is_detached = True

    def has_ended(self) -> bool:
        """Say whether the lanes are closed, and no thread reads a foreign queue."""
        return self.is_detached and self._has_stopped_reading()

    def _has_stopped_reading(self) -> bool:
        return self.foreign is None or self.foreign.has_stopped()

    def _detach(self, deadline: float) -> None:
        if self.state == RUNNING:
            return  # started again meanwhile
        worker.listeners[:] = [one for one in worker.listeners if one is not self._owner]
        self.spawn = None

        async def end() -> None:
            left = max(0.0, deadline - time.monotonic())
            await asyncio.gather(*(lane.stop(left) for lane in self._lanes.all))
            if self.state == RUNNING:
                self._start_lanes()  # started again while they were ending
            else:
                self.is_detached = True

        worker.spawn(end())

    def close(self) -> bool:
        """Deliver what was accepted and end until the next record; say whether nothing is left.

        Where waiting could deadlock it is only asked for.
        """
        if not may_wait():
            request = self.request()
            # Also where the worker is only just starting: what is posted waits for its loop.
            if self.state == RUNNING and worker.ensure():
                worker.post(lambda: self._end_soon(request))
            return False
        if self.state == RUNNING:
            deadline = time.monotonic() + self._exit_timeout
            self.flush_until(deadline - min(0.5, self._exit_timeout / 2))
            if not worker.exiting:
                self._mark_ending()
                self.end(IDLE, deadline)
                if self._inner.entries:  # they came too late for the flush and too early to start us again
                    self._owner.start()
        return self.is_done()

    def _mark_ending(self) -> None:
        """Have the wrapped handlers closed too, as `logging` closes a handler that it has itself."""
        for lane in self._lanes.all:
            lane.sink.ending = True

    def _end_soon(self, request: FlushRequest) -> None:
        worker.spawn(self._end_after(request))

    async def _end_after(self, request: FlushRequest) -> None:
        """End on the loop once all is delivered, unless records go on coming."""
        deadline = self._clock.monotonic() + self._exit_timeout
        while not request.done and self._clock.monotonic() < deadline:
            await asyncio.sleep(0.01)
        if self.state != RUNNING or self._inner.pending():
            return
        self.state, self._inner.sleeping = IDLE, True
        # As when lying down: a record that came meanwhile rang nobody, or has started us again.
        if self._inner.entries and self._inner.sleeping:
            self.state, self._inner.sleeping = RUNNING, False
            worker.ring()  # whoever put it may have seen that nobody sleeps
        if self.state == IDLE:
            self._mark_ending()
            self._detach(time.monotonic() + self._exit_timeout)

    def end_for_good(self, deadline: float) -> None:
        """End at the interpreter's end, half a second from now at most; a later record starts again."""
        if self.state == RUNNING:
            self.end(IDLE, min(time.monotonic() + 0.5, deadline))
        self._inner.sleeping = True
