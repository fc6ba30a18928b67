"""Ship log records from a Python web app to mail and files without the request ever waiting.

>>> import logging, asynclog
>>> from logging.handlers import SMTPHandler
>>> handler = asynclog.wrap(SMTPHandler("127.0.0.1", "app@example.com", ["me@example.com"], "It failed"))
>>> logging.getLogger("shop").addHandler(handler)

Nothing starts at import: the one thread that delivers starts with the first record.
"""

from __future__ import annotations

from asynclog._version import __version__
from asynclog.alarm import Alarm
from asynclog.errors import AsynclogError, OptionTypeError, OptionValueError
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
from asynclog.wrap import wrap

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
