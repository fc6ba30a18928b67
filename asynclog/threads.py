"""Threads and locks that no monkey-patching reaches.

Under gevent, ``threading`` and ``_thread`` hand out greenlets and cooperative locks: an asyncio
loop in such a "thread" becomes every greenlet's running loop, and a wait on such a lock freezes the
hub. So asynclog's own threads are made by the original ``_thread.start_new_thread``, talk through
``_queue.SimpleQueue`` (written in C, patched by nobody) and sleep with the original ``time.sleep``.

The originals are looked up when a thread is started and not when this module is imported: the app
may patch later than it imports us.

They take no signals of the process's: CPython runs the app's signal handlers on the main thread
alone, and a signal that another thread got does not wake a main thread that sleeps or waits.
"""

from __future__ import annotations

import _queue
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from asynclog import uwsgi

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


# What is left to the thread itself: a fault of its own, which kills without a word where it is
# blocked, and the tick by which profilers look at the thread that is at work.
_OWN_SIGNALS = {"SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT", "SIGTRAP", "SIGSYS", "SIGPROF"}


class _Signals:
    """Keeps the process's signals off the threads that are started meanwhile: a thread has its creator's mask.

    Rejected: blocking them in the new thread, as its first act. Linux gives a signal to the main
    thread, but a thread that is just being started unblocks what its creator had not blocked, and
    where the main thread has not taken the signal yet it takes it: one in a thousand of those that
    a main thread sent its process right after it started a thread, on CPython 3.11 to 3.13.

    Attributes:
        apps_mask: What is blocked on the app's threads; ``None``: nobody has asked yet.
    """

    def __init__(self) -> None:
        # The C function: the signal module's is written in Python, where a handler that raises may
        # come in between, and the app's thread would keep a mask that is ours.
        self._set_mask: Any = getattr(sys.modules["_signal"], "pthread_sigmask", None)
        self._blocked: set[int] = set()
        self.apps_mask: set[int] | None = None
        if self._set_mask is not None:
            self._blocked = {int(one) for one in signal.valid_signals() if _signal_name(one) not in _OWN_SIGNALS}

    def start_without(self, start: Callable[[], Any]) -> None:
        """Call ``start`` with the process's signals blocked on this thread."""
        if self._set_mask is None:  # Windows
            start()
            return
        before: set[int] = self._set_mask(signal.SIG_BLOCK, ())
        if self.apps_mask is None or not is_own_thread():
            self.apps_mask = before
        try:
            # Inside: a handler of the app's runs here too, and may raise.
            self._set_mask(signal.SIG_BLOCK, self._blocked)
            start()
        finally:
            self._set_mask(signal.SIG_SETMASK, before)

    def let_in(self) -> None:
        """Give the calling thread the app's mask: a program that the app's code starts here inherits it."""
        if self._set_mask is not None and self.apps_mask is not None:
            self._set_mask(signal.SIG_SETMASK, self.apps_mask)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return ""


_signals = _Signals()


def start(target: Callable[[], None]) -> bool:
    """Start a real daemon thread, which gets none of the process's signals.

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
        _signals.start_without(lambda: original("_thread", "start_new_thread")(run, ()))
    except (RuntimeError, MemoryError):
        return False
    return True


def let_signals_in() -> None:
    """Give the calling thread the app's signal mask: what the app's code starts there inherits it."""
    _signals.let_in()
