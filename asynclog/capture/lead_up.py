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
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

from asynclog import checks
from asynclog.capture.scope import task_scope
from asynclog.plain import IMMUTABLE, size_of
from asynclog.render.carried import LeadUp

#: Records kept over all contexts.
MOST_IN_ALL = 5_000
#: Characters of one message, arguments included; the rest is cut.
LONGEST = 1_000


class _Ring:
    """The last records of one context and scope."""

    __slots__ = ("records", "scope")

    def __init__(self, size: int, scope: object | None) -> None:
        self.records: deque[LeadUp] = deque(maxlen=size)
        self.scope = _reference(scope)


def _reference(scope: object | None) -> Callable[[], object | None]:
    if scope is None:
        return _nothing
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
        self._order: deque[tuple[_Ring, LeadUp]] = deque()

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
        if not self.size:
            return ()
        record, scope, ring = _kept(fields), self._scope(), self._ring.get()
        before: tuple[LeadUp, ...] = ()
        if ring is None or not _is_of(ring, scope):
            ring = _Ring(self.size, scope)
            self._ring.set(ring)
        else:
            if asked:
                before = _all_of(ring)
            if _is_last(record, ring.records):
                return before[:-1]  # another handler of the listener's noted it already
        ring.records.append(record)
        order = self._order
        order.append((ring, record))
        while len(order) > MOST_IN_ALL:
            self._forget_oldest()
        return before

    def before(self) -> tuple[LeadUp, ...]:
        """Return what was noted in this request so far, oldest first."""
        ring = self._ring.get() if self.size else None
        return _all_of(ring) if ring is not None and _is_of(ring, self._scope()) else ()

    def clear(self) -> None:
        """Forget this context's records: a request begins or ends."""
        self._ring.set(None)

    def _forget_oldest(self) -> None:
        try:
            ring, record = self._order.popleft()
            if ring.records and ring.records[0] is record:
                ring.records.popleft()
        except IndexError:
            pass  # another thread was faster


def _all_of(ring: _Ring) -> tuple[LeadUp, ...]:
    try:
        return tuple(ring.records)
    except RuntimeError:  # another thread of the same context noted one meanwhile
        return tuple(ring.records.copy())


def _is_of(ring: _Ring, scope: object | None) -> bool:
    """Say whether a ring is of a scope that is alive."""
    own = ring.scope()
    # By identity: a proxy or a user's object may compare equal to another. A ring of a request that is gone
    # answers None, as does a thread outside of any.
    return own is scope and (own is not None or ring.scope is _nothing)


def _is_last(record: LeadUp, records: Sequence[LeadUp]) -> bool:
    """Say whether a record is the newest of some: to the microsecond, and to the letter."""
    return bool(records) and records[-1] == record


def _kept(fields: dict[str, Any]) -> LeadUp:
    # Each record of an app that mails its errors comes by here, so it is one pass and few calls.
    msg, args, level, name = fields["msg"], fields["args"], fields["levelname"], fields["name"]
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
    if type(level) is not str or type(name) is not str:
        level, name = str(level), str(name)
    record = LeadUp(fields["created"], fields["levelno"], level, name, msg, args or None)
    if size <= LONGEST:
        return record
    text = record.text()
    half = LONGEST // 2
    return record._replace(
        msg=text if len(text) <= LONGEST else f"{text[:half]} [… {len(text) - 2 * half:,} characters …] {text[-half:]}",
        args=None,
    )
