"""What the kept records of a group tell of it: exception, message, route, request facts."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

from asynclog.digest import GroupReport
from asynclog.plain import STANDARD_FIELDS
from asynclog.render.carried import facts_of
from asynclog.render.jsonline import JSONValue, freeze
from asynclog.render.redact import Redactor
from asynclog.values import Item

# What makes the line "route", and is not listed again below it.
_ROUTE = ("method", "route", "path", "endpoint")
# Attributes that formatters put there, and what only chose the group.
_OURS = frozenset(("message", "asctime", "taskName", "asynclog_group"))
_EXTRAS_BUDGET = 4_096


class GroupFacts(NamedTuple):
    """What a group's first kept record says.

    Attributes:
        what: "ValueError in shop.checkout".
        exception: "ValueError: not a number"; empty where there is none.
        message: The log message; empty where the exception says the same.
        route: "POST /checkout"; empty outside a request.
        release: The version that runs, where a ``context=`` provider says it.
        request: Other facts, label and value.
    """

    what: str
    exception: str
    message: str
    route: str
    release: str
    request: tuple[tuple[str, str], ...]


def group_facts(group: GroupReport, item: Item | None, redactor: Redactor | None) -> GroupFacts:
    """Return what is known of a group beyond its counts.

    Args:
        group: The group.
        item: The first record that was kept of it; ``None``: none was.
        redactor: Hides secrets; ``None``: nothing is hidden.
    """
    kind = group.exc_type.rpartition(".")[2] or str(logging.getLevelName(group.levelno))
    what = "other problems" if group.is_other else f"{kind} in {group.place or group.logger}"
    if item is None:
        return GroupFacts(what, group.exc_type, "", "", "", ())
    facts = _redacted(facts_of(item.record), redactor)
    extras = _redacted(_extras(item), redactor)
    exception = _exception(group, item)
    message = _message(item)
    return GroupFacts(
        what,
        exception,
        # logger.error(str(error), exc_info=error): once is enough.
        "" if exception and message and message in exception else message,
        _route(facts),
        _plain(facts.get("release")),
        (*_others(facts), *_others(extras, "extra ")),
    )


def _redacted(values: dict[str, JSONValue], redactor: Redactor | None) -> dict[str, JSONValue]:
    return values if redactor is None or not values else redactor.mapping(values)


def _extras(item: Item) -> dict[str, JSONValue]:
    """Return what was given by ``extra=``, as far as it is still there, as plain values."""
    found = {
        name: value
        for name, value in item.record.__dict__.items()
        if name not in STANDARD_FIELDS and name not in _OURS and not str(name).startswith("_asynclog")
    }
    frozen = freeze(found, _EXTRAS_BUDGET) if found else {}
    return frozen if isinstance(frozen, dict) else {}


def _exception(group: GroupReport, item: Item) -> str:
    info: Any = item.record.exc_info
    if not isinstance(info, tuple) or len(info) != 3 or info[1] is None:
        return group.exc_type
    try:
        text = str(info[1])
    except Exception as error:
        text = f"<its text raises {type(error).__name__}>"
    kind = group.exc_type or getattr(info[0], "__name__", "")
    return f"{kind}: {text}" if text else str(kind)


def _message(item: Item) -> str:
    try:
        return str(item.record.getMessage())
    except Exception as error:
        return f"{item.record.msg} <arguments that do not fit: {type(error).__name__}>"


def _route(facts: dict[str, JSONValue]) -> str:
    method, route, path, endpoint = (_plain(facts.get(name)) for name in _ROUTE)
    text = " ".join(part for part in (method, path or route) if part)
    if route and path and route != path:
        text += f" (route {route})"
    return f"{text} → {endpoint}" if text and endpoint else text or endpoint


def _others(facts: dict[str, JSONValue], before: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, value in facts.items():
        if not before and name in (*_ROUTE, "release"):
            continue
        label = f"{before}{name}".replace("_", " ")
        if isinstance(value, dict) and not before:
            found += _others(value, f"{name} ")
        elif value not in (None, "", [], {}):
            found.append((label, _plain(value)))
    return found


def _plain(value: JSONValue) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else repr(value)
