"""The mail about a digest: text and HTML, threaded by group, under a hundred kilobytes."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
import logging
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any

from asynclog.digest import Digest
from asynclog.render import words
from asynclog.render.digest_view import ViewMaker, level_name
from asynclog.render.mail import SEVEN_BIT_POLICY, Mail, MailRenderer, clean_body, finished, safe_header, safe_subject
from asynclog.render.mail_view import Around, HeldUp, Limits, MailView
from asynclog.render.redact import Redactor
from asynclog.render.templates_env import Templates, standard_templates
from asynclog.turns import breathe

#: Bytes that a mail may have as it is sent: Gmail clips at 102 KB.
SIZE_LIMIT = 100_000
# A megabyte of text fits after seven halvings; nothing is tried for ever.
_ATTEMPTS = 9
# Longer lines are folded on their way by some servers: RFC 5322, 2.1.1.
_LINE = 78
# Bytes that are encoded at a time, which takes some tenths of a millisecond.
_PIECE = 8_000


class DigestRenderer:
    """Make mails about digests.

    Args:
        mails: Knows sender, recipients, subjects and encoding.
        around: What is known of the process.
        redactor: Hides secrets; ``None``: nothing is hidden.
        templates: Lays the mail out; default: ours.
        lead_up: Lead-up records of one record that are shown; default 20.
        on_failure: Told, in a few words, that a template failed and the plain layout went instead.

    Attributes:
        failures: How many mails went in the plain layout because a template failed.
    """

    def __init__(
        self,
        mails: MailRenderer,
        *,
        around: Around | None = None,
        redactor: Redactor | None = None,
        templates: Templates | None = None,
        lead_up: int = 20,
        on_failure: Callable[[str], object] | None = None,
    ) -> None:
        # A wrapped handler's own mails go as its `email` policy has them; a digest passes every server unharmed.
        self._mails = dataclasses.replace(mails, policy=SEVEN_BIT_POLICY)
        self._around = Around(app=mails.app or "") if around is None else around
        self._redactor = redactor
        self._templates = templates
        self._limits = Limits(lead_up=lead_up)
        self._on_failure = on_failure
        self.failures = 0

    def render(
        self, digest: Digest, batch_id: str, *, now: float, held_up: HeldUp | None = None, limit: int | None = None
    ) -> Mail:
        """Make the mail.

        Args:
            digest: What it says.
            batch_id: What the ``Message-ID`` is derived from, so that a retry is the same mail.
            now: Wall time of sending, in seconds since the epoch.
            held_up: Why it comes late; default: it doesn't.
            limit: Bytes that it may have, fewer than `SIZE_LIMIT`; for a server that refused it.
        """
        subject = self._subject(digest)
        maker = ViewMaker(digest, subject, self._around, self._redactor, now, held_up)
        room = min(limit or SIZE_LIMIT, SIZE_LIMIT)
        headers = self._headers(digest, subject, batch_id)
        try:
            return self._fitting(maker, headers, digest, room)
        except Exception as error:
            # A mistake of ours, and an error at three in the morning: its mail leaves all the same.
            self._tell_failure(f"a mail could not be laid out ({type(error).__name__}), so it went in short")
            return self._finished(headers, self._bare(digest, room), None, digest)

    def render_bare(self, digest: Digest, batch_id: str) -> Mail:
        """Make a short mail of plain text, for a server that refused the full one for what is in it."""
        text = self._bare(digest, SIZE_LIMIT).encode("ascii", "backslashreplace").decode()
        return self._finished(self._headers(digest, self._subject(digest), batch_id), text, None, digest)

    def _fitting(self, maker: ViewMaker, headers: list[tuple[str, str]], digest: Digest, room: int) -> Mail:
        limits = _that_bite(self._limits, digest)
        failed = False
        for _ in range(_ATTEMPTS):
            view = maker.make(limits)
            breathe()
            text, html = (plain_layout(view), None) if failed else self._laid_out(view)
            failed = html is None
            breathe()
            if _least_size(text) + _least_size(html or "") > room:
                limits = limits.smaller()  # to encode it would be most of the work, and for nothing
                continue
            mail = self._finished(headers, text, html, digest)
            if len(mail.data) <= room:
                break
            limits = limits.smaller()
        else:
            # Of a user's templates perhaps, which say more than they are given.
            text = words.cut(plain_layout(view), max(room // 8, 500))
            mail = self._finished(headers, text, None, digest)
        return mail

    def _tell_failure(self, text: str) -> None:
        self.failures += 1
        if self._on_failure is not None:
            self._on_failure(text)

    def _bare(self, digest: Digest, room: int) -> str:
        """Return numbers and texts, with as little that could go wrong as can be."""
        parts = []
        for group in digest.groups[:100]:
            place = f" in {group.place}" if group.place else ""
            where = f", host {', '.join(group.hosts)}" if group.hosts else ""
            parts.append(f"{group.count:,}× ({group.total:,}× in all) {group.exc_type or group.logger}{place}{where}")
            parts += [words.cut(item.text, 4_000) for item in group.items[:1]]
        text = words.cut("\n".join(parts), max(room // 8, 500))
        return text if self._redactor is None else self._redactor.text(text)

    def _laid_out(self, view: MailView) -> tuple[str, str | None]:
        try:
            # Asked for each time: where asynclog's own are missing, as in a build that left them out, the
            # mail leaves in plain text.
            return (self._templates or standard_templates()).render(view)
        except Exception as error:
            self._tell_failure(f"a mail's template raised {type(error).__name__}, so it went in plain text")
            return plain_layout(view), None

    def _finished(self, headers: list[tuple[str, str]], text: str, html: str | None, digest: Digest) -> Mail:
        message = EmailMessage(policy=self._mails.policy)
        for name, value in headers:
            message[name] = value
        message["Date"] = words.moment(digest.made_at)
        message.set_content("")
        _fill(message, text)
        if html is not None:
            breathe()
            message.add_alternative("", subtype="html")
            _fill(message.get_payload(1), html)
            # Not a random one: a retry is the same mail to the byte. Nobody who writes a log line
            # can know it.
            message.set_boundary("=_" + message["Message-ID"].strip("<>").partition("@")[0])
        breathe()
        return finished(message, self._mails, digest.count)

    # -- headers -----------------------------------------------------------------------------

    def _headers(self, digest: Digest, subject: str, batch_id: str) -> list[tuple[str, str]]:
        mails = self._mails
        found = [
            ("From", mails.sender),
            ("To", mails.recipients),
            ("Subject", safe_subject(subject, mails.policy)),
            ("Message-ID", f"<{_hash(batch_id, digest)}@{mails.id_host}>"),
        ]
        if digest.thread:
            # The head of a thread that was never sent: mails that refer to the same one are shown
            # together, also those of other processes, which know no mail but their own.
            root = f"<asynclog.{safe_id(digest.thread)}@{mails.id_host}>"
            found += [("In-Reply-To", root), ("References", root)]
        found += [
            ("Auto-Submitted", "auto-generated"),
            # Never "All": that would suppress bounces too.
            ("X-Auto-Response-Suppress", "OOF, AutoReply, RN, NRN"),
            ("X-Asynclog-Count", str(digest.count)),
            ("X-Asynclog-Group", ", ".join(safe_id(group.id) for group in digest.groups[:20])),
        ]
        if mails.app is not None:
            found.append(("X-Asynclog-App", safe_header("X-Asynclog-App", mails.app, mails.policy)))
        return found

    def _subject(self, digest: Digest) -> str:
        group = digest.groups[0]
        first: logging.LogRecord | None = group.items[0].record if group.items else None
        subject = self._mails.subjects.of_group(
            first,
            levelname=level_name(group),
            name=group.logger,
            exc_type=group.exc_type,
            place=group.place,
            more=len(digest.groups) - 1,
        )
        return subject if self._redactor is None else self._redactor.text(subject)


def _that_bite(limits: Limits, digest: Digest) -> Limits:
    """Return limits no wider than what there is, so that the first smaller ones give a smaller mail."""
    longest = max((len(item.text) for group in digest.groups for item in group.items), default=0)
    text = min(limits.text, max(3 * longest, 300))  # a group's later records have a third of it each
    return dataclasses.replace(limits, groups=min(limits.groups, max(len(digest.groups), 1)), text=text)


def _least_size(text: str) -> int:
    """Return a number of bytes that a text has at least when it is encoded by `_fill`; quickly."""
    data = text.encode("utf-8", "replace")
    escaped = data.count(b"=") + len(data) - len(text.encode("ascii", "ignore"))
    return min(len(data) + 2 * escaped + data.count(b"\n"), len(data) * 4 // 3)


def _fill(part: Any, text: str) -> None:
    """Give a part its text, encoded for lines of any length.

    As `EmailMessage.set_content` does it, but quoted-printable by the C module: the `email` package
    encodes it a character at a time in Python.
    """
    clean = clean_body(text)
    data = (clean if clean.endswith("\n") else clean + "\n").encode("utf-8")
    if data.isascii() and max(map(len, data.split(b"\n"))) <= _LINE:
        part.set_payload(data.decode("ascii"))
        return
    encoded, name = _quoted_printable(data), "quoted-printable"
    if len(encoded) > len(data) * 4 // 3 + len(data) // 57:  # what base64 makes of it, line ends included
        encoded, name = base64.encodebytes(data), "base64"
    part.replace_header("Content-Transfer-Encoding", name)
    part.set_payload(encoded.decode("ascii"))


def _quoted_printable(data: bytes) -> bytes:
    # A piece at a time, since 100 KB keep the interpreter lock for milliseconds: lines stand alone.
    pieces, start = [], 0
    while start < len(data):
        end = data.find(b"\n", start + _PIECE) + 1 or len(data)
        pieces.append(binascii.b2a_qp(data[start:end], istext=True))
        start = end
        breathe()
    return b"".join(pieces)


def _hash(batch_id: str, digest: Digest) -> str:
    facts = f"{batch_id}\n{digest.serial}\n{digest.made_at!r}"
    return hashlib.sha256(facts.encode("utf-8", "backslashreplace")).hexdigest()[:32]


def safe_id(text: str) -> str:
    """Return an id as it may stand in a header: the groups' ids are hex, a user's may be anything."""
    if text and len(text) <= 64 and text.isascii() and all(one.isalnum() or one in "-._" for one in text):
        return text
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:16]


# -- without templates ---------------------------------------------------------------------------


def plain_layout(view: MailView) -> str:
    """Return a mail's text laid out without templates: for when a user's template raises."""
    lines: list[str] = []
    if view.rows:
        lines += [view.headline, "", *_facts(view.facts), ""]
        lines += [
            f"{row.number}. {row.count_text}  {row.short_state}: {row.exception or row.what}" for row in view.rows
        ]
    for group in view.groups:
        lines += ["", *([f"{group.number}."] if view.rows else []), group.headline, group.exception or group.what]
        lines += [group.message] if group.message else []
        lines += ["", *_facts(group.facts)]
        for one in group.records:
            lines += ["", f"--- {one.title}", "", *(run.text for run in one.full or one.short)]
            lines += [f"{line.time} {line.level} {line.logger}: {line.text}" for line in one.lead_up]
        lines += ["", group.note] if group.note else []
        lines += ["", *_facts(group.more)]
    return "\n".join([*lines, "", *view.notes, ""])


def _facts(facts: tuple[Any, ...]) -> list[str]:
    return [f"{fact.label}: {fact.value}" for fact in facts]
