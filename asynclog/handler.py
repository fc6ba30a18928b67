"""The caller's end of the queue.

`QueueHandler.handle` is the one place in asynclog where nanoseconds count: no lock, no I/O, no
formatting, one call into Python at most. Whatever is out of the ordinary leaves for `_carefully`.
"""

from __future__ import annotations

import logging
import logging.handlers
import os
import queue as stdlib_queue
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, Protocol, runtime_checkable

from asynclog import checks, public, threads
from asynclog.alarm import note_from_caller
from asynclog.capture.exception import capture_lone
from asynclog.capture.gate import NOBODY, Gate, LaneGate, SeveralLanes
from asynclog.capture.record import capture, capture_for_all, capture_merged, carrying_alone
from asynclog.captured import LONE_SIZE, SLOTS_PER_FRAME
from asynclog.fork import process_state
from asynclog.plain import COMPUTED, FRAME_SIZE, IMMUTABLE, OBJECT_SIZE, RECORD_SIZE, SMALL_TEXT, STANDARD_FIELDS
from asynclog.queue import RecordQueue
from asynclog.reentry import enter, inside
from asynclog.render.line import MAX_TEXT, cut, is_from_outside, merge_message
from asynclog.threads import own_idents
from asynclog.values import Carrying

_N_FIELDS = len(STANDARD_FIELDS)
_LAST_FIELD = list(logging.LogRecord("", 0, "", 0, "", (), None).__dict__)[-1]
# Who logs about a delivery, be it from a finalizer.
_OWN_NAMES = ("asynclog", "aiosmtplib", "asyncio")
_LogRecord = logging.LogRecord
_WARNING = logging.WARNING
_ERROR = logging.ERROR
# Past this length a message leaves the fast path, where its size is cut.
_LONG = MAX_TEXT
_SLOT_SIZE = FRAME_SIZE // SLOTS_PER_FRAME
# Whose text is short, whatever the value. Bytes are not: they are counted with care.
_SHORT = IMMUTABLE - {str, bytes}


class QueueHandler(logging.handlers.QueueHandler):
    """Puts records on a queue and returns: the request never waits.

    A subclass of the standard library's, with its constructor, its ``prepare`` and ``enqueue`` to
    override, and its ``listener`` attribute. With a `RecordQueue` records are captured and not
    formatted; with any other queue (`queue.Queue`, `multiprocessing.Queue`, …) they are prepared
    as the standard library prepares them. Never raises into the logging call.

    Args:
        queue: A `RecordQueue`, or anything with ``put_nowait``.

    Raises:
        OptionTypeError: The queue has no ``put_nowait``.
    """

    def __init__(self, queue: Any) -> None:
        if not callable(getattr(queue, "put_nowait", None)):
            checks.bad_type("queue", queue, "give an asynclog.RecordQueue, or a queue with put_nowait()")
        super().__init__(queue)
        public.load()
        self.listener = None
        #: The gate of this handler alone, where it stands for some of the queue's lanes; else the queue's.
        self.door: Gate | None = None

    @property
    def listener(self) -> Any:
        """The listener that drains the queue, for whoever wants to start, stop or ask it."""
        return self._listener

    @listener.setter
    def listener(self, listener: Any) -> None:
        self._listener: Any = exchange_made_up(self, listener) if listener is not None else None

    @property
    def queue(self) -> Any:
        """The queue that records are put on."""
        return self._queue

    @queue.setter
    def queue(self, queue: Any) -> None:
        self._queue = queue
        cls = type(self)
        #: Whether records are put in a way of their own: a foreign queue, or a subclass as the
        #: standard library's handler has them.
        self._own_way = not isinstance(queue, RecordQueue) or any(
            getattr(cls, name) is not getattr(QueueHandler, name) for name in ("emit", "prepare", "enqueue")
        )
        # The queue as `handle` reads it, which is None where the fast path does not apply.
        self._fast = None if self._own_way else queue

    # -- the caller's path ---------------------------------------------------------------------

    def handle(self, record: logging.LogRecord) -> Any:  # noqa: PLR0915  (a call would cost a tenth of its budget)
        """Accept a record if a lane wants it; never waits, never raises.

        Returns:
            The record, or False where the filters or every lane refused it.
        """
        queue: Any = self._fast
        # None until the record has its place or its outcome; then what was left of the queue's room.
        left = None
        try:
            gate: Any = (self.door or queue.gate).only
            face = gate.face
            if record.levelno < face.level:
                if face is NOBODY:
                    left = queue.left  # it gets its place or its outcome there
                    return self._for_several(record, gate)
                if not self.filters:
                    return False
            # All is read off the record before its __dict__ is touched: that makes a dictionary of
            # what are plain slots until then (CPython 3.11 and later), and every look after it slower.
            msg = record.msg
            if (
                type(msg) is not str
                or face.filters
                or self.filters
                or face.formatter is not gate.formatter
                or record.process != queue.pid
                or record.thread in own_idents
                or record.stack_info is not None
                or type(record) is not _LogRecord
            ):
                return self._carefully(record)
            size = len(msg)
            args: Any = record.args
            if type(args) is tuple:
                for value in args:
                    kind = type(value)
                    if kind is str:
                        size += len(value)
                    elif kind is not int and kind not in _SHORT:
                        return self._merge(record, gate) if kind is not bytes else self._carefully(record)
            elif args:
                return self._merge(record, gate)
            exc_info = record.exc_info
            fields = record.__dict__.copy()
            if len(fields) != _N_FIELDS:
                more = _size_of_extras(fields)
                if more < 0:
                    return self._carefully(record)
                size += more
            # The plain record's branch first: past a longer jump CPython 3.11 compares as if they were no numbers.
            if exc_info is None and size <= SMALL_TEXT:
                if gate.mark is not None:
                    fields["exc_info"] = gate.mark
                left = queue.left
                if left <= 0 and (left <= queue.lowest or fields["levelno"] < _WARNING):
                    queue.put_scarce(fields)
                    return record
                # From the look at what is left to the append nothing lets another thread in, as in
                # asynclog.ledger: it counts what is accepted, too.
                queue.left = left - 1
                queue.entries.append(fields)
            else:
                if size > _LONG:
                    return self._carefully(record)
                carried: Any = RECORD_SIZE + size
                if exc_info:
                    if queue.left <= 0 and (queue.drops_newest or fields["levelno"] < _WARNING):
                        left = queue.left
                        if queue.refuses(fields["levelno"]):
                            return record
                        left = None
                    carried = capture_lone(exc_info)
                    if carried is None:
                        return self._carefully(record)
                    size += len(carried) * _SLOT_SIZE + len(carried[1])
                    carried[LONE_SIZE] = RECORD_SIZE + size
                fields["exc_info"] = gate.mark
                fields["stack_info"] = carried
                left = queue.left
                if (
                    left <= 0 and (left <= queue.lowest or fields["levelno"] < _WARNING)
                ) or queue.texts + size > queue.room_for_texts:
                    queue.put_scarce(fields, size)
                    return record
                queue.left = left - 1
                queue.texts += size
                queue.entries.append(fields)
            if queue.sleeping:
                queue.wake()
        except BaseException as error:  # no gate, several lanes, a foreign queue, a record of an odd shape
            if left is not None:
                # It has its place or its outcome. What a signal's handler raised is the app's, and may have
                # come before anybody was woken.
                queue.wake_if_asleep()
                if not isinstance(error, MemoryError):
                    raise
                self._count_failure(error)
                return False
            if not isinstance(error, Exception):
                raise
        else:
            return record
        # Not up there, where the app's own code would find our exception to be the one that is handled.
        return self._carefully(record)

    def _for_several(self, record: logging.LogRecord, gate: SeveralLanes) -> Any:  # noqa: PLR0915  (as `handle`)
        """Accept a record of the fast path for those of several lanes that want it.

        As `handle` does it for one. Not in there: a lone lane's record would pass by what only several need.
        """
        queue: Any = self._fast
        left = None
        try:
            msg, mask = record.msg, gate.mask_of(record.levelno)
            if (
                mask < 0
                or type(msg) is not str
                or self.filters
                or record.process != queue.pid
                or record.thread in own_idents
                or record.stack_info is not None
                or type(record) is not _LogRecord
            ):
                return self._carefully(record)
            if not mask:
                return False
            size = len(msg)
            args: Any = record.args
            if args:
                if type(args) is not tuple:
                    return self._carefully(record)
                for value in args:
                    kind = type(value)
                    if kind is str:
                        size += len(value)
                    elif kind not in _SHORT:
                        return self._carefully(record)
            fields = record.__dict__.copy()
            if len(fields) != _N_FIELDS:
                more = _size_of_extras(fields)
                if more < 0:
                    return self._carefully(record)
                size += more
            if size > _LONG:
                return self._carefully(record)
            exc_info, length = fields["exc_info"], size
            carried: Any = RECORD_SIZE + size
            if exc_info:
                if queue.left <= 0 and (queue.drops_newest or fields["levelno"] < _WARNING):
                    left = queue.left
                    if queue.refuses(fields["levelno"]):
                        return record
                    left = None
                carried = capture_lone(exc_info)
                if carried is None:
                    return self._carefully(record)
                size += len(carried) * _SLOT_SIZE + len(carried[1])
                carried[LONE_SIZE] = RECORD_SIZE + size
            elif size <= SMALL_TEXT:
                size, carried = 0, None
            mark: Any = gate.mark_of(mask)
            whole = gate.carrying
            if whole is not None:
                before: Any = ()
                if whole.lead_up is not None:
                    taken = fields["levelno"] >= _ERROR and mask & whole.taking != 0
                    before = whole.lead_up.note_plain(fields, msg, args or None, length, asked=taken)
                if fields["levelno"] >= whole.asks_from:
                    lone = carried if exc_info else None
                    entry = carrying_alone(fields, mask, RECORD_SIZE + size, lone, before, whole, queue.note)
                    left = queue.left
                    queue.put_entry(entry)
                    return record
                if before:
                    for one in before:
                        size += OBJECT_SIZE + len(one[4])  # as `carried_size`
                    if exc_info:
                        carried[LONE_SIZE] = RECORD_SIZE + size
                    else:
                        carried = RECORD_SIZE + size
                    mark = Carrying(mask, before, whole.with_lead_up)
            fields["exc_info"] = mark
            fields["stack_info"] = carried
            left = queue.left
            if (
                left <= 0 and (left <= queue.lowest or fields["levelno"] < _WARNING)
            ) or queue.texts + size > queue.room_for_texts:
                queue.put_scarce(fields, size)
                return record
            queue.left = left - 1
            queue.texts += size
            queue.entries.append(fields)
            if queue.sleeping:
                queue.wake()
        except BaseException as error:
            if left is not None:  # as in `handle`
                queue.wake_if_asleep()
                if not isinstance(error, MemoryError):
                    raise
                self._count_failure(error)
                return False
            if not isinstance(error, Exception):
                raise
        else:
            return record
        return self._carefully(record)

    def _merge(self, record: logging.LogRecord, lane: LaneGate) -> Any:
        """Accept a record of the fast path whose message has to be made here: an argument could change."""
        ident = enter()
        try:
            queue: Any = self._fast
            fields = record.__dict__.copy()
            size = 0
            if len(fields) != _N_FIELDS:
                size = _size_of_extras(fields)
                if size < 0:
                    return self._accept(record)
            queue.put_entry(capture_merged(record, fields, size, lane, queue.note))
        except BaseException as error:
            if is_from_outside(error):
                raise
            self._count_failure(error)
            return False
        else:
            return record
        finally:
            if ident in inside:  # see `asynclog.reentry.enter`
                inside[ident] -= 1
                if not inside[ident]:
                    del inside[ident]

    def _carefully(self, record: logging.LogRecord) -> Any:
        """Accept a record that is out of the ordinary in any way."""
        ident = enter()
        try:
            own = record.thread in own_idents and (record.thread is not None or threads.is_own_thread())
            if own and not _is_finalizing(record):
                return self._refuse_feedback(record)
            if record.process != getattr(self.queue, "pid", record.process):
                _notice_fork()
            if self.filters:
                verdict: Any = self.filter(record)
                if not verdict:
                    return False
                if isinstance(verdict, logging.LogRecord):
                    record = verdict
            return self._accept(record)
        except BaseException as error:
            if is_from_outside(error):
                raise
            self._count_failure(error)
            return False
        finally:
            if ident in inside:  # see `asynclog.reentry.enter`
                inside[ident] -= 1
                if not inside[ident]:
                    del inside[ident]

    def _accept(self, record: logging.LogRecord) -> Any:
        if self._own_way:
            self.emit(record)
            return record
        queue: Any = self.queue
        gate = self.door or queue.gate
        if gate is None:
            queue.put_entry(capture_for_all(record, queue.note))
            return record
        entries = capture(record, gate, queue.note)
        if not entries:
            return False
        if len(entries) == 1:
            queue.put_entry(entries[0])
        else:
            queue.put_group(entries)
        return record

    def _refuse_feedback(self, record: logging.LogRecord) -> bool:
        """Tell what asynclog's own threads log on stderr instead: shipped, it would feed on itself."""
        text, _ = merge_message(record.msg, record.args)
        self._note("feedback", f"{record.name} logged on asynclog's own thread: {cut(text, 500)}")
        return False

    def _count_failure(self, error: BaseException) -> None:
        kind = "queue_full" if isinstance(error, stdlib_queue.Full) else "handler_error"
        self._note(kind, f"a record could not be put on the queue: {type(error).__name__}")

    def _note(self, kind: str, text: str) -> None:
        if isinstance(self.queue, RecordQueue):
            self.queue.note(kind, text)
        else:
            note_from_caller(kind, text)

    # -- the standard library's shape ------------------------------------------------------------

    def emit(self, record: logging.LogRecord) -> None:
        """Put a record on the queue: ``enqueue(prepare(record))``."""
        self.enqueue(self.prepare(record))

    def prepare(self, record: logging.LogRecord) -> Any:
        """Make a record ready for the queue; override it to change what is queued.

        With a `RecordQueue` the record goes on as it is, to be captured by the queue. With another
        queue the message, with the traceback and through this handler's formatter, is merged into
        ``msg``, as the standard library does it; what can't be formatted becomes a placeholder.
        """
        if isinstance(self.queue, RecordQueue):
            return record
        try:
            return super().prepare(record)
        except BaseException as error:
            if is_from_outside(error):
                raise
            self._note("message_error", f"a message of logger {record.name} raised {type(error).__name__}")
            plain = logging.makeLogRecord(record.__dict__)
            plain.msg, _ = merge_message(record.msg, record.args)
            plain.args = plain.exc_info = plain.exc_text = plain.stack_info = None
            return plain

    def enqueue(self, record: Any) -> None:
        """Put a prepared record on the queue without waiting."""
        queue = self.queue
        if not isinstance(queue, RecordQueue):
            queue.put_nowait(record)
            start_if_idle = getattr(self._listener, "start_if_idle", None)
            if start_if_idle is not None:
                start_if_idle()
            return
        gate = self.door or queue.gate
        entries = capture(record, gate, queue.note) if gate else [capture_for_all(record, queue.note)]
        if entries:
            queue.put_group(entries)

    def createLock(self) -> None:  # noqa: N802
        """Make no lock: nothing here needs one, and `logging` takes it before ``flush`` and ``close``."""
        self.lock = None

    def setFormatter(self, fmt: logging.Formatter | None) -> None:  # noqa: N802
        """Set the formatter; that of the wrapped handlers where this handler wraps some."""
        super().setFormatter(fmt)
        for lane in self._gate_lanes():
            lane.face.setFormatter(fmt)

    def _gate_lanes(self) -> Sequence[LaneGate]:
        # Not by way of the __dict__: to look at one makes it, and slows down every later read of it.
        gate = getattr(self, "door", None) or getattr(getattr(self, "_queue", None), "gate", None)
        return gate.lanes if gate is not None else ()

    def flush(self) -> None:
        """Wait, with a deadline, until what was logged is delivered; only ask where waiting is unsafe."""
        owner = getattr(self.queue, "owner", None) or self.listener
        if isinstance(owner, Flushable):
            owner.flush_from_logging()

    def close(self) -> None:
        """Deliver what was logged, with a deadline, and stop; the next record starts again."""
        owner = getattr(self.queue, "owner", None) or self.listener
        if isinstance(owner, Flushable):
            owner.close_from_logging()
        super().close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.queue!r}>"


@runtime_checkable
class Flushable(Protocol):
    """What the handler asks of its listener; the two ends don't import each other."""

    def flush_from_logging(self) -> bool:
        """Flush as far as waiting is safe here."""
        ...

    def close_from_logging(self) -> bool:
        """Flush and stop as far as waiting is safe here."""
        ...


# Set by asynclog.wrapping, which stands above this floor: exchanges a plain queue and listener
# that dictConfig made up for ours.
exchange_made_up: Callable[[QueueHandler, Any], Any] = lambda _handler, listener: listener  # noqa: E731


def _is_finalizing(record: logging.LogRecord) -> bool:
    """Say whether a record comes from a ``__del__`` of the app's that happens to run on our thread.

    The garbage collector runs on whichever thread makes it, so the app's finalizers run on ours
    too; what they log is the app's and not what comes of a delivery. Rejected: `gc.callbacks`, which
    would tell for certain but cost every collection of the app's a call.
    """
    if record.name.startswith(_OWN_NAMES):
        return False
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False


def _size_of_extras(fields: dict[str, Any]) -> int:
    """Return the characters in a record's attributes of its own; -1 where one of them could change.

    What another handler's formatter left is taken off: it is made anew.
    """
    for name in COMPUTED:
        fields.pop(name, None)
    size = 0
    names = list(fields)
    # They stand behind the standard ones, which `LogRecord.__init__` sets, unless the app took one away.
    if names[_N_FIELDS - 1] != _LAST_FIELD:
        return -1
    for name in names[_N_FIELDS:]:
        value = fields[name]
        kind = type(value)
        if kind is str:
            size += len(value)
        elif kind not in _SHORT:
            return -1
    return size


def _notice_fork() -> None:
    # record.process is cheap and may lie (logging.logProcesses off); getpid says for sure.
    if os.getpid() != process_state.pid:
        process_state.forked()
