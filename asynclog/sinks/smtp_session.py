"""One connection to a mail server, from the name look-up to QUIT, over aiosmtplib.

The rule that everything here serves: **a call that was cut short is never followed by another on
the same connection.** After a cancelled command the next one would read its late reply, and a
cancelled DATA could become a false "accepted". So whatever goes wrong ends in `Session.discard`.

aiosmtplib connects, secures and logs in, driven command by command: which one failed decides what
may be done about it, and replies that nobody asked for have to be thrown away between two commands
(aiosmtplib 5.1 keeps those that came in one segment with an asked one and hands them to the next
command). The mails then go over a `Line`, which takes its protocol's place: aiosmtplib's
``sendmail`` takes a round trip for each command, where two do for a mail.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import anyio

from asynclog.render.mail import Mail
from asynclog.sinks.smtp_line import Line, NoReply
from asynclog.sinks.smtp_options import Connecting, Server, ascii_mailbox
from asynclog.sinks.smtp_transaction import Farewell, Offer, Transaction
from asynclog.sinks.smtp_verdicts import (
    Reply,
    Sent,
    SessionError,
    refused_connection,
    refused_login,
    scrubbed,
    secrets_of,
)
from asynclog.threads import original
from asynclog.values import RetryLater

if TYPE_CHECKING:
    import aiosmtplib

#: Seconds after which a kept connection is closed: servers close idle ones without a word.
IDLE = 5.0
#: Seconds that QUIT may take; the mail is delivered already.
_QUIT = 1.0

_TLS_STAGES = ("TLS handshake", "STARTTLS")

TokenSource = Callable[[], Awaitable[str]]


class Session:
    """A connection to one server.

    Args:
        server: The server.
        connecting: Time limits and certificates.
        token: Asked for an OAuth2 token; ``None``: the login is by password.
        pipelines: Whether a mail's commands may go together where the server announces PIPELINING.

    Attributes:
        server: The server.
        stage: What it is busy with, for the verdict if that takes too long.
        used: Whether a mail went over it before: such a connection may have gone meanwhile.
        together: Whether the last mail's commands went together.
    """

    def __init__(
        self, server: Server, connecting: Connecting, token: TokenSource | None, *, pipelines: bool = True
    ) -> None:
        self.server = server
        self.stage = "connecting"
        self.used = False
        self.together = False
        self._connecting = connecting
        self._token = token
        self._secrets = secrets_of(server.username, server.password)
        self._client: aiosmtplib.SMTP | None = None
        self._line: Line | None = None
        self._pipelines = pipelines
        self._idle_since = 0.0

    # -- its beginning -----------------------------------------------------------------------

    async def start(self) -> None:
        """Connect, secure and log in.

        Raises:
            SessionError: It did not come about; what there was of it is thrown away.
        """
        try:
            await self._start()
        except BaseException as error:
            self.discard()
            self._raise_judged(error)

    async def _start(self) -> None:
        from aiosmtplib import SMTP  # late: an app that never mails doesn't load it

        sock = await self._connect()
        secure_at_once = self.server.security == "tls"
        self.stage = "TLS handshake" if secure_at_once else "greeting"
        client = self._client = SMTP(
            hostname=self.server.host,
            local_hostname="localhost",  # EHLO says another; without one aiosmtplib asks the name service
            timeout=self._connecting.reply_timeout,
            use_tls=secure_at_once,
            start_tls=False,  # None would go on in plain text where TLS is not offered
            tls_context=self._connecting.tls_context if secure_at_once else None,
            sock=sock,
        )
        await client.connect()
        await self._greet(client)
        if self.server.security == "starttls":
            await self._secure(client)
        if self.server.username is not None:
            await self._log_in(client, self.server.username)
        self._line = Line(client.transport, self._connecting.reply_timeout)
        self._idle_since = asyncio.get_running_loop().time()

    async def _connect(self) -> socket.socket:
        # By hand and not by aiosmtplib, so that a dead first address doesn't use up the time of a
        # living second one, a hung TLS handshake can be told from a hung connection, and gevent's
        # sockets are kept out of the worker's loop.
        self.stage = "name look-up"
        loop = asyncio.get_running_loop()
        make = original("socket", "socket")
        host, port = self.server.host, self.server.port
        found = _literal(host, port) or await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        self.stage = "connecting"
        failure: OSError = OSError("the name has no address")
        for index, (family, kind, protocol, _, address) in enumerate(found):
            sock: socket.socket | None = None
            try:
                sock = make(family, kind, protocol)
                sock.setblocking(False)
                with anyio.fail_after(self._share(len(found) - index)):
                    await loop.sock_connect(sock, address)
                return sock
            except BaseException as error:
                if sock is not None:
                    sock.close()
                if not isinstance(error, OSError):
                    raise
                failure = error
        raise failure

    def _share(self, among: int) -> float:
        left = anyio.current_effective_deadline() - anyio.current_time()
        limit = self._connecting.reply_timeout
        return min(left / among, float("inf") if limit is None else limit)

    async def _greet(self, client: aiosmtplib.SMTP) -> None:
        from aiosmtplib import SMTPHeloError

        self.stage = "EHLO"
        self._forget_unasked()
        name = self._connecting.own_name or _address_of(client)
        try:
            await client.ehlo(hostname=name)
        except SMTPHeloError as error:
            # "No such command": a server from before 1995, which can neither TLS nor log in.
            if error.code not in (500, 502) or not client.is_connected:
                raise
            await client.helo(hostname=name)

    async def _secure(self, client: aiosmtplib.SMTP) -> None:
        self.stage = "STARTTLS"
        if not client.supports_extension("starttls"):
            reason = f"{self.server.host} offers no STARTTLS, and mail is never sent in plain text instead"
            raise SessionError(RetryLater(reason, None, circuit=True))
        self._forget_unasked()
        await client.starttls(tls_context=self._connecting.tls_context)
        if client.get_transport_info("sslcontext") is None:
            raise SessionError(RetryLater(f"{self.server.host}: the connection is not encrypted", None, circuit=True))
        await self._greet(client)

    async def _log_in(self, client: aiosmtplib.SMTP, username: str) -> None:
        self.stage = "login"
        methods = [method for method in client.server_auth_methods if method in (*client.AUTH_METHODS, "xoauth2")]
        wanted = ["xoauth2"] if self._token is not None else [m for m in methods if m != "xoauth2"]
        if not wanted or not set(wanted) & set(methods):
            offered = ", ".join(client.server_auth_methods).upper() or "none"
            kind = "XOAUTH2" if self._token is not None else "a login by password"
            reason = f"{self.server.host} doesn't offer {kind} (it offers: {offered[:100]})"
            raise SessionError(RetryLater(reason, None, circuit=True))
        self._forget_unasked()
        if self._token is None:
            await client.login(username, self.server.password or "")
            return
        self.stage = "asking for a token"
        token = await self._token()
        self._secrets = secrets_of(username, token)
        self.stage = "login"
        await client.auth_xoauth2(username, token)

    # -- a mail ------------------------------------------------------------------------------

    @property
    def is_usable(self) -> bool:
        """Whether the connection stands and was used a moment ago."""
        client = self._client
        return (
            client is not None and client.is_connected and asyncio.get_running_loop().time() - self._idle_since < IDLE
        )

    async def send(self, mail: Mail, sender: str, recipients: Sequence[str]) -> Sent:
        """Offer a mail.

        Raises:
            SessionError: The connection failed; it is thrown away.
        """
        try:
            sent = await self._send(mail, sender, recipients)
        except BaseException as error:
            self.discard()
            self._raise_judged(error)
        self.used = True
        self._idle_since = asyncio.get_running_loop().time()
        return sent

    async def _send(self, mail: Mail, sender: str, recipients: Sequence[str]) -> Sent:
        client, line = self._client, self._line
        if client is None or line is None:
            raise ConnectionResetError("the connection is closed")
        offer = self._offer(client, mail, sender, recipients)
        self.together = offer.pipelined
        transaction = Transaction(offer)
        try:
            await line.carry_out(transaction)
        finally:
            self.stage = transaction.stage
        assert transaction.result is not None
        return transaction.result

    def _offer(self, client: aiosmtplib.SMTP, mail: Mail, sender: str, recipients: Sequence[str]) -> Offer:
        # By the envelope alone: a name in From or To that is not ASCII is written in ASCII, and a relay
        # that is asked for SMTPUTF8 bounces what its next hop can't take.
        utf8 = not (sender.isascii() and all(map(str.isascii, recipients))) and client.supports_extension("smtputf8")
        payload = mail.utf8_data if utf8 and mail.utf8_data is not None else mail.data
        return Offer(
            self.server.host,
            payload,
            sender if utf8 else ascii_mailbox(sender),
            recipients,
            utf8,
            self._options(client, payload, utf8),
            self._pipelines and client.supports_extension("pipelining"),
            self.used,
            self._secrets,
        )

    @staticmethod
    def _options(client: aiosmtplib.SMTP, payload: bytes, utf8: bool) -> list[bytes]:
        options = []
        if client.supports_extension("size"):
            options.append(b"SIZE=%d" % len(payload))
        if not payload.isascii() and client.supports_extension("8bitmime"):
            options.append(b"BODY=8BITMIME")
        if utf8:
            options.append(b"SMTPUTF8")
        return options

    def _forget_unasked(self) -> None:
        """Throw away replies that nobody asked for, before the next command is sent."""
        protocol = None if self._client is None else self._client.protocol
        buffer = getattr(protocol, "_buffer", None)
        if buffer:
            del buffer[:]

    # -- its end -----------------------------------------------------------------------------

    async def quit(self) -> None:
        """Say goodbye, briefly; an error is a success: what was to be sent has been sent."""
        client = self._client
        if client is None:
            return
        self.stage = "QUIT"
        try:
            with anyio.move_on_after(_QUIT):
                if self._line is not None:
                    await self._line.carry_out(Farewell())
        except Exception:
            pass  # every mail has its verdict by now: an error in the goodbye is a success
        finally:
            self.discard()

    def discard(self) -> None:
        """Cut the connection now, whatever is under way; safe to repeat."""
        client, self._client, self._line = self._client, None, None
        if client is None:
            return
        transport = client.transport
        try:
            client.close()
            # close() alone would first send what is still in the buffer, for as long as a server
            # that reads a byte a second takes, and wait for a TLS goodbye.
            if transport is not None:
                transport.abort()  # type: ignore[attr-defined]
        except Exception:
            pass  # the loop is closed: so is the connection

    # -- judging -----------------------------------------------------------------------------

    def overdue(self) -> RetryLater:
        """Return the verdict for a deadline that passed in the present stage."""
        reason = f"{self.server.host}: no answer in time ({self.stage})"
        return RetryLater(reason, None, circuit=self.stage in _TLS_STAGES)

    @property
    def may_be_out_of_step(self) -> bool:
        """Whether a first mail fails now whose commands went together, with none of its text sent."""
        return self.together and not self.used and self._has_sent_nothing

    @property
    def _has_sent_nothing(self) -> bool:
        return self.stage in ("MAIL", "RCPT", "DATA")

    def _raise_judged(self, error: BaseException) -> NoReturn:
        if isinstance(error, SessionError) or not isinstance(error, Exception):
            raise error  # a cancellation above all
        # From None: the texts underneath may quote what was sent, credentials included.
        raise self._judged(error) from None

    def _judged(self, error: Exception) -> SessionError:
        from aiosmtplib import SMTPAuthenticationError, SMTPResponseException

        host = self.server.host
        if isinstance(error, SMTPResponseException):
            reply = Reply(error.code, scrubbed(str(error.message), self._secrets))
            if isinstance(error, SMTPAuthenticationError):
                return SessionError(refused_login(host, reply))
            return SessionError(refused_connection(host, self.stage, reply))
        if isinstance(error, NoReply):
            return SessionError(RetryLater(f"{host}: no SMTP reply to {self.stage}: {self._quoted(str(error))}"))
        causes = _causes(error)
        tls = next((cause for cause in causes if isinstance(cause, ssl.SSLError)), None)
        if tls is not None and self.stage in _TLS_STAGES:
            detail = getattr(tls, "verify_message", None) or tls.reason or type(tls).__name__
            return SessionError(RetryLater(f"{host}: TLS failed: {detail}", None, circuit=True))
        if any(isinstance(cause, TimeoutError) for cause in causes):
            return SessionError(self.overdue())
        lost = any(isinstance(cause, ConnectionError) for cause in causes)
        verdict = RetryLater(f"{host}: {self.stage}: {self._quoted(_detail(causes[-1]))}")
        return SessionError(verdict, reusable=lost and self.used and self._has_sent_nothing)

    def _quoted(self, text: str) -> Reply:
        return Reply(0, scrubbed(text, self._secrets))


def _causes(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and at not in found:
        found.append(at)
        at = at.__cause__
    return found


def _detail(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _address_of(client: aiosmtplib.SMTP) -> str:
    """Return this host's address as EHLO says it, where its name has no domain: RFC 5321, 4.1.4."""
    found = client.get_transport_info("sockname")
    if not isinstance(found, tuple):
        return "localhost"
    address = str(found[0]).partition("%")[0]
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


def _literal(host: str, port: int) -> list[tuple[Any, ...]]:
    """Return what a name look-up finds for an address, without the hand-over to a thread and back."""
    for family, rest in ((socket.AF_INET, ()), (socket.AF_INET6, (0, 0))):
        with contextlib.suppress(OSError, ValueError):
            socket.inet_pton(family, host)
            return [(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port, *rest))]
    return []
