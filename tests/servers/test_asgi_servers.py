"""uvicorn and hypercorn with a Quart app."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from asynclog.testing import faults
from asynclog.testing.smtpd import running_smtpd
from tests.servers.kit import Answer, Logged, assert_all_arrived, failed, running, send_requests, wait_until_all_answer


def uvicorn(app: str, workers: int) -> list[str]:
    arguments = ["-m", "uvicorn", "--factory", f"tests.servers.quart_app:{app}", "--fd", "{fd}"]
    return [*arguments, "--workers", str(workers)]


def hypercorn(app: str, workers: int) -> list[str]:
    arguments = ["-m", "hypercorn", "--bind", "fd://{fd}", "--workers", str(workers)]
    return [*arguments, f"tests.servers.quart_app:{app}()"]


def with_goodbyes(answers: list[Answer]) -> Counter[Logged]:
    """Return what must have been logged: each worker logs its end, in a function that runs after serving."""
    pids = {answer.pid for answer in answers}
    return failed(answers) + Counter(Logged(pid, f"id-end-{pid}") for pid in pids)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("command", [uvicorn, hypercorn])
def test_sigterm_loses_nothing_where_the_app_drains_at_shutdown(command, workers: int, tmp_path: Path) -> None:
    arguments = command("create_drained_app", workers)
    with running_smtpd() as smtpd, running(arguments, tmp_path, smtpd.port) as server:
        answers = send_requests(server, workers=workers)
        server.end()
        assert_all_arrived(server, smtpd, with_goodbyes(answers))


@pytest.mark.parametrize("command", [uvicorn, hypercorn])
def test_an_app_without_a_lifespan_is_given_one_that_drains(command, tmp_path: Path) -> None:
    arguments = command("create_app_without_lifespan", 1)
    with running_smtpd() as smtpd, running(arguments, tmp_path, smtpd.port) as server:
        answers = send_requests(server)
        server.end()
        assert_all_arrived(server, smtpd, failed(answers))


def test_hypercorn_loses_nothing_of_a_plain_wrap_when_it_sends_sigterm_again_amid_the_drain(tmp_path: Path) -> None:
    # Its master does so as soon as the first worker has ended. One worker has a mail on its way and
    # another to come, 1.5 s each; the other only the one that says goodbye.
    arguments = hypercorn("create_app", 2)
    with running_smtpd(faults.slow(1.5)) as smtpd, running(arguments, tmp_path, smtpd.port) as server:
        wait_until_all_answer(server, workers=2)
        answers = [server.get("/fail/id-rq-1")]
        pids = {answer.pid for answer in [*answers, *wait_until_all_answer(server, workers=2)]}
        server.end()
        goodbyes = Counter(Logged(pid, f"id-end-{pid}") for pid in pids)
        assert_all_arrived(server, smtpd, failed(answers) + goodbyes)
