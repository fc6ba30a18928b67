"""HandlerSink: any handler of the standard library or of a third party, run on a thread of its own."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Sequence
from typing import Any

from asynclog import checks
from asynclog.plain import is_overridden_on
from asynclog.sinks.base import ThreadedSink
from asynclog.turns import Turns
from asynclog.values import Batch, Delivered, Item, Lost, Part

# How long a run of emits may keep the interpreter lock.
_SLICE = 0.001

_STANDARD_MODULES = ("logging", "logging.handlers")


class HandlerSink(ThreadedSink):
    """Runs a handler's ``emit`` on a thread of its own.

    Standard handlers swallow their failures in ``handleError``. It is hooked on the handler until
    `unhook`, so that a failure is counted (``handler_error``); the handler's own is still called,
    and the record is not tried again: the handler may have sent it.

    Args:
        handler: The handler; its level, filters and formatter stay in force.
        exceptions: ``"keep"`` hands the handler the live exception with its frames, which pins every
            local of every frame until the record was emitted; ``"capture"`` a stand-in that prints
            the same. Default ``None``: kept for third-party handlers, captured for the standard
            library's, which only print it.

    Raises:
        OptionTypeError: The handler is not a `logging.Handler`.
        OptionValueError: ``exceptions`` is neither.
    """

    formats_itself = True
    # What logging.Handler sets when it is made would be the wrapped handler's.
    _is_made = False

    def __init__(self, handler: logging.Handler, *, exceptions: str | None = None) -> None:
        if not isinstance(handler, logging.Handler):
            checks.bad_type("handler", handler, "give a logging.Handler")
        if exceptions is not None:
            checks.choice("exceptions", exceptions, ("capture", "keep"))
        self.handler = handler
        super().__init__()
        self._is_made = True
        self.label = f"handler:{handler.get_name() or type(handler).__name__}"
        standard = type(handler).__module__ in _STANDARD_MODULES
        self.wants_live = not standard if exceptions is None else exceptions == "keep"
        self.runs_user_code = not standard or _formats_by_user(handler)
        self._failure: str | None = None
        self._calls_original = handler.handleError
        self._original_handle_error = self._calls_original if is_overridden_on(handler, "handleError") else None
        handler.handleError = self._note_failure  # type: ignore[method-assign]

    # What rules is the handler's own, also where it is set later; it may as well be set here.

    @property
    def level(self) -> int:
        """The handler's level."""
        return self.handler.level

    @level.setter
    def level(self, level: int) -> None:
        if self._is_made:
            self.handler.setLevel(level)

    @property
    def formatter(self) -> logging.Formatter | None:
        """The handler's formatter."""
        return self.handler.formatter

    @formatter.setter
    def formatter(self, formatter: logging.Formatter | None) -> None:
        if self._is_made:
            self.handler.setFormatter(formatter)

    @property
    def filters(self) -> list[Any]:
        """The handler's filters."""
        return self.handler.filters

    @filters.setter
    def filters(self, filters: list[Any]) -> None:
        if self._is_made:
            self.handler.filters = filters

    def unhook(self) -> None:
        """Give the handler its own ``handleError`` back."""
        if self._original_handle_error is None:
            with contextlib.suppress(AttributeError):
                del self.handler.handleError
        else:
            self.handler.handleError = self._original_handle_error  # type: ignore[method-assign]

    def _note_failure(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        self._failure = type(error).__name__ if error is not None else "an error"
        self._calls_original(record)

    def deliver_blocking(self, batch: Batch) -> Sequence[Part]:
        """Emit each record of a batch; one that fails is lost, the others go on."""
        done: list[Item] = []
        lost: list[Part] = []
        turns = Turns(_SLICE)
        for item in batch.items:
            failure = self._emit(item)
            if failure is None:
                done.append(item)
            else:
                lost.append(Part(Lost("handler_error", f"{self.label} failed with {failure}"), (item,)))
            item.context = None
            turns.pause()
        if not lost:
            return (Part(Delivered(), batch.items),)
        return (Part(Delivered(), tuple(done)), *lost)

    def _emit(self, item: Item) -> str | None:
        self._failure = None
        try:
            if item.context is not None:
                item.context.copy().run(self._emit_locked, item.record)
            else:
                self._emit_locked(item.record)
        except BaseException as error:  # the user's own code, on a thread of ours: nothing may pass
            return type(error).__name__
        return self._failure

    def _emit_locked(self, record: logging.LogRecord) -> None:
        # The filters ran on the caller already: handle() would run them again. Only a handler that
        # has a handle() of its own is served by it, filters and all: it may do its work there.
        if type(self.handler).handle is not logging.Handler.handle:
            self.handler.handle(record)
            return
        self.handler.acquire()
        try:
            self.handler.emit(record)
        finally:
            self.handler.release()

    def close_blocking(self) -> None:
        """Flush the handler, and close it where `logging` would have."""
        ending, self.ending = self.ending, False
        self.handler.flush()
        if ending:
            self._close_handler()

    def close_original(self) -> None:
        """Flush and close the handler as ``logging.shutdown`` would, unless it hangs."""
        if self._thread.is_busy:
            return
        with contextlib.suppress(OSError, ValueError):  # as there: it may be closed already
            self.handler.flush()
            self._close_handler()

    def _close_handler(self) -> None:
        # A handler that closes gives its name up, which a new one may have by now.
        names: Any = vars(logging)["_handlers"]
        name = self.handler.get_name()
        holder = names.get(name) if name else None
        self.handler.close()
        if holder is not None and names.get(name) is None and holder is not self.handler:
            names[name] = holder


def _formats_by_user(handler: logging.Handler) -> bool:
    formatter = handler.formatter
    return formatter is not None and type(formatter) is not logging.Formatter
