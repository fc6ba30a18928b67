"""The benchmarks of the worker, of storms and of processes: at the smallest scale, what they return adds up."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from benchmarks import beside, exit_time, interference, start_time, storm, storm_control, to_file, to_mail, worker_cost
from benchmarks.errors import caught, raiser
from benchmarks.failing import failing_places
from benchmarks.mail_server import MailServer
from benchmarks.result import Scale
from benchmarks.rounds import Spread, in_turn, ratios


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


def test_contenders_take_turns_and_another_one_begins_each_round():
    order = []
    kept = in_turn({name: lambda name=name: order.append(name) or name for name in "abc"}, 3)
    assert "".join(order) == "abcbcacab"
    assert kept == {name: [name] * 3 for name in "abc"}


def test_a_spread_has_its_middle_and_ratios_are_those_of_each_round():
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(1.0, 2.0, 3.0)
    assert ratios([2.0, 9.0], [1.0, 3.0]) == Spread(2.0, 2.5, 3.0)


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


def test_storm_control_announces_what_was_logged():
    mails, control, _ = storm_control.a_storm(5_000)
    assert sum(mail.count for mail in mails) + control.pending() == 5_000


# -- interference ----------------------------------------------------------------------------------


def test_a_thread_computes_while_another_logs(tmp_path, info):
    def file():
        return to_file.file_handler(tmp_path / "app.log")

    work = interference.calibrated(0.0005)
    done = interference.computed_beside(beside.wrapped(file), info, work, 0.3)
    lines = (tmp_path / "app.log").read_text("utf-8").splitlines()
    assert done.logged > 0
    assert sum("failed" in line and "order" in line for line in lines) == done.logged
    assert len(done.together()) == len(done.units) // interference.TOGETHER
    alone = interference.computed_beside(None, info, work, 0.05)
    assert alone.logged == 0
    assert alone.units


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


# -- processes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["exit", "stop"])
@pytest.mark.parametrize("way", ["stdlib", "asynclog"])
def test_a_program_that_ends_has_delivered_everything(tmp_path, server, way, end):
    case = exit_time.Case("busy", "file", "healthy", 200, 0.0, 1)
    ended = exit_time.one_end(way, end, case, server, tmp_path, iter(range(9)))
    assert (ended.delivered, ended.left) == (200, 0)
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
