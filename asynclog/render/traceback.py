"""Traceback text of a captured exception: what the standard library prints, letter for letter.

The text of frames comes from `asynclog.render.frames`, which keeps it. What is put together here
is the rest: the line with type and message, notes, "Did you mean", causes and contexts, the tree of
a group. Where a text needs more than that (a `SyntaxError`'s carets, notes that are no list), the
standard library is asked by way of the stand-in.
"""

from __future__ import annotations

import traceback

from asynclog.captured import NO_NODE, Candidates, CapturedException, CapturedNode, ExceptionsLeftOut, Frames, Lone
from asynclog.render import frames as frame_texts
from asynclog.render import standin
from asynclog.render.frames import HEADER, Generations, lone_stack_text, stack_text

# The standard library's bounds for the tree of a group.
_WIDTH = 15
_DEPTH = 10
# A group whose members share members prints each once for every path to it: that has no bound.
_PRINTED = 5_000

_CAUSE = "\nThe above exception was the direct cause of the following exception:\n\n"
_CONTEXT = "\nDuring handling of the above exception, another exception occurred:\n\n"

# By the names themselves, all of them: an id of a dictionary says nothing of what is in it.
_hints: Generations[str] = Generations(256)


def format_exception_text(captured: CapturedException) -> str:
    """Return what `logging.Formatter.formatException` returned for the original.

    Args:
        captured: What `asynclog.capture.exception.capture_exc_info` took.

    Returns:
        The text, without the last line break.
    """
    root = captured.nodes[0]
    if root.cause == root.context == NO_NODE and root.members is None:
        text = "".join(_plain(root, captured.frames))
    else:
        printer = _Printer()
        printer.show(_plan(captured))
        text = "".join(printer.parts)
    return text.removesuffix("\n")


def with_lone_text(line: str, lone: Lone) -> str:
    """Return a record's line with `format_exception_text` below it, of an exception that brings no other along.

    Put together in one go, straight of what the caller took: no object is made for the exception, and
    no text of the traceback without the line.
    """
    stack = lone_stack_text(lone)
    kind, text = standin.type_line(lone[0]), lone[1]
    newline = "" if line[-1:] == "\n" else "\n"
    return f"{line}{newline}{stack}{kind}: {text}" if text else f"{line}{newline}{stack}{kind}"


def clear_cache() -> None:
    """Forget the texts of frames and the hints."""
    frame_texts.clear()
    _hints.clear()


def _plain(node: CapturedNode, frames: Frames, header: str = HEADER) -> list[str]:
    """Return frames and message of one exception, each text as printing would indent it."""
    stack = stack_text(frames)
    return [header, stack, *_message(node, frames)] if stack else _message(node, frames)


def _message(node: CapturedNode, frames: Frames) -> list[str]:
    notes, details = node.notes, node.details
    if (notes is not None and not isinstance(notes, tuple)) or (
        details is not None and not isinstance(details, Candidates)
    ):
        return _message_by_standin(node, frames)
    text = node.text
    if details is not None:
        text += _hint(node, details, frames)
    line = standin.type_line(node.exc_type)
    lines = [f"{line}: {text}\n" if text else f"{line}\n"]
    if notes:
        lines += [f"{part}\n" for note in notes for part in note.split("\n")]
    return lines


def _message_by_standin(node: CapturedNode, frames: Frames) -> list[str]:
    text = node.text
    if isinstance(node.details, Candidates):
        text += _hint(node, node.details, frames)
    lone = standin.lone(node, text)
    return list(traceback.TracebackException(type(lone), lone, None).format_exception_only())


def _hint(node: CapturedNode, details: Candidates, frames: Frames) -> str:
    """Return what "Did you mean" adds to the message."""
    seen = frames[-1] if frames and details.kind == "name" else {}
    key = (
        details.kind,
        details.name,
        details.names,
        details.on_self,
        details.has_self,
        tuple(seen),
        tuple(details.builtins or ()),
    )
    hint = _hints.get(key)
    if hint is None:
        hint = _hint_by_standin(node, details, frames)
        _hints.put(key, hint)
    return hint


def _hint_by_standin(node: CapturedNode, details: Candidates, frames: Frames) -> str:
    lone, tb = standin.asking(node.exc_type, details, frames)
    try:
        # The text of the exception is empty, so that what it says is the hint.
        return str(traceback.TracebackException(type(lone), lone, tb))
    except Exception:
        return ""


class _Shown:
    """One exception at one place of the output: what is printed before it and below it."""

    __slots__ = ("cause", "context", "frames", "members", "node")

    def __init__(self, node: CapturedNode, frames: Frames) -> None:
        self.node = node
        self.frames = frames
        self.cause: _Shown | None = None
        self.context: _Shown | None = None
        self.members: list[_Shown] | None = None


_TOO_MANY = CapturedNode(ExceptionsLeftOut, f"asynclog prints {_PRINTED:,} exceptions of one record", [], False)


def _plan(captured: CapturedException) -> _Shown:
    """Decide which exception is printed where.

    A cause or context that was met before is not printed again, a member is; "before" goes by the
    order in which the standard library looks: an exception's cause, context and members are met
    together, and then those of the one met last.
    """
    nodes = captured.nodes
    met = {0}
    shown = 0

    def meet(index: int) -> _Shown:
        nonlocal shown
        met.add(index)
        shown += 1
        node = nodes[index] if shown <= _PRINTED else _TOO_MANY
        place = _Shown(node, node.frames)
        waiting.append(place)
        return place

    top = _Shown(nodes[0], captured.frames)
    waiting = [top]
    while waiting:
        place = waiting.pop()
        node = place.node
        if not node.truth:
            continue
        if node.cause != NO_NODE and node.cause not in met:
            place.cause = meet(node.cause)
        elif node.context != NO_NODE and not node.suppress and node.context not in met:
            place.context = meet(node.context)
        if node.members is not None:
            place.members = [meet(index) for index in node.members]
    return top


class _Printer:
    """Print what was planned; inside a group every line has a margin."""

    __slots__ = ("depth", "open", "parts")

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.depth = 0
        self.open = False

    def show(self, place: _Shown) -> None:
        """Print an exception after those that led to it."""
        chain: list[tuple[str, _Shown]] = []
        each: _Shown | None = place
        while each is not None:
            before = each.cause or each.context
            chain.append((_CAUSE if each.cause else _CONTEXT if each.context else "", each))
            each = before
        for words, each in reversed(chain):
            if words:
                self._emit(words)
            if each.members is None:
                self._emit_all(_plain(each.node, each.frames))
            elif self.depth > _DEPTH:
                self._emit(f"... (max_group_depth is {_DEPTH})\n")
            else:
                self._show_group(each, each.members)

    def _show_group(self, place: _Shown, members: list[_Shown]) -> None:
        outermost = self.depth == 0
        self.depth += outermost
        texts = _plain(place.node, place.frames, _GROUP_HEADER)
        if texts[0] is _GROUP_HEADER:
            self._emit(texts.pop(0), "+" if outermost else "|")
        self._emit_all(texts)
        self._show_members(members, place.node.member_count)
        self.depth -= outermost

    def _show_members(self, members: list[_Shown], count: int) -> None:
        self.open = False
        for number, member in enumerate(members[:_WIDTH], 1):
            # The last one closes the box, unless a group inside it has closed it.
            self.open = number == count or self.open
            self._rule(str(number), first=number == 1)
            self.depth += 1
            self.show(member)
            self._close(number == count)
            self.depth -= 1
        more = count - _WIDTH
        if more > 0:
            self.open = True
            self._rule("...", first=False)
            self.depth += 1
            self._emit(f"and {more} more exception{'s' if more > 1 else ''}\n")
            self._close(True)
            self.depth -= 1

    def _rule(self, title: str, *, first: bool) -> None:
        self.parts.append(f"{'  ' * self.depth}{'+-' if first else '  '}+---------------- {title} ----------------\n")

    def _close(self, last: bool) -> None:
        if last and self.open:
            self.parts.append(f"{'  ' * self.depth}+------------------------------------\n")
            self.open = False

    def _emit_all(self, texts: list[str]) -> None:
        for text in texts:
            self._emit(text)

    def _emit(self, text: str, margin: str = "|") -> None:
        if self.depth:
            prefix = f"{'  ' * self.depth}{margin} "
            text = "".join([prefix + line for line in text.splitlines(keepends=True)])
        self.parts.append(text)


_GROUP_HEADER = "Exception Group Traceback (most recent call last):\n"
