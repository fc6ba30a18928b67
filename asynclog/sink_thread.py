"""A thread that does a sink's blocking work, and what brings the result back to the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from asynclog import threads
from asynclog.threads import SimpleQueue
from asynclog.turns import turns

_T = TypeVar("_T")


class SinkThread:
    """One thread that does a sink's blocking work, a call after the other.

    Where no thread can start, the work is done in the calling thread.

    Args:
        name: For people who look at thread names; what is served.
        runs_app_code: Whether handlers, formatters and the like run there: it then has the app's
            signal mask, which the programs that they start inherit.
    """

    def __init__(self, name: str, *, runs_app_code: bool = True) -> None:
        self.name = name
        self._runs_app_code = runs_app_code
        self._calls: Any = None
        self._last: _Call | None = None

    def start(self) -> None:
        """Start the thread unless it runs."""
        if self._calls is None:
            calls: Any = SimpleQueue()
            prepare = threads.let_signals_in if self._runs_app_code else _do_nothing
            if threads.start(lambda: _serve(calls, prepare)):
                self._calls = calls

    @property
    def is_busy(self) -> bool:
        """Whether a call has not come back yet."""
        return self._last is not None and not self._last.is_over

    def stop(self) -> None:
        """End the thread after the calls it has; `call` starts another."""
        if self._calls is not None:
            self._calls.put(None)
            self._calls = None

    def submit(self, function: Callable[[Any], _T], argument: Any, then: Callable[[_T], None]) -> None:
        """Run ``function(argument)`` on the thread, then ``then`` with what it returned on the running loop."""
        self.start()
        if self._calls is None:
            then(function(argument))
            return
        loop = asyncio.get_running_loop()
        self._calls.put((loop, then, function, (argument,)))

    async def call(self, function: Callable[..., _T], *args: Any) -> _T:
        """Run a function on the thread and return what it returns or raise what it raises."""
        # A call that was given up at a deadline may still be running: its turn comes first. One that
        # a loop before this one asked for can't be awaited; the thread takes turns by itself.
        loop = asyncio.get_running_loop()
        while self._last is not None and not self._last.is_over and self._last.loop is loop:
            await self._last.end()
        self.start()
        if self._calls is None:
            return function(*args)
        self._last = last = _Call(loop)
        self._calls.put((loop, last, function, args))
        result: _T = await last.future
        return result


class _Call:
    """A call that somebody awaits, who may give up waiting: the thread goes on with it.

    Rejected: `asyncio.shield`, whose second future takes two more turns of the loop.

    Attributes:
        loop: Where it is awaited.
        future: What is awaited.
        is_over: Whether the thread is done with it, awaited or not.
    """

    __slots__ = ("_ends", "future", "is_over", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.future: asyncio.Future[Any] = loop.create_future()
        self.is_over = False
        self._ends: list[asyncio.Future[None]] = []

    def end(self) -> asyncio.Future[None]:
        """Return what is done when the thread is done with it."""
        end = self.loop.create_future()
        self._ends.append(end)
        return end

    def resolve(self, result: Any, error: BaseException | None) -> None:
        """Hand over what came of it; called on the loop."""
        self.is_over = True
        try:
            if self.future.done():  # given up
                pass
            elif error is None:
                self.future.set_result(result)
            else:
                self.future.set_exception(_raisable(error))
        finally:
            for end in self._ends:
                if not end.done():
                    end.set_result(None)


def _raisable(error: BaseException) -> BaseException:
    """Return what may be raised in a coroutine, as CPython does where one raises `StopIteration` itself.

    A future of CPython 3.11 and 3.12 refuses it with a TypeError, so that nobody would hear of the call
    again, and of a subclass 3.12 makes the result; only later ones replace it.
    """
    if not isinstance(error, StopIteration):
        return error
    replaced = RuntimeError(f"the call raised {type(error).__name__}")
    replaced.__cause__ = error
    return replaced


def _do_nothing() -> None:
    pass


def _serve(calls: Any, prepare: Callable[[], None]) -> None:
    prepare()
    while True:
        call = calls.get()
        if call is None:
            return
        loop, then, function, args = call
        turns().begin()
        try:
            result, error = function(*args), None
        except BaseException as caught:  # handed over to whoever asked
            result, error = None, caught
        try:
            if isinstance(then, _Call):
                loop.call_soon_threadsafe(then.resolve, result, error)
            elif error is None:
                loop.call_soon_threadsafe(then, result)
        except RuntimeError:
            pass  # that loop is closed and nobody waits there; a later one may ask this thread again
        del call, loop, then, function, args, result, error
