"""Points an app's own log handlers where a trial wants them: mail to its mail server, files into its folder.

By what the handler classes themselves read: `SMTPHandler.mailhost` and `FileHandler.baseFilename`
become properties that answer with the trial's. So it holds for a handler whenever it is made, by
whichever subclass, and whatever is set on it later; going over the handlers after the app was
imported would come too late for a file that is truncated when it is opened, and miss those that are
made at startup or with the first request.
"""

from __future__ import annotations

import logging
import logging.handlers
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from asynclog.sinks import smtp_options
from asynclog.sinks.base import Sink
from asynclog.sinks.file import FileSink
from asynclog.sinks.smtp_options import Connecting, Server

_REACHING_OUT = (
    logging.handlers.SocketHandler,  # and DatagramHandler
    logging.handlers.SysLogHandler,
    logging.handlers.HTTPHandler,
    logging.handlers.NTEventLogHandler,
)
# They write to the console or to other handlers, which are looked at by themselves.
_STAYING = (
    logging.StreamHandler,  # and FileHandler, whose path is another
    logging.NullHandler,
    logging.handlers.SMTPHandler,
    logging.handlers.QueueHandler,
    logging.handlers.MemoryHandler,
    Sink,
)
_KNOWN_MODULES = {"logging", "asynclog", "rich", "flask", "quart", "gunicorn", "uvicorn", "_pytest"}


class Redirection:
    """What of an app's handlers is pointed elsewhere.

    Args:
        mail_port: The trial's mail server's, on 127.0.0.1.
        folder: Where files are written.

    Attributes:
        lines: What was pointed elsewhere, for people; in the order in which it was first seen.
    """

    def __init__(self, mail_port: int, folder: Path) -> None:
        self._mail_port = mail_port
        self._folder = folder
        self.lines: list[str] = []

    def start(self) -> None:
        """Redirect every handler that is made from now on, for as long as this process lives."""
        self._redirect_mail()
        self._redirect_files()
        made = logging.Handler.__init__

        def make(handler: logging.Handler, *args: Any, **keywords: Any) -> None:
            self._look_at(handler)
            made(handler, *args, **keywords)

        logging.Handler.__init__ = make  # type: ignore[method-assign,assignment]

    def _tell(self, line: str) -> None:
        if line not in self.lines:
            self.lines.append(line)

    # -- mail ----------------------------------------------------------------------------------

    def _redirect_mail(self) -> None:
        kind: Any = logging.handlers.SMTPHandler

        def remember(handler: Any, **told: Any) -> None:
            own = vars(handler).setdefault("_own_server", {})
            own.update(told)
            if len(own) == 2:
                self._tell_of_mail(_name(handler), own["host"], own["port"] or 25)

        kind.mailhost = property(lambda _: "127.0.0.1", lambda handler, host: remember(handler, host=host))
        kind.mailport = property(lambda _: self._mail_port, lambda handler, port: remember(handler, port=port))
        # The trial's server has neither TLS nor a login, and no password of the reader's is sent to it.
        for name in ("username", "password", "secure"):
            setattr(kind, name, property(lambda _: None, _ignore))
        connecting = smtp_options.connecting

        def connect(*args: Any, **options: Any) -> Connecting:
            how = connecting(*args, **options)
            for server in how.servers:
                self._tell_of_mail("SMTPSink", server.host, server.port)
            return Connecting((Server("127.0.0.1", self._mail_port, "none"),), how.timeout, how.reply_timeout)

        smtp_options.connecting = connect

    def _tell_of_mail(self, whose: str, host: Any, port: Any) -> None:
        self._tell(
            f"{whose}: mail for {host}:{port} goes to the trial's mail server on this machine, without TLS or login"
        )

    # -- files ---------------------------------------------------------------------------------

    def _redirect_files(self) -> None:
        kind: Any = logging.FileHandler

        def remember(handler: Any, path: str) -> None:
            vars(handler)["_own_path"] = self.path_for(path, _name(handler))

        kind.baseFilename = property(lambda handler: vars(handler)["_own_path"], remember)
        made: Callable[..., None] = FileSink.__init__

        def make(sink: FileSink, path: Any, *args: Any, **keywords: Any) -> None:
            made(sink, self.path_for(path, "FileSink"), *args, **keywords)

        FileSink.__init__ = make  # type: ignore[method-assign,assignment]

    def path_for(self, path: Any, whose: str) -> str:
        """Return where a handler writes in place of its own path."""
        own = os.path.abspath(str(os.fspath(path)))
        if own == os.devnull or Path(own).is_relative_to(self._folder):
            return own
        there = self._folder / Path(own).relative_to("/")
        there.parent.mkdir(parents=True, exist_ok=True)
        self._tell(f"{whose}: {own} is left alone; what it would get goes into the trial's folder, removed at the end")
        return str(there)

    # -- the others ----------------------------------------------------------------------------

    def _look_at(self, handler: logging.Handler) -> None:
        if isinstance(handler, _REACHING_OUT):
            _drop(handler)
            self._tell(f"{_name(handler)}: its records are dropped, and sent nowhere")
        elif not isinstance(handler, _STAYING) and type(handler).__module__.split(".")[0] not in _KNOWN_MODULES:
            # Nobody knows where it writes to: a chat, a database, a collector on another host.
            _drop(handler)
            self._tell(f"{_name(handler)}: its records are dropped, since where it sends them is not known")


def _drop(handler: logging.Handler) -> None:
    """Have a handler drop its records; level, filters and what it costs to call it stay.

    On the instance, so that it goes before what any subclass defines.
    """
    own = vars(handler)
    own["emit"] = _ignore_record
    if type(handler).handle is not logging.Handler.handle:
        own["handle"] = _ignore_record
    if isinstance(handler, logging.handlers.SysLogHandler):
        own["createSocket"] = _nothing  # the constructor would look its host up


def _ignore(_: Any, __: Any) -> None:
    """Set nothing."""


def _ignore_record(_: logging.LogRecord) -> None:
    """Drop a record."""


def _nothing() -> None:
    """Do nothing."""


def _name(handler: logging.Handler) -> str:
    kind = type(handler)
    return kind.__name__ if kind.__module__ in {"logging", "logging.handlers"} else f"{kind.__module__}.{kind.__name__}"
