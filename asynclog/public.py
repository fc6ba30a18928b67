"""What ``import asynclog`` does by itself, which is little: the rest is loaded when it is used.

Two things can't wait. The exit function is registered at import: those registered later run earlier,
so that what the app's own exit functions log is still delivered; and `logging`, which registers its
own when it is imported, has to come first. And asyncio is loaded here, since its import takes
`logging`'s lock, which ``dictConfig`` holds while it looks up our names: two threads would wait for
each other.

What is loaded late is loaded whole, by whichever name: parts of it tell each other who they are.
"""

from __future__ import annotations

import asyncio  # noqa: F401
import atexit
import importlib
import logging.handlers  # noqa: F401
import sys
from typing import Any

#: Where the public names live. No module of the package may have one of them for its own name: its
#: import would put the module in the function's place.
HOMES = {
    "Alarm": "asynclog.alarm",
    "FileSink": "asynclog.sinks.file",
    "HandlerSink": "asynclog.sinks.handler",
    "JSONFormatter": "asynclog.render.jsonline",
    "QueueHandler": "asynclog.handler",
    "QueueListener": "asynclog.listener",
    "RecordQueue": "asynclog.queue",
    "SMTPSink": "asynclog.sinks.smtp",
    "Sink": "asynclog.sinks.base",
    "ThreadedSink": "asynclog.sinks.base",
    "flush": "asynclog.listeners",
    "install": "asynclog.installed",
    "stats": "asynclog.listeners",
    "uninstall": "asynclog.installed",
    "wrap": "asynclog.wrapping",
}

_TOP = "asynclog.installed", "asynclog.wrapping"


def load() -> None:
    """Load all that a record may need on its way; never on the caller's path."""
    for name in _TOP:
        if name not in sys.modules:
            importlib.import_module(name)


def find(name: str) -> Any:
    """Return a public object; it is loaded if it has to be.

    Raises:
        KeyError: There is none of that name.
    """
    home = HOMES[name]
    load()
    return getattr(importlib.import_module(home), name)


def _finish() -> None:
    worker = sys.modules.get("asynclog.worker")
    if worker is not None:
        worker.finish()


atexit.register(_finish)
