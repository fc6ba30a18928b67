"""The benchmarks of the worker, of storms and of processes: at the smallest scale, what they return adds up."""

from __future__ import annotations

import logging
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks import beside, exit_time, interference, start_time, storm, storm_control, to_file, to_mail, worker_cost
from benchmarks.errors import caught, raiser
from benchmarks.failing import failing_places
from benchmarks.mail_server import MailServer
from benchmarks.result import Scale
from benchmarks.rounds import Spread, each_round, in_turn, ratios


class Told:
    """A `Progress` that keeps what it hears."""

    def __init__(self):
        self.steps, self.texts = 0, []

    def begin(self, steps):
        self.steps = steps

    def step(self, text):
        self.texts.append(text)


@pytest.fixture
def info(tmp_path):
    error = caught(raiser(10, tmp_path))
    return type(error), error, error.__traceback__


@pytest.fixture(scope="module")
def server():
    with MailServer() as running:
        yield running


def check_shape(result):
    assert result.tables
    for table in result.tables:
        assert table.rows
        assert all(len(cells) == len(table.columns) for _, cells in table.rows)
        for _, cells in table.rows:
            for column, cell in zip(table.columns, cells, strict=True):
                assert cell is None or isinstance(cell, str if column.decimals is None else (int, float))
    assert all(isinstance(claim.measured, (int, float)) for claim in result.claims)
    assert result.samples


# -- rounds ----------------------------------------------------------------------------------------


def turns(names, rounds):
    """Return the order of each round, and what was kept."""
    orders = []
    ways = {name: lambda name=name: orders[-1].append(name) or name for name in names}
    kept = in_turn(ways, rounds, before_each_round=lambda: orders.append([]))
    return ["".join(order) for order in orders], kept


def test_contenders_take_turns_in_an_order_drawn_anew_and_another_one_begins_each_round():
    orders, kept = turns("abcdef", 12)
    assert all(sorted(order) == list("abcdef") for order in orders)
    assert all(one[0] != other[0] for one, other in pairwise(orders))
    assert kept == {name: [name] * 12 for name in "abcdef"}
    before_c = {order[order.index("c") - 1] for order in orders if not order.startswith("c")}
    assert len(before_c) > 2  # it is not the same neighbour that leaves it its heap each time


def test_two_contenders_alternate_and_the_same_run_has_the_same_orders():
    orders, _ = turns("ab", 6)
    assert {one != other for one, other in pairwise(orders)} == {True}
    assert turns("abcd", 5) == turns("abcd", 5)
    assert turns("a", 2)[0] == ["a", "a"]


def test_a_spread_has_its_middle_and_ratios_are_those_of_each_round():
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(1.0, 2.0, 3.0)
    assert ratios([2.0, 9.0], [1.0, 3.0]) == Spread(2.0, 2.5, 3.0)


def test_a_count_on_which_rounds_differ_is_given_for_each():
    assert each_round([10_000, 10_000]) == "10,000"
    assert each_round([3, 2, 3]) == "3; 2; 3"


# -- the worker's cost -----------------------------------------------------------------------------


@pytest.mark.parametrize("with_exception", [False, True], ids=["plain", "exception"])
def test_both_ways_to_a_file_write_the_same_lines_and_all_of_them(tmp_path, info, with_exception):
    calls = worker_cost._calls(50, info if with_exception else None)
    ways = [to_file.by_stdlib(tmp_path / "stdlib.log", calls), to_file.by_asynclog(tmp_path / "asynclog.log", calls)]
    assert ways[0].lines == ways[1].lines
    wanted = b"order" if with_exception else b"user bob"
    assert sum(wanted in line for line in ways[1].lines) == 50
    assert all(way.seconds > 0 and way.calling > 0 for way in ways)


def test_every_way_to_a_mail_server_delivers_one_mail_a_record(server, info):
    body = "order 1 failed\n"
    server.forget()
    to_mail.by_bare_loop(server, 5, to_mail.ready_payload(body))
    to_mail.by_message_loop(server, 5, body)
    to_mail.by_smtplib(server, 5, body)
    assert len(server.mails()) == 15
    to_mail.by_asynclog(server, 5, info)
    mails = server.mails()
    assert len(mails) == 15 + 1 + 5  # and the one that warms it up
    assert all(count == 1 for _, count in mails)
    assert [at for at, _ in mails] == sorted(at for at, _ in mails)


def test_the_worker_s_cost_has_a_row_for_each_contender(info):
    told = Told()
    told.begin(10)
    result = worker_cost._tracebacks({10: info}, 1, told)
    check_shape(result)
    assert len(result.tables[0].rows) == len(told.texts) == 5
    assert dict(result.tables[0].rows)["traceback.format_exception"][1] == 1.0


@pytest.mark.parametrize("suffix", ["", worker_cost._ONE_BY_ONE], ids=["with PIPELINING", "without"])
def test_mails_are_compared_with_the_bare_loop_on_a_server_of_the_same_kind(suffix):
    bare, ours = worker_cost._BARE, worker_cost._ASYNCLOG
    seconds = {bare: (1.0, 2.0), bare + worker_cost._ONE_BY_ONE: (3.0, 6.0)}
    seconds |= {ours: (1.0, 1.0), ours + worker_cost._ONE_BY_ONE: (1.0, 1.0)}
    runs = {name: [to_mail.Sent(each, 0.1) for each in some] for name, some in seconds.items()}
    result = worker_cost.mails_result(runs, 100)
    check_shape(result)
    wanted = (1.0, 2.0) if suffix == "" else (3.0, 6.0)
    claim = result.claims[bool(suffix)]
    assert ("without PIPELINING" in claim.text) == bool(suffix)
    assert (claim.span, claim.measured) == (wanted, sum(wanted) / 2)
    assert dict(result.tables[0].rows)[ours + suffix][2] == claim.measured
    assert dict(result.tables[0].rows)[bare + suffix][2] == 1.0


# -- storms ----------------------------------------------------------------------------------------


def test_places_raise_and_log_each_its_own_exception(tmp_path, caplog):
    for number, place in enumerate(failing_places(3, tmp_path)):
        place(logging.getLogger("shop"), number)
    assert [record.getMessage() for record in caplog.records] == [f"order {number} failed" for number in range(3)]
    assert len({str(record.exc_info[1]) for record in caplog.records}) == 3


@pytest.mark.parametrize("way", [storm.COLD, storm.STARTED])
def test_every_error_of_a_storm_is_told_or_counted_as_dropped(server, way):
    one = storm.one_storm(way, 4_000, server)
    assert one.logged == 4_000
    assert one.missing == 0
    assert one.told > 0
    assert one.counts["accepted"] == 4_000
    assert one.memory[0][1] == 0.0
    assert one.seconds > 0


def test_a_storm_that_drops_its_records_is_the_floor(server):
    floor = storm.one_storm(storm.DROPPING, 400, server)
    assert (floor.logged, floor.told, floor.counts) == (400, 0, {})
    ours = storm.one_storm(storm.COLD, 400, server)
    storms = {storm.DROPPING: [floor], storm.COLD: [ours], storm.STARTED: [ours]}
    table = storm._table(storms)
    assert all(len(cells) == len(table.columns) for _, cells in table.rows)
    claims = storm._claims(storms)
    assert [claim.measured for claim in claims if claim.unit == "errors"] == [0]


def stormed(told, dropped, seconds=2.0):
    counts = {"accepted": told + dropped, "dropped": {"overflow": dropped}, "pending": 0} if told else {}
    return storm.Storm(1_000, seconds, 1.0, [(0.0, 0.0), (1.0, 9.0)], counts, [(0.2, told)] if told else [])


def test_what_is_dropped_stands_beside_the_numbers_that_it_keeps_small_and_by_round_in_the_table():
    storms = {
        storm.DROPPING: [stormed(0, 0, 1.0)] * 2,
        storm.COLD: [stormed(150, 850), stormed(160, 840)],
        storm.STARTED: [stormed(150, 850)] * 2,
    }
    table, claims = storm._table(storms), storm._claims(storms)
    titles = [column.title for column in table.columns]
    cells = dict(zip(titles, dict(table.rows)[storm.COLD], strict=True))
    assert cells["told in mails, by round"] == "150; 160"
    assert cells["dropped, by round"] == "850; 840"
    assert cells["dropped"] == 0.845
    noted = [claim.note for claim in claims if claim.unit in {"×", "MB", "errors", "mails"}]
    assert noted == ["84.0 to 85.0 % of the errors dropped"] * 4
    slower = claims[0]
    assert (slower.measured, slower.span) == (2.0, (2.0, 2.0))
    assert "counted 15.0 to 16.0 % of the errors" in slower.why_not
    assert all(claim.why_not for claim in claims)


def test_storm_control_announces_what_was_logged():
    mails, control, _ = storm_control.a_storm(5_000)
    assert sum(mail.count for mail in mails) + control.pending() == 5_000


# -- interference ----------------------------------------------------------------------------------


def test_a_thread_computes_while_another_logs(tmp_path, info):
    def file():
        return to_file.file_handler(tmp_path / "app.log")

    work = interference.calibrated(0.0005, 0.02)
    done = interference.computed_beside(beside.wrapped(file), info, work, 0.3)
    lines = (tmp_path / "app.log").read_text("utf-8").splitlines()
    assert done.logged > 0
    assert sum("failed" in line and "order" in line for line in lines) == done.logged
    assert len(done.in_groups(interference.TOGETHER)) == len(done.units) // interference.TOGETHER
    assert done.in_groups(1) == done.units
    alone = interference.computed_beside(None, info, work, 0.05)
    assert alone.logged == 0
    assert alone.units


ROWS = (interference._NONE, interference._AGAIN, beside.DROPPING, "asynclog, file", "asynclog, mail")


def computed(*rounds):
    """Return rounds of units that take a millisecond, but for the last few of each, which take so many."""
    return [interference.Computed([0.001] * 980 + [slow * 0.001] * 20, 1.0, 100) for slow in rounds]


def test_units_are_judged_by_the_median_of_each_rounds_ratio_to_none():
    runs = {name: computed(1.0, 2.0, 4.0) for name in ROWS}
    runs["asynclog, file"] = computed(1.2, 2.2, 16.0)
    result = interference.units_result(runs)
    check_shape(result)
    by_size = {claim.text.split(" beside")[0]: claim for claim in result.claims if "to file" in claim.text}
    small = by_size["A thread that computes in units of 1 ms"]
    assert small.measured == pytest.approx(1.2)  # of 1.2, 1.1 and 4: where medians of all rounds would say 1.1
    assert small.span == pytest.approx((1.1, 4.0))
    assert small.note == "nothing logged: p50 1.00 and p99 2.00 ms, 1.00 × of itself (1.00 to 1.00)"
    assert "units of 10 ms" in " ".join(by_size)


def test_a_baseline_that_is_uneven_itself_is_said_to_be_with_its_numbers():
    uneven = interference.units_result({name: computed(2.0, 2.0) for name in ROWS}).tables[0]
    assert "Uneven in this run" in uneven.note
    assert "p50 1.00 and p99 2.00 ms in units of 1 ms" in uneven.note
    assert "Uneven" not in interference.units_result({name: computed(1.0) for name in ROWS}).tables[0].note


def test_interference_has_all_its_steps_and_measures_each_way_once_a_round(monkeypatch):
    late = beside.Late([0.001, 0.002])
    monkeypatch.setattr(interference, "computed_beside", lambda shipping, info, work, seconds: computed(1.0)[0])
    monkeypatch.setattr(beside, "calls_beside_a_busy_thread", lambda way, info, calls: [0.0001] * calls)
    for drain in ("late_beside_asynclog", "late_beside_the_pair"):
        monkeypatch.setattr(beside, drain, lambda file, records: late)
    told = Told()
    result = interference.run(Scale(quick=True), told)
    check_shape(result)
    assert len(told.texts) == told.steps
    assert any("nothing is drained" in text for text in told.texts)
    assert all(claim.why_not and claim.span for claim in result.claims)


@pytest.mark.parametrize("way", [beside.wrapped, beside.pair], ids=["asynclog", "stdlib"])
def test_calls_beside_a_busy_thread_are_all_timed(tmp_path, info, way):
    taken = beside.calls_beside_a_busy_thread(way(lambda: to_file.file_handler(tmp_path / "app.log")), info, 5)
    assert len(taken) == 5
    assert min(taken) > 0


def test_a_drain_is_watched_to_its_end(tmp_path):
    def file():
        return to_file.file_handler(tmp_path / "app.log")

    for drain in (beside.late_beside_asynclog, beside.late_beside_the_pair):
        late = drain(file, 500)
        assert late.late
        assert late.collecting >= 0
    assert len((tmp_path / "app.log").read_text("utf-8").splitlines()) == 1_000
    assert len(beside.late_beside_nothing().late) == beside._WAKES


# -- processes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["exit", "stop"])
@pytest.mark.parametrize("way", ["stdlib", "asynclog"])
def test_a_program_that_ends_has_delivered_everything(tmp_path, server, way, end):
    case = exit_time.Case("busy", "file", "healthy", 200, 0.0, 1)
    ended = exit_time.one_end(way, end, case, server, tmp_path, iter(range(9)))
    assert (ended.delivered, ended.left) == (200, 0)
    assert ended.mails == 0
    assert ended.exit >= ended.stop >= 0


def test_a_program_that_ends_beside_a_dead_server_says_what_is_left(tmp_path):
    with MailServer("silent") as silent:
        case = exit_time.Case("silent", "mail", "silent", 2, 0.0, 1)
        ended = exit_time.one_end("asynclog", "exit", case, silent, tmp_path, iter(range(9)))
    assert (ended.delivered, ended.left) == (0, 2)


def test_the_ends_make_a_table_and_their_claims(tmp_path, server):
    case = exit_time.Case("busy", "file", "healthy", 20, 0.0, 1)
    numbers = iter(range(9))
    ends = {
        f"{way}, {end}": [exit_time.one_end(way, end, case, server, Path(tmp_path), numbers)]
        for way, end in exit_time._contenders(case)
    }
    table = exit_time._table({case: ends})
    assert [len(cells) for _, cells in table.rows] == [len(table.columns)] * 2
    assert [claim.measured for claim in exit_time._claims({case: ends}) if claim.unit == "records"] == [0]


def test_a_mail_for_each_record_and_a_digest_of_all_are_told_apart(tmp_path, server):
    case = exit_time.Case("busy", "mail", "healthy", 20, 0.0, 1)
    ends = {
        f"{way}, {end}": [exit_time.one_end(way, end, case, server, tmp_path, iter(range(9)))]
        for way, end in exit_time._contenders(case)
    }
    table = exit_time._table({case: ends})
    titles = [column.title for column in table.columns]
    rows = {name: dict(zip(titles, cells, strict=True)) for name, cells in table.rows}
    pair, ours = rows["busy: stdlib queue pair"], rows["busy: asynclog"]
    assert (pair["told in mails"], pair["mails"]) == ("20", "20")
    assert ours["told in mails"] == "20"
    assert int(ours["mails"]) < 20
    assert ours["lines in the file"] is None
    told, _ = exit_time._claims({case: ends})
    assert "not told in a mail" in told.text
    assert told.measured == 0
    assert told.note == f"in {ours['mails']} mails"


def test_an_import_is_timed_in_a_process_of_its_own_and_taken_apart():
    for statement in start_time._STATEMENTS:
        assert start_time.import_seconds(statement) > 0
    beyond = start_time.imported_beyond_base()
    assert "asynclog" in beyond
    assert not {"asyncio", "logging.handlers"} & beyond.keys()


@pytest.mark.parametrize("kind", sorted(start_time.FIRSTS.values()))
def test_a_first_record_arrives(tmp_path, server, kind):
    where = str(tmp_path / "app.log") if kind.endswith("file") else str(server.port)
    ready, called, arrived = start_time.first_record(kind, where, server)
    assert 0 < ready < arrived
    assert called > 0


def test_starting_has_all_its_steps():
    told = Told()
    result = start_time.run(Scale(quick=True), told)
    check_shape(result)
    assert len(told.texts) == told.steps
