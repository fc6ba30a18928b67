r"""The bytes of a mail.

A record alone makes the mail that `logging.handlers.SMTPHandler` would have sent, byte for byte but
for added headers: the same calls of `email` in the same order. Records that waited together make
one plain mail with their count.

Nothing that a record holds can add a header, break a line of the protocol or make `email` raise:
what can't stand in a mail is written as an escape such as ``\x00``.
"""

from __future__ import annotations

import email.policy
import email.utils
import functools
import hashlib
import logging
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any, TypeAlias

from asynclog.render.folding import TidyPolicy
from asynclog.render.mail_bytes import flattened, header, header_with_token, mail_bytes
from asynclog.render.subjects import Subjects
from asynclog.turns import breathe
from asynclog.values import Item

if TYPE_CHECKING:
    Policy: TypeAlias = email.policy.EmailPolicy[EmailMessage]

#: Bytes that the body of a mail with several records may have before the rest is only counted.
BODY_LIMIT = 100_000
#: Characters that one record's text may have among several.
TEXT_LIMIT = 20_000
# Records of a mail that are put together before the app's threads are let in.
_AT_A_TIME = 16
_SUBJECT_LIMIT = 1000
# Characters of a body whose encoding may take a good part of a millisecond.
_LONG = 20_000

# Lone surrogates have no bytes, NUL is forbidden in mail, and marks that turn the direction of
# writing make a log line read as what it is not.
_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_UNSAFE_IN_BODY = re.compile(f"[\x00\ud800-\udfff{_BIDI}]")
# In a header besides: everything that some parser takes for a line's end. A tab may stay.
_UNSAFE_IN_HEADER = re.compile(f"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff{_BIDI}]")
_SHORT_ESCAPES = {"\r": "\\r", "\n": "\\n"}
_SEPARATOR = "-" * 70

# What SMTPHandler's mails are made with: EmailMessage's default, by which a short non-ASCII body
# goes as 8bit, and smtplib's, by which a line that begins with "From " gets a ">" in front.
STDLIB_POLICY = email.policy.default.clone(mangle_from_=True)
# For sinks of our own: quoted-printable or base64, which every server passes on unharmed.
SEVEN_BIT_POLICY: Policy = TidyPolicy().clone(cte_type="7bit")


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail, ready to be sent.

    Attributes:
        data: Its bytes, with CRLF line ends.
        utf8_data: The same for SMTPUTF8, where headers are not encoded; ``None`` where its
            addresses don't need that.
        message_id: Its ``Message-ID``.
        count: How many records it announces.
    """

    data: bytes
    utf8_data: bytes | None
    message_id: str
    count: int


@dataclass(frozen=True, slots=True)
class MailRenderer:
    """Makes mails.

    Attributes:
        sender: The ``From`` header.
        recipients: The ``To`` header.
        subjects: Makes the ``Subject`` header.
        id_host: What stands after the ``@`` of a ``Message-ID``.
        app: The ``X-Asynclog-App`` header; ``None``: there is none.
        policy: How text is encoded.
    """

    sender: str
    recipients: str
    subjects: Subjects
    id_host: str
    app: str | None = None
    policy: Policy = SEVEN_BIT_POLICY

    def render(self, items: Sequence[Item], batch_id: str, limit: int | None = None) -> Mail:
        """Make the mail for one record or several.

        Args:
            items: The records, oldest first.
            batch_id: What the ``Message-ID`` is derived from, so that a retry is the same mail.
            limit: Bytes that the body may have; for a server that refused a longer one.
        """
        first = items[0].record
        count = len(items)
        if count == 1:
            subject, body = self.subjects.of_one(first), _limited(items[0].text, limit)
        else:
            subject, body = self.subjects.of_many(first, count), body_of_many(items, limit or BODY_LIMIT)
        if len(body) > _LONG:
            breathe()
        token = _digest(batch_id, items)
        mail = Mail(
            self._bytes(subject, body, items[-1].record, token, count, utf8=False),
            None
            if self.sender.isascii() and self.recipients.isascii()
            else self._bytes(subject, body, items[-1].record, token, count, utf8=True),
            f"<{token}@{self.id_host}>",
            count,
        )
        if len(body) > _LONG:
            breathe()
        return mail

    def _bytes(
        self, subject: str, body: str, record: logging.LogRecord, token: str, count: int, *, utf8: bool
    ) -> bytes:
        policy = self.policy
        first = [
            ("From", self.sender),
            ("To", self.recipients),
            ("Subject", safe_subject(subject, policy)),
            ("Date", email.utils.format_datetime(_local_time(record))),
        ]
        last = [
            ("Auto-Submitted", "auto-generated"),
            # Never "All": that would suppress bounces too.
            ("X-Auto-Response-Suppress", "OOF, AutoReply, RN, NRN"),
            ("X-Asynclog-Count", str(count)),
        ]
        if self.app is not None:
            last.append(("X-Asynclog-App", safe_header("X-Asynclog-App", self.app, policy)))
        head = b"".join([header(name, value, policy, utf8) for name, value in first])
        head += header_with_token("Message-ID", "<", token, f"@{self.id_host}>", policy, utf8)
        return head + mail_bytes(last, clean_body(body), policy, utf8=utf8)


def finished(message: EmailMessage, renderer: MailRenderer, count: int) -> Mail:
    """Return a message as the bytes that are sent, twice where its addresses may need SMTPUTF8."""
    policy = renderer.policy
    ascii_only = renderer.sender.isascii() and renderer.recipients.isascii()
    return Mail(
        flattened(message, policy),
        None if ascii_only else flattened(message, policy, utf8=True),
        str(message["Message-ID"]),
        count,
    )


# -- bodies --------------------------------------------------------------------------------------


def body_of_many(items: Sequence[Item], limit: int = BODY_LIMIT) -> str:
    """Return the records' number, span and levels, then their texts as far as they fit."""
    parts = [_summary(items)]
    room = limit - len(parts[0])
    for number, item in enumerate(items, 1):
        head = f"{_SEPARATOR}\n{number} of {len(items)}, {item.record.levelname}, {_clock(item.record)}\n\n"
        text = head + _limited(item.text, min(TEXT_LIMIT, max(limit // 4, 200))) + "\n"
        room -= len(text.encode("utf-8", "backslashreplace"))
        if room < 0 and number > 1:
            left = len(items) - number + 1
            parts.append(f"{_SEPARATOR}\n{left:,} more not shown: this mail ends at {limit:,} bytes.\n")
            break
        parts.append(text)
        if number % _AT_A_TIME == 0:
            breathe()
    return "\n".join(parts)


def _summary(items: Sequence[Item]) -> str:
    created = [item.record.created for item in items]
    seconds = max(created) - min(created)
    levels = Counter((item.record.levelno, str(item.record.levelname)) for item in items)
    named = ", ".join(f"{count:,} {name}" for (_, name), count in sorted(levels.items(), reverse=True))
    first = min(items, key=lambda item: item.record.created).record
    last = max(items, key=lambda item: item.record.created).record
    return (
        f"{len(items):,} records in {_duration(seconds)}, in one mail because they waited together.\n"
        f"{named}\n"
        f"From {_local_time(first):%Y-%m-%d %H:%M:%S} to {_local_time(last):%Y-%m-%d %H:%M:%S %z}\n"
    )


def _duration(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _limited(text: str, limit: int | None) -> str:
    if limit is None or len(text) <= limit:
        return text
    # The end of a traceback names the exception, its beginning the way there: keep both.
    head, tail = limit // 3, limit - limit // 3
    cut = len(text) - head - tail
    return f"{text[:head]}\n[... {cut:,} characters cut here: the mail would be too long ...]\n{text[-tail:]}"


def _local_time(record: logging.LogRecord) -> datetime:
    try:
        return datetime.fromtimestamp(record.created, UTC).astimezone()
    except (ValueError, OverflowError, OSError, TypeError):
        return datetime.now(UTC).astimezone()  # a record with a time that is none


def _clock(record: logging.LogRecord) -> str:
    moment = _local_time(record)
    return f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03d}"


# -- safety --------------------------------------------------------------------------------------


def clean_body(text: str) -> str:
    """Escape what can't stand in a mail's body."""
    if text.isascii() and "\x00" not in text:
        return text  # most are; the expression would look at each character
    return _UNSAFE_IN_BODY.sub(_escape, text)


def clean_header(text: str) -> str:
    """Escape what can't stand in a header, so that it stays one line of one header."""
    return _UNSAFE_IN_HEADER.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    short = _SHORT_ESCAPES.get(character)
    if short is not None:
        return short
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


def safe_subject(subject: Any, policy: Policy) -> str:
    """Return a subject that `email` folds into exactly one header, cut to a readable length."""
    return safe_header("Subject", str(subject)[:_SUBJECT_LIMIT], policy)


@functools.lru_cache(256)
def safe_header(name: str, value: str, policy: Policy) -> str:
    """Return a value that `email` folds into exactly one header."""
    value = clean_header(value)
    if _folds_safely(name, value, policy):
        return value
    # email decodes "=?…?=" in what it is given, line breaks included, and trips over some words.
    value = value.replace("=?", "= ?")
    if _folds_safely(name, value, policy):
        return value
    return value.encode("ascii", "backslashreplace").decode().replace("=", "-")[:200]


def _folds_safely(name: str, value: str, policy: Policy) -> bool:
    try:
        probe = EmailMessage(policy=policy)
        probe[name] = value
        if _UNSAFE_IN_HEADER.search(str(probe[name])):
            return False
        for utf8 in (False, True):
            raw = policy.clone(utf8=utf8, linesep="\r\n").fold_binary(name, probe[name])
            if not _is_one_header(raw):
                return False
    except Exception:
        return False
    return True


def _is_one_header(raw: bytes) -> bool:
    lines = raw.split(b"\r\n")
    return (
        lines[-1] == b""
        and all(line[:1] in (b" ", b"\t") and line.strip() for line in lines[1:-1])
        and all(len(line) <= 998 and not re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", line) for line in lines)
    )


def _digest(batch_id: str, items: Sequence[Item]) -> str:
    # Of the records too and not of the batch alone: the parts of a batch that a server wanted
    # apart are mails of their own, and stay the same ones when they are tried again.
    sha = hashlib.sha256(batch_id.encode("utf-8", "backslashreplace"))
    for item in items:
        record = item.record
        facts = (
            f"{record.created!r} {record.process} {record.thread} {record.levelno} {record.lineno} {len(item.text)}\n"
        )
        sha.update(facts.encode("utf-8", "backslashreplace"))
    return sha.hexdigest()[:32]
