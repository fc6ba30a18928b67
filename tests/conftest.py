"""What every test gets: listeners that a test made are stopped when it ends."""

from __future__ import annotations

import itertools
import logging
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from asynclog.lifecycle import STOPPED
from asynclog.listeners import all_listeners, living
from asynclog.worker import worker

#: Seconds until a test gives up waiting for something that has to come.
PATIENCE = 20.0

_names = itertools.count()

# A shell starts what stands before "&" with Ctrl-C ignored, and so would be every process that a test
# starts and ends by it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _stop_listeners() -> Iterator[None]:
    before = set(map(id, all_listeners()))
    yield
    for one in all_listeners():
        if id(one) in before:
            continue
        one.lifecycle.flush_until(time.monotonic() - 1.0)
        one.lifecycle.end(STOPPED, time.monotonic() + 2.0)
        living.discard(one)
    worker.listeners[:] = [one for one in worker.listeners if id(one) in before]


@pytest.fixture
def logger() -> logging.Logger:
    """A logger of this test's own, at DEBUG; nobody knows of it, so that pytest hangs no handler on it."""
    return logging.Logger(f"test{next(_names)}", logging.DEBUG)


def wait_until(is_so: Callable[[], object], patience: float = PATIENCE) -> None:
    """Poll until something is so; fail if it never is."""
    deadline = time.monotonic() + patience
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.002)


def check_adds_up(stats: dict) -> None:
    """Check that each record has exactly one outcome, in all and per lane."""
    for one in (stats, *stats.get("lanes", {}).values()):
        outcomes = one["delivered"] + sum(one["dropped"].values()) + one["dead_lettered"] + one["spooled"]
        assert one["accepted"] == outcomes + one["pending"], one
        assert one["pending"] >= 0, one
