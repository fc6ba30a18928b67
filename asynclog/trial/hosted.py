"""The reader's own app inside a server process of a trial: its handlers in one of three ways, and its errors.

The app is imported as it is. Round it stands a door, a few dozen lines of WSGI or ASGI, the same for
each of the three ways: it answers for the counts, and it has the app log an exception where a
request asks for one.

An exception is logged and not raised out of the app: what a server or a framework does with one
that nobody handles differs, and with it what the request would have cost anyway. In Flask and Quart
it is logged within the request by the app's own ``log_exception``, just as an error that no view
handled, so that formatters that look at the request see it; in any other app on a logger, before the
app gets the request. The answer stays the app's own.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import warnings
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asynclog
from asynclog.trial import target
from asynclog.trial.ending import CountsAtExit, end_with_the_trial
from asynclog.trial.files import FILE_KINDS, FileBook, file_handlers, mark_records
from asynclog.trial.guard import Guard
from asynclog.trial.inventory import (
    EXACT,
    MAIL_KINDS,
    Count,
    Given,
    all_handlers,
    behind,
    count_failures,
    is_the_servers,
    lane_counts,
    loggers,
    writes_nowhere_else,
)
from asynclog.trial.memory import memory_of
from asynclog.trial.plan import ASYNCLOG, STDLIB
from asynclog.trial.redirect import Redirection

STATS_PATH = "/__asynclog_bench__"
MARK = "X-Asynclog-Bench-Error"


@dataclass(frozen=True, slots=True)
class Hosting:
    """How an app is hosted; passed on as JSON.

    Attributes:
        key: Of the role, see `asynclog.trial.plan.OWN_APPS`.
        target: The app's name.
        interface: ``wsgi`` or ``asgi``; ``""``: by looking at it.
        logger: Where errors are logged; ``""``: by looking.
        allow: Hosts that may be reached.
        mail_port: The mail server's.
        folder: For files of its handlers.
        exit_file: For its last counts.
    """

    key: str
    target: str
    interface: str = ""
    logger: str = ""
    allow: list[str] = field(default_factory=list)
    mail_port: int = 0
    folder: str = ""
    exit_file: str = ""

    @classmethod
    def read(cls, path: str) -> Hosting:
        """Read it from a file."""
        return cls(**json.loads(Path(path).read_text(encoding="utf-8")))


class BenchError(Exception):
    """The exception that the trial has the app log."""


class Hosted:
    """The app of a server process.

    Args:
        hosting: How.

    Attributes:
        app: The app.
        interface: Its interface.
    """

    def __init__(self, hosting: Hosting) -> None:
        self._hosting = hosting
        self._servers = {id(handler) for logger in loggers() for handler in logger.handlers}
        self._guard = Guard(hosting.allow)
        self._redirection = Redirection(hosting.mail_port, Path(hosting.folder))
        self._guard.start()
        self._redirection.start()
        mark_records()
        self.app = target.load(hosting.target)
        self.interface = hosting.interface or target.interface_of(self.app, hosting.target)
        self._mail_handlers: dict[int, Given] = {}
        self._failures = Count()
        self._files = FileBook(Path(hosting.folder))
        self._report: list[str] = []
        self._logged = Count()
        self._settling = threading.Lock()
        self._settled = False
        self._at_exit: logging.Handler | None = None
        self._framework = None if hosting.logger else _framework_of(self.app)
        self._logger: logging.Logger | None = None
        self.settle()

    # -- the app's handlers ----------------------------------------------------------------------

    def settle(self) -> None:
        """Count what mail and file handlers are given, and put every handler in the way that is on trial."""
        if self._logger is None:
            # Before the handlers go: all apps log at the same place, also the one that has none left.
            self._logger = self._choose_logger()
        for handler in all_handlers():
            if isinstance(handler, MAIL_KINDS):
                self._count(handler, self._mail_handlers.setdefault(id(handler), Given(handler)))
        for handler in file_handlers():
            self._count(handler, self._files[handler])
        if self._hosting.key == ASYNCLOG.key:
            self._wrap()
        elif self._hosting.key != STDLIB.key:
            self._remove()

    def settle_once_more(self) -> None:
        """Do it again with the first request: startup may have made more handlers."""
        with self._settling:
            if not self._settled:
                self._settled = True
                self.settle()
                # Anew, because startup may have configured logging, which closes every handler there is.
                self.write_counts_at_exit()

    def write_counts_at_exit(self) -> None:
        """Have the counts written when the process ends."""
        self._at_exit = CountsAtExit(self._hosting.exit_file, self.last_counts)

    def _count(self, handler: logging.Handler, given: Given) -> None:
        count_failures(type(handler), {MAIL_KINDS: self._failures, FILE_KINDS: self._files.failures})
        # Behind all others, so that it hears of what they let through.
        handler.removeFilter(given)
        handler.addFilter(given)

    def _wrap(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # nothing found: the trial says so itself
            self._report = [str(row) for row in asynclog.install().report]

    def _remove(self) -> None:
        for logger in loggers():
            if is_the_servers(logger):
                logger.handlers = [one for one in logger.handlers if id(one) in self._servers]
            elif logger.handlers:
                # With a handler that does nothing in their place, or Flask would put its own there.
                logger.handlers = [logging.NullHandler()]
        if not logging.root.handlers:
            logging.root.addHandler(logging.NullHandler())

    # -- its errors ------------------------------------------------------------------------------

    @property
    def logged_by(self) -> str:
        """Where its errors are logged, for people."""
        if self._framework is not None:
            return f"the app's log_exception, within the request, on logger {self.app.logger.name!r}"
        name = self._logger.name if self._logger is not None else "root"
        return f"logger {name!r}, before the app gets the request"

    def _choose_logger(self) -> logging.Logger:
        hosting = self._hosting
        if hosting.logger:
            return logging.getLogger(hosting.logger)
        module = logging.getLogger(hosting.target.partition(":")[0])
        for kinds in (MAIL_KINDS, (logging.FileHandler, logging.Handler)):
            for logger in loggers():
                if any(isinstance(one, kinds) and id(one) not in self._servers for one in behind(logger)):
                    return module if logger is logging.root else logger
        return module

    def hook_into_framework(self) -> None:
        """Have Flask or Quart log the errors within the request."""
        if self._framework is None:
            return
        framework = self._framework
        app = self.app

        def log() -> None:
            if framework.request.headers.get(MARK):
                self._logged.add()
                _with_an_exception(lambda: app.log_exception(sys.exc_info()))

        async def log_on_the_loop(*_: Any, **__: Any) -> None:
            # A plain function would be sent to a thread by Quart, where no view's error is logged.
            log()

        def log_here(*_: Any, **__: Any) -> None:
            log()

        receiver = log_on_the_loop if self.interface == "asgi" else log_here
        framework.request_started.connect(receiver, app, weak=False)

    def log_error(self, path: str) -> None:
        """Log an exception where the app logs its own; in Flask and Quart that happens elsewhere."""
        logger = self._logger
        if self._framework is None and logger is not None:
            self._logged.add()
            _with_an_exception(lambda: logger.error("Exception on %s", path, exc_info=sys.exc_info()))

    # -- the accounts ----------------------------------------------------------------------------

    def counts(self) -> dict[str, Any]:
        """Return the counts of now."""
        return {
            "logged": self._logged.value,
            "given": sum(given.value for given in self._mail_handlers.values()),
            "failed": self._failures.value,
            "mail_lanes": lane_counts(MAIL_KINDS),
            "stats": asynclog.stats(),
            "handlers": self._found(),
            "mail_handlers": len(self._mail_handlers),
            "redirected": self._redirection.lines,
            "report": self._report,
            "refused": dict(self._guard.refused),
            "logged_by": self.logged_by,
            "interface": self.interface,
            "app": type(self.app).__name__,
            "exact": all(type(given.handler).emit in EXACT for given in self._mail_handlers.values()),
        }

    def last_counts(self) -> dict[str, Any]:
        """Return the counts, and what is told only at the end."""
        # Memory first: reading the files takes some.
        return {"memory": memory_of(), **self.counts(), "files": self._files.counts()}

    def _found(self) -> int:
        """Return how many handlers of the app's there are that asynclog could ship for."""
        return sum(
            id(handler) not in self._servers and not writes_nowhere_else(handler)
            for logger in loggers()
            for handler in logger.handlers
        )


def _framework_of(app: Any) -> Any:
    """Return the package of a Flask or Quart app; ``None``: it is another."""
    for name, kind in (("quart", "Quart"), ("flask", "Flask")):
        package = sys.modules.get(name)
        if package is not None and isinstance(app, getattr(package, kind)):
            return package
    return None


def _with_an_exception(log: Callable[[], None]) -> None:
    """Call a function while an exception is being handled that came through a few frames."""
    try:
        _frames(6)
    except BenchError:
        log()


def _frames(left: int) -> None:
    if left:
        _frames(left - 1)
    raise BenchError("this request was asked to log an exception")


# -- doors ---------------------------------------------------------------------------------------


_kept: list[Hosted] = []


def host(hosting_file: str) -> Hosted:
    """Import the app, and have its counts written when the process ends."""
    hosting = Hosting.read(hosting_file)
    hosted = Hosted(hosting)
    hosted.hook_into_framework()
    hosted.write_counts_at_exit()
    # Until the very end: `logging` holds its handlers weakly, and a server lets go of its app before.
    _kept.append(hosted)
    return hosted


def wsgi(hosting_file: str) -> Callable[..., Iterable[bytes]]:
    """Return the door of a WSGI app."""
    end_with_the_trial()
    hosted = host(hosting_file)
    app = hosted.app
    mark = "HTTP_" + MARK.upper().replace("-", "_")

    def door(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == STATS_PATH:
            body = json.dumps(hosted.counts()).encode("utf-8")
            start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
            return [body]
        hosted.settle_once_more()
        if mark in environ:
            hosted.log_error(path)
        answer: Iterable[bytes] = app(environ, start_response)
        return answer

    return door


def asgi(hosting_file: str) -> Callable[..., Awaitable[None]]:
    """Return the door of an ASGI app."""
    hosted = host(hosting_file)
    app = hosted.app
    mark = MARK.lower().encode("ascii")

    async def door(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            if scope["path"] == STATS_PATH:
                body = json.dumps(hosted.counts()).encode("utf-8")
                headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode("ascii"))]
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                await send({"type": "http.response.body", "body": body})
                return
            hosted.settle_once_more()
            if any(name == mark for name, _ in scope["headers"]):
                hosted.log_error(scope["path"])
        await app(scope, receive, send)

    return door
