"""The load: requests sent when they are due, whatever became of those before.

An open loop. A client that waits for an answer before it asks again sends less the slower the server
is, and so hides just the stalls that it should find ("coordinated omission"). Here each request has
a due time fixed beforehand, and its latency counts from there: if this process itself is late, that
counts too, and is reported.

One thread, no asyncio: its timers wake up to a millisecond late, as much as many answers take. A
`select` on the selector's own descriptor wakes within some ten microseconds.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import json
import select
import selectors
import socket
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from asynclog.trial.plan import ONE_IN, PLAIN_PATH, RAISING_PATH, Due, requests

_REPORT_EVERY = 0.25
_CHUNK = 65_536


@dataclass(frozen=True, slots=True)
class Sample:
    """What came of one request.

    Attributes:
        app: Number of the app.
        due: When it was due, in seconds after the start.
        late: Seconds by which it was sent late.
        latency: Seconds from when it was due until the whole answer was there, or it had failed.
        status: The answer's; 0 if there was none.
        raises: Whether the app was asked for what raises.
        lenient: Whether any answer that is no error will do, also where it raises.
    """

    app: int
    due: float
    late: float
    latency: float
    status: int
    raises: bool
    lenient: bool = False

    @property
    def failed(self) -> bool:
        """Whether the client did not get the answer that this app owes to this request."""
        if self.lenient:
            return not 200 <= self.status < 400
        return self.status != (500 if self.raises else 200)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the apps are asked for.

    Attributes:
        plain: Paths of requests that don't raise, taken in turn.
        raising: Paths of those that do, taken in turn.
        headers: Of every request.
        raising_headers: Of those that raise, besides.
    """

    plain: tuple[str, ...] = (PLAIN_PATH,)
    raising: tuple[str, ...] = (RAISING_PATH,)
    headers: tuple[tuple[str, str], ...] = ()
    raising_headers: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, order: Mapping[str, Any]) -> Asked:
        """Read it from JSON."""

        def pairs(name: str) -> tuple[tuple[str, str], ...]:
            return tuple((header, value) for header, value in order[name])

        return cls(tuple(order["plain"]), tuple(order["raising"]), pairs("headers"), pairs("raising_headers"))

    def request(self, due: Due, port: int) -> bytes:
        """Return a request's bytes."""
        paths = self.raising if due.raises else self.plain
        fields = {"host": ("Host", f"127.0.0.1:{port}")}
        for name, value in (*self.headers, *(self.raising_headers if due.raises else ()), ("Connection", "close")):
            fields[name.lower()] = (name, value)
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.values())
        return f"GET {paths[due.number % len(paths)]} HTTP/1.1\r\n{head}\r\n".encode("latin-1")


DEMO = Asked()


class _Exchange:
    """One request and its answer, on a connection of its own.

    Not kept alive: a server closes idle connections when it likes, and a request sent at that
    moment fails through nobody's fault.
    """

    __slots__ = ("answer", "due", "late", "request", "sock")

    def __init__(self, due: Due, late: float, request: bytes) -> None:
        self.due = due
        self.late = late
        self.request = request
        self.answer = b""
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.sock.setblocking(False)

    def complete(self, *, ended: bool) -> bool:
        """Say whether the whole answer is there.

        Args:
            ended: Whether the server closed the connection, which ends an answer of no stated length.
        """
        head, blank, body = self.answer.partition(b"\r\n\r\n")
        if not blank:
            return False
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                return len(body) >= int(value)
        return ended

    def status(self) -> int:
        """Return the answer's status, 0 if there is none."""
        words = self.answer.split(b" ", 2)
        return int(words[1]) if len(words) == 3 and words[0].startswith(b"HTTP/") and words[1].isdigit() else 0


class OpenLoop:
    """Sends requests when they are due and tells what came of each.

    Args:
        ports: Of the apps, on 127.0.0.1, by number.
        plan: What to send, by rising due time.
        asked: What each request asks for.
        patience: Seconds from its due time after which a request is given up.
        tell: Called with the samples since the last call, and for each app the number of requests
            that wait for an answer and the age of the oldest in seconds; a few times a second.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        ports: Sequence[int],
        plan: Iterable[Due],
        *,
        patience: float,
        tell: Callable[[list[Sample], list[tuple[int, float]]], None],
        asked: Asked = DEMO,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ports = ports
        self._plan = iter(plan)
        self._asked = asked
        self._patience = patience
        self._tell = tell
        self._clock = clock
        self._start = 0.0
        self._selector = selectors.EpollSelector()
        self._descriptor = self._selector.fileno()
        # In the order in which they were due, so the first is the first to be given up.
        self._waiting: dict[_Exchange, None] = {}
        self._done: list[Sample] = []

    def run(self, start: float) -> None:
        """Send everything, and return when every request was answered or given up.

        Args:
            start: When the clock says so, the run is 0 seconds old.
        """
        self._start = start
        upcoming = next(self._plan, None)
        report_at = start
        try:
            while upcoming is not None or self._waiting:
                now = self._clock() - start
                while upcoming is not None and upcoming.at <= now:
                    self._send(upcoming)
                    upcoming = next(self._plan, None)
                    now = self._clock() - start
                self._give_up(now)
                if now + start >= report_at:
                    self._report(now)
                    report_at = now + start + _REPORT_EVERY
                self._wait_and_read(upcoming, report_at)
            self._report(self._clock() - start)
        finally:
            for exchange in self._waiting:
                exchange.sock.close()
            self._selector.close()

    def _wait_and_read(self, upcoming: Due | None, report_at: float) -> None:
        wake_at = report_at
        if upcoming is not None:
            wake_at = min(wake_at, self._start + upcoming.at)
        if self._waiting:
            wake_at = min(wake_at, self._start + next(iter(self._waiting)).due.at + self._patience)
        # epoll's own timeout is in whole milliseconds; `select` on epoll's descriptor is not, and
        # never sees the numbers of the many others.
        select.select([self._descriptor], [], [], max(0.0, wake_at - self._clock()))
        for key, _ in self._selector.select(0):
            self._advance(key.data)

    def _send(self, due: Due) -> None:
        port = self._ports[due.app]
        exchange = _Exchange(due, self._clock() - self._start - due.at, self._asked.request(due, port))
        self._waiting[exchange] = None
        code = exchange.sock.connect_ex(("127.0.0.1", port))
        if code not in {0, errno.EINPROGRESS}:
            self._finish(exchange, registered=False)
            return
        self._selector.register(exchange.sock, selectors.EVENT_WRITE, exchange)

    def _advance(self, exchange: _Exchange) -> None:
        try:
            if exchange.request:
                # Raises what connecting came to; so short a request is always taken whole.
                exchange.sock.send(exchange.request)
                exchange.request = b""
                self._selector.modify(exchange.sock, selectors.EVENT_READ, exchange)
                return
            chunk = exchange.sock.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            self._finish(exchange)
            return
        exchange.answer += chunk
        whole = exchange.complete(ended=not chunk)
        if not chunk and not whole:
            exchange.answer = b""  # cut off: not an answer
        if whole or not chunk:
            self._finish(exchange)

    def _give_up(self, now: float) -> None:
        while self._waiting:
            oldest = next(iter(self._waiting))
            if now - oldest.due.at < self._patience:
                return
            oldest.answer = b""  # what came so far is not an answer
            self._finish(oldest)

    def _finish(self, exchange: _Exchange, *, registered: bool = True) -> None:
        due = exchange.due
        latency = self._clock() - self._start - due.at
        del self._waiting[exchange]
        if registered:
            self._selector.unregister(exchange.sock)
        exchange.sock.close()
        self._done.append(Sample(due.app, due.at, exchange.late, latency, exchange.status(), due.raises))

    def _report(self, now: float) -> None:
        counts = [0] * len(self._ports)
        oldest = [0.0] * len(self._ports)
        for exchange in self._waiting:
            app = exchange.due.app
            counts[app] += 1
            oldest[app] = max(oldest[app], now - exchange.due.at)
        done, self._done = self._done, []
        self._tell(done, list(zip(counts, oldest, strict=True)))


def _print(done: list[Sample], waiting: list[tuple[int, float]]) -> None:
    rows = [[s.app, round(s.due, 6), round(s.late, 6), round(s.latency, 6), s.status, int(s.raises)] for s in done]
    sys.stdout.write(json.dumps({"done": rows, "waiting": waiting}, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Run the load that a JSON object on stdin asks for.

    Its names: ``ports``, ``rate``, ``seconds``, ``raising_from``, ``share``, ``start``, ``patience``, and ``asked``
    with the names of `Asked`; without ``asked`` and ``share``, what the demo asks for.
    """
    sys.stdout.write('{"ready":true}\n')
    sys.stdout.flush()
    line = sys.stdin.readline()
    if not line:
        return  # the demo is gone
    order = json.loads(line)
    gc.disable()
    share = order.get("share", 1 / ONE_IN)
    ports = order["ports"]
    plan = list(requests(order["rate"], order["seconds"], len(ports), raising_from=order["raising_from"], share=share))
    asked = Asked.of(order["asked"]) if "asked" in order else DEMO
    loop = OpenLoop(ports, plan, patience=order["patience"], tell=_print, asked=asked)
    with contextlib.suppress(BrokenPipeError):  # the demo is gone
        loop.run(order["start"])


if __name__ == "__main__":
    main()
