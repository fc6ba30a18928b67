from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from asynclog import threads, uwsgi


def as_uwsgi(monkeypatch: pytest.MonkeyPatch, worker: int, **options: object) -> None:
    named = {name.replace("_", "-"): value for name, value in options.items()}
    monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace(worker_id=lambda: worker, opt=named))


def test_elsewhere_threads_start_and_run() -> None:
    assert not uwsgi.forks_soon()
    assert uwsgi.has_threads()


def test_no_thread_starts_in_a_process_that_is_no_worker_yet(monkeypatch) -> None:
    as_uwsgi(monkeypatch, 0)
    assert not threads.start(lambda: None)


# In a process of their own, where nothing has started asynclog's worker yet.
_BEFORE_THE_FORK = """
import asyncio, logging, sys
from types import SimpleNamespace
sys.modules["uwsgi"] = SimpleNamespace(worker_id=lambda: 0, opt={})
import asynclog

def log(handler, number):
    handler.handle(logging.LogRecord("shop", logging.ERROR, "shop.py", 1, "failed %d", (number,), None))
"""


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-c", _BEFORE_THE_FORK + program, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[1],
    )
    assert done.returncode == 0, done.stderr
    return done


def test_what_is_logged_there_is_delivered_in_the_call(tmp_path) -> None:
    program = """
path = sys.argv[1]
handler = asynclog.wrap(asynclog.FileSink(path))
for number in range(3):
    log(handler, number)
    assert open(path).read() == "".join(f"failed {n}\\n" for n in range(number + 1))
assert handler.listener.stats()["delivered"] == 3
import os
assert len(os.listdir("/proc/self/task")) == 1 if os.path.exists("/proc/self/task") else True
"""
    assert run(program, str(tmp_path / "app.log")).stderr == ""


def test_a_dead_sink_holds_up_the_import_no_longer_than_exit_timeout_in_all() -> None:
    program = """
attempts = []
class Dead(asynclog.Sink):
    async def deliver(self, batch):
        attempts.append(batch)
        raise OSError("nobody there")

handler = asynclog.wrap(Dead(), exit_timeout=0.3)
for number in range(1000):
    log(handler, number)  # were it that long for each, this test would hang
assert attempts
stats = handler.listener.stats()
assert (stats["accepted"], stats["pending"]) == (1000, 1000)
"""
    assert "1000 records left" in run(program).stderr


@pytest.mark.parametrize(
    ("options", "runs"),
    [
        ({}, False),
        ({"enable_threads": True}, True),
        ({"enable_threads": b"true"}, True),
        ({"enable_threads": b"false"}, False),
        ({"threads": b"4"}, True),
        ({"gevent": b"100"}, True),
    ],
)
def test_threads_run_where_uwsgi_was_told_to_let_them(options, runs: bool, monkeypatch) -> None:
    as_uwsgi(monkeypatch, 1, **options)
    assert uwsgi.has_threads() is runs
