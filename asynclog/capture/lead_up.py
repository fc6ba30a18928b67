"""The last records of the same request, so that a mail can show what led up to an error.

A request is a `contextvars` context, told apart further by a scope: where the framework's threads
serve one request after the other in the same context (Flask under gunicorn), or tasks are started
from a context that has logged already (uvicorn's startup), the context alone would mix them up.

Only what the record may keep anyway is kept here: strings and immutable arguments. Bounded per
context by ``size``, in all by `MOST_IN_ALL`, each message by `LONGEST`: whoever logs a million
lines in as many requests fills no memory.

Where several handlers of one listener note the same record one after the other (`install` puts one
in the place of each), it is kept once.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TypeAlias

from asynclog import checks
from asynclog.capture.scope import task_scope
from asynclog.plain import IMMUTABLE, size_of
from asynclog.render.carried import Kept, LeadUp, lead_ups

#: Records kept over all contexts.
MOST_IN_ALL = 5_000
#: Characters of one message, arguments included; the rest is cut.
LONGEST = 1_000


#: The last records of one context and scope, and what answers with the scope. No class of its own: most
#: requests make one, and each function that a caller runs cold counts.
_Ring: TypeAlias = tuple[deque[Kept], Callable[[], object | None]]


def _reference(scope: object) -> Callable[[], object | None]:
    try:
        return weakref.ref(scope)
    except TypeError:
        # Its id would be reused once it is gone; held, it can't be. Such scopes are small: strings
        # and numbers that a user's function returns.
        return lambda: scope


def _nothing() -> None:
    return None


class LeadUpBuffer:
    """Keep the last records of each request.

    Args:
        size: Records of one request that are kept; default 20; 0: none.
        scope: Returns what a request is told by, such as the framework's request object, or
            ``None`` outside of one; default: the running asyncio task.

    Raises:
        OptionTypeError: ``size`` is no whole number, or ``scope`` no function.
        OptionValueError: ``size`` is negative.
    """

    def __init__(self, size: int = 20, scope: Callable[[], object | None] = task_scope) -> None:
        self.size = checks.integer("lead_up", size)
        self._scope = checks.function("scope", scope)
        self._ring: ContextVar[_Ring | None] = ContextVar("asynclog_lead_up", default=None)
        # All records of all rings in the order they came: the oldest goes first.
        self._order: deque[tuple[deque[Kept], Kept]] = deque()

    def __len__(self) -> int:
        return len(self._order)

    def note(self, fields: dict[str, Any], *, asked: bool = False) -> tuple[LeadUp, ...]:
        """Keep a record that was captured, for those that come after it.

        Args:
            fields: Its attributes, the message merged or with immutable arguments.
            asked: Whether to return what led up to it. One call for both: each asks for the request anew.

        Returns:
            If asked, what was noted in this request before it, oldest first.
        """
        msg, args = fields["msg"], fields["args"]
        if type(msg) is not str:
            msg, args = str(type(msg).__name__), None
        size = len(msg)
        if args:
            if type(args) is tuple:
                for one in args:
                    kind = type(one)
                    if kind is str:
                        size += len(one)
                    elif kind in IMMUTABLE:
                        size += size_of(one)
                    else:
                        args = None  # its values may change, and merging them is not worth a caller's time twice
                        break
            else:
                args = None
        return lead_ups(self.note_plain(fields, msg, args or None, size, asked=asked))

    def note_plain(
        self, fields: dict[str, Any], msg: str, args: tuple[Any, ...] | None, size: int, *, asked: bool
    ) -> tuple[Kept, ...]:
        """Keep a record whose message and arguments were looked at already; else as `note`.

        Each record of an app that mails its errors comes by here, mostly cold: with what a request has
        touched meanwhile out of the processor's caches a function costs several times what it does in
        a loop, so this is one.

        Args:
            fields: Its attributes.
            msg: Its message, or the template of it.
            args: Immutable arguments of the template.
            size: Characters in both.
            asked: Whether to return what led up to it.
        """
        if not self.size:
            return ()
        kept: Kept = (fields["created"], fields["levelno"], fields["levelname"], fields["name"], msg, args)
        if size > LONGEST:
            kept = _shortened(kept)
        scope, ring = self._scope(), self._ring.get()
        before: tuple[Kept, ...] = ()
        # By identity: a proxy or a user's object may compare equal to another. A ring of a request that is gone
        # answers None, as does a thread outside of any.
        if ring is None or ring[1]() is not scope or (scope is None and ring[1] is not _nothing):
            records: deque[Kept] = deque(maxlen=self.size)
            self._ring.set((records, _nothing if scope is None else _reference(scope)))
        else:
            records = ring[0]
            if asked:
                before = _all_of(records)
            # To the microsecond, and to the letter: another handler of the listener's noted it already.
            if records and records[-1] == kept:
                return before[:-1]
        records.append(kept)
        order = self._order
        order.append((records, kept))
        while len(order) > MOST_IN_ALL:
            self._forget_oldest()
        return before

    def before(self) -> tuple[LeadUp, ...]:
        """Return what was noted in this request so far, oldest first."""
        ring = self._ring.get() if self.size else None
        if ring is None:
            return ()
        scope = self._scope()
        is_of_scope = ring[1]() is scope and (scope is not None or ring[1] is _nothing)  # as in `note_plain`
        return lead_ups(_all_of(ring[0])) if is_of_scope else ()

    def clear(self) -> None:
        """Forget this context's records: a request begins or ends."""
        self._ring.set(None)

    def _forget_oldest(self) -> None:
        try:
            records, kept = self._order.popleft()
            if records and records[0] is kept:
                records.popleft()
        except IndexError:
            pass  # another thread was faster


def _all_of(records: deque[Kept]) -> tuple[Kept, ...]:
    try:
        return tuple(records)
    except RuntimeError:  # another thread of the same context noted one meanwhile
        return tuple(records.copy())


def _shortened(kept: Kept) -> Kept:
    text = lead_ups([kept])[0].text()
    half = LONGEST // 2
    if len(text) > LONGEST:
        text = f"{text[:half]} [… {len(text) - 2 * half:,} characters …] {text[-half:]}"
    return (*kept[:4], text, None)
