"""One cell of the matrix: a server in one state of the mail server, with every contender's app at once."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import socket
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from asynclog.trial.accounts import Mail, mails_of
from asynclog.trial.load import Sample
from asynclog.trial.plan import PLAIN_PATH
from asynclog.trial.servers import Child, DemoError, MailProcess
from benchmarks.latency import processes
from benchmarks.latency.accounts import Account, account
from benchmarks.latency.plan import Contender, Server, State, Timing
from benchmarks.latency.witness import Settings, count_in_file, read_raised, stats_path

_START_SECONDS = 60.0
_BACKLOG = 4096
_WARM_UP = 5
_LEAD = 0.3


@dataclass(frozen=True, slots=True)
class Memory:
    """What a serving process held, in bytes."""

    end: int
    peak: int


@dataclass(frozen=True, slots=True)
class Cell:
    """What came of one.

    Attributes:
        server: Which server.
        state: The mail server's state.
        contenders: Who took part, by the samples' number.
        timing: How it was measured.
        samples: Every request, by due time; those before ``timing.cold`` are the first of their process.
        accounts: Where each contender's errors have gone.
        memory: Of each contender's serving process when the load had ended; empty where there is no
            ``/proc``.
        cpu: Seconds of processor time of each contender's serving process while it was measured.
        busy: Share of all the machine's processor time that was used meanwhile, by whomever;
            ``None`` where there is no ``/proc``.
    """

    server: Server
    state: State
    contenders: Sequence[Contender]
    timing: Timing
    samples: Sequence[Sample]
    accounts: Mapping[str, Account]
    memory: Mapping[str, Memory]
    cpu: Mapping[str, float]
    busy: float | None

    def of(self, contender: Contender, *, cold: bool = False) -> list[Sample]:
        """Return a contender's requests: those that count, or those before."""
        number = self.contenders.index(contender)
        return [one for one in self.samples if one.app == number and (one.due < self.timing.cold) == cold]

    def waited(self, sample: Sample) -> float:
        """Return the seconds that a request counts with: one that failed, no less than its client's patience."""
        return max(sample.latency, self.timing.patience) if sample.failed else sample.latency


class _Served:
    """A server with one contender's app."""

    def __init__(self, server: Server, contender: Contender, mail_port: int, folder: Path, timing: Timing) -> None:
        self.contender = contender
        settings = Settings(contender.key, mail_port, str(folder), timing.exit_timeout, timing.grace, server.exits)
        # Bound here and handed over: a port that was looked up can be taken by another program.
        with socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG) as listening:
            self.port: int = listening.getsockname()[1]
            arguments = [one.format(fd=listening.fileno()) for one in server.arguments]
            self.child = Child(
                contender.key,
                ["-m", "benchmarks.latency.serve", json.dumps(asdict(settings)), *arguments],
                folder,
                keep=[listening.fileno()],
            )

    def warm_up(self) -> None:
        """Wait until it serves, and have it serve a few pages that raise nothing."""
        for _ in range(_WARM_UP):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_START_SECONDS)
            try:
                connection.request("GET", PLAIN_PATH, headers={"Connection": "close"})
                connection.getresponse().read()
            except (OSError, http.client.HTTPException) as error:
                if not self.child.running():
                    raise self.child.failure() from None
                raise DemoError(f"{self.contender.label} does not answer: {error}\n{self.child.stderr()}") from error
            finally:
                connection.close()


class _Load:
    """The load's process."""

    def __init__(self, folder: Path) -> None:
        self._samples: list[Sample] = []
        self._ready = threading.Event()
        self.child = Child("load", ["-m", "benchmarks.latency.load"], folder, hear=self._hear)

    def _hear(self, said: dict[str, Any]) -> None:
        if "ready" in said:
            self._ready.set()
            return
        self._samples = [
            Sample(app, due, late, latency, status, raises=True) for app, due, late, latency, status in said["samples"]
        ]

    def begin(self, ports: Sequence[int], timing: Timing, seed: int) -> float:
        """Start it; return when the first request is due, on the monotonic clock that all processes share."""
        if not self._ready.wait(_START_SECONDS):
            raise self.child.failure()
        start = time.monotonic() + _LEAD
        self.child.tell(json.dumps({"ports": ports, "timing": asdict(timing), "seed": seed, "start": start}))
        return start

    def samples(self) -> list[Sample]:
        """Wait for its end and return what came of each request, by due time."""
        self.child.wait()
        if not self._samples:
            raise self.child.failure()
        return sorted(self._samples, key=lambda one: one.due)


def run(server: Server, state: State, contenders: Sequence[Contender], timing: Timing, seed: int) -> Cell:
    """Measure one cell; no process of it is left, whatever happens.

    Raises:
        DemoError: A process could not be started, or ended on its own.
    """
    mails: list[Mail] = []

    def took(said: dict[str, Any]) -> None:
        mails.append(Mail(said["at"], said["sender"], tuple(said["recipients"]), base64.b64decode(said["mail"])))

    with tempfile.TemporaryDirectory(prefix="asynclog-bench-") as name, contextlib.ExitStack() as children:
        folder = Path(name)
        mail = MailProcess(folder, took)
        children.enter_context(mail.child)
        load = _Load(folder)
        children.enter_context(load.child)
        mail.wait_until_ready()
        apps = []
        for contender in contenders:
            apps.append(_Served(server, contender, mail.port, folder, timing))
            children.enter_context(apps[-1].child)
        for app in apps:
            app.warm_up()
        mail.switch(state.key)
        pids = {app.contender.key: read_raised(folder, app.contender.key)[0] for app in apps}
        start = load.begin([app.port for app in apps], timing, seed)
        busy, cpu = _watch(start, timing, pids, [mail.child, *(app.child for app in apps)])
        samples = _last_answers(load, timing)
        memory = {key: Memory(*found) for key, pid in pids.items() if (found := processes.memory(pid))}
        _end(apps, timing)
        mail.child.ask_to_end(None)
        mail.child.wait()
        accounts = {app.contender.key: _account(server, app, folder, mails) for app in apps}
    return Cell(server, state, contenders, timing, samples, accounts, memory, cpu, busy)


def _watch(
    start: float, timing: Timing, pids: Mapping[str, int], running: Sequence[Child]
) -> tuple[float | None, dict[str, float]]:
    """Sleep while it is measured; return how busy the machine was, and each process's processor time."""
    time.sleep(max(0.0, start + timing.cold - time.monotonic()))
    machine = processes.machine()
    before = {key: processes.cpu(pid) for key, pid in pids.items()}
    end = start + timing.cold + timing.seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(0.5, left))
        for child in running:
            if not child.running():
                raise child.failure()
    after = {key: processes.cpu(pid) for key, pid in pids.items()}
    used = {key: after[key] - before[key] for key in pids}
    return processes.busy_between(machine, processes.machine()), used


def _last_answers(load: _Load, timing: Timing) -> list[Sample]:
    deadline = time.monotonic() + 3 * timing.patience + _START_SECONDS
    while load.child.running():
        if time.monotonic() > deadline:
            raise DemoError("the load did not end")
        time.sleep(0.02)
    return load.samples()


def _end(apps: Sequence[_Served], timing: Timing) -> None:
    """End every server as a process manager does: SIGTERM, and SIGKILL for what has not ended in time."""
    for app in apps:
        app.child.ask_to_end()
    deadline = time.monotonic() + timing.grace
    while any(app.child.running() for app in apps) and time.monotonic() < deadline:
        time.sleep(0.02)
    for app in apps:
        app.child.kill()


def _account(server: Server, app: _Served, folder: Path, mails: Sequence[Mail]) -> Account:
    key = app.contender.key
    _, raised = read_raised(folder, key)
    path = stats_path(folder, key)
    stats = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    return account(
        app.contender,
        raised,
        mails_of(key, mails),
        app.child.stderr(),
        stats,
        exits=server.exits,
        written=count_in_file(folder, key),
    )
