"""What may be kept as it is: values that no one can change after the call."""

from __future__ import annotations

import datetime
import decimal
import logging
import uuid
from fractions import Fraction
from types import MethodType
from typing import Any

#: Exact types whose values never change and whose text never does. Exact, since a subclass may do
#: anything in ``__str__``; no tuple or frozenset, since they may hold what changes.
IMMUTABLE = frozenset(
    {
        str,
        int,
        float,
        bool,
        type(None),
        bytes,
        complex,
        datetime.datetime,
        datetime.date,
        datetime.time,
        datetime.timedelta,
        datetime.timezone,
        decimal.Decimal,
        Fraction,
        uuid.UUID,
    }
)

_MISSING = object()


def is_overridden_on(obj: object, name: str) -> bool:
    """Say whether an object itself has an attribute that its class has too, or lacks.

    Without a look at its ``__dict__``, which would make one: from then on CPython 3.11 and 3.12 find
    each attribute by a look-up, and the caller's fast path reads three of a wrapped handler's.
    """
    value, of_class = getattr(obj, name, _MISSING), getattr(type(obj), name, _MISSING)
    if isinstance(value, MethodType):
        # Bound anew each time it is read: to the object, or to the class if it is a class method.
        return value.__func__ is not getattr(of_class, "__func__", of_class)
    return value is not of_class


#: The attributes every record has on this Python; what else a record has are extras.
STANDARD_FIELDS = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__)

#: What formatters leave on a record that another handler has had before us; made anew, and no extras.
COMPUTED = ("message", "asctime")

# A record is estimated at 1 KB, plus the lengths of its strings, 100 bytes a frame and 256 for any
# other object. An estimate: walking the real sizes would cost more than the record. What it takes
# really is about 600 bytes, so the strings of most records are in the kilobyte already.
RECORD_SIZE = 1024
SMALL_TEXT = 256
FRAME_SIZE = 100
OBJECT_SIZE = 256


def size_of(value: Any) -> int:
    """Estimate what a value takes, without running any code of its own."""
    kind = type(value)
    if kind is str or kind is bytes:
        return len(value)
    return 0 if value is None or kind is int or kind is bool or kind is float else OBJECT_SIZE
