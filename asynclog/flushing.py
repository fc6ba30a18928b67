"""Waiting for deliveries, where that is safe."""

from __future__ import annotations

import logging
import math
import time
from _thread import get_ident
from collections.abc import Callable
from typing import Any

from asynclog.reentry import inside
from asynclog.threads import is_own_thread


class FlushRequest:
    """Somebody waits for what was accepted so far.

    Args:
        target: How many entries had been put on the queue when it was asked for.
        expires: When nobody waits for it any more, on `time.monotonic`.

    Attributes:
        marks: Each lane with its mark, once the queue is past the target.
        done: Whether all of it is settled.
    """

    __slots__ = ("done", "expires", "marks", "target")

    def __init__(self, target: int, expires: float = math.inf) -> None:
        self.target = target
        self.expires = expires
        self.marks: list[tuple[Any, int]] | None = None
        self.done = False


def may_wait() -> bool:
    """Say whether this thread may wait for the worker.

    Not on a thread of asynclog's own; not inside a logging call of ours, as in a signal handler or
    a ``__del__``; and not while this thread holds `logging`'s lock, as during ``dictConfig``: the
    worker, or a handler's own thread, may need it.
    """
    if is_own_thread() or get_ident() in inside:
        return False
    lock: Any = getattr(logging, "_lock", None)
    owned = getattr(lock, "_is_owned", None)
    return not (owned is not None and owned())


def wait_for(is_done: Callable[[], bool], deadline: float) -> bool:
    """Poll until something is so, or the deadline on `time.monotonic` has passed.

    Polling, since no lock is right everywhere: a real one freezes gevent's hub, a patched one can't
    be released by the worker's real thread. ``time.sleep`` is right in both worlds.
    """
    pause = 0.0005
    while not is_done():
        left = deadline - time.monotonic()
        if left <= 0:
            return is_done()
        time.sleep(min(pause, left))
        pause = min(pause * 1.5, 0.02)
    return True
