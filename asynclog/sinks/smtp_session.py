"""One connection to a mail server, from the name look-up to QUIT, over aiosmtplib.

The rule that everything here serves: **a call that was cut short is never followed by another on
the same connection.** After a cancelled command the next one would read its late reply, and a
cancelled DATA could become a false "accepted". So whatever goes wrong ends in `Session.discard`.

aiosmtplib is driven command by command and not by its ``sendmail``: which command failed decides
what may be done about it, and replies that nobody asked for have to be thrown away between two
commands (aiosmtplib 5.1 keeps those that came in one segment with an asked one and hands them to
the next command).
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import anyio

from asynclog.render.mail import Mail
from asynclog.sinks.smtp_options import Connecting, Server, ascii_mailbox
from asynclog.sinks.smtp_verdicts import (
    CLOSING,
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
    import socket

    import aiosmtplib

#: Seconds after which a kept connection is closed: servers close idle ones without a word.
IDLE = 5.0
#: Seconds that QUIT may take; the mail is delivered already.
_QUIT = 1.0

_TLS_STAGES = ("TLS handshake", "STARTTLS")
_LEADING_DOT = re.compile(rb"(?m)^\.")

TokenSource = Callable[[], Awaitable[str]]


class Session:
    """A connection to one server.

    Attributes:
        server: The server.
        stage: What it is busy with, for the verdict if that takes too long.
        used: Whether a mail went over it before: such a connection may have gone meanwhile.
    """

    def __init__(self, server: Server, connecting: Connecting, token: TokenSource | None) -> None:
        self.server = server
        self.stage = "connecting"
        self.used = False
        self._connecting = connecting
        self._token = token
        self._secrets = secrets_of(server.username, server.password)
        self._client: aiosmtplib.SMTP | None = None
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
            local_hostname=_own_name(sock),
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

    async def _connect(self) -> socket.socket:
        # By hand and not by aiosmtplib, so that a dead first address doesn't use up the time of a
        # living second one, a hung TLS handshake can be told from a hung connection, and gevent's
        # sockets are kept out of the worker's loop.
        self.stage = "name look-up"
        loop = asyncio.get_running_loop()
        make = original("socket", "socket")
        found = await loop.getaddrinfo(self.server.host, self.server.port, type=original("socket", "SOCK_STREAM"))
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
        try:
            await client.ehlo()
        except SMTPHeloError as error:
            # "No such command": a server from before 1995, which can neither TLS nor log in.
            if error.code not in (500, 502) or not client.is_connected:
                raise
            await client.helo()

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
        client = self._client
        if client is None:
            raise ConnectionError("the connection is closed")
        everyone = (sender, *recipients)
        utf8 = not all(one.isascii() for one in everyone) and client.supports_extension("smtputf8")
        payload = mail.utf8_data if utf8 and mail.utf8_data is not None else mail.data
        written = {one: one if utf8 else ascii_mailbox(one) for one in everyone}
        unwritable = Reply(553, "the address needs SMTPUTF8, which this server doesn't offer")
        from_ = written[sender]
        if from_ is None:
            return Sent(self.server.host, payload, refused=unwritable)

        self.stage = "MAIL"
        reply = await self._command(b"MAIL", b"FROM:<" + from_.encode() + b">", *self._options(client, payload, utf8))
        if reply.code != 250:
            return Sent(self.server.host, payload, refused=reply)

        self.stage = "RCPT"
        accepted, refused = [], []
        for recipient in recipients:
            to = written[recipient]
            reply = unwritable if to is None else await self._command(b"RCPT", b"TO:<" + to.encode() + b">")
            if reply.code in (250, 251):
                accepted.append(recipient)
            else:
                refused.append((recipient, reply))
        if not accepted:
            return Sent(self.server.host, payload, refused_recipients=tuple(refused))

        self.stage = "DATA"
        reply = await self._command(b"DATA")
        if reply.code == 354:
            reply = await self._text(payload)
        if reply.code != 250:
            return Sent(self.server.host, payload, refused_recipients=tuple(refused), refused=reply)
        return Sent(self.server.host, payload, tuple(accepted), tuple(refused))

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

    async def _command(self, *words: bytes) -> Reply:
        if self._client is None:
            raise ConnectionError("the connection is closed")
        self._forget_unasked()
        return self._reply(await self._client.execute_command(*words))

    async def _text(self, payload: bytes) -> Reply:
        protocol = None if self._client is None else self._client.protocol
        if protocol is None:
            raise ConnectionError("the connection is closed")
        self._forget_unasked()
        self.stage = "message"
        stuffed = _LEADING_DOT.sub(b"..", payload)
        protocol.write(stuffed + (b"" if stuffed.endswith(b"\r\n") else b"\r\n") + b".\r\n")
        return self._reply(await protocol.read_response(timeout=self._connecting.reply_timeout))

    def _reply(self, response: Any) -> Reply:
        reply = Reply(response.code, scrubbed(response.message, self._secrets))
        if reply.code == CLOSING:
            # Whatever it answers: the server hangs up, and what comes next is not about this mail.
            verdict = refused_connection(self.server.host, self.stage, reply)
            raise SessionError(verdict, reusable=self._may_go_again())
        if not 200 <= reply.code <= 599:
            raise SessionError(RetryLater(f"{self.server.host}: no SMTP reply to {self.stage}: {reply}"))
        return reply

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
                self._forget_unasked()
                await client.execute_command(b"QUIT")
        except Exception:
            pass  # every mail has its verdict by now: an error in the goodbye is a success
        finally:
            self.discard()

    def discard(self) -> None:
        """Cut the connection now, whatever is under way; safe to repeat."""
        client, self._client = self._client, None
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

    def _may_go_again(self) -> bool:
        return self.used and self.stage in ("MAIL", "RCPT", "DATA")

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
        causes = _causes(error)
        tls = next((cause for cause in causes if isinstance(cause, ssl.SSLError)), None)
        if tls is not None and self.stage in _TLS_STAGES:
            detail = getattr(tls, "verify_message", None) or tls.reason or type(tls).__name__
            return SessionError(RetryLater(f"{host}: TLS failed: {detail}", None, circuit=True))
        if any(isinstance(cause, TimeoutError) for cause in causes):
            return SessionError(self.overdue())
        detail = scrubbed(_detail(causes[-1]), self._secrets)
        lost = any(isinstance(cause, ConnectionError) for cause in causes)
        verdict = RetryLater(f"{host}: {self.stage}: {Reply(0, detail)}")
        return SessionError(verdict, reusable=lost and self._may_go_again())


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


def _own_name(sock: socket.socket) -> str:
    """Return what EHLO says: the host's name if it has a domain, else its address, as RFC 5321 asks.

    Never looked up: aiosmtplib's default asks the name service on a thread of an executor, which
    can hang and is gone at exit.
    """
    name = re.sub(r"[^A-Za-z0-9.-]", "", original("socket", "gethostname")()).strip(".-")
    if "." in name and len(name) <= 253:
        return name
    try:
        address = str(sock.getsockname()[0]).partition("%")[0]
    except OSError:
        return "localhost"
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"
