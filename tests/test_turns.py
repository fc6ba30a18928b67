"""Turns at the interpreter: a slice is a fair share of the time that the others had."""

import asyncio
import threading
import time
import types

import pytest

from asynclog import sink_thread, turns
from asynclog.turns import PAUSE, SLICE, Turns


class Machine:
    """A clock of the wall and one of the processor, and a sleep that lasts as long as the others compute."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        self.cpu = 1.0
        self.others = 0.0
        self.slept = []
        monkeypatch.setattr(turns.time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(turns.time, "thread_time", lambda: self.cpu)
        monkeypatch.setattr(turns, "real_sleep", self.sleep)
        monkeypatch.setattr(turns, "_by_wall", False)

    def coarsen(self, monkeypatch, tick=0.015625, **info):
        """Have the processor's clock move by the system's tick, as on Windows; say whether that is noticed."""
        monkeypatch.setattr(turns.time, "thread_time", lambda: self.cpu // tick * tick)
        fake = types.SimpleNamespace(**info)
        monkeypatch.setattr(turns.time, "get_clock_info", lambda name: {"thread_time": fake}[name])
        monkeypatch.setattr(turns, "_by_wall", turns._is_coarse())
        return turns._by_wall

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds + self.others

    def work(self, seconds):
        self.now += seconds
        self.cpu += seconds

    def lose(self, seconds):
        self.now += seconds

    def works_until_it_sleeps(self, one, piece=0.0001):
        """Return how long it may work before it sleeps."""
        before, began = len(self.slept), self.cpu
        while len(self.slept) == before:
            self.work(piece)
            one.pause()
        return self.cpu - began


@pytest.fixture
def machine(monkeypatch):
    return Machine(monkeypatch)


def test_alone_it_works_for_a_slice_and_sleeps_for_a_moment(machine):
    one = Turns()
    for _ in range(3):
        assert machine.works_until_it_sleeps(one) == pytest.approx(SLICE, abs=0.00011)
    assert machine.slept == [PAUSE] * 3


def test_within_a_slice_it_doesn_t_sleep(machine):
    one = Turns(slice=0.001)
    for _ in range(9):
        machine.work(0.0001)
        one.pause()
    assert machine.slept == []


@pytest.mark.parametrize(
    ("pause", "slice"),
    [
        (0.0001, SLICE),
        (0.0040, SLICE),  # an eighth of it, or the least
        (0.0080, 0.001),
        (0.0240, 0.003),
        (0.0400, 0.005),
        (5.0000, 0.005),  # and no more than CPython's switch interval
    ],
)
def test_the_longer_the_others_had_the_longer_is_the_next_slice(machine, pause, slice):
    one = Turns()
    machine.others = pause - PAUSE
    machine.works_until_it_sleeps(one)
    machine.others = 0.0
    assert machine.works_until_it_sleeps(one) == pytest.approx(slice, abs=0.00011)
    assert machine.works_until_it_sleeps(one) == pytest.approx(SLICE, abs=0.00011)


def test_whoever_lost_the_interpreter_in_the_middle_of_a_slice_has_paused_already(machine):
    one = Turns()
    machine.work(0.0003)
    machine.lose(0.040)
    machine.work(0.0003)
    one.pause()
    assert machine.slept == []
    assert machine.works_until_it_sleeps(one) == pytest.approx(0.005, abs=0.00011)


def test_a_short_wait_of_its_own_is_no_work(machine):
    one = Turns()
    machine.work(0.0002)
    machine.lose(0.002)
    one.pause()
    assert machine.slept == []
    assert machine.works_until_it_sleeps(one) == pytest.approx(SLICE - 0.0002, abs=0.00011)


def test_a_long_wait_for_something_else_earns_no_long_slice(machine):
    one = Turns()
    machine.lose(60.0)
    one.begin()
    assert machine.works_until_it_sleeps(one) == pytest.approx(SLICE, abs=0.00011)


@pytest.mark.parametrize(
    "info",
    [
        {"implementation": "GetThreadTimes()", "resolution": 1e-7},  # what CPython says on Windows
        {"implementation": "another", "resolution": 0.015625},
    ],
)
def test_where_the_processor_s_clock_is_coarse_a_slice_goes_by_the_wall(machine, monkeypatch, info):
    assert machine.coarsen(monkeypatch, **info)
    one = Turns()
    for _ in range(100):
        assert machine.works_until_it_sleeps(one) == pytest.approx(SLICE, abs=0.00011)
    machine.others = 0.024
    machine.works_until_it_sleeps(one)
    machine.others = 0.0
    assert machine.works_until_it_sleeps(one) == pytest.approx(0.003, abs=0.00011)
    machine.lose(0.040)  # for what it is, such a clock can't tell
    assert machine.works_until_it_sleeps(one) <= 0.00011


def test_a_fine_clock_is_gone_by(machine, monkeypatch):
    info = {"implementation": "clock_gettime(CLOCK_THREAD_CPUTIME_ID)", "resolution": 1e-9}
    assert not machine.coarsen(monkeypatch, **info)


def test_each_thread_has_its_own():
    found = []
    thread = threading.Thread(target=lambda: found.append(turns.turns()))
    thread.start()
    thread.join()
    assert turns.turns() is turns.turns()
    assert found[0] is not turns.turns()


async def test_a_call_on_a_sink_s_thread_begins_a_slice():
    thread = sink_thread.SinkThread("test")
    try:
        for _ in range(2):
            await asyncio.sleep(0.2)
            began, now = await thread.call(lambda: (turns.turns()._began, time.perf_counter()))
            assert 0 <= now - began < 0.2
    finally:
        thread.stop()


def test_what_is_left_of_a_slice_is_told(machine):
    one = Turns()
    assert one.left == pytest.approx(SLICE)
    machine.work(0.0003)
    assert one.left == pytest.approx(SLICE - 0.0003)
    machine.work(0.001)
    assert one.left == 0.0
