"""What waits in a lane: bounded, and by which rule."""

import logging

import pytest

from asynclog.delivery.buffer import LaneBuffer
from asynclog.options import QueueOptions
from asynclog.values import Item


def item(n=0, level=logging.ERROR, size=100):
    record = logging.makeLogRecord({"levelno": level, "msg": f"m{n}"})
    return Item(record, f"m{n}", size)


def filled(n, **options):
    dropped = []
    buffer = LaneBuffer(QueueOptions(**options), dropped.append)
    for i in range(n):
        buffer.append(item(i))
    return buffer, dropped


def test_with_less_than_a_fifth_free_records_below_warning_are_refused_first():
    buffer, _ = filled(7, maxsize=10)
    assert buffer.admits(logging.DEBUG)
    buffer.append(item())
    assert not buffer.admits(logging.INFO)
    assert buffer.admits(logging.WARNING)


def test_drop_oldest_makes_room_for_the_newest():
    buffer, dropped = filled(10, maxsize=10)
    assert buffer.admits(logging.ERROR)
    assert [one.text for one in dropped] == ["m0"]
    assert len(buffer) == 9


@pytest.mark.parametrize("elsewhere", [0, 4])
def test_drop_newest_refuses(elsewhere):
    buffer, dropped = filled(10 - elsewhere, maxsize=10, overflow="drop_newest")
    assert not buffer.admits(logging.CRITICAL, elsewhere)
    assert dropped == []


def test_what_is_being_formatted_takes_room_too():
    buffer, _ = filled(0, maxsize=10)
    assert not buffer.admits(logging.ERROR, elsewhere=10)
    assert not buffer.admits(logging.INFO, elsewhere=8)


def test_it_is_bounded_in_bytes():
    buffer, dropped = filled(0, maxsize=1000, max_memory=65_536)
    for n in range(50):
        if buffer.admits(logging.ERROR):
            buffer.append(item(n, size=10_000))
    assert buffer.memory <= 65_536 + 10_000
    assert dropped


def test_taking_keeps_the_order_and_the_account():
    buffer, _ = filled(7)
    assert [one.text for one in buffer.take(3, 10_000)] == ["m0", "m1", "m2"]
    assert [one.text for one in buffer.take(10, 250)] == ["m3", "m4"]
    assert buffer.memory == 200
    buffer.take(99, 10_000)
    assert (len(buffer), buffer.memory) == (0, 0)


def test_one_that_is_larger_than_a_batch_goes_alone():
    buffer, _ = filled(0)
    buffer.append(item(1, size=10**9))
    buffer.append(item(2))
    assert [one.text for one in buffer.take(10, 1000)] == ["m1"]
