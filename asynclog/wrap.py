"""The one call: `wrap` round handlers, `install` round a logging setup that stands already."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from asynclog.handler import QueueHandler
from asynclog.listener import QueueListener
from asynclog.options import LANE_OPTIONS, QUEUE_OPTIONS
from asynclog.queue import RecordQueue


def wrap(*handlers: logging.Handler, **options: Any) -> QueueHandler:
    """Wrap handlers (first version, being completed)."""
    queue = RecordQueue(**{k: v for k, v in options.items() if k in QUEUE_OPTIONS})
    listener = QueueListener(queue, *handlers, **{k: v for k, v in options.items() if k in LANE_OPTIONS})
    handler = QueueHandler(queue)
    handler.listener = listener
    return handler


def install(*loggers: Any, **options: Any) -> QueueListener:
    """Being written."""
    raise RuntimeError("being written")


def uninstall(loggers: Iterable[Any] = ()) -> None:
    """Being written."""
    raise RuntimeError("being written")
