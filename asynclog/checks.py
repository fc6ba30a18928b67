"""Checks of option values: each names the option, the value and the fix.

Every function returns the value in the type that the options model holds, so that a dataclass
can write ``check.seconds("timeout", timeout)`` and store what comes back. A secret is never
given to these functions: their messages quote the value.
"""

from __future__ import annotations

import difflib
import math
import os
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NoReturn

from asynclog.errors import OptionTypeError, OptionValueError

_SHOWN = 80
_RATE = re.compile(r"\s*(\d+)\s*(?:/|per)\s*(second|minute|hour|day|s|min|m|h|d)s?\s*", re.IGNORECASE)
_PERIODS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def shown(value: object) -> str:
    """Quote a value for an error text, cut to a readable length; a raising ``repr`` is survived."""
    try:
        text = repr(value)
    except Exception:
        text = f"<{type(value).__name__} whose repr raises>"
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def bad_value(name: str, value: object, fix: str) -> NoReturn:
    """Raise `OptionValueError` that names the option, the value and the fix."""
    raise OptionValueError(f"{name}={shown(value)}: {fix}")


def bad_type(name: str, value: object, fix: str) -> NoReturn:
    """Raise `OptionTypeError` that names the option, the value's type and the fix."""
    raise OptionTypeError(f"{name}={shown(value)} is of type {type(value).__name__}: {fix}")


def integer(name: str, value: Any, *, minimum: int = 0) -> int:
    """Check a whole number of at least ``minimum``; a bool is not a number here."""
    if isinstance(value, bool) or not isinstance(value, int):
        bad_type(name, value, f"give a whole number of at least {minimum}")
    if value < minimum:
        bad_value(name, value, f"give a whole number of at least {minimum}")
    return int(value)


def seconds(name: str, value: Any, *, positive: bool = False) -> float:
    """Check a finite number of seconds, 0 or more (more than 0 if ``positive``)."""
    fix = "give a number of seconds, " + ("more than 0" if positive else "0 or more")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        bad_type(name, value, fix)
    try:
        number = float(value)
    except OverflowError:  # an int of 400 digits
        bad_value(name, value, fix)
    if not math.isfinite(number) or number < 0 or (positive and number == 0):
        bad_value(name, value, fix)
    return number


def choice(name: str, value: Any, allowed: Collection[str]) -> str:
    """Check one of several words."""
    words = ", ".join(repr(word) for word in allowed)
    if not isinstance(value, str):
        bad_type(name, value, f"give one of {words}")
    if value not in allowed:
        bad_value(name, value, f"give one of {words}" + _did_you_mean(value, allowed))
    return value


def flag(name: str, value: Any) -> bool:
    """Check ``True`` or ``False``."""
    if not isinstance(value, bool):
        bad_type(name, value, "give True or False")
    return value


def text(name: str, value: Any, *, empty: bool = False) -> str:
    """Check a string without line breaks, and not empty unless ``empty``."""
    if not isinstance(value, str):
        bad_type(name, value, "give a string")
    if not value and not empty:
        bad_value(name, value, "give a string that is not empty")
    if "\r" in value or "\n" in value or "\0" in value:
        bad_value(name, value, "give a string without line breaks or NUL characters")
    return value


def path(name: str, value: Any) -> str:
    """Check a path (``str`` or ``os.PathLike``) and make it absolute, as `logging.FileHandler` does."""
    try:
        raw: str | bytes = os.fspath(value)
    except TypeError:
        bad_type(name, value, "give a path as str or pathlib.Path")
    if isinstance(raw, bytes):
        raw = os.fsdecode(raw)
    if not raw:
        bad_value(name, value, "give a path that is not empty")
    if "\0" in raw:
        bad_value(name, value, "give a path without NUL characters")
    return os.path.abspath(raw)


def function(name: str, value: Any) -> Any:
    """Check something that can be called."""
    if not callable(value):
        bad_type(name, value, "give a function")
    return value


def functions(name: str, value: Any) -> tuple[Any, ...]:
    """Check a function, several of them, or ``None`` for none; return them all."""
    fix = "give a function that returns a dictionary, or a list of such functions"
    if value is None:
        return ()
    if callable(value):
        return (value,)
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        bad_type(name, value, fix)
    found = tuple(value)
    for one in found:
        if not callable(one):
            bad_type(name, one, fix)
    return found


def rate(name: str, value: Any) -> tuple[int, float] | None:
    """Check a rate such as ``"30/hour"`` or ``"30 per hour"``; ``None`` is no limit.

    Returns:
        The count and the period in seconds.
    """
    fix = 'give a rate such as "30/hour" or "10 per minute", or None for no limit'
    if value is None:
        return None
    if not isinstance(value, str):
        bad_type(name, value, fix)
    match = _RATE.fullmatch(value)
    if match is None or int(match[1]) == 0:
        bad_value(name, value, fix)
    return int(match[1]), float(_PERIODS[match[2][0].lower()])


def interval(name: str, value: Any) -> tuple[float, float]:
    """Check the shortest and the longest interval, in seconds."""
    fix = "give the shortest and the longest interval in seconds, such as (60, 1800)"
    if not isinstance(value, (tuple, list)):
        bad_type(name, value, fix)
    if len(value) != 2:
        bad_value(name, value, fix)
    shortest, longest = (seconds(name, one, positive=True) for one in value)
    if longest < shortest:
        bad_value(name, value, "give the shortest interval first")
    return shortest, longest


def unknown_options(where: str, names: Collection[str], known: Collection[str]) -> NoReturn:
    """Raise `OptionTypeError` for keywords that fit nothing."""
    first = min(names)
    raise OptionTypeError(
        f"{where} has no option {first!r}{_did_you_mean(first, known)}; it takes {', '.join(sorted(known))}"
    )


def _did_you_mean(word: str, allowed: Collection[str]) -> str:
    close = difflib.get_close_matches(word, list(allowed), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
