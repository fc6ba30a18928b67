"""Capture an exception on the caller: what a traceback is printed from, without printing it.

This runs inside the request, so it costs what it costs: about 0.15 µs a frame. Nothing here opens,
stats, locks or formats. Two things that look cheap are not and are left to the worker: reading
``tb_lineno`` (it walks the line table, 2 µs in a long function), and the standard library's search
for "Did you mean" (up to 0.8 ms, and it may import). Only the names to search among are taken.

Code of the user runs here as far as printing needs it: ``__str__``, ``__repr__`` of odd notes,
``__dir__``. Whatever it raises becomes the placeholder that the standard library prints;
`KeyboardInterrupt` and `SystemExit` pass, as they may be a signal's.
"""

from __future__ import annotations

import builtins
import sys
from collections import deque
from collections.abc import Sequence
from itertools import repeat
from types import FrameType, TracebackType
from typing import Any

from asynclog.captured import (
    LONE_FRAMES,
    SLOTS_PER_FRAME,
    Candidates,
    CapturedException,
    CapturedNode,
    ExceptionsLeftOut,
    Frames,
    Lone,
    OddNotes,
    SyntaxDetails,
    encode_line,
)

# A RecursionError at the default limit of 1,000 is kept whole.
MAX_FRAMES = 2_000
MAX_FRAMES_IN_ALL = 20_000
MIN_FRAMES = 20
MAX_TEXT = 1 << 20
MAX_TEXT_IN_ALL = 4 << 20
MIN_TEXT = 1 << 10
MAX_EXCEPTIONS = 1_000
# The standard library prints 15 members of a group.
MAX_MEMBERS = 20
MAX_NOTES = 1_000
MAX_NAMES = 5_000

_SUGGESTS = sys.version_info >= (3, 12)
_ASKS_FOR_SELF = sys.version_info >= (3, 13)
_DETAILED: tuple[type[BaseException], ...] = (SyntaxError,)
if _SUGGESTS:
    _DETAILED += (ImportError, NameError, AttributeError)
_COMPLEX = (*_DETAILED, BaseExceptionGroup)
#: Builtin classes that need nothing besides: to find one here takes a fifth of an `issubclass`.
_SIMPLE = frozenset(
    kind
    for kind in vars(builtins).values()
    if isinstance(kind, type) and issubclass(kind, BaseException) and not issubclass(kind, _COMPLEX)
)
_SIGNALS = (KeyboardInterrupt, SystemExit)
_NONE_TYPE = type(None)
_LONGEST = LONE_FRAMES + MAX_FRAMES * SLOTS_PER_FRAME
_STR_FAILED = "<exception str() failed>"
_NOTE_FAILED = "<note str() failed>"


def capture_lone(exc_info: Any) -> Lone | None:
    """Capture an exception that brings no other along, as nearly all are, in one list.

    Returns:
        ``None`` for any other, and for what is odd in any way: `capture_exc_info` takes those.

    Raises:
        KeyboardInterrupt, SystemExit: As `capture_exc_info`.
    """
    try:
        _, value, tb = exc_info
        kind = type(value)
        suppress = value.__suppress_context__
        if (
            (kind not in _SIMPLE and issubclass(kind, _COMPLEX))
            or value.__cause__ is not None
            or not (suppress or value.__context__ is None)
            or value.__traceback__ is not tb
            or getattr(value, "__notes__", None) is not None
        ):
            return None
        text = str(value)
        if type(text) is not str or len(text) > MAX_TEXT:
            return None
        out: Lone = [kind, text, suppress, 0]
        # Not `_frames`, whose call alone would cost as much as three frames, and without its bound: what a
        # deeper traceback takes here for a moment is a tenth of what its frames take already.
        while tb is not None:
            frame = tb.tb_frame
            out.append(frame.f_code)
            lasti = tb.tb_lasti
            out.append(lasti if lasti >= 0 else encode_line(tb.tb_lineno))
            out.append(frame.f_globals)
            tb = tb.tb_next
    except _SIGNALS:
        raise
    except BaseException:
        return None
    return out if len(out) <= _LONGEST else None


def capture_exc_info(exc_info: Any) -> CapturedException | None:
    """Capture what a record carries in ``exc_info``.

    Args:
        exc_info: ``(type, value, traceback)``; the traceback need not be the value's own.

    Returns:
        The captured exception; ``None`` where there is nothing that could be printed.

    Raises:
        KeyboardInterrupt, SystemExit: Only if they are raised while this runs, by a signal handler
            or by the exception's own methods.
    """
    try:
        if not exc_info:
            return None
        _, value, tb = exc_info
    except _SIGNALS:
        raise
    except BaseException:
        return None
    try:
        if (
            value is not None
            and value.__cause__ is None
            and (value.__suppress_context__ or value.__context__ is None)
            and not issubclass(type(value), _COMPLEX)
        ):
            return _capture_one(value, tb)
        return _capture_all(value, tb)
    except _SIGNALS:
        raise
    except BaseException:
        return _placeholder(value, tb)


def _capture_one(value: BaseException, tb: TracebackType | None) -> CapturedException:
    """Capture an exception that brings no other along: nearly every one."""
    frames = _frames(tb)
    own = value.__traceback__
    node = CapturedNode(type(value), _text(value), frames if own is tb else _frames(own), value.__suppress_context__)
    size = len(node.text)
    notes = getattr(value, "__notes__", None)
    if notes is not None:
        node.notes = _notes(notes, MAX_TEXT)
        size += _notes_size(node.notes)
    count = len(frames) if own is tb else len(frames) + len(node.frames)
    return CapturedException([node], frames, count // SLOTS_PER_FRAME, size)


def _capture_all(value: BaseException | None, tb: TracebackType | None) -> CapturedException:
    if value is None:
        frames = _frames(tb)
        node = CapturedNode(_NONE_TYPE, "None", [], False)
        return CapturedException([node], frames, len(frames) // SLOTS_PER_FRAME, 0)
    return _Walk(value, tb).result()


class _Walk:
    """One walk over an exception and all that it brings along, breadth first, within bounds."""

    __slots__ = ("frames", "frames_left", "indexes", "nodes", "tb", "text_left", "values")

    def __init__(self, value: BaseException, tb: TracebackType | None) -> None:
        self.values = [value]
        self.indexes = {id(value): 0}
        self.nodes: list[CapturedNode] = []
        self.frames_left = MAX_FRAMES_IN_ALL * SLOTS_PER_FRAME
        self.text_left = MAX_TEXT_IN_ALL
        self.tb = tb
        self.frames = self._frames(tb)

    def result(self) -> CapturedException:
        tb = self.tb
        # The list grows while it is walked.
        for value in self.values:
            try:
                node = self._node(value, tb)
            except _SIGNALS:
                raise
            except BaseException:
                node = CapturedNode(type(value), _text(value, MIN_TEXT), [], True)
            self.nodes.append(node)
            tb = None
        frames = MAX_FRAMES_IN_ALL * SLOTS_PER_FRAME - self.frames_left
        return CapturedException(self.nodes, self.frames, frames // SLOTS_PER_FRAME, MAX_TEXT_IN_ALL - self.text_left)

    def _frames(self, tb: TracebackType | None) -> Frames:
        room = self.frames_left // SLOTS_PER_FRAME
        frames = _frames(tb, MAX_FRAMES if room > MAX_FRAMES else max(room, MIN_FRAMES))
        self.frames_left -= len(frames)
        return frames

    def _node(self, value: BaseException, logged: TracebackType | None) -> CapturedNode:
        if value is _LEFT_OUT:
            return CapturedNode(ExceptionsLeftOut, str(value), [], False)
        own = value.__traceback__
        frames = self.frames if logged is not None and own is logged else self._frames(own)
        room = min(MAX_TEXT, max(self.text_left, MIN_TEXT))
        node = CapturedNode(type(value), _text(value, room), frames, value.__suppress_context__)
        self.text_left -= len(node.text)
        try:
            notes = getattr(value, "__notes__", None)
        except _SIGNALS:
            raise
        except BaseException as error:
            notes = [f"Ignored error getting __notes__: {_repr(error, '__notes__')}"]
        if notes is not None:
            node.notes = _notes(notes, room)
            self.text_left -= _notes_size(node.notes)
        if issubclass(node.exc_type, _DETAILED):
            self._add_details(node, value, logged or own)
        self._follow(node, value)
        return node

    def _follow(self, node: CapturedNode, value: BaseException) -> None:
        cause, context = value.__cause__, None if node.suppress else value.__context__
        if cause is not None:
            node.cause = self._index(cause)
        if context is not None:
            node.context = self._index(context)
        if issubclass(node.exc_type, BaseExceptionGroup):
            members = value.exceptions  # type: ignore[attr-defined]
            node.member_count = len(members)
            node.members = tuple([self._index(member) for member in members[:MAX_MEMBERS]])
        elif cause is None and context is None:
            return
        try:
            node.truth = bool(value)
        except _SIGNALS:
            raise
        except BaseException:
            node.truth = True

    def _index(self, value: BaseException) -> int:
        index = self.indexes.get(id(value))
        if index is None:
            if len(self.values) >= MAX_EXCEPTIONS:
                value = _LEFT_OUT
                index = self.indexes.get(id(value))
                if index is not None:
                    return index
            index = self.indexes[id(value)] = len(self.values)
            self.values.append(value)
        return index

    def _add_details(self, node: CapturedNode, value: BaseException, tb: TracebackType | None) -> None:
        try:
            details = node.details = _details(value, node.exc_type, tb)
        except _SIGNALS:
            raise
        except BaseException:
            return
        if isinstance(details, Candidates):
            # A name is interned nearly always: what is ours is the pointer.
            self.text_left -= 8 * len(details.names or ())
        elif details is not None:
            self.text_left -= len(details.text or "")


_LEFT_OUT = ExceptionsLeftOut(f"asynclog keeps {MAX_EXCEPTIONS:,} exceptions of a chain or group; the rest is left out")


def _frames(tb: TracebackType | None, limit: int = MAX_FRAMES) -> Frames:
    """Walk a traceback; of more than ``limit`` frames keep the outermost and the innermost half."""
    out: Frames = []
    # `out.append` thrice measured faster than one `+=` of a tuple, a bound method or three lists.
    for _ in repeat(None, limit):
        if tb is None:
            return out
        frame = tb.tb_frame
        lasti = tb.tb_lasti
        out.append(frame.f_code)
        out.append(lasti if lasti >= 0 else encode_line(tb.tb_lineno))
        out.append(frame.f_globals)
        tb = tb.tb_next
    return out if tb is None else _cut_frames(out, tb, limit // 2)


def _cut_frames(out: Frames, tb: TracebackType | None, half: int) -> Frames:
    tail: deque[Any] = deque(out[half * SLOTS_PER_FRAME :], maxlen=half * SLOTS_PER_FRAME)
    seen = len(out) // SLOTS_PER_FRAME
    while tb is not None:
        frame = tb.tb_frame
        lasti = tb.tb_lasti
        tail += (frame.f_code, lasti if lasti >= 0 else encode_line(tb.tb_lineno), frame.f_globals)
        seen += 1
        tb = tb.tb_next
    # A code object of its own, so that the marker is a frame like any other for whoever prints it.
    code = _cut_frames.__code__.replace(co_filename="<asynclog>", co_name=f"[{seen - 2 * half:,} frames left out]")
    return [*out[: half * SLOTS_PER_FRAME], code, encode_line(0), {}, *tail]


def _text(value: object, limit: int = MAX_TEXT, failed: str = _STR_FAILED) -> str:
    try:
        text = str(value)
        if type(text) is not str:
            # A subclass's own __str__ is asked once more, as printing does.
            text = str.__str__(str(text))
    except _SIGNALS:
        raise
    except BaseException:
        return failed
    return text if len(text) <= limit else cut(text, limit)


def cut(text: str, limit: int) -> str:
    """Cut a text to ``limit`` characters and say how many were left out."""
    return f"{text[:limit]}… [asynclog left out {len(text) - limit:,} characters]"


def _repr(value: object, what: str, limit: int = MAX_TEXT) -> str:
    try:
        text = str.__str__(repr(value))
    except _SIGNALS:
        raise
    except BaseException:
        return f"<{what} repr() failed>"
    return text if len(text) <= limit else cut(text, limit)


def _notes(notes: Any, room: int) -> tuple[str, ...] | str | bytes | OddNotes | None:
    """Take the texts of ``__notes__``; what is no list of strings is kept as it would be printed."""
    try:
        if type(notes) is not list and type(notes) is not tuple:
            if isinstance(notes, str):
                return str.__str__(notes)[:room]
            if isinstance(notes, bytes):
                return bytes(notes)[:room]
            if not isinstance(notes, Sequence):
                return OddNotes(_repr(notes, "__notes__", room))
        texts: list[str] = []
        for note in notes:
            if len(texts) == MAX_NOTES or room <= 0:
                texts.append(f"… [asynclog left out {len(notes) - len(texts):,} notes]")
                break
            texts.append(_text(note, room, _NOTE_FAILED))
            room -= len(texts[-1])
        return tuple(texts)
    except _SIGNALS:
        raise
    except BaseException as error:
        return (f"Ignored error getting __notes__: {_repr(error, '__notes__', MIN_TEXT)}",)


def _notes_size(notes: tuple[str, ...] | str | bytes | OddNotes | None) -> int:
    if isinstance(notes, tuple):
        return sum(map(len, notes))
    if isinstance(notes, OddNotes):
        return len(notes.text)
    return len(notes or "")


def _details(value: Any, exc_type: type, tb: TracebackType | None) -> Candidates | SyntaxDetails | None:
    if issubclass(exc_type, SyntaxError):
        return SyntaxDetails({name: _syntax_value(value, name) for name in SyntaxDetails.__slots__})
    if issubclass(exc_type, ImportError):
        return _import_candidates(value)
    name = value.name
    if type(name) is not str:
        return None
    frame = _innermost(tb)
    if issubclass(exc_type, AttributeError):
        return _attribute_candidates(value, name, frame)
    return _name_candidates(name, frame)


def _syntax_value(value: Any, name: str) -> Any:
    try:
        given = getattr(value, name)
        if given is None or type(given) is int:
            return given
        if name in {"offset", "end_offset"}:
            return int(given)
        return _text(given)
    except _SIGNALS:
        raise
    except BaseException:
        return None


def _innermost(tb: TracebackType | None) -> FrameType | None:
    if tb is None:
        return None
    while tb.tb_next is not None:
        tb = tb.tb_next
    return tb.tb_frame


def _import_candidates(value: Any) -> Candidates | None:
    name, module = value.name_from, value.name
    if type(name) is not str or type(module) is not str:
        return None
    # `__import__("a.b")` gives "a". What is not imported any more is not imported again for this.
    top = sys.modules.get(module.partition(".")[0]) if module in sys.modules else None
    return Candidates("import", name, None if top is None else _dir(top), module=module)


def _attribute_candidates(value: Any, name: str, frame: FrameType | None) -> Candidates:
    obj = value.obj
    names = _dir(obj)
    # Before 3.13 reading `f_locals` leaves a copy in the frame, which keeps the values alive as long
    # as the frame runs, and the hint doesn't look there yet.
    local = frame.f_locals if _ASKS_FOR_SELF and frame is not None and name[:1] != "_" else {}
    return Candidates("attribute", name, names, on_self="self" in local and local["self"] is obj)


def _name_candidates(name: str, frame: FrameType | None) -> Candidates:
    if frame is None:
        return Candidates("name", name, None)
    local = frame.f_locals
    has_self = "self" in local
    # The standard library asks hasattr(self, name), which may run a property or a __getattr__:
    # nothing to do to a request for the sake of a hint.
    on_self = has_self and name in (_dir(local["self"]) or ())
    return Candidates(
        "name",
        name,
        tuple([key for key in local if type(key) is str][:MAX_NAMES]),
        has_self=has_self,
        on_self=on_self,
        builtins=frame.f_builtins,
    )


def _dir(obj: object) -> tuple[str, ...] | None:
    try:
        return tuple(dir(obj)[:MAX_NAMES])
    except _SIGNALS:
        raise
    except BaseException:
        return None


def _placeholder(value: Any, tb: Any) -> CapturedException:
    """Keep what can be had of an exception whose own code keeps it from being captured whole."""
    try:
        # It goes by pieces: what raises leaves out its piece.
        return _Walk(value, tb).result()
    except _SIGNALS:
        raise
    except BaseException:
        node = CapturedNode(type(value), _text(value), [], True)
        return CapturedException([node], node.frames, 0, len(node.text))
