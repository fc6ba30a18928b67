"""The one call: `wrap` round handlers, which go on meaning what they meant."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Sequence
from typing import Any, cast

from asynclog import configured, late
from asynclog import handler as handler_module
from asynclog.errors import OptionTypeError
from asynclog.fork import process_state
from asynclog.handler import QueueHandler
from asynclog.keywords import Keywords, refuse_mail_options, sort_out
from asynclog.late import GivenHandlers, Once
from asynclog.listener import QueueListener
from asynclog.passthrough import PassThrough, is_disabled
from asynclog.queue import RecordQueue
from asynclog.sinks import base
from asynclog.sinks.base import Sink
from asynclog.sinks.convert import sends_mail
from asynclog.sinks.smtp import load_libraries
from asynclog.wrappers import LateHandler, Several, find_wrapper, remember


def wrap(*wrapped: logging.Handler, handlers: Iterable[logging.Handler] = (), **options: Any) -> QueueHandler:
    """Wrap handlers and sinks, so that whoever logs through them never waits.

    A standard `SMTPHandler` becomes an `SMTPSink` and a standard file handler a `FileSink`, with
    the same settings and the same output; any other handler runs as it is, on a thread of its own.
    Levels, filters and formatters stay in force, and may be set on the wrapper or on the original
    later. Wrapping what is wrapped already returns it. Every call has a listener of its own, as
    ``wrapper.listener``; it starts with the first record.

    With ``ASYNCLOG_DISABLED=1`` in the environment a handler is returned as it is, several as a
    handler that hands each record to all of them.

    Args:
        wrapped: Handlers and sinks.
        handlers: More of them, for dictConfig: ``[cfg://handlers.mail, …]``.
        options: The queue's keywords (``maxsize``, ``max_memory``, ``overflow``, ``exceptions``; see
            `RecordQueue`), the lanes' (``batch_records``, ``batch_age``, ``retry_initial``,
            ``retry_max``, ``breaker_reset``, ``exit_timeout``, ``on_alarm``; see `QueueListener`) and
            those about mail (``subject``, ``app``, ``environment``, ``digest``, ``rate``, ``burst``,
            ``digest_interval``, ``fingerprint``, ``redact``, ``context``, ``lead_up``, ``rich``,
            ``templates``; see `SMTPSink`), which go to the handlers that send mail.

    Returns:
        A handler to put where the wrapped ones would go.

    Raises:
        OptionTypeError: Something is no handler; there is no such option; one is of the wrong type,
            or fits none of the handlers.
        OptionValueError: An option has a value that it can't take; there is no handler.
    """
    keywords = sort_out("wrap()", options, ["handlers"])
    given = late.given(wrapped, handlers)
    if keywords.mail and not given.may_send_mail():
        refuse_mail_options(keywords.mail, given.known() or ())
    found = given.known()
    if is_disabled():
        return cast("QueueHandler", _pass_through(given))
    if found is None:
        if given.may_send_mail():
            load_libraries()  # and not with the first record, on its caller's path
        return _wrap_late(given, keywords)
    return _wrap_known(found, keywords)


def _pass_through(given: GivenHandlers) -> logging.Handler:
    found = given.known()
    if found is None:
        return PassThrough(lambda: given.known() or ())
    return found[0] if len(found) == 1 else PassThrough(found)


def _wrap_known(found: Sequence[logging.Handler], keywords: Keywords) -> QueueHandler:
    if len(found) == 1 and isinstance(found[0], QueueHandler):
        standing: QueueHandler | None = found[0]
    else:
        standing = find_wrapper(found)
    if standing is not None:
        _refuse_options(keywords, found)
        return standing
    wrappers = [one if isinstance(one, QueueHandler) else find_wrapper([one]) for one in found]
    new = [one for one, wrapper in zip(found, wrappers, strict=True) if wrapper is None]
    if not new:
        _refuse_options(keywords, found)
    if keywords.mail and not any(map(sends_mail, new)):
        refuse_mail_options(keywords.mail, new)
    queue = RecordQueue(**keywords.queue)
    listener = QueueListener(queue, **keywords.lane)
    listener.add_handlers(new, **keywords.mail)
    known = [wrapper for wrapper in wrappers if wrapper is not None]
    handler = Several(known, queue) if known else QueueHandler(queue)
    handler.listener = listener
    remember(found, handler)
    return handler


def _refuse_options(keywords: Keywords, found: Sequence[logging.Handler]) -> None:
    """Raise for options given with handlers that are wrapped already: they would be ignored."""
    if keywords:
        kinds = ", ".join(type(one).__name__ for one in found)
        raise OptionTypeError(
            f"{min(keywords.names())}: {kinds} is wrapped already: give options where it is wrapped first"
        )


def _wrap_late(given: GivenHandlers, keywords: Keywords) -> QueueHandler:
    queue = RecordQueue(**keywords.queue)
    listener = QueueListener(queue, **keywords.lane)

    def resolve() -> Sequence[QueueHandler] | None:
        found = given.known()
        if found is None:
            return None
        wrappers = [one if isinstance(one, QueueHandler) else find_wrapper([one]) for one in found]
        new = [one for one, wrapper in zip(found, wrappers, strict=True) if wrapper is None]
        # Whether they fit was found out when they were given, as far as that could be told.
        listener.add_handlers(new, **(keywords.mail if any(map(sends_mail, new)) else {}))
        return [wrapper for wrapper in wrappers if wrapper is not None]

    return LateHandler(queue, listener, Once(resolve))


# -- sinks that were put straight on a logger ---------------------------------------------------


class _DirectUse:
    """Makes the wrapper through which a sink that was put straight on a logger delivers."""

    def __init__(self) -> None:
        self.after_fork()
        process_state.register(self)

    def after_fork(self) -> None:
        """Forget a lock that a thread of the parent's may hold."""
        self._lock = threading.RLock()

    def __call__(self, sink: Sink) -> logging.Handler:
        # Not turned off by ASYNCLOG_DISABLED: a sink has no other way to deliver.
        with self._lock:
            if sink._direct is None:
                sink._direct = _wrap_known([sink], Keywords())
            return sink._direct


base.wrap_for_direct_use = _DirectUse()
handler_module.exchange_made_up = configured.exchange_made_up
