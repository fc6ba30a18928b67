"""What a record carries to its mail besides its own attributes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from asynclog.plain import OBJECT_SIZE
from asynclog.render.jsonline import JSONValue

#: The attribute with what the ``context=`` providers said: a dictionary of plain values.
FACTS: Final = "_asynclog_facts"
#: The attribute with the records that led up to it: a tuple of `LeadUp`, oldest first.
LEAD_UP: Final = "_asynclog_lead_up"


class LeadUp(NamedTuple):
    """A record that came before, in the same request.

    Attributes:
        created: Its time, seconds since the epoch.
        levelno: Its level.
        levelname: Its level's name.
        name: Its logger.
        msg: Its message, or the template of it.
        args: Immutable arguments of the template; ``None`` where there are none.
    """

    created: float
    levelno: int
    levelname: str
    name: str
    msg: str
    args: Any = None

    def text(self) -> str:
        """Return the message, merged."""
        try:
            return self.msg % self.args if self.args else self.msg
        except Exception as error:
            return f"{self.msg} <arguments that do not fit: {type(error).__name__}>"


#: The same before anybody asks for it: a caller keeps it for each record, and making it costs more than its parts.
#: The names may be of any type there.
Kept: TypeAlias = tuple[float, int, Any, Any, str, Any]


def lead_ups(kept: Sequence[Kept]) -> tuple[LeadUp, ...]:
    """Return records that were kept; never raises."""
    return tuple(
        [
            LeadUp(created, levelno, _plain_name(levelname), _plain_name(name), msg, args)
            for created, levelno, levelname, name, msg, args in kept
        ]
    )


def _plain_name(name: Any) -> str:
    if type(name) is str:
        return name
    return str.__str__(name) if isinstance(name, str) else type(name).__name__  # not its own __str__: it might raise


def facts_of(record: logging.LogRecord) -> dict[str, JSONValue]:
    """Return what the ``context=`` providers said of a record."""
    found = record.__dict__.get(FACTS)
    return found if isinstance(found, dict) else {}


def carried_size(carried: dict[str, Any]) -> int:
    """Estimate the bytes that facts and lead-up records take."""
    texts = sum(len(one.msg) + OBJECT_SIZE for one in carried.get(LEAD_UP, ()))
    return texts + sum(len(str(value)) for value in carried.get(FACTS, {}).values())


def lead_up_of(record: logging.LogRecord) -> tuple[LeadUp, ...]:
    """Return the records that led up to one."""
    found = record.__dict__.get(LEAD_UP)
    return tuple(one for one in found if isinstance(one, LeadUp)) if isinstance(found, (tuple, list)) else ()
