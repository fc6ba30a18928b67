"""Quart: deliver what was logged when the server shuts the app down, and the request's facts in a mail."""

from __future__ import annotations

from typing import Any

from quart import Quart, has_request_context, request

from asynclog.integrations.asgi import DrainAtShutdown
from asynclog.integrations.requests import RequestFormatterBase
from asynclog.listener import QueueListener


def drain_at_shutdown(app: Quart, *listeners: QueueListener, timeout: float | None = None) -> None:
    """Have all that was logged delivered when the app shuts down, before the server may end.

    Needed with uvicorn, which runs no exit functions. It waits after the app's own ``after_serving``
    functions and ``while_serving`` generators, so that what they log is delivered too.

    Args:
        app: The app.
        listeners: What to flush; default: every listener of the process.
        timeout: Seconds to wait at most; default: each listener's ``exit_timeout``.

    Raises:
        OptionTypeError: The timeout is no number, or there is something other than a listener.
        OptionValueError: The timeout is negative or no finite number.
    """
    # Not app.after_serving: those functions run in the order they were told, and before what Quart
    # itself logs where one of them fails.
    app.asgi_app = DrainAtShutdown(app.asgi_app, *listeners, timeout=timeout)  # type: ignore[method-assign,assignment,arg-type]


class RequestFormatter(RequestFormatterBase):
    """Format records with the request's ``url, method, path, endpoint, remote_addr, user_agent``.

    Outside of a request each is ``-``. It runs on asynclog's side and sees the request all the same:
    the caller's context is carried along until the record is formatted. A ``url`` holds the query
    string; where that may be secret, use ``path``.

    Args: as for `logging.Formatter`.
    """

    def current_request(self) -> Any:
        """Return the request that is being served, or ``None``."""
        return request if has_request_context() else None
