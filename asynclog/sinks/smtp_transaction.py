"""What is said for one mail, decided reply by reply: plain functions, nothing is awaited.

A server that announces PIPELINING (RFC 2920) hears MAIL, every RCPT and DATA in one write, and a
mail takes two round trips instead of four. What that costs in certainty is made good here:

- **Nothing of the text leaves before DATA's own 354.** A stray reply shifts all those behind it by
  one; DATA's place then holds another command's reply, which is never 354. So a shift delivers
  nothing, and what it could spoil is a refusal's address.
- **No refusal is believed that may come of the pipelining.** Where the sender is refused, or everybody,
  or DATA, where a command is "unknown" or "out of sequence", or replies don't fit together, the mail
  is offered again, a command at a time, over a new connection. Proxies that announce what they can't
  do are as old as the extension, and smtplib, which people come from, never pipelines. That somebody
  is refused while others are accepted is believed.

So the connection is cut before the text is due wherever nobody is to have it, and the empty message
that the RFC asks for then is never sent.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from asynclog.sinks.smtp_options import ascii_mailbox
from asynclog.sinks.smtp_verdicts import CLOSING, Reply, Sent, SessionError, refused_connection, scrubbed
from asynclog.values import RetryLater

_LEADING_DOT = re.compile(rb"(?m)^\.")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# "No such command" in its forms, and "out of sequence".
_MISUNDERSTOOD = (500, 501, 502, 503)
_UNWRITABLE = Reply(553, "the address needs SMTPUTF8, which this server doesn't offer")


class Conversation(Protocol):
    """What a connection carries out: one command or several, and what their replies lead to."""

    @property
    def is_over(self) -> bool:
        """Whether no more replies are wanted."""
        ...

    @property
    def outstanding(self) -> int:
        """Replies that were asked for and have not come."""
        ...

    def begin(self) -> bytes:
        """Return what is sent first."""
        ...

    def answer(self, code: int, text: str) -> bytes:
        """Take a reply and return what is sent next, if anything."""
        ...

    def ends_with(self, error: Exception) -> bool:
        """Say whether a connection that fails now changes nothing any more."""
        ...


@dataclass(frozen=True, slots=True)
class Offer:
    """A mail as it is offered to one server.

    Attributes:
        server: The server's host.
        payload: The mail's bytes.
        sender: The envelope's sender as it is written; ``None``: this server can't be told it.
        recipients: The envelope's recipients.
        utf8: Whether SMTPUTF8 is used: addresses are written as they are.
        options: What stands behind the sender in MAIL.
        pipelined: Whether MAIL, RCPT and DATA go together.
        kept: Whether a mail went over the connection before, so that it may have gone meanwhile.
        secrets: What is never quoted.
    """

    server: str
    payload: bytes
    sender: str | None
    recipients: Sequence[str]
    utf8: bool = False
    options: Sequence[bytes] = ()
    pipelined: bool = False
    kept: bool = False
    secrets: Sequence[str] = ()


class Transaction:
    """One mail's conversation.

    Args:
        offer: The mail.

    Attributes:
        stage: The command whose reply is awaited, ``"message"`` for the text.
        result: What came of it; ``None`` as long as that is open.
    """

    def __init__(self, offer: Offer) -> None:
        self.stage = "MAIL"
        self.result: Sent | None = None
        self._offer = offer
        self._accepted: list[str] = []
        self._refused: list[tuple[str, Reply]] = []
        # Who is asked for, the next one last; and who can't be, since no address of theirs can be written.
        self._asked: list[tuple[str, bytes]] = []
        self._goes_together = False
        self._refusal: Reply | None = None

    @property
    def is_over(self) -> bool:
        """Whether no more replies are wanted."""
        return self.result is not None

    @property
    def outstanding(self) -> int:
        """Replies that were asked for and have not come."""
        if not self._goes_together or self.stage == "message":
            return 1
        return len(self._asked) + 1 + (self.stage == "MAIL")

    def begin(self) -> bytes:
        """Return what is sent first; nothing where no command can be written."""
        offer = self._offer
        if offer.sender is None:
            self.result = Sent(offer.server, offer.payload, refused=_UNWRITABLE)
            return b""
        for recipient in offer.recipients:
            command = rcpt_command(recipient, offer.utf8)
            if command is None:
                self._refused.append((recipient, _UNWRITABLE))
            else:
                self._asked.append((recipient, command))
        mail = b" ".join([mail_command(offer.sender), *offer.options]) + b"\r\n"
        if not self._asked:
            return mail  # whether the sender is taken is asked all the same: it is the graver answer
        if offer.pipelined:
            self._goes_together = True
            mail += b"".join([command for _, command in self._asked]) + b"DATA\r\n"
        self._asked.reverse()
        return mail

    def answer(self, code: int, text: str) -> bytes:
        """Take a reply and return what is sent next, if anything.

        Raises:
            SessionError: The connection is of no use any more.
        """
        reply = Reply(code, scrubbed(text, self._offer.secrets))
        if code == CLOSING:
            # Whatever it answers: the server hangs up, and what comes next is not about this mail.
            verdict = refused_connection(self._offer.server, self.stage, reply)
            raise SessionError(verdict, reusable=self.may_go_again)
        if not 200 <= code <= 599:
            raise self._no_reply(reply)
        return _ANSWERS[self.stage](self, reply)

    def ends_with(self, error: Exception) -> bool:  # noqa: ARG002
        """Say whether a connection that fails now changes nothing: the mail has its verdict."""
        return self.result is not None

    @property
    def may_go_again(self) -> bool:
        """Whether a connection that is gone now says nothing about the mail or the server."""
        return self._offer.kept and self.stage != "message"

    # -- one function for each stage -----------------------------------------------------------

    def _to_mail(self, reply: Reply) -> bytes:
        if reply.code != 250:
            if self._goes_together:
                raise self._out_of_step(reply)
            self._refusal = reply
            self._settle()
        elif not self._asked:
            self._settle()
        self.stage = "RCPT"
        return b"" if self._goes_together or self.is_over else self._asked[-1][1]

    def _to_rcpt(self, reply: Reply) -> bytes:
        recipient, _ = self._asked.pop()
        if reply.code in (250, 251):
            self._accepted.append(recipient)
        elif self._goes_together and (reply.code < 400 or reply.code in _MISUNDERSTOOD):
            raise self._out_of_step(reply)
        else:
            self._refused.append((recipient, reply))
        if self._asked:
            return b"" if self._goes_together else self._asked[-1][1]
        self.stage = "DATA"
        if self._goes_together:
            if not self._accepted:
                raise self._out_of_step(reply)
            return b""
        if self._accepted:
            return b"DATA\r\n"
        self._settle()
        return b""

    def _to_data(self, reply: Reply) -> bytes:
        if reply.code == 354:
            self.stage = "message"
            return stuffed(self._offer.payload)
        if self._goes_together:
            raise self._out_of_step(reply)
        if reply.code < 400:
            raise self._no_reply(reply)
        self._refusal = reply
        self._settle()
        return b""

    def _to_text(self, reply: Reply) -> bytes:
        if reply.code != 250:
            self._refusal = reply
        self._settle()
        return b""

    # -- what came of it -----------------------------------------------------------------------

    def _settle(self) -> None:
        offer = self._offer
        if self._refusal is not None:
            said = () if not self._accepted else tuple(self._refused)  # refused with the sender: no news
            self.result = Sent(offer.server, offer.payload, refused_recipients=said, refused=self._refusal)
        else:
            order = {recipient: place for place, recipient in enumerate(offer.recipients)}
            refused = tuple(sorted(self._refused, key=lambda one: order[one[0]]))
            self.result = Sent(offer.server, offer.payload, tuple(self._accepted), refused)

    def _no_reply(self, reply: Reply) -> SessionError:
        return SessionError(RetryLater(f"{self._offer.server}: no SMTP reply to {self.stage}: {reply}"))

    def _out_of_step(self, reply: Reply) -> SessionError:
        verdict = RetryLater(f"{self._offer.server}: {self.stage}, of commands that went together: {reply}")
        return SessionError(verdict, out_of_step=True)


_ANSWERS = {
    "MAIL": Transaction._to_mail,
    "RCPT": Transaction._to_rcpt,
    "DATA": Transaction._to_data,
    "message": Transaction._to_text,
}


class Farewell:
    """QUIT, and whatever is answered."""

    def __init__(self) -> None:
        self.is_over = False
        self.outstanding = 1

    def begin(self) -> bytes:
        """Return the command."""
        return b"QUIT\r\n"

    def answer(self, code: int, text: str) -> bytes:  # noqa: ARG002  (a goodbye has no wrong answer)
        """Take the reply."""
        self.is_over = True
        return b""

    def ends_with(self, error: Exception) -> bool:  # noqa: ARG002
        """Say that an error is as good as a reply: every mail has its verdict by now."""
        return True


# -- commands --------------------------------------------------------------------------------------


@functools.lru_cache(64)
def mail_command(sender: str) -> bytes:
    """Return MAIL with a sender as it is written."""
    return b"MAIL FROM:<" + _word(sender) + b">"


@functools.lru_cache(256)
def rcpt_command(recipient: str, utf8: bool) -> bytes | None:
    """Return the RCPT line for a recipient; ``None`` where it can't be written."""
    written = recipient if utf8 else ascii_mailbox(recipient)
    return None if written is None else b"RCPT TO:<" + _word(written) + b">\r\n"


def _word(mailbox: str) -> bytes:
    # Addresses were checked when the sink was made; a second command in one would be a second too late.
    if _CONTROL.search(mailbox):
        raise ValueError("an address holds a control character")
    return mailbox.encode()


def stuffed(payload: bytes) -> bytes:
    """Return a mail as DATA takes it: leading dots doubled, the final dot behind."""
    if b"\n." in payload or payload.startswith(b"."):
        payload = _LEADING_DOT.sub(b"..", payload)
    return payload + (b".\r\n" if payload.endswith(b"\r\n") else b"\r\n.\r\n")
