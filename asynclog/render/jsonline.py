"""Records as JSON lines: one object a line, whatever the record holds."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import logging
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, TypeAlias

from asynclog import checks

JSONValue: TypeAlias = bool | int | float | str | list["JSONValue"] | dict[str, "JSONValue"] | None

#: About how many characters the extras of one record may have.
EXTRAS_BUDGET = 8192
_DEEPEST = 8
_CUT = "…"
_LARGEST_INT_BITS = 1024

# Attributes that every record has, or that formatters put there: all others are extras.
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_PRIVATE = "_asynclog"

# Raw, each of these would end the line for some reader or can't be encoded at all. Inside a JSON
# string an escape means the same; outside one they never stand.
_UNSAFE = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class JSONFormatter(logging.Formatter):
    """Render a record as one JSON object on one line.

    The keys, always in this order: ``time`` (ISO 8601, UTC), ``level``, ``logger``, ``message``,
    ``place`` (``file``, ``line``, ``function``), ``process`` and ``thread`` (``id``, ``name``),
    ``task`` if there is one, ``exception`` (``type``, ``message``, ``traceback``) and ``stack`` if
    there are any, ``extra`` (what was given by ``extra=``), then the fields given here. It never
    raises: what JSON hasn't is written as text, what is too large is cut, with a ``…``.

    Args:
        fields: Added to every object, such as ``{"app": "shop", "release": "1.4"}``; default none.
        extras: Whether extras are written; default True.
        budget: About how many characters the extras of a record may have; default 8192.
        ensure_ascii: Whether all but ASCII is escaped; default False. Wanted with an encoding
            other than UTF-8.

    Raises:
        OptionTypeError: An option is of the wrong type.
        OptionValueError: A field has a name that the object has already.
    """

    #: Tells the caller's side to freeze the extras of a record (`freeze`).
    needs_extras: ClassVar[bool] = True

    _KEYS = frozenset(
        ("time", "level", "logger", "message", "place", "process", "thread", "task", "exception", "stack", "extra")
    )

    def __init__(
        self,
        *,
        fields: Mapping[str, Any] | None = None,
        extras: bool = True,
        budget: int = EXTRAS_BUDGET,
        ensure_ascii: bool = False,
    ) -> None:
        super().__init__()
        self._extras = checks.flag("extras", extras)
        self._budget = checks.integer("budget", budget, minimum=1)
        self._fields = self._checked_fields(fields)
        # Not json.dumps: it would build an encoder for each record.
        encoder = json.JSONEncoder(
            ensure_ascii=checks.flag("ensure_ascii", ensure_ascii), check_circular=False, separators=(",", ":")
        )
        self._dump = encoder.encode

    @classmethod
    def _checked_fields(cls, fields: Any) -> dict[str, JSONValue]:
        if fields is None:
            return {}
        if not isinstance(fields, Mapping) or not all(isinstance(name, str) for name in fields):
            checks.bad_type("fields", fields, "give a dict with names as keys")
        taken = sorted(cls._KEYS & set(fields))
        if taken:
            checks.bad_value("fields", fields, f"give {taken[0]!r} another name, the object has such a key")
        frozen = freeze(dict(fields), 1 << 20)
        assert isinstance(frozen, dict)
        return frozen

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's line, without its end."""
        try:
            line = self._dump(self._object(record))
        except Exception as error:
            line = self._dump(self._last_resort(record, error))
        return line if line.isascii() else _UNSAFE.sub(_escape, line)

    def _object(self, record: logging.LogRecord) -> dict[str, JSONValue]:
        found: dict[str, JSONValue] = {
            "time": _time(record.created),
            "level": _text(record.levelname),
            "logger": _text(record.name),
            "message": _message(record),
            "place": {
                "file": _plain(record.pathname),
                "line": _plain(record.lineno),
                "function": _plain(record.funcName),
            },
            "process": {"id": _plain(record.process), "name": _plain(record.processName)},
            "thread": {"id": _plain(record.thread), "name": _plain(record.threadName)},
        }
        task = getattr(record, "taskName", None)
        if task is not None:
            found["task"] = _text(task)
        exception = self._exception(record)
        if exception is not None:
            found["exception"] = exception
        if record.stack_info:
            found["stack"] = _text(record.stack_info)
        if self._extras:
            extras = {name: value for name, value in vars(record).items() if name not in _OWN and _is_public(name)}
            if extras:
                found["extra"] = freeze(extras, self._budget)
        found.update(self._fields)
        return found

    def _exception(self, record: logging.LogRecord) -> JSONValue:
        info = record.exc_info
        if not info or not isinstance(info, tuple) or info[0] is None:
            return {"type": None, "message": None, "traceback": _text(record.exc_text)} if record.exc_text else None
        kind = info[0]
        module = getattr(kind, "__module__", None)
        name = getattr(kind, "__qualname__", None) or _text(kind)
        return {
            "type": _text(name if module in (None, "builtins", "__main__") else f"{module}.{name}"),
            "message": _text(info[1]),
            "traceback": _text(record.exc_text) if record.exc_text else _traceback(self.formatException, info),
        }

    def _last_resort(self, record: logging.LogRecord, error: Exception) -> dict[str, JSONValue]:
        return {
            "time": _time(getattr(record, "created", None)),
            "level": _text(getattr(record, "levelname", "")),
            "logger": _text(getattr(record, "name", "")),
            "message": f"a record that could not be rendered: {type(error).__name__}",
        }


def freeze(value: object, budget: int = EXTRAS_BUDGET) -> JSONValue:
    """Copy a value into plain values that JSON has, bounded in size and depth.

    It calls nothing of the user's but ``repr``, and survives what that raises: dicts, lists,
    tuples and sets and their subclasses are copied, other objects become their ``repr``, NaN and
    infinities and bytes become text, keys become strings. A cycle ends at the depth limit.

    Args:
        value: Anything.
        budget: About how many characters the result may have as JSON; what is over is cut, with
            a ``…`` where it stood.
    """
    return _Freezer(budget).copy(value, 0)


class _Freezer:
    def __init__(self, budget: int) -> None:
        self._left = budget

    def copy(self, value: object, depth: int) -> JSONValue:
        kind = type(value)
        if value is None or kind is bool:
            self._left -= 6
            return value  # type: ignore[return-value]  # mypy doesn't narrow by `kind`
        if isinstance(value, str):
            return self._cut(str.__str__(value))
        if isinstance(value, int):
            return self._integer(value)
        if isinstance(value, float):
            return self._float(value)
        if depth >= _DEEPEST or self._left <= 0:
            return _CUT
        self._left -= 2
        try:
            return self._container(value, depth)
        except RuntimeError:
            return _CUT  # changed by another thread while it was read

    def _container(self, value: object, depth: int) -> JSONValue:
        # The builtins' own methods, since a subclass may do anything in its.
        if isinstance(value, dict):
            return self._mapping(dict.items(value), dict.__len__(value), depth)
        if isinstance(value, list):
            return self._sequence(list.__iter__(value), list.__len__(value), depth)
        if isinstance(value, tuple):
            return self._sequence(tuple.__iter__(value), tuple.__len__(value), depth)
        if isinstance(value, set):
            return self._sequence(set.__iter__(value), set.__len__(value), depth)
        if isinstance(value, frozenset):
            return self._sequence(frozenset.__iter__(value), frozenset.__len__(value), depth)
        if isinstance(value, (bytes, bytearray)):
            return self._cut(bytes(value[: max(self._left, 0) + 1]).decode("utf-8", "backslashreplace"))
        return self._cut(_shown(value))

    def _mapping(self, pairs: Iterable[tuple[object, object]], count: int, depth: int) -> JSONValue:
        found: dict[str, JSONValue] = {}
        for taken, (key, one) in enumerate(itertools.islice(pairs, count)):
            if self._left <= 0:
                found[_CUT] = f"{count - taken} more"
                break
            self._left -= 4
            name = self._cut(str.__str__(key) if isinstance(key, str) else _shown(key))
            found[name] = self.copy(one, depth + 1)
        return found

    def _sequence(self, values: Iterable[object], count: int, depth: int) -> JSONValue:
        found: list[JSONValue] = []
        for one in itertools.islice(values, count):
            if self._left <= 0:
                found.append(f"{_CUT} {count - len(found)} more")
                break
            self._left -= 1
            found.append(self.copy(one, depth + 1))
        return found

    def _cut(self, text: str) -> str:
        room = max(self._left, 0)
        self._left -= len(text) + 2
        return text if len(text) <= room else text[:room] + _CUT

    def _integer(self, value: int) -> JSONValue:
        plain = int.__int__(value)
        if plain.bit_length() > _LARGEST_INT_BITS:
            # Beyond a few thousand digits Python refuses decimals, and long before it is no number
            # that any reader of JSON takes.
            return self._cut(f"{plain:#x}" if plain.bit_length() <= 4 * max(self._left, 0) else "a huge number")
        self._left -= max(8, plain.bit_length() // 3)
        return plain

    def _float(self, value: float) -> JSONValue:
        self._left -= 8
        plain = float.__float__(value)
        if math.isfinite(plain):
            return plain
        return "NaN" if math.isnan(plain) else ("Infinity" if plain > 0 else "-Infinity")


def _shown(value: object) -> str:
    return _survive(repr, value)


def _text(value: object) -> str:
    """Return a string as it is, anything else by ``str``."""
    return value if type(value) is str else _survive(str, value)


def _survive(make: Callable[[object], str], value: object) -> str:
    try:
        return str.__str__(make(value))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # gevent.Timeout, SystemExit and worse have been raised there
        return f"<{type(value).__name__} whose {make.__name__} raises {type(error).__name__}>"


def _plain(value: object) -> JSONValue:
    return value if value is None or type(value) in (str, int) else freeze(value, 256)  # type: ignore[return-value]


def _message(record: logging.LogRecord) -> str:
    try:
        return _text(record.getMessage())
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return f"{_text(record.msg)} <arguments that do not fit: {type(error).__name__}>"


def _time(created: Any) -> JSONValue:
    try:
        return dt.datetime.fromtimestamp(created, dt.UTC).isoformat(timespec="microseconds")
    except (OverflowError, ValueError, OSError, TypeError):
        return _plain(created)


def _traceback(render: Callable[[Any], str], info: Any) -> JSONValue:
    try:
        return _text(render(info))
    except Exception as error:
        return f"<a traceback that could not be rendered: {type(error).__name__}>"


def _is_public(name: object) -> bool:
    return not (isinstance(name, str) and name.startswith(_PRIVATE))


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"
