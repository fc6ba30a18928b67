"""The benchmark of request latency: a tiny run's sums and shapes, and how its numbers are judged."""

from __future__ import annotations

import dataclasses
import io
import itertools
import os
import time
from collections import Counter
from pathlib import Path

import pytest

from asynclog.trial.load import Sample
from asynclog.trial.servers import DemoError
from benchmarks import request_latency
from benchmarks.latency import cell as cells
from benchmarks.latency import faults, processes
from benchmarks.latency.accounts import Account, account
from benchmarks.latency.cell import Cell
from benchmarks.latency.plan import (
    AGAIN,
    ASYNCLOG,
    DIRECT,
    LOGBOOK,
    NOWHERE,
    PAIR,
    QUICK,
    SERVERS,
    STATES,
    contenders,
    requests,
)
from benchmarks.latency.summary import ABOVE, UNCERTAIN, WITHIN, Ratio, latencies, ratios
from benchmarks.latency.tables import Numbers
from benchmarks.latency.witness import Raised, Settings, count_in_file, log_path, read_raised
from benchmarks.result import Scale

TINY = dataclasses.replace(QUICK, rate=15.0, cold=0.5, seconds=1.5, patience=5.0, grace=10.0)


@pytest.mark.parametrize("server", SERVERS, ids=lambda one: one.key)
def test_every_error_of_every_contender_is_raised_and_asynclogs_are_accounted_for(server):
    if not server.installed:
        pytest.skip(f"{server.label} is not installed")
    healthy = STATES[0]
    took_part = (NOWHERE, AGAIN, PAIR, ASYNCLOG)
    found = cells.run(server, healthy, took_part, TINY, seed=3)
    each = round(TINY.rate * (TINY.cold + TINY.seconds))
    assert Counter(sample.app for sample in found.samples) == dict.fromkeys(range(len(took_part)), each)
    assert not [sample for sample in found.samples if sample.failed]
    assert all(sample.latency > 0 for sample in found.samples)
    for contender in took_part:
        assert found.accounts[contender.key].raised == each
    pair, ours = found.accounts[PAIR.key], found.accounts[ASYNCLOG.key]
    assert pair.written == ours.written == each
    assert pair.mails == pair.told == each
    assert ours.broken == {}
    assert ours.silent == 0
    assert ours.told + ours.reported == each
    assert 0 < ours.mails < each
    _assert_shapes(Numbers([found]), found)


def _assert_shapes(numbers: Numbers, found: Cell) -> None:
    for table in numbers.tables():
        assert table.rows
        for name, values in table.rows:
            assert len(values) == len(table.columns), (table.title, name)
            for value, column in zip(values, table.columns, strict=True):
                assert value is None or isinstance(value, str) == (column.decimals is None), (table.title, name)
    texts = [claim.text for claim in numbers.claims()]
    assert len(texts) == len(set(texts)) == 8
    sample = numbers.samples()[found.server.key][found.state.key]
    assert set(sample) == {"busy", "ratios", *(one.key for one in found.contenders)}
    own = sample[ASYNCLOG.key]
    assert own["p50"] <= own["p90"] <= own["p99"] <= own["p99.9"] <= own["worst"]


@pytest.mark.parametrize(
    "server", [one for one in SERVERS if one.key in {"gthread", "uvicorn"}], ids=lambda one: one.key
)
def test_what_a_silent_mail_server_keeps_asynclog_from_sending_is_reported_exactly(server):
    if not server.installed:
        pytest.skip(f"{server.label} is not installed")
    silent = STATES[-1]
    assert silent.key == "silent"
    found = cells.run(server, silent, (NOWHERE, AGAIN, ASYNCLOG), dataclasses.replace(TINY, exit_timeout=0.5), seed=3)
    ours = found.accounts[ASYNCLOG.key]
    assert ours.broken == {}
    assert (ours.told, ours.silent) == (0, 0)
    assert ours.reported == ours.raised == ours.written > 0
    assert not [sample for sample in found.samples if sample.failed]


def test_a_cell_that_fails_leaves_no_process(monkeypatch):
    pids = []

    def fails(start, timing, known, running):
        pids.extend(known.values())
        raise DemoError("it is over")

    monkeypatch.setattr(cells, "_watch", fails)
    gthread = SERVERS[0]
    if not gthread.installed:
        pytest.skip("gunicorn is not installed")
    with pytest.raises(DemoError, match="it is over"):
        cells.run(gthread, STATES[0], (NOWHERE, ASYNCLOG), TINY, seed=3)
    assert len(pids) == 2
    deadline = time.monotonic() + 30
    while (left := [pid for pid in pids if _runs(pid)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not left


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        # A zombie is only waiting for whoever has inherited it.
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except FileNotFoundError:
        return not Path("/proc/self").exists()


def test_each_round_asks_every_contender_once_and_evenly_spaced():
    plan = list(requests(TINY, 6, seed=1))
    orders = [[due.app for due in plan[start : start + 6]] for start in range(0, len(plan), 6)]
    assert all(sorted(order) == list(range(6)) for order in orders)
    assert len({tuple(order) for order in orders}) > 1
    gaps = [following.at - due.at for due, following in itertools.pairwise(plan)]
    assert gaps == pytest.approx([1 / TINY.rate / 6] * len(gaps))
    assert all(due.raises for due in plan)


def test_orders_fail_at_five_places_in_turn():
    places = []
    for _ in range(10):
        with pytest.raises(Exception) as caught:
            faults.place_order()
        places.append(caught.traceback[-1].name)
        assert len(caught.traceback) >= 6
    assert len(set(places)) == 5
    assert places[:5] == places[5:]


def test_the_count_of_errors_can_be_read_by_another_process(tmp_path):
    settings = Settings("nowhere", 0, str(tmp_path), 1.0, 1.0, exits=True)
    raised = Raised(settings)
    for _ in range(3):
        raised.add()
    assert read_raised(tmp_path, "nowhere") == (os.getpid(), 3)


def test_what_a_contender_neither_mailed_nor_reported_is_lost_without_a_word():
    stderr = "--- Logging error ---\nTraceback …\n" * 2
    assert account(PAIR, 10, [], stderr, None, exits=True) == Account(10, 0, 0, 2, {})
    assert account(DIRECT, 10, [], "", None, exits=True).silent == 10
    killed = account(ASYNCLOG, 10, [], "", None, exits=True)
    assert killed.silent == 10
    assert killed.broken


def test_a_thread_that_died_of_a_mail_tells_of_that_mail_alone():
    stderr = "Exception in thread Thread-1 (_target):\nTraceback …\n"
    found = account(LOGBOOK, 10, [], stderr, None, exits=True, written=10)
    assert (found.reported, found.silent, found.written) == (1, 9, 10)


def test_an_error_that_is_not_in_asynclogs_file_breaks_its_sums():
    stats = {"accepted": 3, "delivered": 0, "dropped": {}, "dead_lettered": 0, "spooled": 0, "pending": 3}
    left = "asynclog: 3 records left, x: 3"
    assert account(ASYNCLOG, 3, [], left, stats, exits=True, written=3).broken == {}
    assert account(ASYNCLOG, 3, [], left, stats, exits=True, written=2).broken == {
        "raised = errors in the file": (3, 2)
    }


@pytest.mark.parametrize("line", ["Exception on /checkout [GET]", "Exception on request GET /checkout"])
def test_errors_in_a_file_are_counted_by_the_frameworks_message(tmp_path, line):
    assert count_in_file(tmp_path, "pair") == 0
    log_path(tmp_path, "pair").write_text(f"[now] ERROR in app: {line}\nTraceback\n  checkout\n" * 3, "utf-8")
    assert count_in_file(tmp_path, "pair") == 3


def _cell(times: dict[str, list[float]]) -> Cell:
    """Make a cell of latencies, a request a tenth of a second."""
    took_part = (NOWHERE, AGAIN, ASYNCLOG)
    timing = dataclasses.replace(QUICK, cold=1.0, seconds=20.0, patience=2.0)
    samples = [
        Sample(number, place / 10, 0.0, latency, 500, raises=True)
        for number, one in enumerate(took_part)
        for place, latency in enumerate([9.0] * 10 + times[one.key])
    ]
    accounts = {one.key: Account(210, 0, 0, 0, {}) for one in took_part}
    return Cell(SERVERS[0], STATES[0], took_part, timing, samples, accounts, {}, dict.fromkeys(accounts, 0.0), None)


def test_what_comes_before_the_measured_seconds_is_told_apart():
    found = latencies(_cell(dict.fromkeys(("nowhere", "again", "asynclog"), [0.001] * 200)), ASYNCLOG)
    assert (found.requests, found.worst, found.failed) == (200, 0.001, 0)
    assert (found.first, found.cold) == (9.0, 9.0)


def test_an_app_as_fast_as_the_one_without_logging_is_within_and_a_slow_one_above():
    steady = [0.001 + 0.00001 * (place % 7) for place in range(200)]
    same = ratios([_cell({"nowhere": steady, "again": steady, "asynclog": steady})])
    assert {one.verdict for one in same.values()} == {WITHIN}
    assert all(one.asynclog == pytest.approx(1) and one.twin == 1 for one in same.values())
    slow = ratios([_cell({"nowhere": steady, "again": steady, "asynclog": [2 * time for time in steady]})])
    assert {one.verdict for one in slow.values()} == {ABOVE}


def test_beside_an_app_that_is_restless_by_itself_nothing_is_told():
    steady = [0.001 + 0.00001 * (place % 7) for place in range(200)]
    restless = [time * (10 if place % 50 == 0 else 1) for place, time in enumerate(steady)]
    spread = ratios([_cell({"nowhere": steady, "again": restless, "asynclog": restless})])
    assert spread[0.5].verdict == WITHIN
    assert spread[0.99].verdict == UNCERTAIN
    assert Ratio(asynclog=1.3, twin=1.0, low=0.8, high=1.4).verdict == WITHIN
    assert Ratio(asynclog=1.04, twin=3.0, low=0.8, high=1.4).verdict == WITHIN
    assert Ratio(asynclog=2.0, twin=1.0, low=0.8, high=2.1).verdict == UNCERTAIN
    assert Ratio(asynclog=2.2, twin=1.0, low=0.8, high=2.1).verdict == ABOVE


def test_cells_taken_together_have_the_percentiles_of_all_their_requests():
    fast = [0.001 + 0.00001 * (place % 7) for place in range(200)]
    cells_ = [_cell(dict.fromkeys(("nowhere", "again", "asynclog"), fast)) for _ in range(9)]
    cells_.append(_cell({"nowhere": fast, "again": fast, "asynclog": [0.1] * 200}))
    together = ratios(cells_)
    assert together[0.5].verdict == WITHIN  # a tenth of all is slow
    assert together[0.99].verdict == ABOVE


def test_a_failed_request_counts_with_its_clients_patience():
    cell = _cell(dict.fromkeys(("nowhere", "again", "asynclog"), [0.001] * 200))
    assert cell.waited(Sample(0, 1.0, 0.0, 0.001, 0, raises=True)) == 2.0
    assert cell.waited(Sample(0, 1.0, 0.0, 3.0, 0, raises=True)) == 3.0


def test_pictures_are_drawn_for_light_and_dark_pages():
    pytest.importorskip("matplotlib")
    from benchmarks.latency.drawn import pictures

    drawn = pictures([_cell(dict.fromkeys(("nowhere", "again", "asynclog"), [0.001, 0.002] * 100))])
    assert [one.name for one in drawn] == ["request_latency-gthread", "request_latency-healthy"]
    for picture in drawn:
        for dark in (False, True):
            file = io.BytesIO()
            picture.draw(file, dark)
            assert b"<svg" in file.getvalue()


def test_memory_and_processor_time_are_read_of_a_living_process_alone():
    if not Path("/proc/self/status").exists():
        assert processes.memory(os.getpid()) is None
        return
    held, peak = processes.memory(os.getpid())
    assert 0 < held <= peak
    assert processes.cpu(os.getpid()) > 0
    assert processes.memory(2**22 + 1) is None
    assert processes.busy_between((10, 100), (60, 200)) == 0.5


def test_the_quick_scale_measures_one_server(monkeypatch):
    steps, ran = [], []

    class Heard:
        def begin(self, count):
            steps.append(count)

        def step(self, text):
            steps.append(text)

    def no_run(server, state, took_part, timing, seed):
        ran.append((server.key, state.key))
        assert timing is QUICK
        assert took_part == contenders()
        return _cell(dict.fromkeys(("nowhere", "again", "asynclog"), [0.001] * 200))

    monkeypatch.setattr(cells, "run", no_run)
    result = request_latency.run(Scale(quick=True), Heard())
    installed = [server for server in SERVERS if server.installed]
    assert ran == [(installed[0].key, state.key) for state in STATES]
    assert steps[0] == len(ran) == len(steps) - 1
    assert result.tables
    assert result.claims
    assert result.pictures
    assert result.samples
