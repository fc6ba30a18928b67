"""uWSGI, which forks without at-fork hooks and starts and stops threads as it likes."""

from __future__ import annotations

import importlib.util
import re
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from asynclog.testing.smtpd import running_smtpd
from tests.servers.kit import IMPORT_RECORD, PATIENCE, Answer, Logged, Server, assert_all_arrived, failed, running
from tests.servers.kit import send_requests as send

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("pyuwsgi") is None, reason="pyuwsgi has no wheel for this Python or platform"
)


def uwsgi(*more: str) -> list[str]:
    program = str(Path(sys.executable).with_name("uwsgi"))
    arguments = [program, "--http-socket", "fd://{fd}", "--module", "tests.servers.flask_app:app", "--need-app"]
    return [*arguments, "--master", "--die-on-term", "--processes", "2", "--enable-threads", *more]


def send_requests(server: Server) -> list[Answer]:
    """Send requests until uWSGI is done with them: one that is still at a request ends without exit functions."""
    answers = send(server, workers=2)
    deadline = time.monotonic() + PATIENCE
    while len(re.findall("GET /(?:ok|fail)/id-", server.stderr())) < len(answers):
        assert time.monotonic() < deadline, server.stderr()
        time.sleep(0.01)
    return answers


@pytest.mark.parametrize("lazy", [False, True])
def test_sigterm_loses_nothing_and_repeats_nothing(lazy: bool, tmp_path: Path) -> None:
    arguments = uwsgi(*["--lazy-apps"] * lazy)
    with running_smtpd() as smtpd, running(arguments, tmp_path, smtpd.port) as server:
        answers = send_requests(server)
        server.end()
        assert_all_arrived(server, smtpd, failed(answers))


def test_what_is_logged_before_the_fork_is_delivered_there_and_freezes_no_worker(tmp_path: Path) -> None:
    with running_smtpd() as smtpd, running(uwsgi(), tmp_path, smtpd.port, **{IMPORT_RECORD: "1"}) as server:
        master = server.process.pid
        answers = send_requests(server)
        server.end()
        assert_all_arrived(server, smtpd, failed(answers) + Counter([Logged(master, f"id-import-{master}")]))


def test_without_threads_records_leave_at_exit(tmp_path: Path) -> None:
    arguments = [one for one in uwsgi() if one != "--enable-threads"]
    with running_smtpd() as smtpd, running(arguments, tmp_path, smtpd.port) as server:
        answers = send_requests(server)
        server.end()
        assert_all_arrived(server, smtpd, failed(answers))
        assert "without --enable-threads" in server.stderr()
