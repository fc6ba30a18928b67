"""The queue handlers that `wrap` and `install` hand out, and which of them stands for which handler."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from asynclog.alarm import note_from_caller
from asynclog.delivery.lane import Lane
from asynclog.handler import QueueHandler
from asynclog.listener import QueueListener
from asynclog.listeners import all_listeners
from asynclog.queue import RecordQueue
from asynclog.worker import worker

# By id, since handlers of third parties need not be hashable. An id can't be taken by another
# handler as long as the wrapper lives: its lanes hold the handlers.
_known: weakref.WeakValueDictionary[tuple[int, ...], QueueHandler] = weakref.WeakValueDictionary()
_retired: weakref.WeakSet[QueueListener] = weakref.WeakSet()


def remember(handlers: Sequence[logging.Handler], wrapper: QueueHandler) -> None:
    """Note which wrapper stands for exactly these handlers."""
    _known[tuple(map(id, handlers))] = wrapper


def retire(listener: QueueListener) -> None:
    """Have no more handlers found in a listener: they were given back."""
    _retired.add(listener)


def find_wrapper(handlers: Sequence[logging.Handler]) -> QueueHandler | None:
    """Return the wrapper of exactly these handlers, or of the one handler that is served somewhere."""
    found = _known.get(tuple(map(id, handlers)))
    if found is not None or len(handlers) != 1:
        return found
    standing = find_lane(handlers[0])
    if standing is None:
        return None
    door = HandlerDoor(*standing)
    remember(handlers, door)
    return door


def find_lane(handler: logging.Handler) -> tuple[QueueListener, Lane] | None:
    """Return the lane that serves a handler, and its listener."""
    for listener in all_listeners():
        if listener in _retired or not isinstance(listener.queue, RecordQueue):
            continue
        for lane in listener.lanes:
            if lane.face is handler:
                return listener, lane
    return None


class HandlerDoor(QueueHandler):
    """Puts records on a listener's queue for one of its handlers alone.

    Where a handler stood on two loggers, one door stands on both: a record that passes both is
    emitted twice, as before.

    Args:
        listener: Delivers.
        lane: The handler's lane there.

    Attributes:
        original: The handler.
        retired: Whether the handler was given back.
    """

    def __init__(self, listener: QueueListener, lane: Lane) -> None:
        super().__init__(listener.inner)
        self.listener = listener
        self.original = lane.face
        self._sink = lane.sink
        self.door = listener.gate_for([lane])
        self.retired = False

    def retire(self) -> None:
        """Pass what still comes on to the original, on the caller: it was given back."""
        original = self.original

        def handle(record: logging.LogRecord) -> Any:
            return original.handle(record) if record.levelno >= original.level else False

        # On the instance, so that nothing is asked on the way while the door is in use.
        self.handle = handle  # type: ignore[method-assign]
        self.retired = True
        if _known.get((id(original),)) is self:
            del _known[id(original),]

    def close(self) -> None:
        """Deliver what was logged and close the original; the listener goes on for the others."""
        if not self.retired:
            if worker.finished:
                self.listener.tell_left()
            else:
                self.flush()
            if self.listener.pending():
                self._sink.ending = True  # with its lane: closed now, it could lose what is on its way
            else:
                self._sink.close_original()
        logging.Handler.close(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} for {self.original!r}>"


class LateHandler(QueueHandler):
    """A queue handler whose handlers are not known yet.

    Args:
        queue: The queue.
        listener: Drains it; has no lanes yet.
        resolve: Gives the listener its lanes and returns the wrappers that stood already, or
            ``None`` while something is still to come.
    """

    def __init__(
        self, queue: RecordQueue, listener: QueueListener, resolve: Callable[[], Sequence[QueueHandler] | None]
    ) -> None:
        self._resolve: Callable[[], Sequence[QueueHandler] | None] | None = None
        super().__init__(queue)
        self.listener = listener
        self._resolve = resolve

    def resolve(self) -> Sequence[QueueHandler] | None:
        """Find the handlers; called with the first record.

        Returns:
            Those among them that were wrapped already; ``None``: not all are known yet.
        """
        if self._resolve is None:
            return ()
        others = self._resolve()
        if others is None:
            return None
        self._resolve = None
        if others:
            # On the instance, so that nothing is asked on the way where there are none.
            own = QueueHandler(self.queue)
            self.handle = lambda record: hand_on(self, (*others, own), record)  # type: ignore[method-assign]
        if self.formatter is not None:  # set before there was a handler to set it on
            self.setFormatter(self.formatter)
            for other in others:
                other.setFormatter(self.formatter)
        return others

    def _accept(self, record: logging.LogRecord) -> Any:
        # The queue's gate lets nothing in until there are lanes, so the first record comes here.
        if self._resolve is not None:
            others = self.resolve()
            if others is None:
                self._note("handler_error", "a record came before the wrapped handlers were made: it is lost")
                return False
            for other in others:
                if record.levelno >= other.level:
                    other.handle(record)
        return super()._accept(record)

    @property
    def listener(self) -> Any:
        """The listener; the handlers are looked for before it is looked at."""
        self.resolve()
        return self._listener

    @listener.setter
    def listener(self, listener: Any) -> None:
        self._listener = listener


class Several(QueueHandler):
    """Passes records to wrappers that stood already, and to handlers of its own.

    Args:
        wrappers: The others.
        queue: The queue of its own handlers.
    """

    def __init__(self, wrappers: Sequence[QueueHandler], queue: RecordQueue) -> None:
        super().__init__(queue)
        self.wrappers = (*wrappers, QueueHandler(queue))

    def handle(self, record: logging.LogRecord) -> Any:
        """Pass a record on; see `QueueHandler.handle`."""
        return hand_on(self, self.wrappers, record)

    def setFormatter(self, fmt: logging.Formatter | None) -> None:  # noqa: N802
        """Set the formatter of every handler that is wrapped."""
        super().setFormatter(fmt)
        for wrapper in getattr(self, "wrappers", ()):
            wrapper.setFormatter(fmt)

    def flush(self) -> None:
        """Wait for the others too."""
        super().flush()
        for wrapper in self.wrappers:
            wrapper.flush()


def hand_on(handler: logging.Handler, wrappers: Iterable[QueueHandler], record: logging.LogRecord) -> Any:
    """Pass a record through a handler's filters and on to wrappers, as a logger would."""
    try:
        verdict: Any = handler.filter(record) if handler.filters else True
    except Exception as error:
        note_from_caller("filter_error", f"a filter raised {type(error).__name__}; the record passed")
        verdict = True
    if not verdict:
        return False
    if isinstance(verdict, logging.LogRecord):
        record = verdict
    for wrapper in wrappers:
        if record.levelno >= wrapper.level:
            wrapper.handle(record)
    return record
