"""Records of the fast path to their text, a run of them at a time.

`asynclog.render.line` follows `logging.Formatter` call by call; here the same is one function for
each format, compiled once: the look-ups, the message, the time and the line in one loop without a
call in it, since for a record that is a dictionary of plain values calls are most of what its line
costs. Whatever is not so plain ends the loop, and is left to `asynclog.render.line`.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable
from time import strftime
from typing import Any

from asynclog.captured import LONE_SIZE, Lone
from asynclog.plain import RECORD_SIZE
from asynclog.render.line import MAX_TEXT, cut, default_formatter, is_standard
from asynclog.render.percent import pieces_of
from asynclog.render.traceback import with_lone_text

#: Renders records in place, see `asynclog.values.Rendered`, up to the first that is not so plain, or to
#: the one that takes the last of the room: bytes that they may take beyond a record's kilobyte each.
#: Returns how many it rendered, and their size in bytes.
RunRenderer = Callable[[list[dict[str, Any]], float], tuple[int, int]]

# What `Formatter.default_msec_format` is, unless an app changed it: three digits behind something.
_MILLISECONDS = re.compile("%s(?P<between>[^%]*)%03d")
# Milliseconds are whole numbers kept as floats; a record with another number is no plain one.
_THREE_DIGITS = {number: f"{number:03d}" for number in range(1000)}
# Where the queue and the lane keep what is theirs: see `asynclog.values.Queued` and `Rendered`.
_BORROWED = frozenset({"exc_info", "exc_text", "stack_info"})

# Built of checked names and escaped literals only. `message % args` runs no code but that of
# str, int and the like: other arguments were made text on the caller.
_SOURCE = """
def render(run, room, seconds, with_lone):
    low, high, second = seconds.low, seconds.high, seconds.text
    done = more = 0
    try:
        for fields in run:
            message = fields["msg"]
            args = fields["args"]
            if args:
                message = message % args
            if fields["exc_text"] or len(message) > MAX_TEXT:
                break
            {time}
            text = {line}
            carried = fields["stack_info"]
            if carried is not None:
                if type(carried) is not int:
                    text = cut(with_lone(text, carried))
                    carried = fields["stack_info"] = carried[LONE_SIZE] + len(text)
                more += carried - RECORD_SIZE
                if more > room:
                    fields["exc_text"] = text
                    done += 1
                    break
            fields["exc_text"] = text
            done += 1
    except Exception:
        pass  # this one is not so plain: whoever renders it by itself tells what is wrong
    return done, done * RECORD_SIZE + more
"""
_TIME = """created = fields["created"]
            if not low <= created < high:
                low, high, second = seconds.turn(created)"""


def run_renderer(face: logging.Handler, *, lone: bool) -> RunRenderer | None:
    """Return what renders runs of records for a handler as it is set up now.

    Args:
        face: The handler.
        lone: Whether records with an exception are rendered too.

    Returns:
        ``None`` where its formatter is not the standard one with a plain %-format, or where the format
        names an attribute in which the queue keeps something of its own.
    """
    formatter = face.formatter or default_formatter
    style: Any = formatter._style
    if not is_standard(face) or type(style) is not logging.PercentStyle or getattr(style, "_defaults", None):
        return None
    pieces = pieces_of(style._fmt)
    if pieces is None or any(piece[0] in _BORROWED for piece in pieces if isinstance(piece, tuple)):
        return None
    return _Runs(formatter, pieces, with_lone_text if lone else _refuse).render


class _Runs:
    """Renders runs with one formatter."""

    def __init__(
        self, formatter: logging.Formatter, pieces: list[str | tuple[str, str]], with_lone: Callable[[str, Lone], str]
    ) -> None:
        self._formatter = formatter
        self._pieces = pieces
        self._with_lone = with_lone
        self._settings: object = None
        self._seconds = _Seconds(formatter, "")
        self._compiled: Callable[..., tuple[int, int]] = _compile(pieces, None)

    def render(self, run: list[dict[str, Any]], room: float = math.inf) -> tuple[int, int]:
        formatter = self._formatter
        # Apps set the one on the class or the instance, at any time.
        settings = (formatter.datefmt, formatter.default_msec_format)
        if settings != self._settings:
            self._look(settings)
        return self._compiled(run, room, self._seconds, self._with_lone)

    def _look(self, settings: tuple[str | None, str | None]) -> None:
        datefmt, msec_format = settings
        if datefmt or not msec_format:
            msec_format = None
        found = _MILLISECONDS.fullmatch(msec_format) if msec_format else None
        # The part behind the second that every record has.
        self._seconds = _Seconds(self._formatter, found["between"] if found else "")
        self._compiled = _compile(self._pieces, msec_format)
        self._settings = settings


class _Seconds:
    """The text of the second that records come from, for all of them.

    Attributes:
        low: When it begins.
        high: When it is over.
        text: Its text.
    """

    __slots__ = ("_behind", "_formatter", "high", "low", "text")

    def __init__(self, formatter: logging.Formatter, behind: str) -> None:
        self._formatter = formatter
        self._behind = behind
        self.low, self.high, self.text = 1.0, 0.0, ""

    def turn(self, created: float) -> tuple[float, float, str]:
        """Take up the second of a time."""
        formatter = self._formatter
        low = float(math.floor(created))  # compared with every record's: two floats take half the time
        template = formatter.datefmt or formatter.default_time_format
        # converter is looked up each time: apps set it on the class or on the instance
        text = strftime(template, formatter.converter(created)) + self._behind
        self.low, self.high, self.text = low, low + 1.0, text
        return low, low + 1.0, text


def _compile(pieces: list[str | tuple[str, str]], msec_format: str | None) -> Callable[..., tuple[int, int]]:
    """Compile the loop for a format.

    Args:
        pieces: The format, see `pieces_of`.
        msec_format: How milliseconds come behind the second, if they do.
    """
    asctime = "{second}"
    if msec_format is not None and _MILLISECONDS.fullmatch(msec_format):
        asctime = "{second}{three_digits[fields['msecs']]}"
    elif msec_format is not None:
        asctime = "{msec_format % (second, fields['msecs'])}"
    time, line = "", []
    for piece in pieces:
        if isinstance(piece, str):
            line.append(_escaped(piece))
            continue
        name, conversion = piece
        if name == "asctime":
            time = _TIME + f"""\n            asctime = f"{asctime}\"""" if conversion != "s" else time or _TIME
        if (name, conversion) == ("asctime", "s"):
            line.append(asctime)
            continue
        value = name if name in ("message", "asctime") else f"fields['{name}']"
        line.append(f"{{{value}!s}}" if conversion == "s" else f"{{'%{conversion}' % ({value},)}}")
    source = _SOURCE.format(time=time, line='f"' + "".join(line) + '"')
    names: dict[str, Any] = {
        "MAX_TEXT": MAX_TEXT,
        "RECORD_SIZE": RECORD_SIZE,
        "LONE_SIZE": LONE_SIZE,
        "cut": cut,
        "msec_format": msec_format,
        "three_digits": _THREE_DIGITS,
    }
    exec(source, names)  # noqa: S102
    render: Callable[..., tuple[int, int]] = names["render"]
    return render


def _escaped(literal: str) -> str:
    """Return a text as it stands in an f-string's source."""
    return "".join(
        char if char.isascii() and (char.isalnum() or char in " :-,.[]()=|/") else f"\\U{ord(char):08x}"
        for char in literal
    )


def _refuse(line: str, lone: Lone) -> str:  # noqa: ARG001
    raise TypeError("its sink needs a stand-in for the exception")
