"""dictConfig's standard keys for queue handlers (Python 3.12 and later).

With ``class: asynclog.QueueHandler`` an omitted ``queue`` is an unbounded `queue.Queue`, and an
omitted ``listener`` a `logging.handlers.QueueListener` that nobody starts. What was made up that
way is exchanged for ours; what the configuration names is left as it is. Which of them it is can
only be told from the function of `logging.config` that puts the two together, since a plain queue
looks the same however it came about.
"""

from __future__ import annotations

import logging.handlers
import sys
from types import FrameType
from typing import Any

from asynclog.handler import QueueHandler
from asynclog.listener import QueueListener
from asynclog.queue import RecordQueue

_PUTS_TOGETHER = "_configure_queue_handler"


def exchange_made_up(handler: QueueHandler, listener: Any) -> Any:
    """Return the listener for a handler that was just given one, and give it a queue of ours too.

    Args:
        handler: The handler.
        listener: What is assigned to ``handler.listener``.
    """
    # 0 is this function, 1 the property, 2 whoever assigns.
    named = _named_in_configuration(sys._getframe(2))
    if named is None:
        return listener
    if isinstance(listener, QueueListener):
        if "queue" not in named and not isinstance(handler.queue, RecordQueue):
            handler.queue = listener.use_own_queue()
        return listener
    if "listener" in named or type(listener) is not logging.handlers.QueueListener:
        return listener
    if "queue" not in named:
        handler.queue = RecordQueue()
    return QueueListener(handler.queue, *listener.handlers)


def _named_in_configuration(frame: FrameType) -> Any:
    """Return what a configuration names for a queue handler; ``None``: none is being put together."""
    if frame.f_code.co_name != _PUTS_TOGETHER or frame.f_globals.get("__name__") != "logging.config":
        return None
    # It pops what it uses from its own keywords on 3.13; its caller has them whole.
    caller = frame.f_back
    named = caller.f_locals.get("kwargs") if caller is not None else None
    return named if isinstance(named, dict) else frame.f_locals.get("kwargs")
