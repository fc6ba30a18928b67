"""How long headers of free text are folded.

`email` begins a subject whose first word has 70 characters or more on the second line, so that
nothing stands behind ``Subject:``: allowed (RFC 5322, 2.2.3) and read as an empty subject, or as a
spammer's, by programs that look at one line. And Python 3.13.0 glues encoded words together without
the space that RFC 2047 asks for between them. So these headers are folded here.
"""

from __future__ import annotations

import email.policy
from email.header import Header
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from email.policy import EmailPolicy

    _Base = EmailPolicy[EmailMessage]
else:
    _Base = email.policy.EmailPolicy

#: The headers of free text that these mails have.
FREE_TEXT = frozenset(("subject", "x-asynclog-app"))
#: Characters of a line, without its end: RFC 5322, 2.1.1, and of one with encoded words: RFC 2047, 2.
LINE = 78
_ENCODED_LINE = 76


class TidyPolicy(_Base):
    """`email.policy.default`, but for how headers of free text are folded."""

    def fold(self, name: str, value: Any) -> str:
        """Return a header as it is sent, as text; see `email.policy.Policy.fold`."""
        if name.lower() in FREE_TEXT:
            return folded(name, str(value), self.linesep, utf8=self.utf8)
        text: str = super().fold(name, value)
        return text

    def fold_binary(self, name: str, value: Any) -> bytes:
        """Return a header as it is sent, as bytes; see `email.policy.Policy.fold_binary`."""
        if name.lower() in FREE_TEXT:
            return self.fold(name, value).encode("utf-8" if self.utf8 else "ascii", "surrogateescape")
        return super().fold_binary(name, value)


def folded(name: str, value: str, linesep: str, *, utf8: bool = False) -> str:
    """Return a header of free text: as it is where its words fit the lines, else in encoded words.

    Args:
        name: The header's name.
        value: One line.
        linesep: What ends a line.
        utf8: Whether text that is not ASCII may stand as it is (SMTPUTF8).
    """
    lines = _plain_lines(name, value) if (utf8 or value.isascii()) and "=?" not in value else None
    if lines is None:
        encoded = Header(value, "utf-8", maxlinelen=_ENCODED_LINE, header_name=name).encode(linesep="\n")
        lines = f"{name}: {encoded}".split("\n")
    return linesep.join(lines) + linesep


def _plain_lines(name: str, value: str) -> list[str] | None:
    """Break a text between its words; ``None`` where a word does not fit a line, or spaces would get lost."""
    words = value.split(" ")
    if "" in words or "\t" in value:
        return None if value else [f"{name}: "]
    lines = [f"{name}:"]
    for index, word in enumerate(words):
        longer = f"{lines[-1]} {word}"
        if len(longer.encode("utf-8", "surrogateescape")) <= LINE:
            lines[-1] = longer
        elif index == 0 or len(word.encode("utf-8", "surrogateescape")) >= LINE:
            return None
        else:
            lines.append(f" {word}")
    return lines
