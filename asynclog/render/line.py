"""A record to its text, letter for letter as the handler's own formatter would write it.

`logging.Formatter` itself is followed step by step, with two things done once instead of each time:
the text of a second (``asctime``), and the text of a traceback's frames. Anything that a subclass
overrides is left to the subclass.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import Any

from asynclog.captured import CapturedException
from asynclog.plain import is_overridden_on
from asynclog.render.percent import compile_percent
from asynclog.render.standin import exc_info
from asynclog.render.traceback import format_exception_text

#: Characters of one message or value that are kept; the middle of a longer one is cut out.
MAX_TEXT = 1024 * 1024

#: What a handler without a formatter of its own is given.
default_formatter = logging.Formatter()
# Apps patch methods on the class itself; theirs then rule.
_own_methods = {name: value for name, value in vars(logging.Formatter).items() if callable(value)}
_styles = (logging.PercentStyle, logging.StrFormatStyle, logging.StringTemplateStyle)

#: Returns the text of a record, given what was captured of its exception.
Renderer = Callable[[logging.LogRecord, CapturedException | None], str]


def cut(text: str, limit: int = MAX_TEXT) -> str:
    """Cut the middle out of a text that is longer than ``limit`` characters, and say so."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}… [asynclog cut {len(text) - 2 * half} characters here] …{text[-half:]}"


def placeholder(what: str, error: BaseException) -> str:
    """Return what stands for a text that could not be made; runs no code of the user's."""
    return f"<{what}: {type(error).__name__}>"


def merge_message(msg: Any, args: Any) -> tuple[str, BaseException | None]:
    """Merge a message with its arguments as `logging.LogRecord.getMessage` does.

    Returns:
        The text, and what was raised meanwhile if anything was (the text then is a placeholder
        that keeps the template). `KeyboardInterrupt` and `SystemExit` pass: they are more likely
        a signal's than the argument's.
    """
    try:
        text = msg if type(msg) is str else str(msg)
        if args:
            text = text % args
        return cut(text), None
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        if is_from_outside(error):
            raise
        template = msg if type(msg) is str else f"{type(msg).__name__} object"
        return cut(f"{template} {placeholder('asynclog could not merge the arguments', error)}"), error


def is_from_outside(error: BaseException) -> bool:
    """Say whether an exception was thrown into this thread and not by the code it runs.

    gevent's timeouts and kills are raised wherever a greenlet happens to be; to swallow one here
    would keep a killed greenlet alive.
    """
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        return True
    if isinstance(error, Exception):
        return False
    return any(cls.__module__.startswith(("gevent", "greenlet", "eventlet")) for cls in type(error).__mro__)


def is_standard(face: logging.Handler) -> bool:
    """Say whether a handler's text is made by `logging.Formatter`'s own code alone."""
    formatter = face.formatter or default_formatter
    return (
        type(face).format is logging.Handler.format
        and not is_overridden_on(face, "format")
        and type(formatter) is logging.Formatter
        and not _overridden(formatter)
        and type(formatter._style) in _styles
        and all(vars(logging.Formatter).get(name) is method for name, method in _own_methods.items())
    )


def _overridden(formatter: logging.Formatter) -> bool:
    own = formatter.__dict__
    return any(name.startswith("format") or name == "usesTime" for name in own)


def renderer(face: logging.Handler) -> Renderer:
    """Return what makes the text of records for a handler as it is set up now."""
    if is_standard(face):
        return _StandardRenderer(face.formatter or default_formatter).render
    return lambda record, captured: _render_by_user(face, record, captured)


def _render_by_user(face: logging.Handler, record: logging.LogRecord, captured: CapturedException | None) -> str:
    if captured is not None and record.exc_info is None:
        record.exc_info = exc_info(captured)
    return face.format(record)


class _StandardRenderer:
    """`logging.Formatter.format`, with the second and the traceback's frames remembered."""

    def __init__(self, formatter: logging.Formatter) -> None:
        self.formatter = formatter
        self.uses_time = formatter.usesTime()
        # PercentStyle with nothing but attributes needs no call per record beyond the operator.
        style: Any = formatter._style
        plain = type(style) is logging.PercentStyle and not getattr(style, "_defaults", None)
        self.template = style._fmt if plain else None
        self.line = compile_percent(style._fmt) if plain else None
        self.second = -1
        self.second_text = ""

    def render(self, record: logging.LogRecord, captured: CapturedException | None) -> str:
        # One function for the plain record and no calls but the operators': this runs for every
        # record of every lane, and each call would be a tenth of it.
        fields = record.__dict__
        message, args = fields["msg"], fields["args"]
        if args or type(message) is not str:
            try:
                message = (message if type(message) is str else str(message)) % args if args else str(message)
            except BaseException:
                message = self._merged_with_care(record)
        if len(message) > MAX_TEXT:
            message = cut(message)
        if self.line is not None:
            text = self.line(fields, message, self.asctime(fields) if self.uses_time else "")
        else:
            fields["message"] = message
            if self.uses_time:
                fields["asctime"] = self.asctime(fields)
            text = self.first_line(record)
        if captured is None and not fields["exc_text"] and not fields["stack_info"]:
            return text
        return self.complete(text, record, captured)

    @staticmethod
    def _merged_with_care(record: logging.LogRecord) -> str:
        text, error = merge_message(record.msg, record.args)
        if error is not None:
            record.msg, record.args = text, None
        return text

    def first_line(self, record: logging.LogRecord) -> str:
        if self.template is not None:
            return str(self.template % record.__dict__)
        return self.formatter.formatMessage(record)

    def complete(self, text: str, record: logging.LogRecord, captured: CapturedException | None) -> str:
        """Append the traceback and the stack as `logging.Formatter.format` does."""
        if captured is not None and not record.exc_text:
            record.exc_text = format_exception_text(captured)
        if record.exc_text:
            text = f"{text}{_newline(text)}{record.exc_text}"
        if record.stack_info:
            text = f"{text}{_newline(text)}{record.stack_info}"
        return text

    def asctime(self, fields: dict[str, Any]) -> str:
        formatter = self.formatter
        created = fields["created"]
        second = math.floor(created)
        if second != self.second:
            template = formatter.datefmt or formatter.default_time_format
            # converter is looked up each time: apps set it on the class or on the instance
            self.second_text = time.strftime(template, formatter.converter(created))
            self.second = second
        if formatter.datefmt or not formatter.default_msec_format:
            return self.second_text
        return formatter.default_msec_format % (self.second_text, fields["msecs"])


def _newline(text: str) -> str:
    return "" if text[-1:] == "\n" else "\n"


def complete_line(
    face: logging.Handler, line: str, record: logging.LogRecord, captured: CapturedException | None
) -> str:
    """Return a record's text whose first line was made on the caller already."""
    return _StandardRenderer(face.formatter or default_formatter).complete(line, record, captured)


def line_on_caller(face: logging.Handler, record: logging.LogRecord) -> str:
    """Return the first line that a standard formatter makes of a record; runs the values' own code."""
    standard = _StandardRenderer(face.formatter or default_formatter)
    record.message, _ = merge_message(record.msg, record.args)
    if standard.uses_time:
        record.asctime = standard.asctime(record.__dict__)
    return standard.first_line(record)


def fallback_text(record: logging.LogRecord, captured: CapturedException | None, error: BaseException) -> str:
    """Return the text of a record whose formatter raised: its message and traceback, and why."""
    note = placeholder("asynclog: the formatter raised", error)
    text = _StandardRenderer(default_formatter).render(record, captured)
    return f"{record.levelname} {record.name}: {note} {text}"
