"""The demo from end to end, as people start it."""

import email
import email.policy
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

DEADLINE = 120.0


def start(folder, *options):
    return subprocess.Popen(
        [sys.executable, "-m", "asynclog", "demo", "--report", str(folder), "--seconds", "5", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # What a killed demo leaves behind is a folder of a few files; here, in a folder that pytest removes.
        env={**os.environ, "TMPDIR": str(folder.parent)},
    )


def descendants(pid):
    """Return the ids of every process that came of this one, with when each started, so that an id used again is told apart."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := stat(entry.name)):
            parents[int(entry.name)] = (int(fields[1]), fields[19])
    found, grew = {pid}, True
    while grew:
        more = {child for child, (parent, _) in parents.items() if parent in found} - found
        found |= more
        grew = bool(more)
    return {(child, parents[child][1]) for child in found - {pid} if child in parents}


def stat(pid):
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields  # a zombie has ended


def all_gone(processes):
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        if not any((fields := stat(pid)) and fields[19] == began for pid, began in processes):
            return True
        time.sleep(0.05)
    return False


def started(demo):
    """Read the demo's lines until the load runs, and return the processes that it has by then."""
    for line in demo.stdout:
        if "mail server: healthy" in line:
            break
    return descendants(demo.pid)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "report"
    with start(folder, "--rate", "20") as demo:
        processes = started(demo)
        out, err = demo.communicate(timeout=DEADLINE)
    return demo.returncode, out, err, folder, processes


def test_a_run_ends_well_and_says_where_its_report_is(run):
    code, out, err, folder, _ = run
    assert (code, err) == (0, ""), out
    assert (folder / "index.html").as_uri() in out
    for line in ("2 s per mail", "refusing connections", "accepting and silent", "healthy again"):
        assert f"mail server: {line}" in out


def test_every_error_that_was_raised_is_accounted_for(run):
    accounts = json.loads((run[3] / "result.json").read_text())["accounts"]
    assert {key: account["adds_up"] for key, account in accounts.items()} == dict.fromkeys(accounts, True)
    # 100 rounds, one in ten of them raising, and two while warming up.
    assert accounts["nowhere"]["raised"] == accounts["asynclog"]["raised"] == accounts["stdlib"]["raised"] == 12
    asynclog = accounts["asynclog"]
    assert asynclog["announced"] + sum(asynclog["rest"].values()) == 12
    assert asynclog["mails"] >= 1


def test_every_request_of_every_app_was_sent_and_counted(run):
    states = json.loads((run[3] / "result.json").read_text())["states"]
    for app in ("nowhere", "again", "stdlib", "asynclog"):
        assert sum(state["apps"][app]["requests"] for state in states.values()) == 100


def test_without_a_storm_the_database_never_goes_down(run):
    assert "database" not in run[1]
    assert json.loads((run[3] / "result.json").read_text())["database_down"] is None
    assert "database is down" not in (run[3] / "index.html").read_text()
    assert not any("DatabaseUnavailableError" in mail.get_body(("plain",)).get_content() for mail in mails(run[3]))


@pytest.fixture(scope="module")
def storm(tmp_path_factory):
    folder = tmp_path_factory.mktemp("storm") / "report"
    with start(folder, "--storm", "--rate", "60") as demo:
        out, err = demo.communicate(timeout=DEADLINE)
    assert (demo.returncode, err) == (0, ""), out
    return folder, out


def mails(folder):
    files = sorted((folder / "mails").iterdir())
    return [email.message_from_bytes(file.read_bytes(), policy=email.policy.default) for file in files]


def test_a_storms_mails_tell_of_every_error_with_exact_counts(storm):
    accounts = json.loads((storm[0] / "result.json").read_text())["accounts"]
    account = accounts["asynclog"]
    assert all(one["adds_up"] for one in accounts.values())
    # 300 rounds less those of the third of a second before it, one in ten of them raising.
    assert {one["raised"] for one in accounts.values()} == {28}
    told = sum(int(mail["X-Asynclog-Count"]) for mail in mails(storm[0]))
    assert told + sum(account["rest"].values()) == 28


def test_a_storms_first_error_is_told_at_once_and_the_others_share_a_mail(storm):
    counts = [
        int(mail["X-Asynclog-Count"])
        for mail in mails(storm[0])
        if "DatabaseUnavailableError" in mail.get_body(("plain",)).get_content()
    ]
    # Alone, but for what comes in the 50 ms in which the process's first record starts the worker.
    assert counts[0] == int(mails(storm[0])[0]["X-Asynclog-Count"])
    assert 1 <= counts[0] < sum(counts) / 2
    # 1.7 s of six checkouts a second; less only if this machine stood still meanwhile.
    assert sum(counts) >= 8
    assert len(counts) < sum(counts)


def test_a_storms_mails_have_html_and_the_report_shows_it(storm):
    found = mails(storm[0])
    assert all(mail.get_body(("html",)) is not None for mail in found)
    page = (storm[0] / "index.html").read_text()
    assert page.count("<iframe sandbox=") == len(found)
    assert "database is down" in page
    assert "database will be down from 0.3 s to 2.0 s" in storm[1]


def test_it_leaves_no_process_behind(run):
    assert len(run[4]) >= 10
    assert all_gone(run[4])


@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGKILL, -9)]
)
def test_ended_early_by_a_signal_it_leaves_no_process_behind(signum, code, tmp_path):
    with start(tmp_path / "report") as demo:
        processes = started(demo)
        assert len(processes) >= 10
        os.kill(demo.pid, signum)
        _, err = demo.communicate(timeout=DEADLINE)
    assert demo.returncode == code
    assert "Traceback" not in err
    assert all_gone(processes)
    assert not (tmp_path / "report" / "index.html").exists()


def test_ended_while_it_starts_it_leaves_no_process_behind(tmp_path):
    with start(tmp_path / "report") as demo:
        assert "starting" in demo.stdout.readline()
        deadline = time.monotonic() + DEADLINE
        while not (processes := descendants(demo.pid)) and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(demo.pid, signal.SIGINT)
        demo.communicate(timeout=DEADLINE)
    assert demo.returncode == 130
    assert all_gone(processes)


def test_an_app_that_ends_on_its_own_is_told_with_what_it_printed(tmp_path):
    with start(tmp_path / "report") as demo:
        started(demo)
        servers = [pid for pid, _ in descendants(demo.pid) if "gunicorn" in Path(f"/proc/{pid}/cmdline").read_text()]
        os.kill(min(servers), signal.SIGKILL)
        _, err = demo.communicate(timeout=DEADLINE)
    assert demo.returncode == 1
    assert "process ended with code -9" in err
