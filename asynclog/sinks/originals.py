"""The handler that a sink stands in for: what is taken from it meanwhile, and given back."""

from __future__ import annotations

import logging
from typing import Any

from asynclog.sinks.base import Sink
from asynclog.sinks.file import FileSink
from asynclog.sinks.handler import HandlerSink


def take_over(handler: logging.Handler, sink: Sink) -> None:
    """Have a sink do a handler's work.

    The handler leaves the list that ``logging.shutdown`` and ``dictConfig`` close by: hung in its
    ``emit`` it holds its lock, which they would wait for. Its name keeps resolving. The stream of a
    file handler is closed, so that one program alone writes the file.
    """
    if isinstance(sink, HandlerSink):
        handler = sink.handler
    if handler is sink:
        return
    with _logging_lock():
        _handler_list()[:] = [reference for reference in _handler_list() if reference() is not handler]
    if isinstance(sink, FileSink):
        FileSink.release_handler(handler)


def give_back(handler: logging.Handler, sink: Sink) -> None:
    """Have a handler work by itself again: listed, with its own ``handleError``, appending to its file."""
    if isinstance(sink, HandlerSink) and handler is not sink:
        sink.unhook()
    if handler is sink:
        return
    if isinstance(sink, FileSink):
        FileSink.give_back_handler(handler)
    with _logging_lock():
        if all(reference() is not handler for reference in _handler_list()):
            _add_to_list(handler)


# `logging` has no public way to say that a handler need not be closed at exit.


def _logging_lock() -> Any:
    return vars(logging)["_lock"]


def _handler_list() -> list[Any]:
    found: list[Any] = vars(logging)["_handlerList"]
    return found


def _add_to_list(handler: logging.Handler) -> None:
    vars(logging)["_addHandlerRef"](handler)
