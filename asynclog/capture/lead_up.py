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

    def note(self, fields: dict[str, Any]) -> None:
        """Keep a record that was captured, for those that come after it.

        Args:
            fields: Its attributes, the message merged or with immutable arguments.
        """
        if not self.size:
            return
        record = _kept(fields)
        ring = self._current()
        if ring is None:
            ring = _Ring(self.size, self._scope())
            self._ring.set(ring)
        elif _is_last(record, ring.records):
            return  # another handler of the listener's noted it already
        ring.records.append(record)
        self._order.append((ring, record))
        while len(self._order) > MOST_IN_ALL:
            self._forget_oldest()

    def before(self, fields: dict[str, Any] | None = None) -> tuple[LeadUp, ...]:
        """Return what was noted in this request so far, oldest first.

        Args:
            fields: The attributes of the record that it led up to, which is left out: another
                handler may have noted it already.
        """
        ring = self._current() if self.size else None
        if ring is None:
            return ()
        try:
            found = tuple(ring.records)
        except RuntimeError:  # another thread of the same context noted one meanwhile
            found = tuple(ring.records.copy())
        return found[:-1] if fields is not None and _is_last(_kept(fields), found) else found

    def clear(self) -> None:
        """Forget this context's records: a request begins or ends."""
        self._ring.set(None)

    def _current(self) -> _Ring | None:
        ring = self._ring.get()
        if ring is None:
            return None
        # By identity: a proxy or a user's object may compare equal to another.
        return ring if ring.scope() is self._scope() and self._is_alive(ring) else None

    @staticmethod
    def _is_alive(ring: _Ring) -> bool:
        # A ring of a request that is gone answers None, as does a thread outside of any.
        return ring.scope is _nothing or ring.scope() is not None

    def _forget_oldest(self) -> None:
        try:
            ring, record = self._order.popleft()
            if ring.records and ring.records[0] is record:
                ring.records.popleft()
        except IndexError:
            pass  # another thread was faster


def _is_last(record: LeadUp, records: Sequence[LeadUp]) -> bool:
    """Say whether a record is the newest of some: to the microsecond, and to the letter."""
    return bool(records) and records[-1] == record


def _kept(fields: dict[str, Any]) -> LeadUp:
    msg, args = fields["msg"], fields["args"]
    if type(msg) is not str:
        msg, args = str(type(msg).__name__), None
    plain = not args or (type(args) is tuple and all(type(one) in IMMUTABLE for one in args))
    if not plain:
        args = None  # its values may change, and merging them is not worth a caller's time twice
    record = LeadUp(
        fields["created"], fields["levelno"], str(fields["levelname"]), str(fields["name"]), msg, args or None
    )
    if len(msg) + sum(map(size_of, args or ())) <= LONGEST:
        return record
    text = record.text()
    half = LONGEST // 2
    return record._replace(
        msg=text if len(text) <= LONGEST else f"{text[:half]} [… {len(text) - 2 * half:,} characters …] {text[-half:]}",
        args=None,
    )
