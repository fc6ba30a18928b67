"""What uWSGI does to threads, and how to tell.

It imports the app in its master and forks the workers from it without Python's at-fork hooks. Where
a thread waits for the interpreter lock at that moment, and it does, since the master never lets go of
it between the import and the fork, the workers inherit a lock that waits for a thread which they
haven't got: each hangs at its first request. So no thread may be started there. And without
``--enable-threads`` a thread that was started in a worker never runs.
"""

from __future__ import annotations

import sys
from typing import Any

# The last two run loops that let go of the interpreter lock by themselves.
_ENABLING = ("enable-threads", "threads", "gevent", "asyncio")
_NO = (b"0", b"false")


def _module() -> Any:
    # Built into uWSGI, which imports it before the app; nothing else has it.
    return sys.modules.get("uwsgi")


def forks_soon() -> bool:
    """Say whether this process is uWSGI's and no worker yet."""
    uwsgi = _module()
    return uwsgi is not None and getattr(uwsgi, "worker_id", _one)() == 0


def has_threads() -> bool:
    """Say whether threads run in this process: not in a uWSGI that was not told to let them."""
    uwsgi = _module()
    options: Any = getattr(uwsgi, "opt", {})
    return uwsgi is None or any(options.get(name, b"0") not in _NO for name in _ENABLING)


def _one() -> int:
    return 1
