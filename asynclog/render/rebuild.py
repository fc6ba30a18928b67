"""A plain `logging.LogRecord` again, of what the queue carried."""

from __future__ import annotations

import logging
from typing import Any

from asynclog.render.standin import exc_info
from asynclog.values import Captured


def plain_record(fields: dict[str, Any]) -> logging.LogRecord:
    """Make a record that owns these attributes; no ``__init__`` runs, no record factory either."""
    record = logging.LogRecord.__new__(logging.LogRecord)
    record.__dict__ = fields
    return record


def rebuild(fields: dict[str, Any], captured: Captured | None, *, live: bool = True) -> logging.LogRecord:
    """Make a record of an entry's attributes, with the live exception or its stand-in."""
    record = plain_record(fields)
    if captured is not None and captured.exception is not None:
        record.exc_info = captured.live if live and captured.live else exc_info(captured.exception)
    return record
