"""Request facts for mails: what was asked for and by whom, in Flask and Quart.

Given as ``context=asynclog.integrations.facts.request_facts``. Never a body, never a cookie, and no
header but the user agent; secrets in the query string are hidden here already.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asynclog.capture.scope import current_request
from asynclog.render.redact import Redactor

__all__ = ["current_request", "request_facts"]

_LONGEST = 500
_redactor = Redactor()


def request_facts() -> dict[str, str]:
    """Return facts of the Flask or Quart request that is served here; none outside of one.

    Returns:
        ``method``, ``path``, ``route`` (its pattern), ``endpoint``, ``remote_addr``, ``query`` and
        ``user_agent``, as far as there are any, each a string of 500 characters at most.
    """
    request = current_request()
    if request is None:
        return {}
    found = {
        "method": _text(lambda: request.method),
        "path": _text(lambda: request.path),
        "route": _text(lambda: request.url_rule.rule),
        "endpoint": _text(lambda: request.endpoint),
        "remote_addr": _text(lambda: request.remote_addr),
        "query": _redactor.text(_text(lambda: request.query_string.decode("utf-8", "backslashreplace"))),
        "user_agent": _redactor.text(_text(lambda: request.user_agent.string)),
    }
    return {name: value for name, value in found.items() if value}


def _text(read: Callable[[], Any]) -> str:
    """Read a value; one that isn't there (no route matched) or can't be parsed is an empty string."""
    try:
        value = read()
        return "" if value is None else str(value)[:_LONGEST]
    except Exception:
        return ""
