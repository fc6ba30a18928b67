"""One client's connection to the fault-injecting mail server, and what a good server does with it."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import email
import email.policy
import hmac
import secrets
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import TYPE_CHECKING, NoReturn, TypeAlias

if TYPE_CHECKING:
    from asynclog.testing.smtpd import FaultSMTPServer


@dataclass(frozen=True, slots=True)
class StoredMail:
    """A mail that the server took.

    Attributes:
        sender: The envelope's sender.
        recipients: The envelope's recipients.
        data: The mail's bytes, dots unstuffed.
        options: What stood behind the address in MAIL.
        tls: Whether it came over TLS.
        username: Who was logged in.
    """

    sender: str
    recipients: tuple[str, ...]
    data: bytes
    options: str = ""
    tls: bool = False
    username: str | None = None

    @property
    def message(self) -> EmailMessage:
        """The mail, parsed."""
        return email.message_from_bytes(self.data, policy=email.policy.default)

    @property
    def message_id(self) -> str:
        """The ``Message-ID`` header."""
        return str(self.message["Message-ID"])

    @property
    def count(self) -> int:
        """The ``X-Asynclog-Count`` header; 0 without one."""
        return int(self.message["X-Asynclog-Count"] or 0)


class Closed(Exception):  # noqa: N818  # not an error: the script's way to end the connection
    """Raised by a hook, or inside one: this connection is over."""


Hook: TypeAlias = Callable[["Connection", str], Awaitable[None]]


@dataclass(frozen=True)
class Behaviour:
    """What a server does otherwise than a good one.

    Attributes:
        name: For people.
        hooks: What to call in place of the ordinary answer: by ``"connect"`` (the greeting), a
            command such as ``"RCPT"``, ``"text"`` (reading what follows DATA's 354) or
            ``"message"`` (the answer to the final dot). A hook gets the connection and what stood
            behind the command; `Connection.ordinary` does what a good server would.
        listens: Whether the port is open.
        hides: Extensions to leave out of EHLO's answer.
    """

    name: str
    hooks: Mapping[str, Hook] = field(default_factory=dict)
    listens: bool = True
    hides: tuple[str, ...] = ()


HEALTHY = Behaviour("healthy")


class Connection:
    """One client's connection, as a behaviour's hooks see it.

    Attributes:
        server: The server.
        behaviour: Of this connection only; ``None``: the server's present one.
        tls: Whether it is encrypted.
        username: Who logged in.
        sender: The present mail's sender.
        recipients: The present mail's recipients so far.
        stored: Mails stored over this connection.
        lines: What the client sent, each line with whether it was encrypted.
    """

    def __init__(
        self,
        server: FaultSMTPServer,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        behaviour: Behaviour | None,
    ) -> None:
        self.server = server
        self.reader = reader
        self.writer = writer
        self.behaviour = behaviour
        self.tls = server.implicit_tls
        self.username: str | None = None
        self.sender: str | None = None
        self.options = ""
        self.recipients: list[str] = []
        self.stored = 0
        self.lines: list[tuple[bool, str]] = []

    # -- for hooks ---------------------------------------------------------------------------

    async def reply(self, text: str) -> None:
        """Answer with one line or, with line breaks in it, several."""
        code, _, rest = text.partition(" ")
        *first, last = rest.split("\n")
        await self.send("".join(f"{code}-{line}\r\n" for line in first).encode() + f"{code} {last}\r\n".encode())

    async def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def line(self) -> str:
        """Read a line."""
        raw = await self.reader.readline()
        if not raw.endswith(b"\n"):
            raise Closed
        text = raw.rstrip(b"\r\n").decode("utf-8", "replace")
        self.lines.append((self.tls, text))
        return text

    async def text(self) -> bytes:
        """Read a mail up to its final dot."""
        lines = []
        while (line := await self.reader.readline()) != b".\r\n":
            if not line.endswith(b"\n"):
                raise Closed
            lines.append(line[1:] if line.startswith(b".") else line)
        return b"".join(lines)

    def store(self, data: bytes) -> None:
        """Take the present mail."""
        self.server.mails.append(
            StoredMail(self.sender or "", tuple(self.recipients), data, self.options, self.tls, self.username)
        )
        self.stored += 1

    def abort(self, *, reset: bool = True) -> NoReturn:
        """Cut the connection, by RST or FIN, without a TLS goodbye, and end its script."""
        sock = self.writer.get_extra_info("socket")
        if reset and sock is not None:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()
        raise Closed

    async def hang(self) -> None:
        """Answer nothing more, until the client or the test ends the connection."""
        while await self.reader.read(65536):
            pass
        raise Closed

    async def ordinary(self, hook: str, argument: str) -> None:
        """Do what a good server does."""
        await _ORDINARY.get(hook, Connection._unknown)(self, argument)

    # -- what a good server does -------------------------------------------------------------

    async def run(self) -> None:
        """Serve the client until one side has enough."""
        await self.act("connect", "")
        while True:
            verb, _, argument = (await self.line()).partition(" ")
            await self.act(verb.upper(), argument)

    async def act(self, hook: str, argument: str) -> None:
        """Answer, by the behaviour's hook if it has one."""
        behaviour = self.behaviour or self.server.behaviour
        special = behaviour.hooks.get(hook)
        if special is not None:
            await special(self, argument)
        else:
            await self.ordinary(hook, argument)

    async def _connect(self, _: str) -> None:
        await self.reply("220 test.invalid ESMTP")

    async def _ehlo(self, _: str) -> None:
        await self.reply("250 " + "\n".join(["test.invalid", *self._offers()]))

    def _offers(self) -> list[str]:
        server = self.server
        offers = list(server.offers)
        secure = self.tls or server.tls_context is None
        if server.tls_context is not None and not self.tls:
            offers.append("STARTTLS")
        methods = [*server.auth_methods] if server.credentials else []
        methods += ["XOAUTH2"] if server.tokens else []
        if methods and secure:
            offers.append("AUTH " + " ".join(methods))
        hidden = (self.behaviour or server.behaviour).hides
        return [offer for offer in offers if offer.split()[0] not in hidden]

    async def _helo(self, _: str) -> None:
        await self.reply("250 test.invalid")

    async def _starttls(self, _: str) -> None:
        if self.server.tls_context is None or self.tls:
            await self.reply("503 not now")
            return
        await self.reply("220 go ahead")
        await self.start_tls()

    async def start_tls(self) -> None:
        """Encrypt the connection."""
        if self.server.tls_context is None:
            raise Closed
        try:
            await self.writer.start_tls(self.server.tls_context)
        except (OSError, ssl.SSLError):
            raise Closed from None
        self.tls = True

    async def _mail(self, argument: str) -> None:
        if self.server.requires_login and self.username is None:
            await self.reply("530 5.7.0 Authentication required")
            return
        if not argument.upper().startswith("FROM:<"):
            await self.reply("501 syntax")
            return
        self.sender, _, self.options = argument[6:].partition(">")
        self.recipients = []
        await self.reply("250 sender ok")

    async def _rcpt(self, argument: str) -> None:
        if self.sender is None:
            await self.reply("503 MAIL first")
            return
        self.recipients.append(argument[4:].partition(">")[0])
        await self.reply("250 recipient ok")

    async def _data(self, _: str) -> None:
        if not self.recipients:
            await self.reply("503 RCPT first")
            return
        await self.reply("354 go ahead")
        await self.act("text", "")

    async def _text(self, _: str) -> None:
        data = await self.text()
        # The mail travels as latin-1, which maps every byte to one character and back.
        await self.act("message", data.decode("latin-1"))

    async def _message(self, argument: str) -> None:
        self.store(argument.encode("latin-1"))
        self._reset_mail()
        await self.reply("250 stored")

    async def _rset(self, _: str) -> None:
        self._reset_mail()
        await self.reply("250 reset")

    def _reset_mail(self) -> None:
        self.sender, self.options, self.recipients = None, "", []

    async def _noop(self, _: str) -> None:
        await self.reply("250 here")

    async def _quit(self, _: str) -> None:
        await self.reply("221 bye")
        raise Closed

    async def _unknown(self, _: str) -> None:
        await self.reply("500 unknown command")

    # -- logging in --------------------------------------------------------------------------

    async def _auth(self, argument: str) -> None:
        method, _, initial = argument.partition(" ")
        try:
            await {"PLAIN": self._plain, "LOGIN": self._login, "CRAM-MD5": self._cram, "XOAUTH2": self._xoauth2}[
                method.upper()
            ](initial)
        except KeyError:
            await self.reply("504 unknown method")
        except (binascii.Error, UnicodeDecodeError, ValueError):
            await self.reply("501 cannot decode")

    async def _ask(self, challenge: str) -> str:
        await self.reply("334 " + base64.b64encode(challenge.encode()).decode())
        return base64.b64decode(await self.line(), validate=True).decode()

    async def _plain(self, initial: str) -> None:
        answer = base64.b64decode(initial, validate=True).decode() if initial else await self._ask("")
        _, user, password = answer.split("\0")
        await self._admit(user, self.server.credentials.get(user) == password)

    async def _login(self, initial: str) -> None:
        user = base64.b64decode(initial, validate=True).decode() if initial else await self._ask("Username:")
        password = await self._ask("Password:")
        await self._admit(user, self.server.credentials.get(user) == password)

    async def _cram(self, _: str) -> None:
        challenge = f"<{secrets.token_hex(8)}@test.invalid>"
        user, _, digest = (await self._ask(challenge)).rpartition(" ")
        password = self.server.credentials.get(user)
        known = password is not None and hmac.new(password.encode(), challenge.encode(), "md5").hexdigest() == digest
        await self._admit(user, known)

    async def _xoauth2(self, initial: str) -> None:
        answer = base64.b64decode(initial, validate=True).decode() if initial else await self._ask("")
        facts = dict(part.split("=", 1) for part in answer.split("\x01") if part)
        user = facts.get("user", "")
        known = self.server.tokens.get(user, object()) == facts.get("auth", "").removeprefix("Bearer ")
        if not known:
            await self._ask('{"status":"401"}')
        await self._admit(user, known)

    async def _admit(self, user: str, known: bool) -> None:
        if known:
            self.username = user
            await self.reply("235 welcome")
        else:
            await self.reply("535 5.7.8 bad credentials")


_ORDINARY: dict[str, Callable[[Connection, str], Awaitable[None]]] = {
    "connect": Connection._connect,
    "EHLO": Connection._ehlo,
    "HELO": Connection._helo,
    "STARTTLS": Connection._starttls,
    "AUTH": Connection._auth,
    "MAIL": Connection._mail,
    "RCPT": Connection._rcpt,
    "DATA": Connection._data,
    "text": Connection._text,
    "message": Connection._message,
    "RSET": Connection._rset,
    "NOOP": Connection._noop,
    "QUIT": Connection._quit,
}
