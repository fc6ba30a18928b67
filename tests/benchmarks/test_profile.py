"""The profile of a call, a record and a mail: its pieces are where it says, and what they leave open is shown."""

from __future__ import annotations

import logging
import threading
import time

import pytest

from asynclog.capture.exception import capture_lone
from asynclog.handler import QueueHandler
from benchmarks import profile
from benchmarks.errors import caught, raiser
from benchmarks.profile import caller, pieces, worker
from benchmarks.profile.stopwatch import Clock, Stopwatch
from benchmarks.profile.variants import LineIsGoneError, cut_short, without
from benchmarks.result import Scale


class Told:
    """A `Progress` that counts."""

    steps = told = 0

    def begin(self, steps):
        self.steps = steps

    def step(self, text):
        self.told += 1


class Counted:
    """Something to put a clock on."""

    def outer(self, n):
        return self.inner(n) + 1

    def inner(self, n):
        end = time.thread_time() + 0.02
        while time.thread_time() < end:
            pass
        return n


def count_up(numbers):
    total = 0
    for number in numbers:
        total += number
        total += 100
    return total


# -- variants --------------------------------------------------------------------------------------


def test_a_function_is_cut_short_before_a_line():
    assert cut_short(count_up, "total += 100", "return total")([5, 6]) == 5
    assert cut_short(count_up, "return total", "return 'all but that'")([5]) == "all but that"


def test_a_function_without_some_lines_does_the_rest():
    assert without(count_up, ["total += 100"])([5, 6]) == 11
    assert without(count_up, [])([5, 6]) == count_up([5, 6]) == 211


def test_a_line_that_is_gone_is_an_error_and_so_is_one_that_stands_there_twice():
    with pytest.raises(LineIsGoneError, match="count_up has 0 times the line: total = 1"):
        cut_short(count_up, "total = 1", "return 1")
    with pytest.raises(LineIsGoneError, match="handle has 3 times the line: left = queue.left"):
        without(QueueHandler.handle, ["left = queue.left"])


@pytest.mark.parametrize("cuts", [caller.PLAIN_CUTS, caller.STORM_CUTS])
def test_each_cut_of_the_handler_returns_before_the_record_is_queued(cuts, tmp_path):
    error = caught(raiser(2, tmp_path))
    info = (type(error), error, error.__traceback__)
    logger = logging.Logger("test")
    with caller.queue_without_worker() as wrapped:
        for name, handler in caller.handlers(cuts, wrapped.queue).items():
            logger.handlers[:] = [handler]
            logger.error("user %s failed %d", "bob", 1, exc_info=info)
            queued = len(wrapped.queue.entries)
            assert queued == (name in ("cut nowhere", "asynclog")), name
            wrapped.queue.clear()
        assert not wrapped.queue.errors  # none was counted as failed


def test_walks_take_more_and_more_of_each_frame_and_the_last_is_the_whole(tmp_path):
    error = caught(raiser(3, tmp_path))
    info = (type(error), error, error.__traceback__)
    taken = [walk(info) for walk in caller.walks().values()]
    assert [len(one) - 4 for one in taken] == [0, 0, 3, 6, 9]
    assert taken[-1] == capture_lone(info)


# -- the stopwatch -----------------------------------------------------------------------------------


def test_time_inside_counts_for_the_inner_piece_alone():
    watch = Stopwatch()
    outer, inner = Counted.outer, Counted.inner
    with watch.on([Clock(Counted, "outer", "outside"), Clock(Counted, "inner", "inside")]):
        assert Counted().outer(3) == 4
    assert (Counted.outer, Counted.inner) == (outer, inner)
    assert (watch.calls("outside"), watch.calls("inside")) == (1, 1)
    assert watch.seconds("inside") >= 0.015
    assert watch.seconds("outside") < watch.seconds("inside")


def test_a_piece_may_be_whole_and_threads_add_up():
    watch = Stopwatch(["outside"])
    with watch.on([Clock(Counted, "outer", "outside"), Clock(Counted, "inner", "inside")]):
        threads = [threading.Thread(target=Counted().outer, args=(1,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert (watch.calls("outside"), watch.calls("inside")) == (2, 0)
    assert watch.seconds("outside") >= 0.03


def test_a_function_that_is_made_gets_its_clock():
    class Maker:
        @staticmethod
        def make(give):
            return (lambda: 7) if give else None

    watch = Stopwatch()
    made = watch._wrapped(Clock(Maker, "make", "made", makes=True))
    assert made(True)() == 7
    assert made(False) is None
    assert watch.calls("made") == 1


# -- tables ------------------------------------------------------------------------------------------


def test_what_the_pieces_leave_open_is_the_last_row():
    table = pieces.table(
        "It", {"one": (1.0, 2.0), "two": (2.0, 3.0)}, ("all", (4.0, 10.0)), unit="µs", note="", key="k"
    )
    assert [row for row, _ in table.rows] == ["all", "one", "two", "not explained"]
    assert table.rows[-1][1] == [1.0, 5.0, 0.5]
    assert table.rows[1][1] == [1.0, 2.0, 0.2]


def test_steps_are_differences_of_the_best_and_the_middle_of_the_rounds_differences():
    taken = {"a": [1.0, 3.0, 2.0], "b": [2.0, 7.0, 5.0]}
    assert pieces.differences(taken, [("", "a"), ("more", "b")], 10.0) == {"more": (10.0, 30.0)}


def test_a_function_that_is_never_called_fails_the_run():
    with pytest.raises(AssertionError, match="nothing was timed of: inside"):
        worker._pieces([Clock(Counted, "inner", "inside")], [Stopwatch()], 1)


def test_the_profile_has_a_table_for_each_whole_and_hides_nothing(monkeypatch):
    monkeypatch.setattr(caller, "rounds", lambda scale: (3, 2, 3))
    told = Told()
    result = profile.run(Scale(quick=True), told)
    assert [table.key for table in result.tables] == [
        "profile_plain",
        "profile_storm",
        "profile_frames",
        "profile_together",
        "profile_file_plain",
        "profile_file_exception",
        "profile_mail",
    ]
    assert told.steps == told.told
    (together,) = [table for table in result.tables if table.key == "profile_together"]
    assert [len(cells) for _, cells in together.rows] == [6] * 5
    assert together.rows[0][1][2] == together.rows[0][1][5] == 1.0, "the standard handler is what it is compared with"
    for table in result.tables:
        if table is together:
            continue
        assert table.rows[-1][0] == pieces.NOT_EXPLAINED
        rows = [cells for name, cells in table.rows if not name.startswith("a bare")]
        assert all(len(cells) == len(table.columns) for cells in rows)
        for column in (0, 1):
            whole, *parts = (cells[column] for cells in rows)
            assert sum(parts) == pytest.approx(whole, abs=1e-6)
    assert set(result.samples) == {
        "plain_us",
        "storm_us",
        "frames_ns_a_call",
        "together_us",
        "together_exception_us",
        "file_plain_us",
        "file_exception_us",
        "mail_us",
    }
