"""Lines to bytes: what `open` in text mode would have written, a whole batch at a time."""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Iterator, Sequence

from asynclog.values import Item, LazyItems

# Encoding a longer string in one go would hold the interpreter lock for milliseconds.
_SLICE = 1 << 20
# Encodings that begin with a byte order mark or that shift: what a line's bytes are depends on
# where they stand.
_STATEFUL = re.compile(r"utf-16|utf-32|utf-8-sig|utf-7|iso2022.*|hz")
# With these a character is a byte at least, so that what fits in bytes fits in characters.
_KEEP_ALL = {"strict", "backslashreplace", "replace", "surrogateescape", "surrogatepass"}
_KEEP_ALL |= {"xmlcharrefreplace", "namereplace"}

_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_SHORT = {"\n": "\\n", "\r": "\\r"}


class LineEncoder:
    """Encodes lines with one encoding and error handler.

    Args:
        encoding: The name as `codecs.lookup` gives it.
        errors: What to do with characters that the encoding has not.
        escape_control: Whether line breaks and control characters are made visible.
    """

    def __init__(self, encoding: str, errors: str, *, escape_control: bool = False) -> None:
        self._encoding = encoding
        self._errors = errors
        self._escape = escape_control
        self._stateful = _STATEFUL.fullmatch(encoding) is not None
        self.never_shrinks = errors in _KEEP_ALL

    def texts(self, items: LazyItems) -> list[str]:
        """Return the lines of a batch, without their ends."""
        if self._escape:
            return [escape_control(item) for item in items]
        return items.texts()

    def encode(self, texts: Sequence[str], terminator: str, *, at_start: bool) -> bytes:
        """Encode lines as one piece.

        Args:
            texts: The lines.
            terminator: What ends each.
            at_start: Whether they are the first of the file: a byte order mark goes before them.

        Raises:
            UnicodeError: One of them can't be encoded; `encode_each` tells which.
        """
        joined = terminator.join((*texts, ""))
        if os.linesep != "\n":
            joined = joined.replace("\n", os.linesep)
        return self._encode(joined, self._errors, at_start=at_start)

    def encode_each(self, texts: Sequence[str], terminator: str, *, at_start: bool) -> Iterator[bytes | None]:
        """Encode line by line, as they are asked for; ``None`` stands for one that has no bytes at all.

        A line that the error handler refuses is written with escapes: the standard handlers would
        lose it, and a record whose text has one odd character is still worth reading.
        """
        for text in texts:
            line = self._encode_one(text, terminator, at_start=at_start)
            at_start = at_start and line is None
            yield line

    def _encode_one(self, text: str, terminator: str, *, at_start: bool) -> bytes | None:
        for errors in (self._errors, "backslashreplace"):
            try:
                line = text + terminator
                if os.linesep != "\n":
                    line = line.replace("\n", os.linesep)
                return self._encode(line, errors, at_start=at_start)
            except Exception:  # error handlers and formatters are users' code
                continue
        return None

    def _encode(self, text: str, errors: str, *, at_start: bool) -> bytes:
        if self._stateful:
            encoder = codecs.getincrementalencoder(self._encoding)(errors)
            if not at_start:
                encoder.setstate(0)
            return encoder.encode(text, True)
        if len(text) <= _SLICE:
            return text.encode(self._encoding, errors)
        slices = (text[at : at + _SLICE] for at in range(0, len(text), _SLICE))
        return b"".join([one.encode(self._encoding, errors) for one in slices])


def escape_control(item: Item) -> str:
    r"""Return a record's text in which nothing can pass for another record.

    Line breaks and control characters of the message become escapes such as ``\n`` and ``\x1b``;
    lines that the formatter itself made (a traceback) stay lines, each indented by a tab, since an
    exception's text may hold a forged line as well.
    """
    text = item.text
    if not isinstance(text, str) or _CONTROL.search(text) is None:
        return text
    try:
        message = item.record.getMessage()
    except Exception:  # arguments that don't fit: the formatter has put up with it somehow
        message = ""
    if message and _CONTROL.search(message):
        text = text.replace(message, _CONTROL.sub(_escaped, message), 1)
    return "\n\t".join(_CONTROL.sub(_escaped, line) for line in text.split("\n"))


def _escaped(match: re.Match[str]) -> str:
    char = match[0]
    return _SHORT.get(char) or (f"\\x{ord(char):02x}" if ord(char) < 0x100 else f"\\u{ord(char):04x}")
