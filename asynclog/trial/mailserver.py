"""A trial's mail server: aiosmtpd in a process of its own, switched by lines on stdin.

It says on stdout, a JSON object a line, which ports it has (one, or as many as the first argument
asks for), that it switched, and every mail that it took, with the number of the port. All ports
behave alike; several tell apart whose a mail is where nothing in the mail does. It ends when stdin
does, so it never outlives the trial.
"""

from __future__ import annotations

import asyncio
import base64
import functools
import json
import logging
import socket
import sys
import time
from typing import Any

from aiosmtpd.smtp import SMTP

SLOW_SECONDS = 2.0
BEHAVIOURS = ("healthy", "slow", "refusing", "silent")


class _Silent(asyncio.Protocol):
    """Accepts and then says nothing, ever: a server that hangs."""

    def __init__(self, open_connections: set[Any]) -> None:
        self._open = open_connections
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._open.add(transport)

    def connection_lost(self, _: Exception | None) -> None:
        self._open.discard(self._transport)


class _Speaking(SMTP):
    """An ordinary SMTP connection that can be found and dropped."""

    def __init__(self, server: MailServer, open_connections: set[Any]) -> None:
        super().__init__(server, hostname="mail.shop.example", loop=asyncio.get_running_loop())
        self._open = open_connections

    def connection_made(self, transport: Any) -> None:
        self._open.add(transport)
        self._connection = transport
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._open.discard(self._connection)
        super().connection_lost(error)


class MailServer:
    """A mail server on a free loopback port whose behaviour can be switched.

    Args:
        took: Called with each mail's envelope and bytes when it has been taken.
    """

    def __init__(self, took: Any) -> None:
        self._took = took
        self._behaviour = "healthy"
        self._open: set[Any] = set()
        self._server: asyncio.Server | None = None
        # Bound and never listening: it keeps the port ours while the server refuses, so that no
        # other program can be given it meanwhile.
        self._guard = self._bind(0)
        self.port: int = self._guard.getsockname()[1]

    @staticmethod
    def _bind(port: int) -> socket.socket:
        # With the protocol said in so many words: asyncio turns Nagle's algorithm off only then, and
        # with it on each EHLO takes 40 ms, which would flatter asynclog.
        bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(("127.0.0.1", port))
        return bound

    async def switch(self, behaviour: str) -> None:
        """Behave otherwise from now on.

        To and from refusing and hanging every connection is dropped, as when a server crashes and
        when it is started again.
        """
        if behaviour not in BEHAVIOURS:
            raise ValueError(behaviour)
        if {behaviour, self._behaviour} & {"refusing", "silent"}:
            self._drop_connections()
        self._behaviour = behaviour
        if behaviour == "refusing":
            self.close()
        elif self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(self._connection, sock=self._bind(self.port))

    def close(self) -> None:
        """Stop listening and drop every connection."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self._drop_connections()

    def _drop_connections(self) -> None:
        for transport in tuple(self._open):
            transport.abort()

    def _connection(self) -> asyncio.BaseProtocol:
        if self._behaviour == "silent":
            return _Silent(self._open)
        protocol: asyncio.BaseProtocol = _Speaking(self, self._open)
        return protocol

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: ARG002, N802 - aiosmtpd's hook
        """Take a mail, at the pace of the moment."""
        if self._behaviour == "slow":
            await asyncio.sleep(SLOW_SECONDS)  # cancelled if the connection is dropped: then it was not taken
        self._took(envelope.mail_from, envelope.rcpt_tos, envelope.original_content)
        return "250 OK"


def _say(**words: Any) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


def _took(box: int, sender: str, recipients: list[str], content: bytes) -> None:
    _say(
        mail=base64.b64encode(content).decode("ascii"),
        box=box,
        sender=sender,
        recipients=list(recipients),
        at=time.monotonic(),
    )


async def _serve(count: int) -> None:
    # What a dropped connection makes aiosmtpd and asyncio say is what the trial asked for.
    logging.disable(logging.CRITICAL)
    servers = [MailServer(functools.partial(_took, box)) for box in range(count)]
    for server in servers:
        await server.switch("healthy")
    _say(ports=[server.port for server in servers])
    loop = asyncio.get_running_loop()
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := (await commands.readline()).decode("ascii").strip():
        for server in servers:
            await server.switch(line)
        _say(switched=line, at=time.monotonic())
    for server in servers:
        server.close()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]) if len(sys.argv) > 1 else 1))
