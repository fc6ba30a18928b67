"""One lane's loop: waits until something is due, has the sink deliver it and hands the verdict back."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from asynclog.delivery.outcome import Verdicts, failed, sort_out

if TYPE_CHECKING:
    import anyio

    from asynclog.delivery.lane import Lane

# Seconds after a fault of the lane's own.
_FAULT_PAUSE = 1.0
#: Seconds that a sink may take to say goodbye (QUIT, close) when its lane ends.
CLOSE_TIMEOUT = 0.5


class Runner:
    """Runs one lane as a task on the worker's loop; what to do and when is the lane's to decide.

    Attributes:
        scope: Round the delivery that is being tried; ``None`` while none is.
    """

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        self._woken: asyncio.Event | None = None
        self.scope: anyio.CancelScope | None = None
        # Until when it waits, by the lane's clock; in the past while it is at work: it looks by itself then.
        self._until = -math.inf

    @property
    def is_running(self) -> bool:
        """Whether the task has not come to its end: one that can't be stopped may go on after `stop`."""
        return self._task is not None

    def wake(self) -> None:
        """Look again at what is due."""
        if self._woken is not None:
            self._woken.set()

    def look(self, now: float) -> None:
        """Wake it if something is due before it would look by itself.

        A record of a group that was told of a moment ago changes nothing, and that is what most
        records of a storm are.
        """
        if self._until > now:
            delay = self._lane.seconds_to_attempt(now)
            if delay is not None and now + delay < self._until:
                self.wake()

    def start(self, spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]) -> None:
        """Begin to deliver, or go on where a delivery that could not be stopped still runs."""
        self._stopping = False
        if self._task is None or self._task.done():
            self._woken = asyncio.Event()
            self._task = spawn(self._run())
        self.wake()

    async def _run(self) -> None:
        lane = self._lane
        lane.intake.collect()
        is_open = False
        while not self._stopping:
            try:
                if not is_open:
                    await lane.sink.open()
                    is_open = True
                delay = lane.seconds_to_attempt(lane.clock.monotonic())
                if delay is None or delay > 0.0:
                    await self._wait(delay)
                else:
                    await self.attempt()
            except Exception as error:  # a fault of ours, or MemoryError: the lane goes on
                lane.board.tell("lane_error", lane.name, f"the lane failed with {type(error).__name__}: {error}")
                await asyncio.sleep(_FAULT_PAUSE)

    async def _wait(self, delay: float | None) -> None:
        woken = self._woken
        assert woken is not None
        # A timer and not a cancel scope, which costs three times as much for each record that comes alone.
        timer = None if delay is None else asyncio.get_running_loop().call_later(delay, woken.set)
        self._until = math.inf if delay is None else self._lane.clock.monotonic() + delay
        try:
            await woken.wait()
        finally:
            self._until = -math.inf
            if timer is not None:
                timer.cancel()
        woken.clear()

    async def attempt(self) -> None:
        """Have the sink deliver what is due, and the lane count what came of it."""
        lane = self._lane
        work = lane.next_work(lane.clock.monotonic())
        if work is None:
            return
        verdicts: Verdicts | None = None
        import anyio

        with anyio.CancelScope() as scope:
            self.scope = scope
            try:
                verdicts = sort_out(work, await lane.sink.deliver(work.batch))
            except BaseException as error:
                if scope.cancel_called or _is_cancelled(error):
                    raise
                # SystemExit and the like too: a sink that raises hurts nobody else.
                lane.board.tell("sink_error", lane.name, f"the sink raised {type(error).__name__}: {error}")
                verdicts = failed(work, f"the sink raised {type(error).__name__}")
            finally:
                self.scope = None
        if verdicts is not None:
            lane.digest(work, verdicts, lane.clock.monotonic())
            if lane.on_outcome is not None:
                lane.on_outcome()

    async def stop(self, seconds: float) -> None:
        """End the loop; a delivery that can be cancelled is, another may end by itself.

        Args:
            seconds: How long a delivery that can't be cancelled is waited for.
        """
        lane = self._lane
        self._stopping = True
        self.wake()
        if self.scope is not None and lane.sink.cancellable:
            self.scope.cancel()
        task = self._task
        if task is not None and not task.done():
            await asyncio.wait([task], timeout=max(seconds, CLOSE_TIMEOUT if lane.sink.cancellable else 0.0))
        if (task is None or task.done()) and self._stopping and self._task is task:
            self._task = None
            import anyio

            with anyio.move_on_after(CLOSE_TIMEOUT):
                try:
                    await lane.sink.aclose()
                except Exception as error:
                    lane.board.tell("sink_error", lane.name, f"closing the sink raised {type(error).__name__}")


def _is_cancelled(error: BaseException) -> bool:
    """Say whether the task itself was cancelled: a sink's own stray `CancelledError` is only a failure."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0
