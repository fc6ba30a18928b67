"""Sends the batches of one mail sink: as one mail or in pieces, and again shorter where a server wants it so."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from asynclog.sink_thread import SinkThread
from asynclog.sinks.smtp_digest import DigestMails
from asynclog.sinks.smtp_mailer import Mailer
from asynclog.sinks.smtp_options import Connecting
from asynclog.sinks.smtp_pieces import Pieces, Settled
from asynclog.sinks.smtp_verdicts import (
    TOO_LARGE,
    Sent,
    SessionError,
    is_permanent,
    parts_of_recipients,
    refused_mail,
)
from asynclog.values import Batch, Item, Part, Rejected, RetryLater

if TYPE_CHECKING:
    from asynclog.render.mail import Mail, MailRenderer

# Characters that a text may have after a server refused a longer one.
_CUT_TO = 16_000
# A mail with more characters than this is rendered beside the loop, not on it.
_SMALL = 20_000


class MailDelivery:
    """Sends batches, one at a time, on one loop.

    Args:
        how: Servers, credentials and time limits.
        sender: The envelope's sender.
        recipients: The envelope's recipients.
        thread: Where what is slow, or the user's own, is called.
    """

    def __init__(self, how: Connecting, sender: str, recipients: tuple[str, ...], thread: SinkThread) -> None:
        self._timeout = how.timeout
        self._sender = sender
        self._recipients = recipients
        self._thread = thread
        self._mailer = Mailer(how, thread)
        self._settled = Settled()

    async def aclose(self) -> None:
        """Say goodbye to the server."""
        await self._mailer.aclose()

    async def deliver_texts(self, batch: Batch, renderer: MailRenderer, *, one_mail: bool) -> Sequence[Part]:
        """Send the records of a batch as one mail, or as one each, and say what became of each record.

        Args:
            batch: The records.
            renderer: Makes the mails.
            one_mail: Whether they share a mail.
        """
        parts = self._settled.begin(batch)
        left = self._settled.left(batch)
        groups = [left] if one_mail and left else [(item,) for item in left]
        for index, group in enumerate(groups):
            pieces = Pieces(group)
            failure = await self._send_pieces(batch, pieces, parts, renderer)
            if failure is None and pieces.left():
                parts.append(Part(pieces.leftover(), pieces.left(), batch.recipients))
            if failure is not None:
                behind = (item for later in groups[index + 1 :] for item in later)
                parts.append(Part(failure, (*pieces.left(), *behind), batch.recipients))
                break
        return self._settled.end()

    async def deliver_digest(self, batch: Batch, digests: DigestMails) -> Sequence[Part]:
        """Send the mail about a digest, which is taken or refused as a whole."""
        wanted = self._wanted(batch)
        if not wanted:
            return (self._for_nobody(batch, batch.items),)
        import anyio

        with anyio.move_on_after(self._timeout):
            try:
                sent = await self._offer_digest(batch, digests, wanted)
                if sent.refused is None:
                    return parts_of_recipients(sent, batch.items, batch.recipients)
                verdict = refused_mail(sent.server, sent.refused, sent.payload)
            except SessionError as error:
                verdict = error.verdict
            return (Part(verdict, batch.items, batch.recipients),)
        return (Part(self._mailer.overdue(), batch.items, batch.recipients),)

    async def _offer_digest(self, batch: Batch, digests: DigestMails, wanted: tuple[str, ...]) -> Sent:
        mail = await self._rendered_meanwhile(digests, batch)
        sent = await self._mailer.send(mail, self._sender, wanted)
        if sent.refused is not None and sent.refused.code == TOO_LARGE:
            limit = max(2_000, len(sent.payload) // 2)
            mail = await self._thread.call(digests.render, batch, limit)
            sent = await self._mailer.send(mail, self._sender, wanted)
        if sent.refused is not None and is_permanent(sent.refused.code):
            # Numbers and plain words: what a filter of theirs has against the rest is not in it.
            mail = await self._thread.call(functools.partial(digests.render, batch, is_bare=True))
            sent = await self._mailer.send(mail, self._sender, wanted)
        return sent

    async def _rendered_meanwhile(self, digests: DigestMails, batch: Batch) -> Mail:
        """Make a mail while the connection is made: beside threads that compute, either takes a tenth of a second."""
        # Always on the thread: a mail takes some five milliseconds, which other lanes would wait.
        rendering = asyncio.ensure_future(self._thread.call(digests.render, batch))
        # Where no server is reached nobody asks what came of it.
        rendering.add_done_callback(lambda task: task.cancelled() or task.exception())
        try:
            await self._mailer.get_ready()
            return await rendering
        finally:
            rendering.cancel()

    def _wanted(self, batch: Batch) -> tuple[str, ...]:
        if batch.recipients is None:
            return self._recipients
        return tuple(one for one in self._recipients if one in batch.recipients)

    @staticmethod
    def _for_nobody(batch: Batch, items: tuple[Item, ...]) -> Part:
        # A batch that waited on disk while the recipients were changed.
        return Part(Rejected("none of its recipients is configured any more"), items, batch.recipients)

    async def _send_pieces(
        self, batch: Batch, pieces: Pieces, parts: list[Part], renderer: MailRenderer
    ) -> RetryLater | None:
        """Send until no piece is left; return what stopped that before."""
        import anyio

        with anyio.move_on_after(self._timeout):
            try:
                while (piece := pieces.next()) is not None:
                    parts.extend(await self._send_piece(batch, piece, pieces, renderer))
                    pieces.done()
                return None
            except SessionError as error:
                return error.verdict
        return self._mailer.overdue()

    async def _send_piece(
        self, batch: Batch, piece: tuple[Item, ...], pieces: Pieces, renderer: MailRenderer
    ) -> Sequence[Part]:
        wanted = self._wanted(batch)
        if not wanted:
            return (self._for_nobody(batch, piece),)
        sent = await self._offer(batch, piece, wanted, renderer)
        if sent.refused is None:
            parts = parts_of_recipients(sent, piece, batch.recipients)
            if len(parts) == 1 and isinstance(parts[0].verdict, RetryLater):
                # Nobody for now: the next piece or record would hear the same.
                raise SessionError(parts[0].verdict)
            pieces.note_progress()
            return parts
        verdict = refused_mail(sent.server, sent.refused, sent.payload)
        if isinstance(verdict, RetryLater):
            raise SessionError(verdict)
        if sent.refused.code != TOO_LARGE and pieces.split(piece, verdict):
            return ()
        return (Part(verdict, piece, batch.recipients),)

    async def _offer(
        self, batch: Batch, piece: tuple[Item, ...], wanted: tuple[str, ...], renderer: MailRenderer
    ) -> Sent:
        mail = await self._rendered(renderer, piece, batch.id, None)
        sent = await self._mailer.send(mail, self._sender, wanted)
        if sent.refused is None or sent.refused.code != TOO_LARGE:
            return sent
        # Once: a server that refuses this too refuses whatever it is given.
        mail = await self._rendered(renderer, piece, batch.id, min(_CUT_TO, len(sent.payload) // 2))
        return await self._mailer.send(mail, self._sender, wanted)

    async def _rendered(
        self, renderer: MailRenderer, piece: tuple[Item, ...], batch_id: str, limit: int | None
    ) -> Mail:
        size = sum(len(item.text) for item in piece)
        if renderer.subjects.runs_user_code or size > _SMALL:
            return await self._thread.call(renderer.render, piece, batch_id, limit)
        return renderer.render(piece, batch_id, limit)
