"""Handlers that ``dictConfig`` has not made yet.

It makes handlers in the order of their names, so that in ``handlers: [cfg://handlers.mail]`` the
item of a wrapper named "async" stands for a handler still to come: for the dictionary it is to be
made of. Its list resolves an item only where it is indexed, and keeps what it found; so the items
are looked up beside the list, now as far as that goes and again when the first record comes.
"""

from __future__ import annotations

import logging
import logging.handlers
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

from asynclog import checks
from asynclog.errors import OptionTypeError
from asynclog.fork import process_state
from asynclog.sinks.convert import sends_mail
from asynclog.sinks.smtp import SMTPSink

_T = TypeVar("_T")

_FIX = "give handlers or sinks; in dictConfig write them as 'cfg://handlers.NAME'"


class GivenHandlers:
    """The handlers that `wrap` was given, known or still to come.

    Args:
        items: Handlers, or what a dictConfig list holds.
        configurator: The dictConfig's, which resolves its items; ``None``: there is none.

    Raises:
        OptionTypeError: Something is neither a handler nor stands for one.
    """

    def __init__(self, items: Iterable[Any], configurator: Any = None) -> None:
        self._items = list(items)
        self._configurator = configurator
        for item in self._items:
            self._look_up(item)

    def known(self) -> list[logging.Handler] | None:
        """Return the handlers, each once, or ``None`` while some are still to come."""
        found = [self._look_up(item) for item in self._items]
        if not all(isinstance(one, logging.Handler) for one in found):
            return None
        return list({id(one): one for one in found}.values())

    def may_send_mail(self) -> bool:
        """Say whether one of them is, or will be, served by an `SMTPSink`, as far as can be told."""
        return any(self._may_send_mail(self._look_up(item)) for item in self._items)

    def _look_up(self, item: Any) -> Any:
        """Return a handler, or the dictionary that one is going to be made of."""
        if isinstance(item, logging.Handler):
            return item
        if self._configurator is None or not isinstance(item, str):
            checks.bad_type("handlers", item, _FIX)
        try:
            found = self._configurator.convert(item)
        except Exception as error:
            raise OptionTypeError(f"handlers={checks.shown(item)} stands for nothing: {_FIX}") from error
        if not isinstance(found, (logging.Handler, dict)):
            checks.bad_type("handlers", found, _FIX)
        return found

    def _may_send_mail(self, found: Any) -> bool:
        if isinstance(found, logging.Handler):
            return sends_mail(found)
        made_by = dict.get(found, "()") or dict.get(found, "class")
        if isinstance(made_by, str):
            try:
                made_by = self._configurator.resolve(made_by)
            except Exception:
                return True  # dictConfig itself will say that there is no such thing
        if isinstance(made_by, type):
            return issubclass(made_by, (logging.handlers.SMTPHandler, SMTPSink))
        return True


class Once(Generic[_T]):
    """Calls a function until it has returned something, never twice at a time and never inside itself.

    Args:
        function: Returns ``None`` while it can't do its work yet.
    """

    def __init__(self, function: Callable[[], _T | None]) -> None:
        self._function = function
        self._result: _T | None = None
        self.after_fork()
        process_state.register(self)

    def after_fork(self) -> None:
        """Forget that another thread of the parent's was at it."""
        self._lock = threading.RLock()
        self._running = False

    def __call__(self) -> _T | None:
        """Call the function, or return what it returned."""
        if self._result is not None:
            return self._result
        with self._lock:
            # A record logged meanwhile by the same thread: a signal handler's, or a handler's own.
            if self._result is None and not self._running:
                self._running = True
                try:
                    self._result = self._function()
                finally:
                    self._running = False
            return self._result


def given(positional: Sequence[Any], handlers: Any) -> GivenHandlers:
    """Check what `wrap` was given for handlers.

    Raises:
        OptionTypeError: Something is no handler.
        OptionValueError: There is none.
    """
    if isinstance(handlers, (str, bytes, logging.Handler)) or not isinstance(handlers, Iterable):
        checks.bad_type("handlers", handlers, "give a list of handlers and sinks")
    # Iterating its list finds what was written there; indexing it would resolve, and keep, too early.
    items = [*positional, *handlers]
    if not items:
        checks.bad_value("handlers", handlers, "give at least one handler or sink to wrap")
    return GivenHandlers(items, getattr(handlers, "configurator", None))
