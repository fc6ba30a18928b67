"""The worker: one daemon thread and one event loop for the process, however many listeners there are.

It owns starting, waking, forking and ending. Two real threads make it up: the loop's, and a small
*bell* that callers ring. A caller can't wake an event loop cheaply: ``call_soon_threadsafe`` writes
to a socket, which lets go of the interpreter lock, and beside a busy thread it takes 10 ms to get it
back. To put something on a `SimpleQueue` takes 18 µs there, and the bell does the rest.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import importlib
import os
import queue
import sys
import time
from _thread import get_ident
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from asynclog import sigterm, threads, uwsgi
from asynclog.alarm import AlarmBoard, caller_errors, caller_notes, note_from_caller, write_line
from asynclog.fork import process_state
from asynclog.threads import SimpleQueue, is_own_thread, real_sleep
from asynclog.turns import PAUSE, SLICE, turns

# How long records gather before they are drained. The request that logged is over by then, so the
# worker takes the interpreter lock from nobody who is still writing an answer. Measured in an app
# with 40 such requests a second, over the same app that logs nowhere: p50 + 25 % and p99 + 47 % if
# the worker is woken at once and looks again three times, + 7 % and + 16 % so.
_COMPANY = 0.010
# How often the loop looks for records by itself after the last, before callers ring again: for a
# second. To ring wakes a sleeping thread, which costs a call 30 µs; to look costs the app nothing
# where it is idle, and a turn at the interpreter where it computes. Rejected: to have the bell's
# thread look, which takes a turn of its own and two more to wake the loop.
_LOOKS = 100
# How the bell is rung.
_NOW, _SOON = "now", "soon"
# The shortest slice of draining: below it, most of the time goes to what stands around it.
_LEAST = 0.0001
# How often to look again while a caller waits for the lanes.
_LOOK_AGAIN = 0.002
# The worker waits for the interpreter if it has not come to its work for so long: two of CPython's
# switch intervals.
_WAITS = 0.010
# The loop was blocked (by a sink, mostly) if it took this long to hear the bell.
_STALL = 1.0
# After a fault of the worker's: the first pause, which doubles with every restart, and the longest.
_RESTART_DELAY = 1.0
_LONGEST_RESTART_DELAY = 60.0
_MAX_WARM_UP = 10.0


class Drained(Protocol):
    """What the worker asks of a listener."""

    def drain(self, seconds: float) -> bool:
        """Work for a slice; say whether there is more."""
        ...

    def has_records(self) -> bool:
        """Say whether records wait that it would drain."""
        ...

    def is_waited_for(self) -> bool:
        """Say whether a caller waits for what the lanes are at: for a flush, or for room."""
        ...

    def lie_down(self) -> bool:
        """Mark the queue as unwatched; say whether that is safe: nothing came meanwhile."""
        ...

    def attach(self, spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]) -> None:
        """Start the lanes on this loop."""
        ...


class Worker:
    """The process's thread and loop; `worker` is the one there is."""

    def __init__(self) -> None:
        self.board = AlarmBoard()
        self._forget()
        process_state.register(self)
        process_state.before = self._wait_for_warm_up

    def _forget(self) -> None:
        self.listeners: list[Drained] = []
        self.loop: asyncio.AbstractEventLoop | None = None
        #: The interpreter is ending; `finished`: what our exit function could do is done.
        self.exiting = False
        self.finished = False
        self._bell: Any = SimpleQueue()
        self._commands: collections.deque[Callable[[], None]] = collections.deque()
        self._started = False
        # The thread that does the work where none of ours can start; a dict, whose setdefault is atomic.
        self._here: dict[str, int] = {}
        self._retry_start_at = 0.0
        self._warm_up_ends = 0.0
        self._woken: asyncio.Event | None = None
        # Whether the loop's main task sleeps until it is woken, and whether the bell was rung since it looked.
        self._asleep = False
        self._rung = False
        # Looks that are left before it lies down, and the next.
        self._looks = 0
        self._looking: Any = None
        self._rung_at = 0.0
        # When the loop last set to work.
        self._worked_at = 0.0
        self._tasks: set[asyncio.Task[Any]] = set()

    def after_fork(self) -> None:
        """Forget the thread, in a forked child: it is the parent's."""
        self._forget()

    # -- from any thread --------------------------------------------------------------------

    def ensure(self) -> bool:
        """Start the worker unless it runs.

        Returns:
            False where no thread can start; the next call after a second tries again.
        """
        if self._started:
            return True
        now = time.monotonic()
        if now < self._retry_start_at or self._here or uwsgi.forks_soon():
            return False
        self._started = True
        self._warm_up_ends = now + _MAX_WARM_UP
        if threads.start(self._run):
            _at_exit_of_multiprocessing()
            if not uwsgi.has_threads():
                note_from_caller("no_thread", "uWSGI runs without --enable-threads: nothing is delivered before exit")
            return True
        self._started = False
        self._warm_up_ends = 0.0
        self._retry_start_at = now + 1.0
        _at_exit_of_multiprocessing()
        self.board.tell("no_thread", "worker", "no thread can be started: records wait until one can, or until exit")
        return False

    def post(self, command: Callable[[], None]) -> None:
        """Have the loop run a function soon."""
        self._commands.append(command)
        self.ring()

    def ring(self, *, soon: bool = False) -> None:
        """Wake the loop; costs a put on a `SimpleQueue`.

        Args:
            soon: Whether there is time for others to come along: for a record, when nobody waits.
        """
        self._bell.put(_SOON if soon else _NOW)

    def let_in(self) -> None:
        """Let the worker at the interpreter, if it has waited for it for long; for a caller whose queue is full.

        Callers that log flat out would each keep the interpreter for 5 ms, while what they log is
        thrown away and the first mail about it waits. So a caller that finds the worker waiting sleeps
        for a moment, as the worker does for the app.
        """
        if not self._asleep and _WAITS < time.monotonic() - self._worked_at < _STALL:
            real_sleep(PAUSE)

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a coroutine on the loop; call it there."""
        assert self.loop is not None
        task = self.loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _wait_for_warm_up(self) -> None:
        """Put a fork off while the worker imports: a lock held by a thread that is not there later hangs the child."""
        if not self._warm_up_ends or is_own_thread():
            return
        while self._warm_up_ends and time.monotonic() < self._warm_up_ends:
            real_sleep(0.001)

    # -- the worker's thread -----------------------------------------------------------------

    def _run(self) -> None:
        pid = os.getpid()
        delay = _RESTART_DELAY
        while process_state.pid == pid:
            began = time.monotonic()
            try:
                self.run_loop(self._main())
                return
            except BaseException as error:  # restarted with a delay, the queues kept
                self._warm_up_ends = 0.0
                self.board.tell("worker_error", "worker", f"restarted after {type(error).__name__}: {error}")
                self.board.count("worker_restarted")
            if time.monotonic() - began > _LONGEST_RESTART_DELAY:
                delay = _RESTART_DELAY
            real_sleep(delay)
            delay = min(delay * 2, _LONGEST_RESTART_DELAY)

    def run_here(self, main: Callable[[], Coroutine[Any, Any, Any]]) -> bool:
        """Run a coroutine in the calling thread, where no thread of ours can start.

        Returns:
            False, having done nothing, where another thread does so already.
        """
        ident = threads.real_ident()
        if self._here.setdefault("ident", ident) != ident or len(self._here) > 1:
            return False
        self._here["busy"] = 1
        # For that long this is a thread of asynclog's own: what asyncio logs may not feed it.
        idents = {ident, get_ident()} - threads.own_idents
        threads.own_idents.update(idents)
        try:
            self.run_loop(main())
        finally:
            threads.own_idents.difference_update(idents)
            self._here.clear()
        return True

    def run_loop(self, main: Coroutine[Any, Any, Any]) -> None:
        """Run a coroutine on a loop of the worker's kind, in the calling thread, to its end."""
        import anyio

        from asynclog.loop import WorkerLoop

        async def given() -> None:
            self.loop = asyncio.get_running_loop()
            self._woken = asyncio.Event()
            try:
                await main
            finally:
                self.loop = None

        anyio.run(given, backend="asyncio", backend_options={"loop_factory": WorkerLoop})

    async def _main(self) -> None:
        load_libraries()
        self._warm_up_ends = 0.0
        # A bell of this loop's own: the thread of a loop before it would take its rings.
        self._bell.put(None)
        bell = self._bell = SimpleQueue()
        loop = self.loop
        if not threads.start(lambda: self._listen(bell, loop)):
            # Without a bell the loop looks for itself, every few milliseconds.
            self.spawn(self._listen_on_loop(bell))
        for listener in list(self.listeners):
            listener.attach(self.spawn)
        while True:
            self._rung = False
            if self._step():
                turns().pause()
                await self._give_way(0.0)
                turns().pause()
            elif any(listener.is_waited_for() for listener in self.listeners):
                await self._give_way(_LOOK_AGAIN)
            else:
                await self._sleep()

    async def _give_way(self, seconds: float) -> None:
        """Let the lanes run, and notice it when one of them doesn't give the loop back."""
        back_at = time.monotonic() + seconds
        await asyncio.sleep(seconds)
        self._notice_stall(back_at)

    def _notice_stall(self, expected_at: float) -> None:
        late = time.monotonic() - expected_at
        if late > _STALL:
            self.board.tell("loop_stalled", "worker", f"the worker's loop was blocked for {late:.1f} s")

    def _step(self) -> bool:
        """Do a slice of everything there is to do; say whether there is more."""
        self._worked_at = time.monotonic()
        while self._commands:
            try:
                self._commands.popleft()()
            except Exception as error:  # a fault of ours: it must not cost the other commands
                self.board.tell("worker_error", "worker", f"a command failed with {type(error).__name__}: {error}")
        while caller_notes:
            kind, text = caller_notes.popleft()
            self.board.tell(kind, "queue", text)
        busy = False
        for listener in list(self.listeners):
            # What is left of the slice: the lanes have had their part of it, to free what was delivered
            # and to make the next batch. A long slice is theirs: a dialogue goes on in small steps.
            busy = listener.drain(min(SLICE, max(turns().left, _LEAST))) or busy
        return busy

    async def _sleep(self) -> None:
        woken = self._woken
        assert woken is not None
        woken.clear()
        self._rung_at = 0.0  # of a ring that came while we were awake, and of no interest
        # In this order: the bell notes that it was rung, and then looks whether anybody sleeps.
        self._asleep = True
        self._looks = _LOOKS
        self._look_again()
        try:
            if not self._rung:
                await woken.wait()
                if self._rung_at:
                    self._notice_stall(self._rung_at)
        finally:
            self._asleep = False
            self._looking.cancel()

    def _listen(self, bell: Any, loop: Any) -> None:
        """The bell's thread: wake the loop for those who ring."""
        # Whether it was woken and has not come to it yet: a sink blocks the loop.
        on_its_way: list[bool] = []
        while True:
            ring = bell.get()
            ends = time.monotonic() + _COMPANY
            while ring is _SOON:
                try:
                    # However often callers ring meanwhile, it wakes the loop in time.
                    ring = bell.get(timeout=max(0.0, ends - time.monotonic()))
                except queue.Empty:
                    break
            if ring is None:
                return  # another loop was started, with a bell of its own
            self._rung = True
            # Whoever is awake looks again before it sleeps: to write to the loop's socket, and to have it
            # read there, would cost the app two more turns at the interpreter.
            if self._asleep and not on_its_way:
                on_its_way.append(True)
                try:
                    loop.call_soon_threadsafe(self._wake, time.monotonic(), on_its_way)
                except RuntimeError:
                    return  # the loop is closed
                except Exception as error:  # out of memory: nobody else wakes the loop
                    on_its_way.clear()
                    self.board.tell("worker_error", "worker", f"the bell failed with {type(error).__name__}: {error}")
                    bell.put(_SOON)

    async def _listen_on_loop(self, bell: Any) -> None:
        while True:
            await asyncio.sleep(0.005)
            if not bell.empty():
                while not bell.empty():
                    bell.get()
                self._rung = True
                self._wake(time.monotonic(), [])

    def _look_again(self) -> None:
        assert self.loop is not None
        self._looking = self.loop.call_later(_COMPANY, self._look, time.monotonic() + _COMPANY)

    def _look(self, due: float) -> None:
        """Wake the main task for records; after a second without any have callers ring."""
        try:
            self._notice_stall(due)
            if self._has_records():
                assert self._woken is not None
                self._woken.set()
                return
            self._looks -= 1
            if self._looks <= 0 and self._lie_down():
                return
        except Exception as error:  # out of memory, or an odd foreign queue
            self.board.tell("worker_error", "worker", f"a look failed with {type(error).__name__}: {error}")
        self._look_again()

    def _has_records(self) -> bool:
        return any(listener.has_records() for listener in list(self.listeners))

    def _lie_down(self) -> bool:
        """Have callers ring from now on; say whether that is safe."""
        safe = [listener.lie_down() for listener in list(self.listeners)]  # every one of them
        return all(safe) and not self._commands

    def _wake(self, rung_at: float, on_its_way: list[bool]) -> None:
        on_its_way.clear()
        if not self._rung_at:
            self._rung_at = rung_at
        if self._woken is not None:
            self._woken.set()

    # -- the end ---------------------------------------------------------------------------------

    def errors(self) -> dict[str, int]:
        """Return what went wrong outside of any listener, by kind."""
        return {**caller_errors, **self.board.counts}


worker = Worker()


def load_libraries() -> None:
    """Import what the worker's loop needs, unless that was done.

    Nobody has to: the worker does it as it starts. But a thread that imports beside eight that compute
    is at it for seconds.
    """
    # By their names, as anyio loads its backend and the traceback module, from 3.13 on, its suggestions.
    for name in ("anyio", "anyio._backends._asyncio", "asynclog.loop", "_suggestions"):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    import anyio

    _ = anyio.CancelScope  # loaded when it is asked for


def _at_exit_of_multiprocessing() -> None:
    """A multiprocessing child runs its own finalizers and no ``atexit`` functions."""
    module = sys.modules.get("multiprocessing.process")
    if module is not None and module.parent_process() is not None:
        from multiprocessing import util

        util.Finalize(None, finish, exitpriority=0)


def finish() -> None:
    """Deliver what is left, within the listeners' ``exit_timeout``, and say what could not be.

    `asynclog.public` has it called at exit.
    """
    if worker.finished:
        return
    worker.exiting = True
    with sigterm.put_off():
        try:
            finish_listeners()
        finally:  # Ctrl-C during the wait, too, is told what it costs
            worker.finished = True
            _tell_what_is_left()


def _tell_what_is_left() -> None:
    left = [(listener.name, *listener.report_left()) for listener in known_listeners()]
    total = sum(count for _, count, _ in left)
    if total:
        why = "; ".join(f"{name}: {count} {reason}".rstrip() for name, count, reason in left if count)
        write_line(f"asynclog: {total} records left, {why}")


# Set by asynclog.listeners, which stands above this floor.
finish_listeners: Callable[[], None] = lambda: None  # noqa: E731
known_listeners: Callable[[], list[Any]] = list
