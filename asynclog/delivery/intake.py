"""From the queue into a lane: where the record is rendered, and what the caller lent ends.

A standard formatter's text is made on the worker's loop, at once. A formatter, or a handler's
``format``, that the user wrote runs on a thread of the lane's own, inside the caller's copied
context: it may be slow, and it may need the request. After this, lanes hold text and plain values,
so that an outage pins nobody's request. Only a wrapped handler that formats for itself is handed
the context with the record.
"""

from __future__ import annotations

import collections
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from asynclog.ledger import DROPPED
from asynclog.plain import IMMUTABLE, STANDARD_FIELDS
from asynclog.render.carried import carried_size
from asynclog.render.jsonline import JSONFormatter
from asynclog.render.line import (
    Renderer,
    complete_line,
    cut,
    fallback_text,
    is_standard,
    merge_message,
    renderer,
)
from asynclog.render.rebuild import plain_record, rebuild
from asynclog.render.run import RunRenderer, run_renderer
from asynclog.sink_thread import SinkThread
from asynclog.turns import Turns
from asynclog.values import Captured, Item, SharedOutcome, in_full, unpack

if TYPE_CHECKING:
    from asynclog.delivery.lane import Lane

# How long a run of formatters may keep the interpreter lock.
_SLICE = 0.001

_Done = Item | tuple[SharedOutcome | None, int]
_Pending = tuple[dict[str, Any], Captured | None, int, SharedOutcome | None]


class Intake:
    """Makes items of entries, for one lane.

    Attributes:
        formatting: Records that are with the formatting thread.
    """

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.formatting = 0
        self._thread = SinkThread(f"{lane.name}: formatting")
        self._pending: list[_Pending] = []
        # What the formatting thread has done. Not the argument of the call back to the loop: that
        # call is lost when the loop ends meanwhile, and these records would be with it.
        self._done: collections.deque[_Done] = collections.deque()
        self._formatter: Any = self  # nothing that a handler could have for a formatter
        self._render: Renderer | None = None
        self._by_user = False
        self._needs_stand_in = False
        self._render_run: RunRenderer | None = None

    def take(self, fields: dict[str, Any], captured: Captured | None, size: int, shared: SharedOutcome | None) -> None:
        """Render a record, or set it aside for the thread that does."""
        lane = self.lane
        if lane.face.formatter is not self._formatter:
            self._look()
        if lane.sink.formats_itself:
            context = captured.context if captured is not None and lane.sink.runs_user_code else None
            record = rebuild(fields, captured, live=lane.sink.wants_live)
            lane.buffer.append(Item(record, "", size, shared, context))
        elif self._by_user:
            self._pending.append((fields, captured, size, shared))
            self.formatting += 1
        else:
            lane.buffer.append(self._finished(fields, captured, size, shared))

    def takes_runs(self) -> bool:
        """Say whether records of the fast path are rendered here and at once: a standard formatter does it."""
        if self.lane.face.formatter is not self._formatter:
            self._look()
        return self._render_run is not None

    def take_run(self, run: list[dict[str, Any]], room: float) -> tuple[list[int], list[dict[str, Any]]]:
        """Render records as the fast path put them on the queue, as long as there is room.

        Args:
            run: The records, oldest first.
            room: Bytes that they may take beyond a kilobyte each.

        Returns:
            The levels of those that were lost, out of memory or by a fault of ours, and the records that
            were left as they are, since those before them took the room.
        """
        assert self._render_run is not None
        buffer = self.lane.buffer
        lost: list[int] = []
        while True:
            try:
                done, size = self._render_run(run, room)
            except BaseException:  # what the loop itself did not catch: the first is looked at below
                done = size = 0
            if done == len(run):
                buffer.extend(run, size)
                return lost, []
            buffer.extend(run[:done], size)
            run = run[done:]
            room = buffer.room_for_texts(len(run), self.formatting)
            if room <= 0:
                return lost, run
            odd, run = run[0], run[1:]
            try:  # no plain one after all, or one that can't be formatted: this tells what it was, and falls back
                fields, _, size, exception = unpack(odd)
                self.take(fields, in_full(exception), size, None)
            except BaseException as error:
                lost.append(odd["levelno"])
                self.lane.board.tell("lane_error", self.lane.name, f"a record was lost: {type(error).__name__}")
            room = buffer.room_for_texts(len(run), self.formatting)
            if room <= 0:
                return lost, run

    def end_slice(self) -> None:
        """Send what was set aside to the formatting thread."""
        if not self._pending:
            return
        pending, self._pending = self._pending, []
        self._thread.submit(self._format_all, pending, lambda _: self.collect())

    def _look(self) -> None:
        face = self.lane.face
        self._formatter = face.formatter
        self._render = renderer(face)
        json = type(face.formatter) is JSONFormatter and type(face).format is logging.Handler.format
        self._by_user = (not is_standard(face) and not json) or self.lane.sink.asks
        # A format may name the exception itself, for its repr.
        names_it = "exc_info" in str(getattr(getattr(face.formatter, "_style", None), "_fmt", ""))
        self._needs_stand_in = self._by_user or names_it or not self.lane.sink.text_only
        # Nearly every record: a standard formatter, and nothing captured beyond the attributes.
        slow = self._by_user or self.lane.sink.formats_itself or self.lane.sink.redactor is not None
        # A record whose sink looks at more than its text needs a stand-in for the exception.
        self._render_run = None if slow else run_renderer(face, lone=self.lane.sink.text_only)
        if self._by_user:
            self._thread.start()

    # -- on the formatting thread ---------------------------------------------------------------

    def _format_all(self, pending: list[_Pending]) -> None:
        pace = pacer()
        done = self._done
        for fields, captured, size, shared in pending:
            levelno = fields["levelno"]
            try:
                done.append(self._finished(fields, captured, size, shared))
            except BaseException as error:  # out of memory, or a fault of ours
                self.lane.board.tell("lane_error", self.lane.name, f"a record was lost: {type(error).__name__}")
                done.append((shared, levelno))
            pace()

    def _finished(
        self, fields: dict[str, Any], captured: Captured | None, size: int, shared: SharedOutcome | None
    ) -> Item:
        """Make an item with what it carries to its mail, and without secrets where the sink hides them."""
        item = self._item(fields, captured, size, shared)
        if captured is not None and captured.carried is not None:
            carried = captured.carried.get(self.lane.bit)
            if carried is not None:
                item.record.__dict__.update(carried)
                item.size += carried_size(carried)
        redactor = self.lane.sink.redactor
        if redactor is None:
            return item
        exception = captured.exception if captured is not None else None
        return Item(redactor.record(item.record, exception), redactor.text(item.text), item.size, shared)

    def _item(self, fields: dict[str, Any], captured: Captured | None, size: int, shared: SharedOutcome | None) -> Item:
        if captured is None:
            record = plain_record(fields)
            return Item(record, self._text(record, None), size, shared)
        exception = captured.exception
        record = plain_record(fields)
        if exception is not None and self._needs_stand_in:
            record = rebuild(fields, captured, live=False)
        if captured.context is not None and self._by_user:
            text = captured.context.copy().run(self._text, record, captured)
        else:
            text = self._text(record, captured)
        _strip(record)
        return Item(record, text, size + len(text), shared)

    def _text(self, record: logging.LogRecord, captured: Captured | None) -> str:
        lane = self.lane
        exception = captured.exception if captured is not None else None
        try:
            if lane.sink.asks:
                lane.sink.ask(record)
            if captured is not None and captured.lines and lane.bit in captured.lines:
                return complete_line(lane.face, captured.lines[lane.bit], record, exception)
            assert self._render is not None
            return cut(self._render(record, exception))
        except BaseException as error:  # the user's own code, on a thread of ours: nothing may pass
            lane.board.tell(
                "formatter_error",
                lane.name,
                f"the formatter raised {type(error).__name__}; the record is delivered as plain text",
            )
            return fallback_text(record, exception, error)

    # -- back on the loop -----------------------------------------------------------------------

    def collect(self) -> None:
        """Take over what the formatting thread has done; called on the loop."""
        while self._done:
            item = self._done.popleft()
            self.formatting -= 1
            if isinstance(item, Item):
                self.lane.buffer.append(item)
            else:
                self.lane.settle(DROPPED, item[0], "lane_error", item[1])
        self.lane.wake()

    def after_fork(self) -> None:
        """Forget the parent's thread and what it was given."""
        self.formatting = 0
        self._pending = []
        self._done = collections.deque()
        self._thread = SinkThread(f"{self.lane.name}: formatting")


def pacer() -> Callable[[], None]:
    """Return what a long work on a thread of ours calls between its pieces, to let the app's threads in."""
    return Turns(_SLICE).pause


def _strip(record: logging.LogRecord) -> None:
    """Let go of what is not a plain value, a dict for a message or an extra: it may hold a request."""
    fields = record.__dict__
    if type(record.msg) is not str:
        record.msg, _ = merge_message(record.msg, None)
    if len(fields) <= len(STANDARD_FIELDS):
        return
    for name in [name for name in fields if name not in STANDARD_FIELDS and type(fields[name]) not in IMMUTABLE]:
        del fields[name]
