"""The text of frames, rendered once.

A frame of the same code at the same instruction prints the same every time, as long as its source
file does, and over 90 % of what a traceback costs is the text of its frames. So each is made once,
by the standard `traceback` module (letter for letter what it prints on this Python), and kept.

**Identity.** Code objects compare equal across files and ids are reused once an object is gone.
The key is the id, and the entry holds the code object: while the entry lives nobody else can have
that id.

**Source files that change.** The standard library looks at each file's ``stat`` for every
traceback. Here `linecache.checkcache` is asked at most once a second for each file (`STALE_AFTER`):
an edited file shows its old line for a second at most, then the new one, as there. A file that
could not be read is tried again at the same pace.

**No locks**: several threads may render at once, and a fork in the middle must leave nothing held.
All shared state is dictionaries that are read, set and swapped whole; at worst two threads render
the same frame. Both generations of a cache together bound its memory.
"""

from __future__ import annotations

import linecache
import math
import sys
import time
import traceback
from collections.abc import Iterable
from contextlib import suppress
from operator import is_
from types import CodeType
from typing import Any, Final, Generic, TypeVar

from asynclog.captured import LONE_FRAMES, SLOTS_PER_FRAME, Frames, Lone, each_frame, line_of
from asynclog.render.duck import DuckTraceback

STALE_AFTER: Final = 1.0
HEADER: Final = "Traceback (most recent call last):\n"

_FRAMES_KEPT = 4_096
_STACKS_KEPT = 512
_SOURCES_KEPT = 4_096
# A longer stack is put together from its frames each time: kept whole, two thousand frames that
# don't fold are 300 KB, and each is a key of its own.
_STACK_FRAMES = 64
_FRAME_TEXT = 16 << 10
# What the standard library prints of a run of the same line before it counts.
_REPEATS_SHOWN = 3

_T = TypeVar("_T")

_now = time.monotonic
# Asked for each traceback; getattr makes an AttributeError where there is nothing.
_of_sys = vars(sys)
# Goes up with the version of any source: what was made before may be stale.
_epoch = [0]


class Generations(Generic[_T]):
    """A bounded dictionary without a lock: when the young half is full, the old half goes."""

    __slots__ = ("_old", "_size", "_young")

    def __init__(self, size: int) -> None:
        self._size = size
        self._young: dict[Any, _T] = {}
        self._old: dict[Any, _T] = {}

    def get(self, key: Any) -> _T | None:
        """Return what is kept under ``key``, and keep it longer."""
        found = self._young.get(key)
        if found is None:
            found = self._old.get(key)
            if found is not None:
                self.put(key, found)
        return found

    def put(self, key: Any, value: _T) -> None:
        """Keep ``value`` under ``key``."""
        if len(self._young) >= self._size // 2:
            self._old, self._young = self._young, {}
        self._young[key] = value

    def clear(self) -> None:
        """Forget everything."""
        self._young, self._old = {}, {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)


class _Source:
    """What `linecache` held of a file when it was looked at last."""

    __slots__ = ("checked", "entry", "filename", "version")

    def __init__(self, filename: str) -> None:
        self.filename = filename
        self.version = 0
        self.checked = 0.0
        self.entry: object = None

    def refresh(self, now: float) -> None:
        """Look at the file again if it is time; texts made from an older version are stale."""
        if 0 <= now - self.checked < STALE_AFTER:
            return
        self.checked = now
        with suppress(KeyError):  # another thread emptied the cache in between
            linecache.checkcache(self.filename)
        entry = linecache.cache.get(self.filename)
        # A lazy entry (one item) or none: there was no source, perhaps there is now.
        if entry is None or entry is not self.entry or len(entry) == 1:
            self.version += 1
            self.entry = None
            _epoch[0] += 1

    def note(self) -> None:
        """Remember what a text was just made from."""
        if self.entry is None:
            self.entry = linecache.cache.get(self.filename)


class FrameText:
    """The text of one frame.

    Attributes:
        text: Its lines, with source line and carets, ending in a line break.
        place: File name, line and function, which say whether it repeats the frame before.
    """

    __slots__ = ("code", "place", "source", "text", "version")

    def __init__(
        self, code: CodeType, text: str, place: tuple[str, int | None, str], source: _Source, version: int
    ) -> None:
        self.code = code
        self.text = text
        self.place = place
        self.source = source
        self.version = version


class _Stack:
    """The text of all frames of a traceback; it holds the code objects that its key names by id.

    Attributes:
        codes: Those.
        places: The instruction of each.
        text: Their lines.
        headed: The same behind the header, or nothing where there are none.
        fresh_until: When the first of its sources is due to be looked at again.
        epoch: What `_epoch` was when they were looked at.
    """

    __slots__ = ("_sources", "codes", "epoch", "fresh_until", "headed", "places", "text")

    def __init__(self, codes: list[CodeType], places: list[int], texts: list[FrameText]) -> None:
        self.codes = codes
        self.places = places
        self.text = _fold(texts)
        self.headed = HEADER + self.text if self.text else ""
        self._sources = tuple({(each.source, each.version) for each in texts})
        self.fresh_until = -math.inf
        self.epoch = -1

    def is_fresh(self, now: float) -> bool:
        """Say whether all its lines are what the files hold, after a look at those that are due."""
        epoch = _epoch[0]
        for source, version in self._sources:
            source.refresh(now)
            if source.version != version:
                return False
        # Not before the oldest look of them all: no line is shown for longer after a change than a frame's alone.
        self.fresh_until = min((source.checked for source, _ in self._sources), default=now) + STALE_AFTER
        self.epoch = epoch
        return True


_frames: Generations[FrameText] = Generations(_FRAMES_KEPT)
_stacks: Generations[_Stack] = Generations(_STACKS_KEPT)
_sources: Generations[_Source] = Generations(_SOURCES_KEPT)
# The stack that was printed last.
_last: list[_Stack | None] = [None]


def stack_text(frames: Frames) -> str:
    """Return the lines of captured frames as a traceback prints them, without the header."""
    if len(frames) > _STACK_FRAMES * SLOTS_PER_FRAME or "tracebacklimit" in _of_sys:
        return _long_text(frames)
    return _stack(frames, 0).text


def lone_stack_text(lone: Lone) -> str:
    """Return the lines of a lone exception's frames, with the header unless there are none."""
    if len(lone) > _STACK_FRAMES * SLOTS_PER_FRAME or "tracebacklimit" in _of_sys:
        text = _long_text(lone[LONE_FRAMES:])
        return HEADER + text if text else ""
    return _stack(lone, LONE_FRAMES).headed


def _long_text(frames: Frames) -> str:
    limit = _of_sys.get("tracebacklimit")
    if limit is not None:
        frames = frames[: max(limit, 0) * SLOTS_PER_FRAME]
    return _fold(_texts(frames, _now()))


def _stack(frames: list[Any], start: int) -> _Stack:
    """Return what is kept of a stack.

    Args:
        frames: Captured frames.
        start: Where in the list they begin.
    """
    codes, places = frames[start::SLOTS_PER_FRAME], frames[start + 1 :: SLOTS_PER_FRAME]
    now = _now()
    # In a storm it is mostly the one before. By identity: equal code may stand in two files.
    stack = _last[0]
    if stack is None or places != stack.places or not all(map(is_, codes, stack.codes)):
        stack = _stacks.get((*map(id, codes), *places))
    if stack is not None:
        # A clock that was set back is no reason to keep a text for longer.
        if stack.epoch == _epoch[0] and stack.fresh_until - STALE_AFTER <= now < stack.fresh_until:
            _last[0] = stack
            return stack
        if stack.is_fresh(now):
            return stack
    stack = _Stack(codes, places, _texts(frames[start:] if start else frames, now))
    _stacks.put((*map(id, codes), *places), stack)
    return stack


def clear() -> None:
    """Forget every text."""
    _frames.clear()
    _stacks.clear()
    _sources.clear()
    _last[0] = None


def _texts(frames: Frames, now: float) -> list[FrameText]:
    """Return the texts of frames, rendering those that are not known or stale."""
    texts: list[FrameText | None] = []
    missing: dict[tuple[int, int], tuple[CodeType, int, dict[str, Any]]] = {}
    for frame in each_frame(frames):
        key = (id(frame[0]), frame[1])
        found = _frames.get(key)
        if found is not None:
            found.source.refresh(now)
            if found.version != found.source.version:
                found = None
        if found is None:
            missing[key] = frame
        texts.append(found)
    if not missing:
        return texts  # type: ignore[return-value]  # none is None
    made = dict(zip(missing, _render(missing.values(), now), strict=True))
    return [text or made[id(frame[0]), frame[1]] for text, frame in zip(texts, each_frame(frames), strict=True)]


def _render(frames: Iterable[tuple[CodeType, int, dict[str, Any]]], now: float) -> list[FrameText]:
    """Have the standard library make the texts of some frames, all at once: one ``stat`` a file."""
    listed = list(frames)
    sources = [_source(code.co_filename, now) for code, _, _ in listed]
    versions = [source.version for source in sources]
    summary = _extract([value for frame in listed for value in frame], len(listed))
    texts = []
    for index, (code, lasti, _) in enumerate(listed):
        source = sources[index]
        source.note()
        line, text = None, ""
        if summary is not None:
            line = summary[index].lineno
            with suppress(Exception):  # a source that no longer fits its code can make it fail
                text = summary.format_frame_summary(summary[index])
        if not text:
            line = line_of(code, lasti)
            text = f'  File "{code.co_filename}", line {line}, in {code.co_name}\n'
        made = FrameText(code, text, (code.co_filename, line, code.co_name), source, versions[index])
        if len(text) <= _FRAME_TEXT:
            _frames.put((id(code), lasti), made)
        texts.append(made)
    return texts


def _extract(frames: Frames, count: int) -> traceback.StackSummary | None:
    tb: Any = DuckTraceback(frames)
    for _ in range(3):
        try:
            # The limit is given, so that sys.tracebacklimit does not count twice.
            return traceback.extract_tb(tb, limit=count)
        except KeyError:
            continue  # another thread emptied linecache's dictionary in between
        except Exception:
            return None  # a module's loader raised when it was asked for the source
    return None


def _source(filename: str, now: float) -> _Source:
    source = _sources.get(filename)
    if source is None:
        source = _Source(filename)
        source.checked = now
        _sources.put(filename, source)
    return source


def _fold(texts: list[FrameText]) -> str:
    """Join texts; of a run of the same line only the first few are shown, the rest is counted."""
    parts: list[str] = []
    place: object = None
    run = 0
    for frame in texts:
        if frame.place != place:
            parts.append(_repeated(run))
            # A frame without a line never counts as the same.
            place = None if frame.place[1] is None else frame.place
            run = 0
        run += 1
        if run <= _REPEATS_SHOWN:
            parts.append(frame.text)
    parts.append(_repeated(run))
    return "".join(parts)


def _repeated(run: int) -> str:
    more = run - _REPEATS_SHOWN
    if more <= 0:
        return ""
    return f"  [Previous line repeated {more} more time{'s' if more > 1 else ''}]\n"
