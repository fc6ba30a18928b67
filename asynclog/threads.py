"""Threads and locks that no monkey-patching reaches.

Under gevent, ``threading`` and ``_thread`` hand out greenlets and cooperative locks: an asyncio
loop in such a "thread" becomes every greenlet's running loop, and a wait on such a lock freezes the
hub. So asynclog's own threads are made by the original ``_thread.start_new_thread``, talk through
``_queue.SimpleQueue`` (written in C, patched by nobody) and sleep with the original ``time.sleep``.

The originals are looked up when a thread is started and not when this module is imported: the app
may patch later than it imports us.
"""

from __future__ import annotations

import _queue
import asyncio
import sys
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from asynclog import uwsgi

_T = TypeVar("_T")

SimpleQueue = _queue.SimpleQueue

# Idents of asynclog's own threads, in both shapes under gevent (the thread's and its greenlet's).
# What they log never re-enters, and they never wait for themselves. None stands in it for good: a
# record made with logging.logThreads off has no ident, and is looked at carefully.
own_idents: set[int | None] = {None}


def original(module: str, name: str) -> Any:
    """Return ``module.name`` as it was before gevent patched it, if it did."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None:
        return monkey.get_original(module, name)
    return getattr(sys.modules.get(module) or __import__(module), name)


def real_sleep(seconds: float) -> None:
    """Sleep this thread for real: lets go of the interpreter lock."""
    sleep: Callable[[float], None] = original("time", "sleep")
    sleep(seconds)


def breathe() -> None:
    """Let the app's threads in, in the middle of long work: asynclog's threads work a millisecond at a time."""
    real_sleep(50e-6)


def real_ident() -> int:
    """Return the ident of the real thread (a greenlet's is patched)."""
    ident: int = original("_thread", "get_ident")()
    return ident


def is_own_thread() -> bool:
    """Say whether the calling thread is one of asynclog's own."""
    return len(own_idents) > 1 and real_ident() in own_idents


def forget_threads() -> None:
    """Forget every thread, in a forked child: there are none."""
    own_idents.clear()
    own_idents.add(None)


def start(target: Callable[[], None]) -> bool:
    """Start a real daemon thread.

    Returns:
        False where none can start: at the process limit, at the interpreter's end on 3.12, or in a
        uWSGI that has not forked its workers yet.
    """
    if uwsgi.forks_soon():
        return False

    def run() -> None:
        idents = {real_ident(), threading.get_ident()}
        own_idents.update(idents)
        try:
            target()
        finally:
            own_idents.difference_update(idents)

    try:
        original("_thread", "start_new_thread")(run, ())
    except (RuntimeError, MemoryError):
        return False
    return True


class SinkThread:
    """One thread that does a sink's blocking work, a call after the other.

    Where no thread can start, the work is done in the calling thread.

    Args:
        name: For people who look at thread names; what is served.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._calls: Any = None
        self._busy: asyncio.Future[Any] | None = None

    def start(self) -> None:
        """Start the thread unless it runs."""
        if self._calls is None:
            calls: Any = SimpleQueue()
            if start(lambda: _serve(calls)):
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


def _serve(calls: Any) -> None:
    while True:
        call = calls.get()
        if call is None:
            return
        loop, future, function, args = call
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
