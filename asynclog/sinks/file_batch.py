"""One batch on its way into a file: which of its lines go where, and how far it has come."""

from __future__ import annotations

from collections.abc import Sequence

from asynclog.sinks.file_options import FileOptions
from asynclog.sinks.file_system import FileSystem
from asynclog.sinks.file_text import LineEncoder
from asynclog.sinks.rotation import Rotation
from asynclog.values import Delivered, Item, LazyItems, Part, Rejected, RetryLater, Verdict

# Lines, and characters by estimate, that are encoded in one go: little enough to stay in the processor's
# cache between joining, encoding and writing.
_CHUNK = 1000
_CHUNK_TEXT = 64 << 10
# One line in so many is measured for that; a batch is mostly of one kind.
_SAMPLED = 61
# A breath after so many characters, or as many lines: about 0.2 ms of the interpreter lock.
_LONG_TEXT = 512 << 10
_BREATH = 50e-6


class Progress:
    """How far a batch has come."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._items = items
        self.done = 0
        self.rejected: set[int] = set()
        self.failure = ""

    def parts(self) -> Sequence[Part]:
        """Return what came of the batch."""
        done, items = range(self.done), self._items
        if self.done == len(items) and not self.rejected:
            return (Part(Delivered(), items),)  # type: ignore[arg-type]  # nearly always: as they were given
        sorted_out: list[tuple[Verdict, list[Item]]] = [
            (Delivered(), [items[at] for at in done if at not in self.rejected]),
            (Rejected("its text can't be encoded"), [items[at] for at in done if at in self.rejected]),
            (RetryLater(self.failure or "not written"), list(items[self.done :])),
        ]
        return tuple(Part(verdict, tuple(some)) for verdict, some in sorted_out if some)


class Filler:
    """Encodes the lines of a batch up to the one before which the file rolls over.

    Lines are encoded by the thousand. Only where a thousand might not fit are they looked at one by one.

    Args:
        options: The sink's.
        lines: Encodes them.
        rotation: Says where the file rolls over.
        system: The operating system.
        terminator: What ends a line.
    """

    def __init__(
        self, options: FileOptions, lines: LineEncoder, rotation: Rotation, system: FileSystem, terminator: str
    ) -> None:
        self._terminator = terminator
        self._options = options
        self._lines = lines
        self._rotation = rotation
        self._system = system

    def fill(
        self,
        items: LazyItems,
        texts: Sequence[str],
        progress: Progress,
        position: int,
        *,
        rolled: bool,
        rolls: bool,
    ) -> tuple[int, list[bytes]]:
        """Encode the lines that go into the file as it is.

        Args:
            items: The batch.
            texts: Its lines.
            progress: Where to begin.
            position: Bytes in the file.
            rolled: Whether the file was just rolled over for the first of them, which therefore
                goes into it whatever its size.
            rolls: Whether the file may roll over at all.

        Returns:
            The first record that does not go into it, and the bytes.
        """
        start = progress.done
        limit = self._rotation.due(items, start + int(rolled)) if rolls else len(items)
        data: list[bytes] = []
        at = start
        lines = size = 0
        while at < limit:
            if lines >= _CHUNK or size >= _LONG_TEXT:
                self._system.sleep(_BREATH)
                lines = size = 0
            upto = min(at + _piece(texts, at), limit)
            chunk = self._encode(texts[at:upto], position, rolls=rolls)
            if chunk is None:
                taken, chunk = self._fill_line_by_line(
                    texts, at, upto, position, progress, unchecked=start if rolled else -1, rolls=rolls
                )
                data.append(chunk)
                if taken < upto:
                    return taken, data
            else:
                data.append(chunk)
            position += len(chunk)
            size += len(chunk)
            lines += upto - at
            at = upto
        return limit, data

    def _encode(self, texts: Sequence[str], position: int, *, rolls: bool) -> bytes | None:
        """Encode lines in one go; ``None`` where they have to be looked at one by one."""
        by_size = rolls and self._options.rolls_by_size
        if by_size and not self._lines.never_shrinks:
            return None
        try:
            if by_size and not self._rotation.fits(position + sum(map(len, texts))):
                return None
            encoded = self._lines.encode(texts, self._terminator, at_start=position == 0)
        except Exception:  # one of them can't be encoded, or is no text
            return None
        return encoded if not by_size or self._rotation.fits(position + len(encoded)) else None

    def _fill_line_by_line(
        self,
        texts: Sequence[str],
        start: int,
        end: int,
        position: int,
        progress: Progress,
        *,
        unchecked: int,
        rolls: bool,
    ) -> tuple[int, bytes]:
        by_size = rolls and self._options.rolls_by_size
        lines: list[bytes] = []
        encoded = self._lines.encode_each(texts[start:end], self._terminator, at_start=position == 0)
        for at, line in enumerate(encoded, start):
            if line is None:
                progress.rejected.add(at)
                continue
            if by_size and at != unchecked and self._rotation.outgrown(position, len(texts[at])):
                return at, b"".join(lines)
            lines.append(line)
            position += len(line)
        return end, b"".join(lines)


def _piece(texts: Sequence[str], at: int) -> int:
    """Return how many lines to encode in one go, by the lengths of some of those that come next."""
    some = texts[at : at + _CHUNK : _SAMPLED]
    length = sum(len(text) for text in some if type(text) is str) // len(some)
    return max(1, min(_CHUNK, _CHUNK_TEXT // (length + 1)))
