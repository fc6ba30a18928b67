"""What each contender puts on ``app.logger``; runs in the app's process."""

from __future__ import annotations

import logging
import logging.handlers
import queue
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.latency.plan import ASYNCLOG, DIRECT, LOGBOOK, PAIR
from benchmarks.latency.witness import Settings, StatsAtExit, log_path

_FORMAT = "[%(asctime)s] %(levelname)s in %(module)s: %(message)s"


@dataclass(frozen=True, slots=True)
class Attached:
    """A contender at work.

    Attributes:
        handlers: For ``app.logger``.
        drain: What its manual says to call when the app ends; ``None``: nothing.
        stats: Writes asynclog's last counts; ``None`` for the others.
    """

    handlers: Sequence[logging.Handler]
    drain: Callable[[], Any] | None = None
    stats: StatsAtExit | None = None


def attach(settings: Settings) -> Attached:
    """Make the handlers that an app's errors go to, to mail and to a file."""
    make = {DIRECT.key: _direct, PAIR.key: _pair, LOGBOOK.key: _logbook, ASYNCLOG.key: _asynclog}.get(settings.kind)
    return Attached([logging.NullHandler()]) if make is None else make(settings)


def put_on(logger: logging.Logger, attached: Attached) -> None:
    """Have a logger's records go there alone.

    The handler that Flask and Quart add by themselves, which prints every traceback on stderr, is
    taken away: the app that logs nowhere would not be one with it.
    """
    for handler in tuple(logger.handlers):
        logger.removeHandler(handler)
    logger.propagate = False
    logger.setLevel(logging.INFO)
    for handler in attached.handlers:
        logger.addHandler(handler)


def _smtp_handler(settings: Settings) -> logging.handlers.SMTPHandler:
    handler = logging.handlers.SMTPHandler(
        ("127.0.0.1", settings.mail_port), f"{settings.kind}@shop.example", ["admin@shop.example"], "Shop failed"
    )
    handler.setLevel(logging.ERROR)
    handler.setFormatter(logging.Formatter(_FORMAT))
    return handler


def _file_handler(settings: Settings) -> logging.FileHandler:
    handler = logging.FileHandler(_log(settings), encoding="utf-8")
    handler.setFormatter(logging.Formatter(_FORMAT))
    return handler


def _log(settings: Settings) -> Path:
    return log_path(Path(settings.folder), settings.kind)


def _direct(settings: Settings) -> Attached:
    return Attached([_file_handler(settings), _smtp_handler(settings)])


def _pair(settings: Settings) -> Attached:
    records: queue.Queue[logging.LogRecord] = queue.Queue(-1)
    listener = logging.handlers.QueueListener(
        records, _file_handler(settings), _smtp_handler(settings), respect_handler_level=True
    )
    listener.start()
    return Attached([logging.handlers.QueueHandler(records)], drain=listener.stop)


def _logbook(settings: Settings) -> Attached:
    from logbook import FileHandler, MailHandler
    from logbook.compat import RedirectLoggingHandler
    from logbook.queues import ThreadedWrapperHandler

    threaded = ThreadedWrapperHandler(
        MailHandler(
            f"{settings.kind}@shop.example", ["admin@shop.example"], server_addr=("127.0.0.1", settings.mail_port)
        )
    )
    threaded.push_application()
    # In the request: a second thread's wrapper would hold back what the first one has to do before.
    FileHandler(_log(settings), bubble=True).push_application()
    return Attached([RedirectLoggingHandler()], drain=threaded.close)


def _asynclog(settings: Settings) -> Attached:
    import asynclog

    handler = asynclog.wrap(
        _file_handler(settings), _smtp_handler(settings), digest_interval=(10, 60), exit_timeout=settings.exit_timeout
    )
    return Attached([handler], stats=StatsAtExit(settings, asynclog.stats))
