"""`asynclog bench`: the reader's own app from end to end, as people start it."""

import email
import email.policy
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.trial.test_demo import DEADLINE, all_gone, started

APPS = Path(__file__).parent / "apps"
ROOT = Path(__file__).parent.parent.parent


def start(folder, *arguments, cwd=None):
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(
        [sys.executable, "-m", "asynclog", "bench", *arguments, "--report", str(folder), "--seconds", "5"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        # What a killed trial leaves behind is a folder of a few files; here, in a folder that pytest removes.
        env={**os.environ, "TMPDIR": str(folder.parent), "PYTHONPATH": path},
    )


def finished(folder, *arguments, cwd=APPS):
    with start(folder, *arguments, cwd=cwd) as bench:
        out, err = bench.communicate(timeout=DEADLINE)
    return bench.returncode, out, err


def numbers(folder):
    return json.loads((folder / "result.json").read_text())


def mails(folder):
    files = sorted((folder / "mails").iterdir())
    return [email.message_from_bytes(file.read_bytes(), policy=email.policy.default) for file in files]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A run in a folder of the reader's, started from elsewhere."""
    folder = tmp_path_factory.mktemp("bench")
    home = folder / "home"
    home.mkdir()
    # Without the app that it makes when imported, whose handlers would sit on the same logger.
    (home / "shop.py").write_text((APPS / "shop.py").read_text().partition("\n\napp =")[0])
    (home / "shop.log").write_text("yesterday\n")
    arguments = ("shop:create_app('Bench failed')", "--path", "/checkout", "--errors", "0.2", "--rate", "20")
    with start(folder / "report", *arguments, "--chdir", str(home), cwd=folder) as bench:
        processes = started(bench)
        out, err = bench.communicate(timeout=DEADLINE)
    # What was printed up to the first phase was read by `started`; the report has it too.
    assert (bench.returncode, err) == (0, ""), out
    return folder / "report", home, processes


def test_every_record_of_a_flask_apps_mail_handler_is_accounted_for_wrapped_and_not(shop):
    accounts = numbers(shop[0])["accounts"]
    assert {key: account["adds_up"] for key, account in accounts.items()} == dict.fromkeys(accounts, True)
    # One in five of 100 requests, and two while warming up.
    assert {key: account["raised"] for key, account in accounts.items()} == dict.fromkeys(accounts, 22)
    assert accounts["asynclog"]["announced"] == 22
    assert accounts["stdlib"]["announced"] == accounts["stdlib"]["mails"]
    assert sum(accounts["stdlib"]["rest"].values()) + accounts["stdlib"]["mails"] == 22


def test_every_record_of_a_flask_apps_file_handler_is_accounted_for_wrapped_and_not(shop):
    own, wrapped = (numbers(shop[0])["accounts"][key]["files"] for key in ("stdlib", "asynclog"))
    # A line for each of 100 requests, an exception for one in five, and what warms up.
    assert own["given"] == wrapped["given"] >= 122
    assert own["written"] == wrapped["written"] == own["given"]
    assert (sum(own["rest"].values()), sum(wrapped["rest"].values())) == (0, 0)
    assert wrapped["checks"]
    assert "What its file handlers wrote" in (shop[0] / "index.html").read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells it in /proc")
def test_the_memory_of_each_copy_is_told(shop):
    memory = numbers(shop[0])["memory"]
    assert set(memory) == {"nowhere", "again", "stdlib", "asynclog"}
    assert all(one["peak"] >= one["held"] * 0.99 > 10 << 20 for one in memory.values())


def test_the_apps_own_formatter_sees_the_request_and_a_factory_gets_its_arguments(shop):
    # Wrapped, two that came at once may share the first mail.
    first = mails(shop[0])[0]
    assert first["Subject"].startswith("Bench failed")
    assert first["From"] == "shop@example.com"
    assert "BenchError" in first.get_body(("plain",)).get_content()
    theirs = (shop[0] / "index.html").read_text().partition("<h3>own handlers: ")[2]
    assert "<pre>on /checkout: Exception on /checkout [GET]" in theirs


def test_what_is_redirected_is_said_without_a_password(shop):
    own = numbers(shop[0])["own_app"]
    said = "\n".join(own["redirected"])
    assert "SMTPHandler: mail for mail.example.com:587" in said
    assert str(shop[1] / "shop.log") in said
    assert "SysLogHandler: its records are dropped" in said
    assert "shop.Chat: its records are dropped" in said
    assert "secret" not in (shop[0] / "result.json").read_text() + (shop[0] / "index.html").read_text()


def test_the_apps_own_files_are_left_as_they_are(shop):
    assert (shop[1] / "shop.log").read_text() == "yesterday\n"
    assert sorted(path.name for path in shop[1].iterdir() if path.name != "__pycache__") == ["shop.log", "shop.py"]


def test_no_handler_reached_out(shop):
    # The guard refuses what asks; that nothing was refused means that no handler asked.
    assert numbers(shop[0])["own_app"]["refused"] == {}


def test_the_report_names_the_app_and_what_was_wrapped(shop):
    page = (shop[0] / "index.html").read_text()
    assert "asynclog bench: shop:create_app" in page
    assert "own handlers" in page
    assert "wrapped     SMTPHandler on shop" in page
    assert "served by gunicorn (gthread, 1 worker, 4 threads)" in page


def test_every_request_of_every_copy_was_sent_and_counted(shop):
    states = numbers(shop[0])["states"]
    for app in ("nowhere", "again", "stdlib", "asynclog"):
        assert sum(state["apps"][app]["requests"] for state in states.values()) == 100
        assert states["healthy"]["apps"][app]["failed"] == 0


def test_it_leaves_no_process_behind(shop):
    assert len(shop[2]) >= 10
    assert all_gone(shop[2])


@pytest.mark.parametrize(
    ("arguments", "server", "first"),
    [
        (("late:app",), "uvicorn", "on /: Exception on request GET /"),
        (("bare:asgi",), "uvicorn", "Exception on /"),
        (("bare:wsgi", "--threads", "2"), "gunicorn (gthread, 1 worker, 2 threads)", "Exception on /"),
        (("bare:either", "--interface", "wsgi", "--logger", "shop.cart"), "gunicorn", "Exception on /"),
    ],
    ids=["quart", "asgi", "wsgi", "named"],
)
def test_any_app_is_served_by_its_server_and_accounted_for(arguments, server, first, tmp_path):
    code, out, err = finished(tmp_path / "report", *arguments, "--rate", "10", "--errors", "0.3")
    assert (code, err) == (0, ""), out
    assert f"served by {server}" in out
    assert "SMTPHandler: mail for mail.example.com:25" in out.partition("mail server: healthy")[0]
    found = numbers(tmp_path / "report")
    # Three in ten of 50 requests, and two while warming up.
    assert {account["raised"] for account in found["accounts"].values()} == {17}
    assert all(account["adds_up"] for account in found["accounts"].values())
    assert found["accounts"]["asynclog"]["announced"] == 17
    # In the mails of its own handlers, one for each record.
    assert f"<pre>{first}" in (tmp_path / "report" / "index.html").read_text().partition("<h3>own handlers: ")[2]
    if "--logger" in arguments:
        assert "'shop.cart'" in found["own_app"]["logged_by"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nowhere:app",), ("no module 'nowhere'", "--chdir")),
        (("shop.py:app",), ("no .py",)),
        (("shop:ap",), ("no 'ap'", "shop:app", "shop:create_app()")),
        (("shop:nothing",), ("int", "no app")),
        (("shop:create_app(app)",), ("literal arguments",)),
        (("bare:either",), ("--interface",)),
        (("broken:app",), ("can't be imported", "broken.py", "there_is_no_such_module")),
        (("late:app", "--threads", "2"), ("--threads", "ASGI")),
        (("silent:app",), ("no log handlers",)),
        (("shop:app", "--path", "/nope"), ("/nope is answered with 404", "--path")),
        (("shop:app", "--path", "/pay"), ("500", "192.0.2.8:443, which was refused", "--allow")),
        (("shop:app", "--path", "/checkout", "--logger", "other"), ("'other'", "--logger")),
    ],
    ids=lambda value: " ".join(value) if value and isinstance(value[0], str) and ":" in value[0] else "",
)
def test_an_app_that_cannot_be_measured_is_refused_with_what_to_change(arguments, words, tmp_path):
    code, _, err = finished(tmp_path / "report", *arguments)
    assert code == 1
    assert "frozen importlib" not in err
    for word in words:
        assert word in err
    assert not (tmp_path / "report" / "index.html").exists()


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
@pytest.mark.parametrize("app", ["bare:wsgi", "bare:asgi"])
def test_ended_early_by_a_signal_it_leaves_no_process_behind(app, signum, code, tmp_path):
    with start(tmp_path / "report", app, cwd=APPS) as bench:
        processes = started(bench)
        assert len(processes) >= 6
        os.kill(bench.pid, signum)
        _, err = bench.communicate(timeout=DEADLINE)
    assert bench.returncode == code
    assert "Traceback" not in err
    assert all_gone(processes)
    if signum != signal.SIGKILL:
        assert "asynclog bench: ended before it was done" in err
