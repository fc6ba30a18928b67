"""What may be kept as it is: values that no one can change after the call."""

from __future__ import annotations

import datetime
import decimal
import logging
import uuid
from fractions import Fraction
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

#: The attributes every record has on this Python; what else a record has are extras.
STANDARD_FIELDS = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__)

#: What formatters leave on a record that another handler has had before us; made anew, and no extras.
COMPUTED = ("message", "asctime")

# A record is estimated at 1 KB, plus the lengths of its strings, 100 bytes a frame and 256 for any
# other object. An estimate: walking the real sizes would cost more than the record.
RECORD_SIZE = 1024
FRAME_SIZE = 100
OBJECT_SIZE = 256


def size_of(value: Any) -> int:
    """Estimate what a value takes, without running any code of its own."""
    kind = type(value)
    if kind is str or kind is bytes:
        return len(value)
    return 0 if value is None or kind is int or kind is bool or kind is float else OBJECT_SIZE
