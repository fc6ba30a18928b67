"""Flask: the request's facts in the error mail.

    handler = asynclog.wrap(SMTPHandler(...))
    handler.setFormatter(RequestFormatter("[%(asctime)s] %(remote_addr)s asked for %(url)s: %(message)s"))

Nothing else is needed: Flask logs unhandled exceptions to ``app.logger``, and every WSGI server that
asynclog knows runs exit functions, which deliver what is left.
"""

from __future__ import annotations

from typing import Any

from flask import has_request_context, request

from asynclog.integrations.requests import RequestFormatterBase


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
