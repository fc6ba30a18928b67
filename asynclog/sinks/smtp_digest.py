"""Mails about digests, for `SMTPSink`: rendered late, and off the loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from asynclog.sinks.smtp_style import LEAD_UP, MailStyle
from asynclog.values import Batch

if TYPE_CHECKING:
    from asynclog.render.digest_mail import DigestRenderer
    from asynclog.render.mail import Mail, MailRenderer


class DigestMails:
    """Makes the mails about digests of one sink.

    Args:
        mails: Knows sender, recipients, subjects and encoding.
        style: Redaction, templates and lead-up.
        environment: Such as ``"production"``.
        tell: Told of a template that failed.
    """

    def __init__(
        self, mails: MailRenderer, style: MailStyle, environment: str | None, tell: Callable[[str, str], object]
    ) -> None:
        self._mails = mails
        self._style = style
        self._environment = environment
        self._tell = tell
        self._renderer: DigestRenderer | None = None

    def prepare(self) -> None:
        """Load and compile what the first mail needs, which takes some 30 ms once in a process.

        Where a sink is made and not where its first mail is: there, among eight threads that compute,
        each file that is read costs as much, and the whole 2 s.
        """
        from asynclog.render.templates_env import standard_templates

        self._made()
        if self._style.own_templates is None:
            standard_templates()

    def render(self, batch: Batch, limit: int | None = None, *, is_bare: bool = False) -> Mail:
        """Make the mail of a batch.

        Args:
            batch: Has a digest.
            limit: Bytes that it may have; for a server that refused a longer one.
            is_bare: Numbers and texts alone, in ASCII and without HTML; for a server that refused
                the full mail.
        """
        from asynclog.render.mail_view import HeldUp

        digest = batch.digest
        assert digest is not None
        now = time.time()
        held_up = None
        if batch.refused_since is not None:
            until, is_past = (now, False) if batch.refused_until is None else (batch.refused_until, True)
            held_up = HeldUp(batch.refused_since, until, batch.refusal, is_past=is_past)
        renderer = self._made()
        if is_bare:
            return renderer.render_bare(digest, batch.id)
        return renderer.render(digest, batch.id, now=now, held_up=held_up, limit=limit)

    def _made(self) -> DigestRenderer:
        if self._renderer is None:
            # jinja2 and the parts of `email` that only these mails need.
            from asynclog.render.digest_mail import DigestRenderer
            from asynclog.render.mail_view import Around

            style = self._style
            self._renderer = DigestRenderer(
                self._mails,
                around=Around(app=self._mails.app or "", environment=self._environment or ""),
                redactor=style.redactor,
                templates=style.own_templates,
                lead_up=style.given("lead_up", LEAD_UP),
                on_failure=lambda text: self._tell("template_error", text),
            )
        return self._renderer
