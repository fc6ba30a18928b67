"""What a server's answer means for a mail: plain functions of reply codes, nothing is awaited.

Codes are those of RFC 5321 and, for logging in, RFC 4954.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass

from asynclog.render.mail import clean_header
from asynclog.values import Delivered, Item, Part, Rejected, RetryLater, Verdict

_TEXT_LIMIT = 300
_LONGEST_HINT = 4 * 3600.0
_HINT = re.compile(
    r"\b(?:in|after|for)\s+(\d{1,5})\s*(seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h)\b", re.IGNORECASE
)
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}

TOO_LARGE = 552
CLOSING = 421
#: "Authentication required", "mechanism too weak", "credentials invalid", "encryption required":
#: wrong with the configuration and not with the mail, whatever command they answer.
_LOGIN_CODES = frozenset((530, 534, 535, 538))


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server said."""

    code: int
    text: str

    def __str__(self) -> str:
        text = " ".join(self.text.split())
        if len(text) > _TEXT_LIMIT:
            text = text[: _TEXT_LIMIT - 1] + "…"
        return clean_header(f"{self.code} {text}".strip() if self.code > 0 else text)


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of offering a mail.

    Attributes:
        server: Whom it was offered.
        payload: The bytes that were offered, or would have been.
        accepted: Recipients whom the server took the mail for; empty if ``refused``.
        refused_recipients: The others, each with the server's answer.
        refused: The answer that refused the mail as a whole, to MAIL, to DATA or to the text.
    """

    server: str
    payload: bytes
    accepted: tuple[str, ...] = ()
    refused_recipients: tuple[tuple[str, Reply], ...] = ()
    refused: Reply | None = None


class SessionError(Exception):
    """A connection failed; whoever gets this throws it away.

    Attributes:
        verdict: What it means for the records.
        reusable: Whether trying again at once on a new connection is safe and makes sense: a kept
            connection turned out to be gone before any of the mail was offered.
        out_of_step: Whether it may come of commands that were sent together: nothing of the mail's text
            was sent, and a command at a time may do.
    """

    def __init__(self, verdict: RetryLater, *, reusable: bool = False, out_of_step: bool = False) -> None:
        super().__init__(verdict.reason)
        self.verdict = verdict
        self.reusable = reusable
        self.out_of_step = out_of_step


def is_permanent(code: int) -> bool:
    """Say whether a reply means never; what is no SMTP reply at all (22x, -1, 999) does not."""
    return 500 <= code <= 599


def refused_connection(server: str, stage: str, reply: Reply) -> RetryLater:
    """Judge a refused greeting, EHLO or STARTTLS.

    A permanent refusal will be the same in a minute, and so is a server that should offer TLS and
    can't: the circuit opens.
    """
    circuit = is_permanent(reply.code) or stage == "STARTTLS"
    return RetryLater(f"{server} refused at {stage}: {reply}", hint(reply), circuit)


def refused_login(server: str, reply: Reply) -> RetryLater:
    """Judge a refused login: 535 is for people to put right, 454 passes."""
    return RetryLater(f"{server} refused the login: {reply}", hint(reply), is_permanent(reply.code))


def refused_mail(server: str, reply: Reply, payload: bytes | None) -> RetryLater | Rejected:
    """Judge a reply that refused a mail or a recipient."""
    if reply.code in _LOGIN_CODES:
        return RetryLater(f"{server} wants a login: {reply}", None, circuit=True)
    if is_permanent(reply.code):
        return Rejected(f"{server}: {reply}", payload)
    return RetryLater(f"{server}: {reply}", hint(reply))


def parts_of_recipients(
    sent: Sent,
    items: tuple[Item, ...],
    wanted: tuple[str, ...] | None,
) -> list[Part]:
    """Return a part for whom the server took the mail, and one for each answer it refused others with.

    Args:
        sent: What came of the mail.
        items: Its records.
        wanted: What the batch said of recipients; kept where all of them share one fate.
    """
    verdicts: list[tuple[Verdict, tuple[str, ...]]] = []
    if sent.accepted:
        verdicts.append((Delivered(), sent.accepted))
    later = []
    for recipient, reply in sent.refused_recipients:
        verdict = refused_mail(f"{sent.server} for {recipient}", reply, sent.payload)
        if isinstance(verdict, Rejected):
            verdicts.append((verdict, (recipient,)))
        else:
            later.append((recipient, verdict))
    if later:
        verdicts.append((_joined([verdict for _, verdict in later]), tuple(recipient for recipient, _ in later)))
    if not sent.accepted and not later:
        others = f" (and {len(verdicts) - 1} more recipients refused)" if len(verdicts) > 1 else ""
        first = refused_mail(f"{sent.server} for {sent.refused_recipients[0][0]}", sent.refused_recipients[0][1], None)
        return [Part(Rejected(first.reason + others, sent.payload), items, wanted)]
    if len(verdicts) == 1:
        return [Part(verdicts[0][0], items, wanted)]
    return [Part(verdict, items, recipients) for verdict, recipients in verdicts]


def _joined(verdicts: list[RetryLater]) -> RetryLater:
    hints = [verdict.after for verdict in verdicts if verdict.after is not None]
    more = f" (and {len(verdicts) - 1} more)" if len(verdicts) > 1 else ""
    return RetryLater(verdicts[0].reason + more, max(hints, default=None), all(one.circuit for one in verdicts))


def hint(reply: Reply) -> float | None:
    """Return the seconds that a temporary refusal asks to wait, if it can be understood."""
    if not 400 <= reply.code <= 499:
        return None
    match = _HINT.search(reply.text)
    if match is None:
        return None
    seconds = int(match[1]) * _UNITS[match[2][0].lower()]
    # A server that asks for a day is not obeyed: the lane's own backoff is gentle enough.
    return seconds if 0 < seconds <= _LONGEST_HINT else None


def secrets_of(username: str | None, *secrets: str | bytes | None) -> tuple[str, ...]:
    """Return every form in which credentials go over the wire, so that none is quoted back."""
    forms: set[str] = set()
    user = (username or "").encode()
    for secret in secrets:
        if not secret:
            continue
        raw = secret.encode() if isinstance(secret, str) else secret
        forms.add(raw.decode("utf-8", "replace"))
        for wire in (raw, b"\0" + user + b"\0" + raw, b"user=" + user + b"\x01auth=Bearer " + raw + b"\x01\x01"):
            forms.add(base64.b64encode(wire).decode("ascii"))
    return tuple(sorted(forms, key=len, reverse=True))


def scrubbed(text: str, secrets: Iterable[str]) -> str:
    """Replace credentials that a server quotes back at us."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return text
