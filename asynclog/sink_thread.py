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
        self._busy: asyncio.Future[Any] | None = None

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
        return self._busy is not None and not self._busy.done()

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
        while self._busy is not None and not self._busy.done() and self._busy.get_loop() is loop:
            await asyncio.wait([self._busy])
        self.start()
        if self._calls is None:
            return function(*args)
        future: asyncio.Future[_T] = loop.create_future()
        self._busy = future
        self._calls.put((loop, future, function, args))
        return await asyncio.shield(future)


def _do_nothing() -> None:
    pass


def _serve(calls: Any, prepare: Callable[[], None]) -> None:
    prepare()
    while True:
        call = calls.get()
        if call is None:
            return
        loop, future, function, args = call
        turns().begin()
        try:
            result, error = function(*args), None
        except BaseException as caught:  # handed over to whoever asked
            result, error = None, caught
        try:
            if isinstance(future, asyncio.Future):
                loop.call_soon_threadsafe(_resolve, future, result, error)
            elif error is None:
                loop.call_soon_threadsafe(future, result)
        except RuntimeError:
            pass  # that loop is closed and nobody waits there; a later one may ask this thread again
        del call, loop, future, function, args, result, error


def _resolve(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
