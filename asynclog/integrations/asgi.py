"""Any ASGI app: deliver what was logged when the server shuts the app down.

uvicorn ends by raising the signal again that it was sent, so that no exit function ever runs, and
what then waits in memory is gone. What every ASGI server does tell is the end of the *lifespan*:

    app = DrainAtShutdown(app)                 # round any ASGI app
    app.add_middleware(DrainAtShutdown)        # Starlette, FastAPI

Nothing is stopped by it: what is logged later is still taken, and delivered where exit functions run.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from asynclog import checks
from asynclog.alarm import write_line
from asynclog.listener import QueueListener
from asynclog.listeners import all_listeners

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

# After each of these the server may end the process in whichever way it likes.
_ENDS = ("lifespan.startup.failed", "lifespan.shutdown.complete", "lifespan.shutdown.failed")


class DrainAtShutdown:
    """Wrap an ASGI app so that all that was logged is delivered before the server may end.

    When the app has shut down, and before the server hears of it, every listener is flushed without
    holding up the event loop. An app that knows nothing of lifespans is given one. Everything else
    is passed through untouched.

    Args:
        app: The app.
        listeners: What to flush; default: every listener of the process.
        timeout: Seconds to wait at most; default: each listener's ``exit_timeout``. It must be less
            than the server's own patience at shutdown (hypercorn's ``shutdown_timeout``, a container's
            grace period).

    Raises:
        OptionTypeError: The timeout is no number, or there is something other than a listener.
        OptionValueError: The timeout is negative or no finite number.
    """

    def __init__(self, app: ASGIApp, *listeners: QueueListener, timeout: float | None = None) -> None:
        for one in listeners:
            if not isinstance(one, QueueListener):
                checks.bad_type("listeners", one, "give asynclog.QueueListener objects, such as wrap(…).listener")
        self.app = app
        self.listeners = listeners
        self.timeout = None if timeout is None else checks.seconds("timeout", timeout)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection, or the lifespan."""
        if scope["type"] == "lifespan":
            await _Lifespan(self, receive, send).run(scope)
        else:
            await self.app(scope, receive, send)

    async def drain(self) -> bool:
        """Flush the listeners, all at the same time, without holding up the running loop.

        Returns:
            Whether nothing is left.
        """
        import anyio

        done = []

        async def flush(listener: QueueListener) -> None:
            timeout = listener.exit_timeout if self.timeout is None else self.timeout
            done.append(await listener.aflush(timeout))

        listeners = self.listeners or all_listeners()
        async with anyio.create_task_group() as group:
            for listener in listeners:
                group.start_soon(flush, listener)
        for listener in listeners:
            # Under uvicorn nobody else is going to say so. Where exit functions run, they go on trying.
            left, why = listener.left()
            if left:
                line = f"asynclog: {left} records not delivered at the app's shutdown, {listener.name}: {why}"
                write_line(line.rstrip(": "))
        return all(done)


class _Lifespan:
    """One lifespan: what the app and the server say to each other is passed on, and listened to."""

    def __init__(self, owner: DrainAtShutdown, receive: Receive, send: Send) -> None:
        self._owner = owner
        self._receive = receive
        self._send = send
        self._asked = False
        self._said = ""

    async def run(self, scope: Scope) -> None:
        try:
            await self._owner.app(scope, self._hear, self._say)
        except Exception:
            # Before it listened or spoke: it knows of no lifespan. Later: it has one, which failed.
            if self._asked or self._said:
                await self._owner.drain()
                raise
        if not self._said:
            await self._stand_in()
        elif self._said not in _ENDS:
            await self._owner.drain()  # it ended without a word

    async def _hear(self) -> Message:
        self._asked = True
        return await self._receive()

    async def _say(self, message: Message) -> None:
        if message["type"] in _ENDS:
            await self._owner.drain()
        self._said = message["type"]
        await self._send(message)

    async def _stand_in(self) -> None:
        """Have a lifespan in place of an app that has none."""
        kind = "lifespan.startup" if self._asked else (await self._receive())["type"]
        while kind != "lifespan.shutdown":
            if kind == "lifespan.startup":
                await self._send({"type": "lifespan.startup.complete"})
            kind = (await self._receive())["type"]
        await self._owner.drain()
        await self._send({"type": "lifespan.shutdown.complete"})
