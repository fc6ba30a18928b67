"""What the formatters of Flask and Quart have in common: the request's facts in a log line."""

from __future__ import annotations

import logging
from typing import Any, ClassVar

#: What is added to a record, and read from the request: no body, no cookie, no header but one.
FIELDS = ("url", "method", "path", "endpoint", "remote_addr", "user_agent")


class RequestFormatterBase(logging.Formatter):
    """A formatter that knows the request; subclasses say where it is."""

    #: What a field is outside of any request, and where the request has none.
    missing: ClassVar[str] = "-"

    def current_request(self) -> Any:
        """Return the request that is being served, or ``None``."""
        return None

    def format(self, record: logging.LogRecord) -> str:
        """Format a record, with the request's facts as fields of it."""
        request = self.current_request()
        for name in FIELDS:
            value = None if request is None else getattr(request, name, None)
            setattr(record, name, self.missing if value is None else str(value))
        return super().format(record)
