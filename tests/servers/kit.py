"""Runs a real server with an app that logs, and accounts for what it logged.

Every server leads a process group of its own, gets a bound socket (no port is looked up and then
lost to another process), is ended by its pid, and dumps the stacks of all its threads where it
hangs.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from asynclog.testing.smtpd import FaultSMTPServer
from asynclog.testing.smtpd_connection import StoredMail

MAIL_PORT = "SHOP_MAIL_PORT"
FILE = "SHOP_FILE"
IMPORT_RECORD = "SHOP_LOGS_AT_IMPORT"
EXIT_TIMEOUT = "SHOP_EXIT_TIMEOUT"
PID_HEADER = "X-Pid"
# One that no server uses for itself, unlike SIGUSR1, SIGUSR2 and SIGABRT.
DUMP_SIGNAL = getattr(signal, "SIGRTMIN", signal.SIGUSR1) + 1

ROOT = Path(__file__).resolve().parents[2]
#: Seconds that a server may take to come up, and to end; against hanging only.
PATIENCE = 30.0


@dataclass(frozen=True)
class Answer:
    """What a server answered."""

    id: str
    status: int
    pid: int
    seconds: float


@dataclass(frozen=True)
class Logged:
    """A record that arrived: who logged it, and its id."""

    pid: int
    id: str


class Server:
    """A server's process.

    Args:
        arguments: For this Python, or beginning with a program's path; ``{fd}`` stands for the
            socket's descriptor.
        folder: Where its stderr and the app's file go.
        mail_port: The mail server's.
        settings: More of the environment.
    """

    def __init__(self, arguments: Sequence[str], folder: Path, mail_port: int, **settings: str) -> None:
        self.file = folder / "app.log"
        self._stderr = folder / "stderr.txt"
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "PYTHONFAULTHANDLER": "1",
            MAIL_PORT: str(mail_port),
            FILE: str(self.file),
            **settings,
        }
        python = [sys.executable] if arguments[0].startswith("-") else []
        environment.pop("ASYNCLOG_DISABLED", None)
        with socket.create_server(("127.0.0.1", 0), backlog=256) as listening, self._stderr.open("wb") as stderr:
            self.port: int = listening.getsockname()[1]
            fd = listening.fileno()
            self.process = subprocess.Popen(
                [*python, *(one.format(fd=fd) for one in arguments)],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                pass_fds=[fd],
                start_new_session=True,
                env=environment,
            )

    def get(self, path: str, timeout: float = PATIENCE) -> Answer:
        """Send a request, over a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        began = time.monotonic()
        try:
            connection.request("GET", path, headers={"Connection": "close"})
            response = connection.getresponse()
            response.read()
        finally:
            connection.close()
        took = time.monotonic() - began
        return Answer(path.rpartition("/")[2], response.status, int(response.headers[PID_HEADER]), took)

    def wait_until_ready(self) -> None:
        """Wait until it answers: the socket listens before the server does."""
        try:
            self.get("/ok/ready")
        except (OSError, http.client.HTTPException) as error:
            raise AssertionError(f"the server does not answer: {error}\n{self.stderr()}") from error

    def end(self, signum: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end and wait until it has."""
        self.process.send_signal(signum)
        return self.wait()

    def wait(self) -> int:
        """Wait until it has ended; a hang fails, with the stacks of its threads."""
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, DUMP_SIGNAL)
            time.sleep(1.0)  # for the dump; the test has failed already
            raise AssertionError(f"the server did not end:\n{self.stderr()}") from None

    def kill(self) -> None:
        """End whatever is left of its group."""
        # The group and not the process: a worker may outlive a master that crashed.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stderr(self) -> str:
        """Return what it printed."""
        return self._stderr.read_text(encoding="utf-8", errors="replace")


@contextlib.contextmanager
def running(arguments: Sequence[str], folder: Path, mail_port: int, **settings: str) -> Iterator[Server]:
    """Run a server until the block ends, whatever happens in it."""
    server = Server(arguments, folder, mail_port, **settings)
    try:
        server.wait_until_ready()
        yield server
    finally:
        server.kill()


def send_requests(server: Server, workers: int = 1) -> list[Answer]:
    """Send requests, every fourth a good one, until each worker has failed at some.

    Returns:
        What was answered to each, the good ones too.
    """
    wait_until_all_answer(server, workers)
    answers: list[Answer] = []
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for start in (0, 24):
            numbers = range(start, start + 24)
            paths = [f"/ok/id-ok-{n}" if n % 4 == 0 else f"/fail/id-rq-{n}" for n in numbers]
            answers += pool.map(server.get, paths)
            if len({answer.pid for answer in answers if answer.status == 500}) == workers:
                break
    assert len({answer.pid for answer in answers if answer.status == 500}) == workers, "a worker never answered"
    for answer in answers:
        assert answer.status == (200 if answer.id.startswith("id-ok-") else 500)
    return answers


def wait_until_all_answer(server: Server, workers: int) -> list[Answer]:
    """Send good requests until each worker has answered some; return what was answered."""
    answers: list[Answer] = []
    deadline = time.monotonic() + PATIENCE
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        while len({answer.pid for answer in answers}) < workers:
            assert time.monotonic() < deadline, "a worker never answered"
            answers += pool.map(server.get, ["/ok/again"] * 8)
    return answers


# In a mail's text it may be indented.
_LOGGED = re.compile(r"^[ \t]*(\d+) .*?(id-[a-z]+-\d+)", re.MULTILINE)


def failed(answers: Sequence[Answer]) -> Counter[Logged]:
    """Return what must have been logged for these answers."""
    return Counter(Logged(answer.pid, answer.id) for answer in answers if answer.status == 500)


def in_file(path: Path) -> Counter[Logged]:
    """Return what the file holds."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return Counter(Logged(int(pid), id_) for pid, id_ in _LOGGED.findall(text))


def shown_in_mail(mail: StoredMail) -> set[Logged]:
    """Return the records that a mail shows whole: of a digest those are only some."""
    body = mail.message.get_body(("plain",))
    assert body is not None
    return {Logged(int(pid), id_) for pid, id_ in _LOGGED.findall(body.get_content())}


def counted_in_mails(mails: Sequence[StoredMail]) -> Counter[int]:
    """Return how many records of each process the mails announce."""
    found: Counter[int] = Counter()
    for mail in mails:
        pids = {one.pid for one in shown_in_mail(mail)}
        assert len(pids) == 1, f"a mail speaks of {len(pids)} processes:\n{mail.data.decode(errors='replace')}"
        found[pids.pop()] += mail.count
    return found


def assert_all_arrived(server: Server, smtpd: FaultSMTPServer, expected: Counter[Logged]) -> None:
    """Assert that each record is counted in its process's mails once and in the file once, and nothing else is."""
    mails = smtpd.mails
    told = f"\n{server.stderr()}"
    ids = [mail.message_id for mail in mails]
    assert len(ids) == len(set(ids)), f"a mail came twice{told}"
    shown = Counter(one for mail in mails for one in shown_in_mail(mail))
    assert_same(shown & expected, shown, f"the mails{told}")
    by_process: Counter[int] = Counter()
    for logged, count in expected.items():
        by_process[logged.pid] += count
    assert counted_in_mails(mails) == by_process, f"the mails count wrongly{told}"
    assert_same(in_file(server.file), expected, f"the file{told}")
    assert "records left" not in server.stderr()


def assert_same(found: Counter[Logged], expected: Counter[Logged], where: str) -> None:
    """Assert that nothing is missing, unexpected or there twice."""
    missing, more = expected - found, found - expected
    assert not missing, f"missing {sorted(missing.elements(), key=str)} in {where}"
    assert not more, f"unexpected, or twice: {sorted(more.elements(), key=str)} in {where}"
