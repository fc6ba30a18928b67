"""The processes of a trial: the mail server, a server for each app, the load.

Each leads a session of its own, so that a Ctrl-C in the terminal reaches only the trial, which ends
them in order; and each ends by itself when its stdin closes, so that none is left behind even when
the trial is killed.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import asynclog
from asynclog.trial.plan import ONE_IN, PLAIN_PATH, RAISING_PATH, STATS_PATH, App

_START_SECONDS = 30.0
_STOP_SECONDS = 25.0
_BACKLOG = 2048
_NOTHING: Mapping[str, str | None] = {}
_NO_HEADERS: Mapping[str, str] = {}


class DemoError(Exception):
    """The trial can't go on; the text says why."""


class Child:
    """A process that speaks JSON lines and ends with the trial.

    Args:
        name: For people.
        arguments: For this Python.
        folder: Where its stderr is kept.
        hear: Called on a thread of its own with each object that it says; ``None``: it says nothing.
        keep: Descriptors that it inherits.
        cwd: Its directory; ``None``: ours.
        environment: Variables that it gets besides ours; ``None`` for a value: it does not get this one.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        folder: Path,
        *,
        hear: Callable[[dict[str, Any]], None] | None = None,
        keep: Sequence[int] = (),
        cwd: Path | None = None,
        environment: Mapping[str, str | None] = _NOTHING,
    ) -> None:
        self.name = name
        self._stderr = folder / f"{name}.stderr"
        # The same asynclog as ours, also when it was imported from the current directory.
        home = os.path.dirname(os.path.dirname(os.path.abspath(asynclog.__file__)))
        path = os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH"))))
        wanted = {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **environment}
        with self._stderr.open("wb") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if hear else subprocess.DEVNULL,
                stderr=stderr,
                pass_fds=tuple(keep),
                start_new_session=True,
                cwd=cwd,
                env={name: value for name, value in wanted.items() if value is not None},
            )
        self._ended = False
        self._listening = threading.Thread(target=self._listen, args=(hear,), daemon=True) if hear else None
        if self._listening:
            self._listening.start()

    def _listen(self, hear: Callable[[dict[str, Any]], None]) -> None:
        for line in self._process.stdout or ():
            hear(json.loads(line))

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def tell(self, line: str) -> None:
        """Write a line to its stdin."""
        if self._process.stdin is None:
            raise DemoError(f"the {self.name} process has ended")
        try:
            self._process.stdin.write(line.encode("utf-8") + b"\n")
            self._process.stdin.flush()
        except OSError:
            raise self.failure() from None

    def running(self) -> bool:
        """Say whether it runs."""
        return self._process.poll() is None

    def stderr(self) -> str:
        """Return what it has printed on stderr."""
        return self._stderr.read_text(encoding="utf-8", errors="replace")

    def failure(self) -> DemoError:
        """Return an error that says how it ended and what it printed last."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        last = "\n".join(self.stderr().splitlines()[-15:])
        return DemoError(f"the {self.name} process ended with code {self._process.returncode}:\n{last}")

    def ask_to_end(self, signum: signal.Signals | None = signal.SIGTERM) -> None:
        """Ask it to end, by a signal or, without one, by closing its stdin."""
        if signum is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signum)
        elif self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def wait(self) -> None:
        """Wait for its end and for the last that it says; it is ended hard if it takes too long."""
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise DemoError(f"the {self.name} process did not end within {_STOP_SECONDS:g} s") from None
        if self._listening:
            self._listening.join(_STOP_SECONDS)
        self._ended = True

    def kill(self) -> None:
        """End it and whatever it started at once; nothing happens if it has ended."""
        if not self._ended:
            # The group and not the process: a worker may outlive a leader that crashed.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._ended = True
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None and not (pipe is self._process.stdout and self._listening):
                with contextlib.suppress(OSError):
                    pipe.close()


class MailProcess:
    """The mail server's process.

    Args:
        folder: Where its stderr is kept.
        took: Called with what it says of each mail that it took.
        count: How many ports it has.

    Attributes:
        ports: Its ports on 127.0.0.1.
    """

    def __init__(self, folder: Path, took: Callable[[dict[str, Any]], None], count: int = 1) -> None:
        self._took = took
        self._answered = threading.Event()
        self.ports: tuple[int, ...] = ()
        self.child = Child("mail server", ["-m", "asynclog.trial.mailserver", str(count)], folder, hear=self._hear)

    @property
    def port(self) -> int:
        """The first of its ports."""
        return self.ports[0]

    def _hear(self, said: dict[str, Any]) -> None:
        if "mail" in said:
            self._took(said)
            return
        self.ports = tuple(said.get("ports", self.ports))
        self._answered.set()

    def wait_until_ready(self) -> None:
        """Wait until it has its ports."""
        self._wait_for_answer()

    def switch(self, behaviour: str) -> None:
        """Have it behave otherwise, and wait until it does."""
        self._answered.clear()
        self.child.tell(behaviour)
        self._wait_for_answer()

    def _wait_for_answer(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not self._answered.wait(0.05):
            if not self.child.running():
                raise self.child.failure()
            if time.monotonic() > deadline:
                raise DemoError(f"the mail server did not answer within {_START_SECONDS:g} s")


class ServedApp:
    """A server with one of the apps.

    Args:
        app: Which.
        folder: Where its stderr and its last counts are kept.
        arguments: Called with the descriptor that it has to listen on, returns what this Python is given.
        stats_path: Where it tells its counts.
        options: For its `Child`.
    """

    def __init__(
        self,
        app: App,
        folder: Path,
        arguments: Callable[[int], Sequence[str]],
        *,
        stats_path: str = STATS_PATH,
        **options: Any,
    ) -> None:
        self.app = app
        self._stats_path = stats_path
        self._exit_file = exit_file(folder, app)
        # Bound here and handed over: a port that was looked up and then bound by another process
        # can be taken by a third in between.
        with socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG) as listening:
            self.port: int = listening.getsockname()[1]
            descriptor = listening.fileno()
            self.child = Child(app.key, arguments(descriptor), folder, keep=[descriptor], **options)

    def counts(self) -> dict[str, Any]:
        """Ask it for its counts."""
        counts: dict[str, Any] = json.loads(self.get(self._stats_path, _START_SECONDS)[1])
        return counts

    def last_counts(self) -> dict[str, Any]:
        """Return the counts that it wrote when it ended."""
        try:
            counts: dict[str, Any] = json.loads(self._exit_file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise self.child.failure() from None
        return counts

    def get(self, path: str, timeout: float, headers: Mapping[str, str] = _NO_HEADERS) -> tuple[int, bytes]:
        """Ask it for a path.

        Returns:
            The answer's status and body.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=max(timeout, 0.1))
        try:
            connection.request("GET", path, headers=dict(headers))
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            if not self.child.running():
                raise self.child.failure() from None
            raise DemoError(f"the app {self.app.label!r} does not answer: {error}") from error
        finally:
            connection.close()


def exit_file(folder: Path, app: App) -> Path:
    """Return where an app writes its last counts."""
    return folder / f"{app.key}.json"


def start_deadline() -> float:
    """Return until when an app that starts now must serve, on the monotonic clock."""
    return time.monotonic() + _START_SECONDS


class AppProcess(ServedApp):
    """gunicorn with one of the demo's apps.

    Args:
        app: Which.
        mail_port: The mail server's.
        folder: Where its stderr and its last counts are kept.
        outage_file: Where it learns when the shop's database is down; ``None``: never.
    """

    def __init__(self, app: App, mail_port: int, folder: Path, outage_file: Path | None = None) -> None:
        outage = None if outage_file is None else str(outage_file)
        given = f"{app.key!r}, {mail_port}, {str(exit_file(folder, app))!r}, {outage!r}"
        super().__init__(app, folder, lambda listening: gunicorn(listening, f"asynclog.trial.app:create_app({given})"))

    def warm_up(self, *, raising: bool = True) -> None:
        """Wait until it serves, and have it do everything a few times that it is going to be measured at.

        Args:
            raising: Whether that includes raising; not before a storm, whose error must be the first.
        """
        deadline = start_deadline()
        last = RAISING_PATH if raising else PLAIN_PATH
        for path in (*[PLAIN_PATH] * 2 * ONE_IN, last, *[PLAIN_PATH] * ONE_IN, last):
            self.get(path, deadline - time.monotonic())


def gunicorn(listening: int, app: str, *options: str) -> list[str]:
    """Return this Python's arguments for gunicorn on a descriptor; settings in `gunicorn_conf` give way to options."""
    conf = ["-c", "python:asynclog.trial.gunicorn_conf"]
    return ["-m", "gunicorn", *conf, *options, "--bind", f"fd://{listening}", app]


class LoadProcess:
    """The load's process.

    Args:
        folder: Where its stderr is kept.
        hear: Called with what it says of the requests that are done and that wait.
    """

    def __init__(self, folder: Path, hear: Callable[[dict[str, Any]], None]) -> None:
        self._hear_of_requests = hear
        self._ready = threading.Event()
        self.child = Child("load", ["-m", "asynclog.trial.load"], folder, hear=self._hear)

    def _hear(self, said: dict[str, Any]) -> None:
        if "ready" in said:
            self._ready.set()
        else:
            self._hear_of_requests(said)

    def begin(self, order: Mapping[str, Any], in_seconds: float) -> float:
        """Have it send what the order asks for, see `asynclog.trial.load.main`.

        Returns:
            When the first request is due, on the monotonic clock that all processes share.
        """
        deadline = time.monotonic() + _START_SECONDS
        while not self._ready.wait(0.05):
            if not self.child.running() or time.monotonic() > deadline:
                raise self.child.failure()
        start = time.monotonic() + in_seconds
        self.child.tell(json.dumps({**order, "start": start}))
        return start
