"""gunicorn: every worker class, with and without preload."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from asynclog.testing import faults
from asynclog.testing.smtpd import running_smtpd
from tests.servers.kit import (
    EXIT_TIMEOUT,
    IMPORT_RECORD,
    Logged,
    assert_all_arrived,
    counted_in_mails,
    failed,
    running,
    send_requests,
)

WORKER_CLASSES = ("sync", "gthread", "gevent")


def gunicorn(worker_class: str, *more: str, workers: int = 2) -> list[str]:
    arguments = ["-m", "gunicorn", "-c", "python:tests.servers.gunicorn_conf", "--bind", "fd://{fd}"]
    arguments += ["--worker-class", worker_class, "--workers", str(workers)]
    # gunicorn takes more than one thread with the worker class "sync" for a wish for "gthread".
    threads = "4" if worker_class == "gthread" else "1"
    return [*arguments, "--threads", threads, *more, "tests.servers.flask_app:app"]


@pytest.mark.parametrize("worker_class", WORKER_CLASSES)
def test_sigterm_loses_nothing_and_repeats_nothing(worker_class: str, tmp_path: Path) -> None:
    with running_smtpd() as smtpd, running(gunicorn(worker_class), tmp_path, smtpd.port) as server:
        answers = send_requests(server, workers=2)
        assert server.end() == 0, server.stderr()
        assert_all_arrived(server, smtpd, failed(answers))


@pytest.mark.parametrize("worker_class", WORKER_CLASSES)
def test_with_preload_the_masters_record_stays_the_masters(worker_class: str, tmp_path: Path) -> None:
    arguments = gunicorn(worker_class, "--preload")
    with running_smtpd() as smtpd, running(arguments, tmp_path, smtpd.port, **{IMPORT_RECORD: "1"}) as server:
        answers = send_requests(server, workers=2)
        assert server.end() == 0, server.stderr()
        master = server.process.pid
        expected = failed(answers) + Counter([Logged(master, f"id-import-{master}")])
        assert_all_arrived(server, smtpd, expected)


@pytest.mark.parametrize("worker_class", ["gthread", "gevent"])
def test_no_request_waits_for_a_mail_server_that_is_silent_and_then_slow(worker_class: str, tmp_path: Path) -> None:
    arguments = gunicorn(worker_class, workers=1)
    with (
        running_smtpd(faults.silent()) as smtpd,
        running(arguments, tmp_path, smtpd.port, **{EXIT_TIMEOUT: "25"}) as server,
    ):
        answers = send_requests(server)
        # With the plain handler each of them takes the handler's timeout, three seconds, one by one.
        assert max(answer.seconds for answer in answers) < 1.5
        assert counted_in_mails(smtpd.mails) == Counter()
        smtpd.behaviour = faults.slow(2.0)
        assert server.end() == 0, server.stderr()
        assert_all_arrived(server, smtpd, failed(answers))
        assert not re.search("SIGKILL|TIMEOUT", server.stderr())
