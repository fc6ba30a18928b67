"""Tracebacks and frames that quack: what printers read of the real ones, from captured values.

Everything is made when it is asked for: most rebuilt records are never looked at this closely,
as their traceback text is made by `asynclog.render.traceback`.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from types import CodeType
from typing import Any

from asynclog.captured import SLOTS_PER_FRAME, Candidates, Frames, line_of


class Unkept:
    """Stand in for a live object that was not kept: it knows its names and nothing else."""

    __slots__ = ("_names",)

    def __init__(self, names: tuple[str, ...] | None) -> None:
        self._names = names

    def __dir__(self) -> list[str]:
        return list(self._names or ())

    def __repr__(self) -> str:
        return "<object that asynclog did not keep>"


class _Self:
    """Stand in for a frame's ``self``: it has one attribute at most."""

    def __repr__(self) -> str:
        return "<object that asynclog did not keep>"


class LocalNames(dict[str, Any]):
    """Look like the empty dictionary, but iterate over names and know ``self``.

    No local variable is kept. "Did you mean" iterates over their names and looks up ``self``, and
    nobody else does that without asking for ``items()`` or the length, which are those of an empty
    dictionary: so values that are not the real ones are never shown.
    """

    __slots__ = ("_me", "_names")

    def __init__(self, names: tuple[str, ...], me: object | None) -> None:
        super().__init__()
        self._names = names
        self._me = me

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __contains__(self, key: object) -> bool:
        return key == "self" and self._me is not None

    def __getitem__(self, key: str) -> Any:
        if key == "self" and self._me is not None:
            return self._me
        raise KeyError(key)


class DuckFrame:
    """What printers read of a frame."""

    __slots__ = ("f_builtins", "f_code", "f_globals", "f_lasti", "f_locals")

    f_back = None
    f_trace = None

    def __init__(self, code: CodeType, lasti: int, f_globals: dict[str, Any]) -> None:
        self.f_code = code
        self.f_lasti = max(lasti, -1)
        self.f_globals = f_globals
        self.f_locals: dict[str, Any] = {}
        self.f_builtins: dict[str, Any] = vars(builtins)

    @property
    def f_lineno(self) -> int | None:
        """The line of the instruction that the traceback stopped at."""
        return line_of(self.f_code, self.f_lasti) if self.f_lasti >= 0 else self.f_code.co_firstlineno

    def clear(self) -> None:
        """Do nothing: there are no local variables to clear."""


class DuckTraceback:
    """What printers read of a traceback, from a list of captured frames and a position in it."""

    __slots__ = ("_frame", "_frames", "_innermost", "_next", "_start")

    def __init__(self, frames: Frames, start: int = 0, innermost: LocalsOfFrame | None = None) -> None:
        self._frames = frames
        self._start = start
        self._innermost = innermost
        self._frame: DuckFrame | None = None
        self._next: DuckTraceback | None = None

    @property
    def tb_frame(self) -> DuckFrame:
        """The frame, without local variables."""
        if self._frame is None:
            code, lasti, f_globals = self._frames[self._start : self._start + SLOTS_PER_FRAME]
            frame = DuckFrame(code, lasti, f_globals)
            if self._innermost is not None and self._start + SLOTS_PER_FRAME == len(self._frames):
                self._innermost.put_into(frame)
            self._frame = frame
        return self._frame

    @property
    def tb_lasti(self) -> int:
        """The index of the instruction; -1 for a traceback that was made by hand."""
        lasti: int = self._frames[self._start + 1]
        return max(lasti, -1)

    @property
    def tb_lineno(self) -> int | None:
        """The line of the instruction."""
        return line_of(self._frames[self._start], self._frames[self._start + 1])

    @property
    def tb_next(self) -> DuckTraceback | None:
        """The traceback of the next inner frame."""
        start = self._start + SLOTS_PER_FRAME
        if self._next is None and start < len(self._frames):
            self._next = DuckTraceback(self._frames, start, self._innermost)
        return self._next

    def __repr__(self) -> str:
        # As the original's: a format may name exc_info.
        return f"<traceback object at {id(self):#x}>"


class LocalsOfFrame:
    """What "Did you mean" reads of the innermost frame."""

    __slots__ = ("_builtins", "_locals")

    def __init__(self, candidates: Candidates, obj: Unkept | None) -> None:
        """Prepare for a `NameError`, or for an `AttributeError` about ``obj``."""
        self._builtins = candidates.builtins
        if obj is not None:
            self._locals = LocalNames((), obj if candidates.on_self else None)
            return
        me: _Self | None = None
        if candidates.has_self:
            me = _Self()
            if candidates.on_self:
                vars(me)[candidates.name] = None
        self._locals = LocalNames(candidates.names or (), me)

    def put_into(self, frame: DuckFrame) -> None:
        """Give the frame these names."""
        frame.f_locals = self._locals
        if self._builtins is not None:
            frame.f_builtins = self._builtins


def duck_traceback(frames: Frames, innermost: LocalsOfFrame | None = None) -> DuckTraceback | None:
    """Make the traceback of captured frames; ``None`` where there are none."""
    return DuckTraceback(frames, 0, innermost) if frames else None
