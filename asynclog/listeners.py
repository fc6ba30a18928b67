"""All listeners of the process, taken together."""

from __future__ import annotations

import time
import weakref
from _thread import get_ident
from typing import TYPE_CHECKING, Any

from asynclog import checks
from asynclog import worker as worker_module
from asynclog.flushing import may_wait
from asynclog.ledger import add_up
from asynclog.reentry import inside
from asynclog.worker import worker

if TYPE_CHECKING:
    from asynclog.listener import QueueListener

#: Every listener that lives.
living: weakref.WeakSet[QueueListener] = weakref.WeakSet()


def all_listeners() -> list[QueueListener]:
    """Return every listener that lives."""
    while True:
        try:
            return list(living)
        except RuntimeError:  # another thread has made one meanwhile
            continue


def flush(timeout: float = 5.0) -> bool:
    """Make all that every listener accepted so far due now, and wait until it is settled.

    Args:
        timeout: Seconds to wait at most, in all; default 5.

    Returns:
        Whether nothing of it is left.
    """
    checks.seconds("timeout", timeout)
    deadline = time.monotonic() + timeout
    return _flush_all([(listener, deadline) for listener in all_listeners()])


def _flush_all(listeners: list[tuple[QueueListener, float]]) -> bool:
    lives = [(one.lifecycle, deadline) for one, deadline in listeners]
    busy = [(life, deadline) for life, deadline in lives if life.has_news() or not life.is_done()]
    # Asked of all before any is waited for: they deliver at the same time.
    for life, deadline in busy:
        life.request(deadline)
    if not may_wait():
        return not busy
    done = [life.flush_until(deadline) for life, deadline in busy]  # every one of them, whatever the first says
    return all(done)


def stats() -> dict[str, Any]:
    """Return the counts of all listeners: `QueueListener.stats`, added up."""
    total = add_up(listener.stats() for listener in all_listeners())
    for kind, count in worker.errors().items():
        total["errors"][kind] = total["errors"].get(kind, 0) + count
    return total


def _finish() -> None:
    """Deliver what is left at the interpreter's end; called by the worker's exit function."""
    now = time.monotonic()
    # Nobody is inside a logging call as the interpreter ends: where something had this thread count as if
    # it were, that may not cost the records.
    inside.pop(get_ident(), None)
    listeners = all_listeners()
    for one in listeners:
        if not one.lifecycle.is_done():
            one.start()
    _flush_all([(one, now + one.exit_timeout - min(0.5, one.exit_timeout / 2)) for one in listeners])
    for one in listeners:
        one.lifecycle.end_for_good(now + one.exit_timeout + 0.5)


worker_module.finish_listeners = _finish
worker_module.known_listeners = all_listeners
