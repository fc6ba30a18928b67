"""Plain processes: how scripts end, and how processes beget others."""

from __future__ import annotations

import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from asynclog.testing import faults
from asynclog.testing.smtpd import FaultSMTPServer, running_smtpd
from tests.servers.kit import EXIT_TIMEOUT, PATIENCE, Logged, Server, assert_all_arrived


def program(name: str) -> list[str]:
    return ["-m", "tests.servers.scripts", name]


def told(server: Server, word: str) -> list[int]:
    """Return the processes that have said a word."""
    return [int(pid) for pid in re.findall(rf"^{word} (\d+)$", server.stderr(), re.MULTILINE)]


def wait_until_ready(server: Server) -> None:
    wait_until(server, lambda: bool(told(server, "ready")))


def wait_until(server: Server, is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert server.process.poll() is None, server.stderr()
        assert time.monotonic() < deadline, server.stderr()
        time.sleep(0.01)


def some(pid: int, start: int) -> Counter[Logged]:
    return Counter(Logged(pid, f"id-rq-{number}") for number in range(start, start + 5))


@pytest.fixture
def smtpd():
    with running_smtpd() as server:
        yield server


@pytest.fixture
def run(tmp_path: Path):
    """Run a program; it is killed after the test."""
    servers = []

    def start(name: str, smtpd: FaultSMTPServer, **settings: str) -> Server:
        server = Server(program(name), tmp_path, smtpd.port, **settings)
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.kill()


def test_a_script_that_falls_off_its_end_has_delivered(run, smtpd) -> None:
    server = run("fall_off_the_end", smtpd)
    assert server.wait() == 0, server.stderr()
    assert_all_arrived(server, smtpd, some(server.process.pid, 0))


def test_a_script_that_handles_sigterm_has_delivered(run, smtpd) -> None:
    server = run("end_by_handler", smtpd)
    wait_until_ready(server)
    assert server.end() == 0, server.stderr()
    assert_all_arrived(server, smtpd, some(server.process.pid, 0))


def test_a_script_that_ctrl_c_ends_has_delivered(run, smtpd) -> None:
    server = run("end_by_ctrl_c", smtpd)
    wait_until_ready(server)
    assert server.end(signal.SIGINT) != 0
    assert "KeyboardInterrupt" in server.stderr()
    assert_all_arrived(server, smtpd, some(server.process.pid, 0))


@pytest.mark.parametrize(("name", "code"), [("end_by_handler_and_default", -signal.SIGTERM), ("end_by_handler", 0)])
def test_a_second_sigterm_waits_for_the_delivery(name: str, code: int, run) -> None:
    with running_smtpd(faults.slow(1.0)) as smtpd:
        server = run(name, smtpd)
        wait_until_ready(server)
        server.process.send_signal(signal.SIGTERM)
        # The second mail is begun only because the process ends: else it would wait a minute.
        wait_until(server, lambda: sum(line.startswith("MAIL") for _, line in smtpd.lines) == 2)
        assert server.end() == code, server.stderr()
        assert_all_arrived(server, smtpd, some(server.process.pid, 0))


def test_ctrl_c_ends_the_wait_for_a_dead_mail_server_and_says_what_is_left(run, smtpd) -> None:
    server = run("end_by_handler", smtpd, **{EXIT_TIMEOUT: "1000"})
    wait_until_ready(server)
    smtpd.behaviour = faults.silent()
    server.process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE
    # Again and again: the first may come before the wait has begun.
    while server.process.poll() is None:
        assert time.monotonic() < deadline, server.stderr()
        server.process.send_signal(signal.SIGINT)
        time.sleep(0.3)
    assert "asynclog: 4 records left" in server.stderr()


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_multiprocessing_children_and_their_parent_each_deliver_their_own(method: str, run, smtpd) -> None:
    server = run(f"multiprocessing-{method}", smtpd)
    assert server.wait() == 0, server.stderr()
    assert_each_delivered_its_own(server, smtpd)


def test_forked_children_and_their_parent_each_deliver_their_own(run, smtpd) -> None:
    server = run("prefork", smtpd)
    assert server.wait() == 0, server.stderr()
    assert_each_delivered_its_own(server, smtpd)


@pytest.mark.skipif(sys.platform != "linux", reason="reaches into libc")
@pytest.mark.parametrize(("before", "logged_before"), [("silent", False), ("quiet", True)])
def test_children_that_python_does_not_know_to_be_forked_deliver_their_own(
    before: str, logged_before: bool, run, smtpd
) -> None:
    server = run(f"prefork-{before}", smtpd)
    assert server.wait() == 0, server.stderr()
    assert_each_delivered_its_own(server, smtpd, logged_before)


def assert_each_delivered_its_own(server: Server, smtpd: FaultSMTPServer, logged_before: bool = True) -> None:
    parent = server.process.pid
    expected = some(parent, 300) + (some(parent, 0) if logged_before else Counter())
    for start in (100, 200):
        (child,) = told(server, f"child-{start}")
        expected += some(child, start)
    assert_all_arrived(server, smtpd, expected)
