"""A mail server that behaves as badly as it is told to, for tests.

A raw asyncio server, because well-behaved ones can't be made to answer late, half, twice or not at
all. It keeps every mail that it stored, and every line that it was sent together with whether that
line came over TLS.

    async with FaultSMTPServer(faults.refuses_recipients({"gone@example.com": "550 no such user"})) as server:
        ...                                     # deliver to server.url
        assert server.mails[0].recipients == ("here@example.com",)

What it does wrong is a `Behaviour`, made by the named functions of `asynclog.testing.faults`, and
can be switched while it runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self

from asynclog.testing.smtpd_connection import HEALTHY, Behaviour, Closed, Connection, StoredMail

# Lines and texts up to this are read in one go; also what a test's mail may have.
_LIMIT = 64 * 1024 * 1024


class FaultSMTPServer:
    """A mail server on a free loopback port, as an async context manager.

    Args:
        behaviour: What it does wrong; default nothing. Assign to `behaviour` to switch.
        script: Behaviours of the first connections, in order; later ones get ``behaviour``.
        tls_context: Its certificate; STARTTLS is offered with it.
        implicit_tls: TLS from the start instead.
        credentials: Users and passwords; AUTH is offered with them, over TLS if there is TLS.
        tokens: Users and OAuth2 tokens; XOAUTH2 is offered with them.
        auth_methods: What is offered for ``credentials``.
        requires_login: Refuse mail from who isn't logged in.
        offers: Extensions of EHLO's answer.
        host: Address to listen on.
        port: Port; 0: a free one.

    Attributes:
        mails: Every mail that it stored.
        connections: Every connection that it had.
    """

    def __init__(
        self,
        behaviour: Behaviour = HEALTHY,
        *,
        script: Sequence[Behaviour] = (),
        tls_context: ssl.SSLContext | None = None,
        implicit_tls: bool = False,
        credentials: Mapping[str, str] | None = None,
        tokens: Mapping[str, str] | None = None,
        auth_methods: Sequence[str] = ("PLAIN", "LOGIN", "CRAM-MD5"),
        requires_login: bool = False,
        offers: Sequence[str] = ("PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 50000000"),
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.mails: list[StoredMail] = []
        self.connections: list[Connection] = []
        self.tls_context = tls_context
        self.implicit_tls = implicit_tls
        self.credentials = dict(credentials or {})
        self.tokens = dict(tokens or {})
        self.auth_methods = tuple(auth_methods)
        self.requires_login = requires_login
        self.offers = tuple(offers)
        self.host = host
        self.port = port
        self._behaviour = behaviour
        self._script = list(script)
        self._socket: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listening = False
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The server's URL, without credentials."""
        return f"{'smtps' if self.implicit_tls else 'smtp'}://{self.host}:{self.port}"

    @property
    def lines(self) -> list[tuple[bool, str]]:
        """Every line that any client sent, each with whether it was encrypted."""
        return [line for connection in self.connections for line in connection.lines]

    @property
    def behaviour(self) -> Behaviour:
        """What the server does wrong at present; may be set from any thread."""
        return self._behaviour

    @behaviour.setter
    def behaviour(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        loop = self._loop
        if loop is None:
            return
        try:
            here = asyncio.get_running_loop() is loop
        except RuntimeError:
            here = False
        if here:
            self._apply()
        else:
            asyncio.run_coroutine_threadsafe(self._apply_there(), loop).result(10)

    async def _apply_there(self) -> None:
        self._apply()

    def _apply(self) -> None:
        if self._behaviour.listens == self._listening:
            return
        if self._behaviour.listens:
            self._listen()
        else:
            self._stop_listening()
            for task in self._tasks:
                task.cancel()
            self._bind()  # keeps the port ours; bound and not listening refuses like a closed one

    # -- sockets -----------------------------------------------------------------------------

    def _bind(self) -> None:
        self._socket = socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((self.host, self.port))
        self._socket.setblocking(False)
        self.port = self._socket.getsockname()[1]

    def _listen(self) -> None:
        if self._socket is None or self._loop is None:
            return
        self._socket.listen(128)
        self._loop.add_reader(self._socket.fileno(), self._accept)
        self._listening = True

    def _stop_listening(self) -> None:
        if self._socket is not None:
            if self._listening and self._loop is not None:
                self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
        self._socket, self._listening = None, False

    def _accept(self) -> None:
        if self._socket is None or self._loop is None:
            return
        try:
            sock, _ = self._socket.accept()
        except OSError:
            return  # gone again before it was accepted
        task = self._loop.create_task(self._serve(sock))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(_LIMIT)
        writers: list[asyncio.StreamWriter] = []
        # The protocol's own writer: a second one for the same transport would be the death of the
        # first at STARTTLS, and that of the connection.
        protocol = asyncio.StreamReaderProtocol(reader, lambda _reader, writer: writers.append(writer))
        context = self.tls_context if self.implicit_tls else None
        try:
            await loop.connect_accepted_socket(lambda: protocol, sock, ssl=context)
        except (OSError, ssl.SSLError):
            sock.close()
            return
        writer = writers[0]
        connection = Connection(self, reader, writer, self._script.pop(0) if self._script else None)
        self.connections.append(connection)
        try:
            await connection.run()
        except (Closed, OSError, asyncio.CancelledError):
            pass  # cancelled by this server only: a connection's task ends with it
        finally:
            writer.close()
            if connection.tls:
                loop.call_later(0.5, writer.transport.abort)

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._bind()
        if self._behaviour.listens:
            self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop_listening()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=5)
        for connection in self.connections:
            connection.writer.transport.abort()
        self._loop = None


@contextlib.contextmanager
def running_smtpd(behaviour: Behaviour = HEALTHY, **options: Any) -> Iterator[FaultSMTPServer]:
    """Run a `FaultSMTPServer` on a thread of its own, for tests that are not async.

    Args:
        behaviour: What it does wrong.
        options: As `FaultSMTPServer` takes them.
    """
    server = FaultSMTPServer(behaviour, **options)
    started, failure = threading.Event(), []
    stop: list[Callable[[], object]] = []

    async def serve() -> None:
        end = asyncio.Event()
        loop = asyncio.get_running_loop()
        stop.append(lambda: loop.call_soon_threadsafe(end.set))
        async with server:
            started.set()
            await end.wait()

    def run() -> None:
        try:
            asyncio.run(serve())
        except Exception as error:
            failure.append(error)
        finally:
            started.set()

    thread = threading.Thread(target=run, name="asynclog.testing.smtpd", daemon=True)
    thread.start()
    started.wait(10)
    if failure or not stop:
        raise RuntimeError("the mail server didn't start") from (failure[0] if failure else None)
    try:
        yield server
    finally:
        stop[0]()
        thread.join(10)
