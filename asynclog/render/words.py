"""Times, spans and numbers as a person reads them at three in the morning."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

_AGES = 3e9
#: Seconds below which a time is said to the second.
NEAR = 600.0


def number(count: int) -> str:
    """Return ``4,312``."""
    return f"{count:,}"


def span(seconds: float) -> str:
    """Return ``58 s``, ``47 min``, ``3 h 20 min`` or ``2 days``; what is negative counts as nothing."""
    if not seconds < _AGES:  # not a number, or from a clock that was wrong by centuries
        return "a long time"
    seconds = max(seconds, 0.0)
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{hours // 24} days"


def ago(seconds: float) -> str:
    """Return ``just now`` or ``2 s ago``."""
    return "just now" if seconds < 0.5 else f"{span(seconds)} ago"


def rate(per_second: float) -> str:
    """Return ``74 a second``, ``12 a minute`` or ``3 an hour``."""
    if not 0 <= per_second < _AGES:
        return "unknown"
    for factor, unit in ((1, "second"), (60, "minute"), (3600, "hour")):
        many = per_second * factor
        if many >= 9.95:
            return f"{many:,.0f} a{'n' * (unit == 'hour')} {unit}"
        if many >= 1 or unit == "hour":
            return f"{many:.1f} a{'n' * (unit == 'hour')} {unit}"
    raise AssertionError("unreachable")


def moment(when: float) -> datetime:
    """Return a wall time as the local time of this machine; one that is none becomes now."""
    try:
        return datetime.fromtimestamp(when, UTC).astimezone()
    except (ValueError, OverflowError, OSError, TypeError):
        return datetime.now(UTC).astimezone()


def clock(when: float, now: float, *, seconds: bool = False) -> str:
    """Return ``03:12``, with the day in front where it is another one than ``now``'s."""
    local = moment(when)
    text = f"{local:%H:%M:%S}" if seconds else f"{local:%H:%M}"
    return text if local.date() == moment(now).date() else f"{local:%Y-%m-%d} {text}"


def near(when: float, now: float) -> str:
    """Return a clock time as `clock` does, to the second where it is less than ten minutes off."""
    return clock(when, now, seconds=abs(when - now) < NEAR)


def listed(names: Sequence[str], most: int = 5) -> str:
    """Return ``a``, ``a and b``, ``a, b and c``, or the first ones ``and 7 more``."""
    shown, left = list(names[:most]), len(names) - most
    if left > 0:
        shown.append(f"{left:,} more")
    return " and ".join(part for part in (", ".join(shown[:-1]), shown[-1]) if part) if shown else ""


def stamp(when: float) -> str:
    """Return ``2026-03-01 03:12:45 +0100``."""
    return f"{moment(when):%Y-%m-%d %H:%M:%S %z}"


def precise(when: float) -> str:
    """Return ``03:12:45.123``."""
    local = moment(when)
    return f"{local:%H:%M:%S}.{local.microsecond // 1000:03d}"


def cut(text: str, limit: int) -> str:
    """Cut the middle out of a text of many lines that is longer than ``limit``, and say so.

    The end of a traceback names the exception, its beginning the way there: two thirds of what is
    kept are the end.
    """
    if len(text) <= limit:
        return text
    head = max(limit // 3, 1)
    tail = max(limit - head, 1)
    left = len(text) - head - tail
    return f"{text[:head]}\n[… {left:,} characters cut here: the mail would be too long …]\n{text[-tail:]}"


def cut_line(text: str, limit: int) -> str:
    """Cut the middle out of a text of one line, and say so."""
    if len(text) <= limit:
        return text
    head = max(limit * 2 // 3, 1)
    tail = max(limit - head, 1)
    return f"{text[:head]} [… {len(text) - head - tail:,} characters …] {text[-tail:]}"
