"""Which sink serves a handler."""

from __future__ import annotations

import logging
import logging.handlers
from typing import Any

from asynclog import checks
from asynclog.sinks.base import Sink
from asynclog.sinks.file import FileSink
from asynclog.sinks.handler import HandlerSink
from asynclog.sinks.smtp import SMTPSink


def sink_for(handler: logging.Handler, **mail_options: Any) -> Sink:
    """Return the sink that does what a handler does.

    A sink is its own. A standard mail handler becomes an `SMTPSink` and a standard file handler a
    `FileSink`, unless a subclass overrides what a sink can't honour; every other handler runs as it
    is in a `HandlerSink`.

    Args:
        handler: A handler or a sink.
        mail_options: Mail keywords, for an `SMTPSink` and a handler that becomes one.

    Raises:
        OptionTypeError: It is no handler.
    """
    if isinstance(handler, SMTPSink) and mail_options:
        handler.configure(**mail_options)
    if isinstance(handler, Sink):
        return handler
    if not isinstance(handler, logging.Handler):
        checks.bad_type("handlers", handler, "give a logging.Handler or a sink of asynclog's")
    sink: Sink | None = None
    if isinstance(handler, logging.handlers.SMTPHandler):
        sink = SMTPSink.from_handler(handler, **mail_options)
    elif isinstance(handler, logging.FileHandler):
        sink = FileSink.from_handler(handler)
    return sink or HandlerSink(handler)


def sends_mail(handler: logging.Handler) -> bool:
    """Say whether the mail keywords fit a handler: it is an `SMTPSink` or becomes one."""
    if isinstance(handler, logging.handlers.SMTPHandler):
        return SMTPSink.from_handler(handler) is not None
    return isinstance(handler, SMTPSink)
