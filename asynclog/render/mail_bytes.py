"""A mail's bytes, put together of headers that are each made once.

`email` takes a millisecond for the headers of a mail, nearly all of which are those of the mail
before. Each header is independent of the others, and of the body: so it is made by `email`, alone in
a message, and its bytes are kept. What comes of it is byte for byte what `email` makes of the whole.
"""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Sequence
from email.generator import BytesGenerator
from email.message import EmailMessage
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import email.policy

    Policy: TypeAlias = email.policy.EmailPolicy[EmailMessage]

_HEADERS_KEPT = 256
_CRLF = b"\r\n"
# What the generator looks for where it has to put a ">" in front: a line that begins so.
_FROM = re.compile(r"^From ", re.MULTILINE)


def mail_bytes(headers: Sequence[tuple[str, str]], body: str, policy: Policy, *, utf8: bool = False) -> bytes:
    """Return what `email` makes of a message with these headers and this text.

    Args:
        headers: Names and values, in order.
        body: The text; nothing in it that can't be encoded.
        policy: How it is encoded.
        utf8: For SMTPUTF8: headers are not encoded.
    """
    return b"".join([header(name, value, policy, utf8) for name, value in headers]) + _content(body, policy, utf8)


@functools.lru_cache(_HEADERS_KEPT)
def header(name: str, value: str, policy: Policy, utf8: bool) -> bytes:
    """Return one header as `email` folds it, with its line end."""
    message = EmailMessage(policy=policy)
    message[name] = value
    return flattened(message, policy, utf8=utf8).removesuffix(_CRLF)


def header_with_token(name: str, before: str, token: str, after: str, policy: Policy, utf8: bool) -> bytes:
    """Return a header one part of which differs each time.

    Args:
        name: The header's name.
        before: What stands before the part.
        token: The part: lower-case hexadecimal digits, always of the same number.
        after: What stands behind it.
        policy: How it is encoded.
        utf8: As for `mail_bytes`.
    """
    blank = "0" * len(token)
    made = header(name, f"{before}{blank}{after}", policy, utf8)
    if made.count(blank.encode("ascii")) != 1:  # folded apart, or encoded: nothing to put in
        return header(name, f"{before}{token}{after}", policy, utf8)
    return made.replace(blank.encode("ascii"), token.encode("ascii"))


def flattened(message: EmailMessage, policy: Policy, *, utf8: bool = False) -> bytes:
    """Return a message's bytes with CRLF line ends."""
    out = io.BytesIO()
    given = policy.clone(utf8=True, mangle_from_=False) if utf8 else policy
    BytesGenerator(out, policy=given).flatten(message, linesep="\r\n")
    return out.getvalue()


def _content(body: str, policy: Policy, utf8: bool) -> bytes:
    """Return the headers that say how the text is encoded, an empty line, and the text."""
    if _is_simple(body, policy):
        text = body if body.endswith("\n") else body + "\n"
        if policy.mangle_from_ and not utf8:
            text = _FROM.sub(">From ", text)
        return _simple_headers(policy, utf8) + text.replace("\n", "\r\n").encode("ascii")
    return _by_email(body, policy, utf8)


def _is_simple(body: str, policy: Policy) -> bool:
    """Say whether a text goes as it is: short lines of ASCII, which is what most records are."""
    return (
        body.isascii()
        and "\r" not in body
        and body != ""
        and max(map(len, body.split("\n"))) <= (policy.max_line_length or 0)
    )


@functools.lru_cache(8)
def _simple_headers(policy: Policy, utf8: bool) -> bytes:
    made = _by_email("x", policy, utf8)
    return made.removesuffix(b"x\r\n")


def _by_email(body: str, policy: Policy, utf8: bool) -> bytes:
    message = EmailMessage(policy=policy)
    message.set_content(body)
    return flattened(message, policy, utf8=utf8)
