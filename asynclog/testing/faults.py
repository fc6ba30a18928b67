"""What a mail server can do wrong, one named function each, for `FaultSMTPServer`.

Each returns a `Behaviour`; `healthy` is the good one. None of them keeps state between two calls of
the function, but one behaviour's counters are shared by the connections that it serves.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable, Iterator, Mapping

from asynclog.testing.smtpd_connection import HEALTHY, Behaviour, Closed, Connection, Hook


def healthy() -> Behaviour:
    """Do everything right."""
    return HEALTHY


def slow(seconds: float) -> Behaviour:
    """Take ``seconds`` for each mail."""

    async def message(connection: Connection, argument: str) -> None:
        await asyncio.sleep(seconds)
        await connection.ordinary("message", argument)

    return Behaviour(f"{seconds:g} s a mail", {"message": message})


def refusing() -> Behaviour:
    """Close the port: connections are refused, standing ones are cut."""
    return Behaviour("refusing connections", listens=False)


def silent() -> Behaviour:
    """Accept connections and never say a word, on standing ones either."""
    verbs = ("connect", "EHLO", "HELO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "message", "QUIT")
    return Behaviour("accepting and silent", dict.fromkeys(verbs, _hang))


def late_greeting(seconds: float) -> Behaviour:
    """Greet after ``seconds``."""

    async def connect(connection: Connection, argument: str) -> None:
        await asyncio.sleep(seconds)
        await connection.ordinary("connect", argument)

    return Behaviour("late greeting", {"connect": connect})


def greets_with(reply: str) -> Behaviour:
    """Greet with another reply, such as ``421 too busy``, and close."""
    return answers({"connect": reply}, closes=True)


def resets_at_accept() -> Behaviour:
    """Reset each connection as soon as it is accepted."""
    return aborts_at("connect")


@contextlib.contextmanager
def full_backlog() -> Iterator[int]:
    """Give the port of a socket that never accepts and whose backlog is full."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(16):
            filler = stack.enter_context(socket.socket())
            filler.settimeout(0.3)
            try:
                filler.connect(server.getsockname())
            except TimeoutError:
                break
        else:
            raise OSError(errno.ENOSYS, "this system's backlog doesn't fill")
        yield server.getsockname()[1]


def stops_after(command: str) -> Behaviour:
    """Answer ``command`` and then nothing any more, with the connection open."""

    async def hook(connection: Connection, argument: str) -> None:
        await connection.ordinary(command, argument)
        await connection.hang()

    return Behaviour(f"stops after {command}", {command: hook})


def aborts_at(command: str) -> Behaviour:
    """Reset the connection in place of an answer to ``command``."""

    async def hook(connection: Connection, _: str) -> None:
        connection.abort()

    return Behaviour(f"aborts at {command}", {command: hook})


def aborts_in_text(after: int) -> Behaviour:
    """Reset the connection after ``after`` bytes of the mail."""

    async def text(connection: Connection, _: str) -> None:
        await connection.reader.readexactly(after)
        connection.abort()

    return Behaviour(f"aborts after {after} bytes", {"text": text})


def stores_and_closes() -> Behaviour:
    """Store the mail at the final dot, and close without a reply."""

    async def message(connection: Connection, argument: str) -> None:
        connection.store(argument.encode("latin-1"))
        connection.abort(reset=False)

    return Behaviour("stores and closes", {"message": message})


def stores_and_answers_late(seconds: float) -> Behaviour:
    """Store the mail, and say so after ``seconds``."""

    async def message(connection: Connection, argument: str) -> None:
        connection.store(argument.encode("latin-1"))
        await asyncio.sleep(seconds)
        await connection.reply("250 stored, at last")

    return Behaviour("stores and answers late", {"message": message})


def closes_after(mails: int) -> Behaviour:
    """Answer 421 and close once ``mails`` came over a connection."""

    async def mail(connection: Connection, argument: str) -> None:
        if connection.stored >= mails:
            await connection.reply("421 4.7.0 enough for one connection")
            raise Closed
        await connection.ordinary("MAIL", argument)

    return Behaviour(f"closes after {mails} mails", {"MAIL": mail})


def greylists(passes: Callable[[], bool], reply: str = "451 4.7.1 greylisted") -> Behaviour:
    """Refuse each recipient for the time being until ``passes`` says yes."""

    async def rcpt(connection: Connection, argument: str) -> None:
        if passes():
            await connection.ordinary("RCPT", argument)
        else:
            await connection.reply(reply)

    return Behaviour("greylisting", {"RCPT": rcpt})


def limits_recipients(most: int, reply: str = "452 4.5.3 too many recipients") -> Behaviour:
    """Take ``most`` recipients a mail."""

    async def rcpt(connection: Connection, argument: str) -> None:
        if len(connection.recipients) < most:
            await connection.ordinary("RCPT", argument)
        else:
            await connection.reply(reply)

    return Behaviour(f"{most} recipients a mail", {"RCPT": rcpt})


def refuses_recipients(replies: Mapping[str, str]) -> Behaviour:
    """Refuse some recipients, each with its reply."""

    async def rcpt(connection: Connection, argument: str) -> None:
        reply = replies.get(argument[4:].partition(">")[0])
        if reply is None:
            await connection.ordinary("RCPT", argument)
        else:
            await connection.reply(reply)

    return Behaviour("refuses recipients", {"RCPT": rcpt})


def refuses_large(limit: int, at: str = "message", reply: str = "552 5.3.4 message too big") -> Behaviour:
    """Refuse mails of more than ``limit`` bytes, at ``"MAIL"`` by its SIZE or after the final dot."""

    async def mail(connection: Connection, argument: str) -> None:
        size = next((word[5:] for word in argument.upper().split() if word.startswith("SIZE=")), "0")
        await (connection.reply(reply) if int(size) > limit else connection.ordinary("MAIL", argument))

    async def message(connection: Connection, argument: str) -> None:
        await (connection.reply(reply) if len(argument) > limit else connection.ordinary("message", argument))

    return Behaviour(f"refuses over {limit} bytes", {"MAIL": mail} if at == "MAIL" else {"message": message})


def refuses_text_with(word: str, reply: str = "554 5.7.1 content refused") -> Behaviour:
    """Refuse mails in whose bytes an ASCII ``word`` stands."""

    async def message(connection: Connection, argument: str) -> None:
        await (connection.reply(reply) if word in argument else connection.ordinary("message", argument))

    return Behaviour(f"refuses {word!r}", {"message": message})


def answers(replies: Mapping[str, str], *, closes: bool = False) -> Behaviour:
    """Answer some commands always with the same; ``closes``: and then close."""

    def hook(reply: str) -> Hook:
        async def answer(connection: Connection, _: str) -> None:
            await connection.reply(reply)
            if closes:
                raise Closed

        return answer

    return Behaviour(f"answers {dict(replies)}", {command: hook(reply) for command, reply in replies.items()})


def answers_raw(command: str, data: bytes) -> Behaviour:
    """Answer a command with bytes that need not be a reply, and hang."""

    async def hook(connection: Connection, _: str) -> None:
        await connection.send(data)
        await connection.hang()

    return Behaviour(f"answers {command} with {data[:20]!r}", {command: hook})


def floods(command: str, chunk: bytes = b"250-more\r\n" * 1000) -> Behaviour:
    """Answer a command without end."""

    async def hook(connection: Connection, _: str) -> None:
        while True:
            await connection.send(chunk)

    return Behaviour(f"floods at {command}", {command: hook})


def hides_starttls() -> Behaviour:
    """Leave STARTTLS out of what is offered, as somebody on the way does who wants to read along."""
    return Behaviour("no STARTTLS", hides=("STARTTLS",))


def hangs_in_handshake() -> Behaviour:
    """Agree to STARTTLS, then never shake hands."""

    async def starttls(connection: Connection, _: str) -> None:
        await connection.reply("220 go ahead")
        await connection.hang()

    return Behaviour("hangs in the handshake", {"STARTTLS": starttls})


def injects_before_tls(extra: str = "250-injected\r\n250 AUTH PLAIN\r\n") -> Behaviour:
    """Send an extra plain-text reply in one segment with STARTTLS's, before TLS begins."""

    async def starttls(connection: Connection, _: str) -> None:
        await connection.send(b"220 go ahead\r\n" + extra.encode())
        await connection.start_tls()

    return Behaviour("injects before TLS", {"STARTTLS": starttls})


class _Dribble:
    """A connection's replies, a byte a segment, each with a line in front."""

    def __init__(self, connection: Connection) -> None:
        self._send = connection.send
        connection.send = self.send  # type: ignore[method-assign]

    async def send(self, data: bytes) -> None:
        code = data[:3]
        if code.isdigit() and code != b"334":
            data = code + b"-in several lines\r\n" + data
        for index in range(len(data)):
            await self._send(data[index : index + 1])
            await asyncio.sleep(0)


def dribbles() -> Behaviour:
    """Send each reply in several lines, a byte at a time, line ends split as well."""

    async def connect(connection: Connection, argument: str) -> None:
        sock = connection.writer.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _Dribble(connection)
        await connection.ordinary("connect", argument)

    return Behaviour("dribbles", {"connect": connect})


def chatters(*, together: bool = True, extra: str = "250 by the way") -> Behaviour:
    """Send a reply that nobody asked for after each answer, in one segment with it or a moment later."""

    def hook(command: str) -> Hook:
        async def answer(connection: Connection, argument: str) -> None:
            if together:
                plain = connection.send

                async def send(data: bytes) -> None:
                    await plain(data + extra.encode() + b"\r\n")

                connection.send = send  # type: ignore[method-assign]
                try:
                    await connection.ordinary(command, argument)
                finally:
                    connection.send = plain  # type: ignore[method-assign]
            else:
                await connection.ordinary(command, argument)
                await connection.reply(extra)

        return answer

    # Not after 354: there the client sends no command, so nothing tells an extra reply from the
    # final one.
    return Behaviour("chatters", {command: hook(command) for command in ("connect", "EHLO", "MAIL", "RCPT", "message")})


def drops_at_quit() -> Behaviour:
    """Cut the connection at QUIT, without a reply or a TLS goodbye."""
    return aborts_at("QUIT")


def reads_slowly(seconds: float = 1.0) -> Behaviour:
    """Read the mail's text a byte every ``seconds``."""

    async def text(connection: Connection, _: str) -> None:
        while await connection.reader.read(1):
            connection.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await asyncio.sleep(seconds)

    return Behaviour("reads slowly", {"text": text})


async def _hang(connection: Connection, _: str) -> None:
    await connection.hang()
