"""The worker's event loop: asyncio's, with nothing in it that gevent patched or that exit shuts down.

Three things differ from `asyncio.SelectorEventLoop`. The selector is the system's own, not gevent's
(which would hand the wait to a hub that this thread doesn't have). The pair of sockets that wakes
the loop is made by the C module. And names are resolved on a daemon thread of our own: asyncio's
way is an executor, which is shut down before ``atexit`` functions run, so that from there no mail
server could be reached by name any more.
"""

from __future__ import annotations

import _socket
import asyncio
import encodings.idna  # noqa: F401  # loaded late by name resolution, it is "unknown" in a forked child
import selectors
import socket
from collections.abc import Mapping
from typing import Any

from asynclog.sink_thread import SinkThread
from asynclog.threads import original
from asynclog.turns import turns

_EVENTS = ((selectors.EVENT_READ, 1), (selectors.EVENT_WRITE, 4))  # POLLIN, POLLOUT
_MAX_WAIT_MS = 24 * 3600 * 1000


class PollSelector(selectors._BaseSelectorImpl):
    """A selector over the system's ``poll``, looked up past gevent's patches.

    ``poll`` and not ``epoll``: it holds no descriptor, so a forked child inherits none, and a
    loop with a handful of descriptors gains nothing from ``epoll``.
    """

    def __init__(self) -> None:
        super().__init__()
        self._poll = original("select", "poll")()
        self._turns = turns()

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Watch a file object."""
        key: selectors.SelectorKey = super().register(fileobj, events, data)
        self._poll.register(key.fd, sum(flag for event, flag in _EVENTS if events & event))
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """Stop watching a file object."""
        key: selectors.SelectorKey = super().unregister(fileobj)
        try:
            self._poll.unregister(key.fd)
        except (KeyError, OSError):
            pass  # closed before it was unregistered: poll has forgotten it already
        return key

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Watch a file object for other events."""
        self.unregister(fileobj)
        return self.register(fileobj, events, data)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for the first event, or for ``timeout`` seconds."""
        if timeout is None:
            wait = None
        elif timeout <= 0:
            wait = 0
        else:
            wait = min(int(timeout * 1000) + 1, _MAX_WAIT_MS)
        try:
            found = self._poll.poll(wait)
        except InterruptedError:
            return []
        finally:
            if wait != 0:
                self._turns.begin()
        keys: Mapping[int, selectors.SelectorKey] = self._fd_to_key  # type: ignore[attr-defined]
        ready = []
        for fd, flags in found:
            # An error or a hang-up is told to whoever waits, for reading or writing.
            events = (selectors.EVENT_READ if flags & ~4 else 0) | (selectors.EVENT_WRITE if flags & ~1 else 0)
            key = keys.get(fd)
            if key is not None and events & key.events:
                ready.append((key, events & key.events))
        return ready


class WorkerLoop(asyncio.SelectorEventLoop):
    """An event loop for the worker's thread."""

    def __init__(self) -> None:
        self._resolver = SinkThread("name resolution", runs_app_code=False)
        super().__init__(PollSelector())
        self._resolver.start()

    def _make_self_pipe(self) -> None:
        # The base class's, but of sockets that gevent has not patched.
        pair = _socket.socketpair()
        base = original("socket", "socket")
        ours = (base(one.family, one.type, one.proto, one.detach()) for one in pair)
        self._ssock, self._csock = ours
        self._ssock.setblocking(False)
        self._csock.setblocking(False)
        self._internal_fds += 1  # type: ignore[attr-defined]
        self._add_reader(self._ssock.fileno(), self._read_from_self)  # type: ignore[attr-defined]

    async def getaddrinfo(
        self,
        host: Any,
        port: Any,
        *,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:
        """Resolve a name on the loop's own daemon thread."""
        found = await self._resolver.call(_socket.getaddrinfo, host, port, family, type, proto, flags)
        return [(socket.AddressFamily(one[0]), socket.SocketKind(one[1]), *one[2:]) for one in found]

    def close(self) -> None:
        """Close the loop and end its thread."""
        self._resolver.stop()
        super().close()
