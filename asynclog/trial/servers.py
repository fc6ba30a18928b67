"""The processes of the demo: the mail server, a gunicorn for each app, the load.

Each leads a session of its own, so that a Ctrl-C in the terminal reaches only the demo, which ends
them in order; and each ends by itself when its stdin closes, so that none is left behind even when
the demo is killed.
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


class DemoError(Exception):
    """The demo can't go on; the text says why."""


class Child:
    """A process that speaks JSON lines and ends with the demo.

    Args:
        name: For people.
        arguments: For this Python.
        folder: Where its stderr is kept.
        hear: Called on a thread of its own with each object that it says; ``None``: it says nothing.
        keep: Descriptors that it inherits.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        folder: Path,
        *,
        hear: Callable[[dict[str, Any]], None] | None = None,
        keep: Sequence[int] = (),
    ) -> None:
        self.name = name
        self._stderr = folder / f"{name}.stderr"
        # The same asynclog as ours, also when it was imported from the current directory.
        home = os.path.dirname(os.path.dirname(os.path.abspath(asynclog.__file__)))
        path = os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH"))))
        with self._stderr.open("wb") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if hear else subprocess.DEVNULL,
                stderr=stderr,
                pass_fds=tuple(keep),
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
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
    """

    def __init__(self, folder: Path, took: Callable[[dict[str, Any]], None]) -> None:
        self._took = took
        self._answered = threading.Event()
        self.port = 0
        self.child = Child("mail server", ["-m", "asynclog.trial.mailserver"], folder, hear=self._hear)

    def _hear(self, said: dict[str, Any]) -> None:
        if "mail" in said:
            self._took(said)
            return
        self.port = said.get("port", self.port)
        self._answered.set()

    def wait_until_ready(self) -> None:
        """Wait until it has its port."""
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


class AppProcess:
    """gunicorn with one of the apps.

    Args:
        app: Which.
        mail_port: The mail server's.
        folder: Where its stderr and its last counts are kept.
        outage_file: Where it learns when the shop's database is down; ``None``: never.
    """

    def __init__(self, app: App, mail_port: int, folder: Path, outage_file: Path | None = None) -> None:
        self.app = app
        self._exit_file = folder / f"{app.key}.json"
        # Bound here and handed over: a port that was looked up and then bound by another process
        # can be taken by a third in between.
        with socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG) as listening:
            self.port: int = listening.getsockname()[1]
            outage = None if outage_file is None else str(outage_file)
            given = f"{app.key!r}, {mail_port}, {str(self._exit_file)!r}, {outage!r}"
            factory = f"asynclog.trial.app:create_app({given})"
            arguments = ["-m", "gunicorn", "-c", "python:asynclog.trial.gunicorn_conf"]
            arguments += ["--bind", f"fd://{listening.fileno()}", factory]
            self.child = Child(app.key, arguments, folder, keep=[listening.fileno()])

    def warm_up(self, *, raising: bool = True) -> None:
        """Wait until it serves, and have it do everything a few times that it is going to be measured at.

        Args:
            raising: Whether that includes raising; not before a storm, whose error must be the first.
        """
        deadline = time.monotonic() + _START_SECONDS
        last = RAISING_PATH if raising else PLAIN_PATH
        for path in (*[PLAIN_PATH] * 2 * ONE_IN, last, *[PLAIN_PATH] * ONE_IN, last):
            self._get(path, deadline - time.monotonic())

    def counts(self) -> dict[str, Any]:
        """Ask it for its counts."""
        counts: dict[str, Any] = json.loads(self._get(STATS_PATH, _START_SECONDS))
        return counts

    def last_counts(self) -> dict[str, Any]:
        """Return the counts that it wrote when it ended."""
        try:
            counts: dict[str, Any] = json.loads(self._exit_file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise self.child.failure() from None
        return counts

    def _get(self, path: str, timeout: float) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=max(timeout, 0.1))
        try:
            connection.request("GET", path)
            return connection.getresponse().read()
        except (OSError, http.client.HTTPException) as error:
            if not self.child.running():
                raise self.child.failure() from None
            raise DemoError(f"the app {self.app.label!r} does not answer: {error}") from error
        finally:
            connection.close()


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
        """Have it send what the order asks for: ports, rate, seconds, raising_from, patience.

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
