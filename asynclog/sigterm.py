"""SIGTERM while the process ends: it has to wait for the delivery."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def put_off() -> Iterator[None]:
    """Have a SIGTERM wait until the delivery is done: the process is ending already.

    hypercorn sends its workers a second one when the first of them has ended and their handlers are
    gone: it kills. A handler of the app's, mostly one that raises `SystemExit`, would end the wait.
    """
    came: list[int] = []
    before: Any = None
    try:
        before = signal.getsignal(signal.SIGTERM)
        if before not in (None, signal.SIG_IGN):
            signal.signal(signal.SIGTERM, lambda signum, _: came.append(signum))
    except ValueError:  # not the main thread: nothing to be done about signals here
        before = None
    try:
        yield
    finally:
        if before not in (None, signal.SIG_IGN):
            signal.signal(signal.SIGTERM, before)
        if came:  # what would have happened then happens now
            os.kill(os.getpid(), signal.SIGTERM)
