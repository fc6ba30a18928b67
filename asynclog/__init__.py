"""Ship log records from a Python web app to mail and files without the request ever waiting.

>>> import logging, asynclog
>>> from logging.handlers import SMTPHandler
>>> handler = asynclog.wrap(SMTPHandler("127.0.0.1", "app@example.com", ["me@example.com"], "It failed"))
>>> logging.getLogger("shop").addHandler(handler)

Nothing starts at import: the one thread that delivers starts with the first record. Most is loaded
when one of the names below is used for the first time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynclog import public
from asynclog._version import __version__
from asynclog.errors import AsynclogError, OptionTypeError, OptionValueError

if TYPE_CHECKING:
    from asynclog.alarm import Alarm
    from asynclog.handler import QueueHandler
    from asynclog.installed import install, uninstall
    from asynclog.listener import QueueListener
    from asynclog.listeners import flush, stats
    from asynclog.queue import RecordQueue
    from asynclog.render.jsonline import JSONFormatter
    from asynclog.sinks.base import Sink, ThreadedSink
    from asynclog.sinks.file import FileSink
    from asynclog.sinks.handler import HandlerSink
    from asynclog.sinks.smtp import SMTPSink
    from asynclog.wrapping import wrap

__all__ = [
    "Alarm",
    "AsynclogError",
    "FileSink",
    "HandlerSink",
    "JSONFormatter",
    "OptionTypeError",
    "OptionValueError",
    "QueueHandler",
    "QueueListener",
    "RecordQueue",
    "SMTPSink",
    "Sink",
    "ThreadedSink",
    "__version__",
    "flush",
    "install",
    "stats",
    "uninstall",
    "wrap",
]


# Not for a type checker, which would then find every name.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in public.HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)
        found = globals()[name] = public.find(name)
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
