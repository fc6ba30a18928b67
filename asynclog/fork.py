"""Noticing a fork: by the at-fork hook, and by the process id where no hook runs.

uWSGI by default runs no at-fork hook, and a thread that did not survive the fork still says there
that it is alive: there only the process id can be relied on.

In the child everything is made anew (queue, locks, threads, loop, sockets); nothing inherited is
acquired, released or closed, and nothing is logged.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import Any, Protocol

from asynclog import threads


class Forkable(Protocol):
    """What must be made anew in a forked child."""

    def after_fork(self) -> None:
        """Forget what belongs to the parent."""
        ...


class ProcessState:
    """Which process this is, and what has to hear when it is another.

    Attributes:
        pid: The process that the registered objects belong to.
        before: Called in the parent before a fork; waits until a fork is safe.
    """

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.before: Callable[[], None] | None = None
        self._registered: weakref.WeakSet[Any] = weakref.WeakSet()

    def register(self, one: Forkable) -> None:
        """Have ``one.after_fork()`` called in forked children, as long as it lives."""
        self._registered.add(one)

    def forked(self) -> None:
        """Make everything anew, once, in a child."""
        pid = os.getpid()
        if pid == self.pid:
            return
        self.pid = pid
        threads.forget_threads()
        for one in list(self._registered):
            one.after_fork()

    def before_fork(self) -> None:
        """Wait until a fork is safe."""
        if self.before is not None:
            self.before()


process_state = ProcessState()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=process_state.before_fork, after_in_child=process_state.forked)
