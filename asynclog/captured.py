"""What is kept of an exception once the logging call has returned.

Plain values only: types, strings, code objects and module dictionaries. No frame, no traceback and
no live exception, so a queue that is behind keeps nobody's request or database session alive.

An exception brings others along (cause, context, members of a group), and they may point at each
other in circles. They are kept as a flat list of nodes that refer to one another by index, so that
two paths to the same exception still meet, nothing recurses and no reference cycle is made.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import CodeType
from typing import Any, Literal, TypeAlias

# Three slots a frame: code object, index of the instruction, module dictionary. One flat list and
# not a tuple a frame: the list is the one object that the garbage collector has to look at.
Frames: TypeAlias = list[Any]

SLOTS_PER_FRAME = 3
NO_NODE = -1


class ExceptionsLeftOut(Exception):  # noqa: N818  (it is read in a traceback, where it is no error)
    """Stand in a captured chain for the exceptions past the bound; never raised."""


class OddNotes:
    """A ``__notes__`` that is no sequence, kept as its ``repr``."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text

    def __iter__(self) -> Iterator[str]:
        """Give the text as the one note, to printers that iterate over whatever they find."""
        yield self.text


class Candidates:
    """The names among which "Did you mean" looks.

    Attributes:
        kind: Which kind of exception asks: "import", "attribute" or "name".
        name: The name that was not found.
        names: ``dir`` of the object or module, or the local names of the frame; ``None`` where
            they could not be had.
        builtins: The builtins that the innermost frame saw; for a `NameError` only.
        on_self: For an `AttributeError`: the object is the frame's ``self``; for a `NameError`:
            the frame's ``self`` has an attribute of that name.
        has_self: The innermost frame has a local variable ``self``.
        module: The module that an `ImportError` is about.
    """

    __slots__ = ("builtins", "has_self", "kind", "module", "name", "names", "on_self")

    def __init__(
        self,
        kind: Literal["import", "attribute", "name"],
        name: str,
        names: tuple[str, ...] | None,
        *,
        on_self: bool = False,
        has_self: bool = False,
        builtins: dict[str, Any] | None = None,
        module: str | None = None,
    ) -> None:
        self.kind = kind
        self.name = name
        self.names = names
        self.on_self = on_self
        self.has_self = has_self
        self.builtins = builtins
        self.module = module


class SyntaxDetails:
    """The attributes of a `SyntaxError` that its text is made of."""

    __slots__ = ("end_lineno", "end_offset", "filename", "lineno", "msg", "offset", "text")

    filename: str | None
    lineno: int | str | None
    end_lineno: int | str | None
    text: str | None
    offset: int | None
    end_offset: int | None
    msg: str | None

    def __init__(self, values: dict[str, Any]) -> None:
        for name in self.__slots__:
            setattr(self, name, values.get(name))


class CapturedNode:
    """One exception: its type, its texts, its frames, and the indexes of those it points at.

    Attributes:
        exc_type: The class; ``NoneType`` where there was no exception.
        text: ``str()`` of it, cut to the bound.
        frames: The frames of its ``__traceback__``, outermost first, `SLOTS_PER_FRAME` values each.
        notes: The texts of ``__notes__``; a string or bytes or `OddNotes` where it was no list.
        cause: Index of ``__cause__``, or `NO_NODE`.
        context: Index of ``__context__``, or `NO_NODE`; not kept where it is suppressed.
        suppress: ``__suppress_context__``.
        truth: What ``bool()`` said: the standard library follows no chain from a false one.
        members: Indexes of the first members of a group; ``None`` for other exceptions.
        member_count: How many members the group has.
        details: What some builtin types need besides.
    """

    __slots__ = (
        "cause",
        "context",
        "details",
        "exc_type",
        "frames",
        "member_count",
        "members",
        "notes",
        "suppress",
        "text",
        "truth",
    )

    def __init__(self, exc_type: type, text: str, frames: Frames, suppress: bool) -> None:
        self.exc_type = exc_type
        self.text = text
        self.frames = frames
        self.suppress = suppress
        self.notes: tuple[str, ...] | str | bytes | OddNotes | None = None
        self.cause = NO_NODE
        self.context = NO_NODE
        self.truth = True
        self.members: tuple[int, ...] | None = None
        self.member_count = 0
        self.details: Candidates | SyntaxDetails | None = None


class CapturedException:
    """An exception with all that it brings along, as plain values.

    Attributes:
        nodes: The exceptions; the first is the one that was logged.
        frames: The frames of the logged traceback, which need not be the exception's own.
        frame_count: Frames kept, over all exceptions.
        text_size: Characters of text kept, over all exceptions.
    """

    __slots__ = ("frame_count", "frames", "nodes", "text_size")

    def __init__(self, nodes: list[CapturedNode], frames: Frames, frame_count: int, text_size: int) -> None:
        self.nodes = nodes
        self.frames = frames
        self.frame_count = frame_count
        self.text_size = text_size

    @property
    def exc_type(self) -> type:
        """The class of the exception that was logged."""
        return self.nodes[0].exc_type

    @property
    def text(self) -> str:
        """``str()`` of the exception that was logged."""
        return self.nodes[0].text

    def root_cause(self) -> CapturedNode:
        """Follow cause and context, as a traceback prints them, to the exception it all began with."""
        node, seen = self.nodes[0], {0}
        while True:
            index = node.cause if node.cause not in seen else NO_NODE
            if index == NO_NODE and not node.suppress:
                index = node.context
            if index == NO_NODE or index in seen or not node.truth:
                return node
            seen.add(index)
            node = self.nodes[index]

    def __repr__(self) -> str:
        return f"<CapturedException {self.exc_type.__name__}, {len(self.nodes)} nodes, {self.frame_count} frames>"


# An exception that brings no other along, as the caller takes it: its type, its text, its
# ``__suppress_context__``, the size of its record in bytes, and from `LONE_FRAMES` on its frames, which
# are those of the logged traceback too. A bare list: the objects above are made of it in the worker.
Lone: TypeAlias = list[Any]

LONE_SIZE = 3
LONE_FRAMES = 4


def lone_exception(lone: Lone) -> CapturedException:
    """Return such an exception in its full shape."""
    frames = lone[LONE_FRAMES:]
    node = CapturedNode(lone[0], lone[1], frames, lone[2])
    return CapturedException([node], frames, len(frames) // SLOTS_PER_FRAME, len(node.text))


def each_frame(frames: Frames) -> Iterator[tuple[CodeType, int, dict[str, Any]]]:
    """Iterate over captured frames, outermost first: code, instruction, module dictionary."""
    step = iter(frames)
    return zip(step, step, step, strict=True)


def line_of(code: CodeType, lasti: int) -> int | None:
    """Return the line of an instruction, as the traceback's ``tb_lineno`` gives it.

    Reading ``tb_lineno`` walks the line table, two microseconds in a long function: that is why it
    is left for here. A negative ``lasti`` is no instruction: it carries the line itself, see
    `encode_line`.
    """
    if lasti < 0:
        return -1 - lasti
    for start, end, line in code.co_lines():
        if start <= lasti < end:
            return line
    return None


def encode_line(line: int | None) -> int:
    """Encode the line of a traceback that was made by hand and has no instruction."""
    return -1 - max(line or 0, 0)
