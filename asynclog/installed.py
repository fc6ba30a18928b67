"""`install` and `uninstall`: round a logging setup that stands already, and off again."""

from __future__ import annotations

import logging
import logging.handlers
import threading
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from asynclog import checks
from asynclog.errors import OptionValueError
from asynclog.fork import process_state
from asynclog.handler import QueueHandler
from asynclog.keywords import Keywords, refuse_mail_options, sort_out
from asynclog.listener import QueueListener
from asynclog.passthrough import is_disabled
from asynclog.queue import RecordQueue
from asynclog.report import Reported
from asynclog.sinks.base import Sink
from asynclog.sinks.convert import sends_mail
from asynclog.sinks.originals import give_back
from asynclog.wrappers import HandlerDoor, find_lane, remember, retire


def install(*loggers: logging.Logger | str, streams: bool = False, **options: Any) -> QueueListener:
    """Wrap the handlers of loggers in place, so that nobody who logs waits any more.

    Repeatable: another call takes only what is new. Left alone are handlers that write to a stream
    (the console belongs to the process, and Flask's follows the request), pytest's and unittest's,
    `NullHandler`, targets of a `MemoryHandler`, queue handlers, and what is wrapped already. A
    handler on several loggers is served by one lane; a record counts once for each wrapped handler
    that takes it. ``listener.report`` says what was wrapped, what was not, and why.

    With ``ASYNCLOG_DISABLED=1`` in the environment nothing is wrapped.

    Args:
        loggers: Loggers or their names; default every logger that has a handler, root included.
        streams: Whether stream handlers are wrapped too; default False.
        options: Keywords as for `wrap`. Those about queue and lanes count for all that is
            installed, and are given with the first call.

    Returns:
        The process's one listener for all that is installed.

    Raises:
        OptionTypeError: Something is no logger; there is no such option; one is of the wrong type,
            or fits none of the handlers.
        OptionValueError: An option has a value that it can't take, or another than before.

    Warns:
        RuntimeWarning: Nothing was found to wrap.
    """
    checks.flag("streams", streams)
    keywords = sort_out("install()", options, ["streams"])
    chosen = [_logger(one) for one in loggers] or _loggers_with_handlers()
    with _installation.lock:
        listener = _installation.install(chosen, keywords, streams=streams)
    if not listener.report.wrapped and not is_disabled():
        found = f"it found\n{listener.report}" if listener.report else "no logger has a handler yet"
        warnings.warn(f"asynclog.install() wrapped nothing: {found}", RuntimeWarning, stacklevel=2)
    return listener


def uninstall(timeout: float = 5.0) -> bool:
    """Put the handlers back where `install` found them, and let them work by themselves again.

    What is on its way is delivered first. Handlers that the app added or removed in the meantime
    stay added or removed. Does nothing where nothing is installed.

    Args:
        timeout: Seconds that deliveries may take; default 5.

    Returns:
        Whether nothing is left to deliver. What is left is tried again at exit.

    Raises:
        OptionTypeError: ``timeout`` is no number.
        OptionValueError: ``timeout`` is negative or not finite.
    """
    checks.seconds("timeout", timeout)
    with _installation.lock:
        return _installation.uninstall(timeout)


class Installation:
    """What is installed in this process.

    Attributes:
        lock: Held while something is installed or uninstalled.
    """

    def __init__(self) -> None:
        self._listener: QueueListener | None = None
        self._keywords = Keywords()
        self._doors: list[HandlerDoor] = []
        # Loggers that no manager knows are found again here.
        self._loggers: list[logging.Logger] = []
        # Listeners that had something left when they were uninstalled; tried again at exit.
        self._unfinished: list[QueueListener] = []
        self.after_fork()
        process_state.register(self)

    def after_fork(self) -> None:
        """Forget a lock that a thread of the parent's may hold, and what is the parent's to deliver."""
        self.lock = threading.RLock()
        self._unfinished.clear()

    # -- on ------------------------------------------------------------------------------------

    def install(self, loggers: Sequence[logging.Logger], keywords: Keywords, *, streams: bool) -> QueueListener:
        """Wrap what is to be wrapped and is not yet."""
        places = _places(loggers, streams=streams)
        if is_disabled():
            listener = self._listener or QueueListener(RecordQueue())
            listener.report[:] = [
                Reported(one.handler, one.logger, note=one.note or "ASYNCLOG_DISABLED is set") for one in places
            ]
            return listener
        wanted = {id(one.handler): one.handler for one in places if one.wrapped}
        doors = {id(door.original): door for door in self._doors}
        new = [one for one in wanted.values() if id(one) not in doors and find_lane(one) is None]
        self._check_fit(keywords, new)
        listener = self._listener_for(keywords)
        listener.add_handlers(new, **(keywords.mail if any(map(sends_mail, new)) else {}))
        for key, handler in wanted.items():
            # Where it is wrapped by hand as well, elsewhere, it goes on being served by that lane.
            standing = None if key in doors else find_lane(handler)
            if standing is not None:
                doors[key] = door = HandlerDoor(*standing)
                self._doors.append(door)
                if standing[0] is listener:
                    remember([handler], door)
        for door in self._doors:
            door.look_again()
        for logger in loggers:
            self._swap(logger, doors)
        self._loggers += [one for one in loggers if all(one is not known for known in self._loggers)]
        self._write_report(listener, places)
        return listener

    def _check_fit(self, keywords: Keywords, new: Sequence[logging.Handler]) -> None:
        if not keywords.mail or any(map(sends_mail, new)):
            return
        standing = [door.original for door in self._doors]
        # A call that is repeated finds its own mail handlers wrapped, by the same keywords.
        if not new and dict(keywords.mail) == dict(self._keywords.mail) and any(map(sends_mail, standing)):
            return
        refuse_mail_options(keywords.mail, new)

    def _listener_for(self, keywords: Keywords) -> QueueListener:
        if self._listener is None:
            self._listener = QueueListener(RecordQueue(**keywords.queue), **keywords.lane)
            self._listener.name = "asynclog.install"
            self._keywords = keywords
            return self._listener
        _refuse_others(keywords.queue, self._keywords.queue)
        _refuse_others(keywords.lane, self._keywords.lane)
        return self._listener

    def _swap(self, logger: logging.Logger, doors: Mapping[int, HandlerDoor]) -> None:
        # Item by item: a thread that is just going through the list skips none and meets none twice.
        for index, handler in enumerate(logger.handlers):
            door = doors.get(id(_original(handler)))
            if door is not None:
                logger.handlers[index] = door

    def _write_report(self, listener: QueueListener, places: Iterable[Reported]) -> None:
        lanes = {id(lane.face): lane for lane in listener.lanes}
        rows = [row for row in listener.report if row.logger]
        for one in places:
            lane = lanes.get(id(one.handler))
            sink = lane.name if lane is not None and one.wrapped else ""
            note = (getattr(lane.sink, "tls_note", None) or "") if sink and lane is not None else one.note
            row = Reported(one.handler, one.logger, wrapped=one.wrapped, sink=sink, note=note)
            rows = [old for old in rows if old.handler is not row.handler or old.logger != row.logger]
            rows.append(row)
        listener.report[:] = rows

    # -- off -----------------------------------------------------------------------------------

    def uninstall(self, timeout: float) -> bool:
        """Put everything back."""
        listener = self._listener
        if listener is None:
            return True
        deadline = time.monotonic() + timeout
        listener.flush(timeout)
        doors = {id(door): door for door in self._doors}
        for logger in [*_all_loggers(), *self._loggers]:
            self._swap_back(logger, doors)
        for door in self._doors:
            door.retire()
        done = listener.stop(max(0.0, deadline - time.monotonic()))
        retire(listener)
        for lane in listener.lanes:
            give_back(lane.face, lane.sink)
        if not done:
            self._unfinished.append(listener)
        self._listener, self._keywords, self._doors, self._loggers = None, Keywords(), [], []
        return done

    def _swap_back(self, logger: logging.Logger, doors: Mapping[int, HandlerDoor]) -> None:
        for index in reversed(range(len(logger.handlers))):
            door = doors.get(id(logger.handlers[index]))
            if door is None:
                continue
            if any(one is door.original for one in logger.handlers):
                del logger.handlers[index]  # the app has put it back by itself
            else:
                logger.handlers[index] = door.original


_installation = Installation()


def _refuse_others(given: Mapping[str, Any], standing: Mapping[str, Any]) -> None:
    for name, value in given.items():
        if name not in standing or standing[name] != value:
            before = f"as {checks.shown(standing[name])}" if name in standing else "without it"
            raise OptionValueError(
                f"{name}={checks.shown(value)}: install() was called before, {before}: give it with the first call,"
                " or uninstall() first"
            )


# -- which loggers -------------------------------------------------------------------------------


def _logger(one: Any) -> logging.Logger:
    if isinstance(one, logging.Logger):
        return one
    if isinstance(one, logging.LoggerAdapter):
        return _logger(one.logger)
    if isinstance(one, str):
        return logging.getLogger(one)
    return checks.bad_type("loggers", one, 'give loggers or their names, such as app.logger or "sqlalchemy"')


def _all_loggers() -> list[logging.Logger]:
    known = list(logging.root.manager.loggerDict.values())
    return [logging.root, *(one for one in known if isinstance(one, logging.Logger))]


def _loggers_with_handlers() -> list[logging.Logger]:
    return [logger for logger in _all_loggers() if logger.handlers]


# -- which handlers ------------------------------------------------------------------------------


def _places(loggers: Iterable[logging.Logger], *, streams: bool) -> list[Reported]:
    """Return each handler on each logger, and whether it is to be wrapped."""
    targets = _memory_targets()
    places = []
    for logger in loggers:
        for handler in logger.handlers:
            original = _original(handler)
            standing = original is not handler
            reason = "" if standing else _reason_to_leave(handler, targets, streams=streams)
            places.append(Reported(original, logger.name, wrapped=not reason, note=reason))
    return places


def _original(handler: logging.Handler) -> logging.Handler:
    return handler.original if isinstance(handler, HandlerDoor) else handler


def _memory_targets() -> set[int]:
    handlers = [reference() for reference in list(vars(logging)["_handlerList"])]
    for logger in _all_loggers():
        handlers += logger.handlers
    return {id(one.target) for one in handlers if isinstance(one, logging.handlers.MemoryHandler)}


def _reason_to_leave(handler: logging.Handler, targets: set[int], *, streams: bool) -> str:
    """Return why a handler is left alone, or an empty string."""
    if isinstance(handler, QueueHandler):
        return "it is wrapped already"
    if isinstance(handler, logging.handlers.QueueHandler):
        return "it has a queue of its own"
    if isinstance(handler, Sink) and handler._direct is not None:
        return "it is a sink, and delivers by itself already"
    if isinstance(handler, logging.NullHandler):
        return "it does nothing"
    if handler is logging.lastResort:
        return "it is logging.lastResort"
    tester = next((name for name in ("_pytest", "unittest") if _is_from(handler, name)), None)
    if tester is not None:
        return f"it is {tester.strip('_')}'s, which looks at it at once"
    if id(handler) in targets:
        return "it is the target of a MemoryHandler"
    return _reason_of_stream(handler, streams=streams)


def _reason_of_stream(handler: logging.Handler, *, streams: bool) -> str:
    stream = getattr(handler, "stream", None)
    if type(stream).__name__ == "LocalProxy":
        return "its stream follows the request"
    plain = isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler)
    if (plain or _is_from(handler, "rich")) and not streams:
        return "it writes to a stream; streams=True wraps it too"
    return ""


def _is_from(handler: logging.Handler, package: str) -> bool:
    return any(cls.__module__.split(".")[0] == package for cls in type(handler).__mro__)
