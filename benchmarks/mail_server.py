"""A mail server in a process of its own: what it costs is nobody's whom a benchmark measures.

It is the test kit's server, a good deal quicker than aiosmtpd, so that its share in a mail's time is
small. It ends when its stdin does.
"""

from __future__ import annotations

import asyncio
import json
import queue
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from asynclog.testing import faults
from asynclog.testing.smtpd import FaultSMTPServer
from asynclog.testing.smtpd_connection import Behaviour, Connection
from asynclog.trial.servers import Child

#: A healthy server that takes a command at a time.
ONE_BY_ONE = "one by one"

_ANSWER_SECONDS = 30.0
_DEAD = {"silent": faults.silent, "refusing": faults.refusing}


class MailServer:
    """The server's process, as a context manager.

    Args:
        behaviour: ``"healthy"``, ``"silent"`` (it accepts and never says a word), ``"refusing"``
            (the port is closed) or `ONE_BY_ONE`: healthy without PIPELINING.

    Attributes:
        port: Where it listens, on loopback.
    """

    def __init__(self, behaviour: str = "healthy") -> None:
        self._behaviour = behaviour
        self._answers: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self.port = 0

    def __enter__(self) -> MailServer:
        self._folder = tempfile.TemporaryDirectory()
        arguments = ["-m", "benchmarks.mail_server", self._behaviour]
        self._child = Child("mail server", arguments, Path(self._folder.name), hear=self._answers.put)
        try:
            self.port = self._answer()["port"]
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.kill()
        self._folder.cleanup()

    @property
    def url(self) -> str:
        """The server's URL, for an `asynclog.SMTPSink`."""
        return f"smtp://127.0.0.1:{self.port}"

    def mails(self) -> list[tuple[float, int]]:
        """Return when it took each mail, by `time.monotonic`, and how many records that announces.

        A mail without asynclog's header announces one.
        """
        self._child.tell("mails")
        return [(at, count) for at, count in self._answer()["mails"]]

    def forget(self) -> None:
        """Forget what it has taken so far."""
        self._child.tell("forget")
        self._answer()

    def _answer(self) -> dict[str, Any]:
        try:
            return self._answers.get(timeout=_ANSWER_SECONDS)
        except queue.Empty:
            raise self._child.failure() from None


def _dated(times: list[float]) -> Behaviour:
    async def message(connection: Connection, argument: str) -> None:
        times.append(time.monotonic())
        await connection.ordinary("message", argument)

    return Behaviour("healthy, with a clock", {"message": message})


def _say(**words: Any) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


async def _serve(behaviour: str) -> None:
    times: list[float] = []
    kind = _DEAD[behaviour]() if behaviour in _DEAD else _dated(times)
    offers = ("8BITMIME", "SMTPUTF8", "SIZE 50000000") if behaviour == ONE_BY_ONE else None
    async with FaultSMTPServer(kind, **({} if offers is None else {"offers": offers})) as server:
        _say(port=server.port)
        commands = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
        while command := (await commands.readline()).strip():
            if command == b"forget":
                times.clear()
                server.mails.clear()
                server.connections.clear()
            counts = [mail.count or 1 for mail in server.mails]
            _say(mails=list(zip(times, counts, strict=False)))


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
