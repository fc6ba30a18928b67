"""What a caller does for the worker while records are given up: it lets it at the interpreter."""

import logging

import pytest

import asynclog
from asynclog import worker as worker_module
from asynclog.queue import RecordQueue
from asynclog.testing import MemorySink
from asynclog.turns import PAUSE
from asynclog.worker import Worker
from tests.conftest import check_adds_up


class Room:
    """A logger over a queue of 100 that nobody drains, and how often its callers let somebody in."""

    def __init__(self, logger, **options):
        self.queue = RecordQueue(100, **options)
        self.listener = asynclog.QueueListener(self.queue, MemorySink())
        self.listener.stop()
        self.let_in = 0
        self.queue.on_full = self.count
        self.logger = logger
        logger.addHandler(asynclog.QueueHandler(self.queue))

    def count(self):
        self.let_in += 1

    @property
    def dropped(self):
        return sum(self.queue.ledger.dropped.values())


def test_nobody_is_let_in_while_there_is_room(logger):
    room = Room(logger)
    for number in range(100):
        logger.error("%d", number)
    assert room.dropped == 0
    assert room.let_in == 0


@pytest.mark.parametrize("args", [("%d", 1), ("%s", [1])], ids=["fast", "careful"])
def test_after_each_run_of_records_that_are_given_up_the_worker_is_let_in(logger, args):
    room = Room(logger)
    for _ in range(100):
        logger.error(*args)
    for _ in range(50):
        before, dropped = room.let_in, room.dropped
        logger.error(*args)
        # The one that had them given up is in the queue by now, and did not wait for it twice.
        assert room.let_in - before == (room.dropped > dropped)
    assert room.let_in > 5
    check_adds_up(room.listener.stats())


def test_where_new_records_are_refused_it_is_let_in_once_in_64(logger):
    room = Room(logger, overflow="drop_newest")
    for _ in range(100 + 64 * 5):
        logger.error("x")
    assert room.dropped == 64 * 5
    assert room.let_in == 5


def test_whoever_is_refused_below_warning_lets_it_in_too(logger):
    logger.setLevel(logging.DEBUG)
    room = Room(logger)
    for _ in range(80 + 64 * 2):
        logger.info("x")
    assert room.dropped == 64 * 2
    assert room.let_in == 2


def test_a_signal_meanwhile_costs_no_record(logger):
    room = Room(logger)
    for _ in range(100):
        logger.error("x")

    def interrupted():
        raise KeyboardInterrupt

    room.queue.on_full = interrupted
    with pytest.raises(KeyboardInterrupt):
        logger.error("the last")
    stats = room.listener.stats()
    assert stats["accepted"] == 101
    check_adds_up(stats)
    assert room.queue.entries[-1]["msg"] == "the last"


@pytest.mark.parametrize(
    ("since", "asleep", "sleeps"),
    [
        (0.001, False, False),  # it is at work
        (0.009, False, False),
        (0.011, False, True),
        (0.9, False, True),
        (1.1, False, False),  # a sink blocks the loop: nobody helps it
        (0.5, True, False),  # it waits for records, not for the interpreter
    ],
)
def test_a_worker_is_let_in_that_waits_for_the_interpreter(monkeypatch, since, asleep, sleeps):
    one = Worker()
    one._worked_at, one._asleep = 100.0, asleep
    slept = []
    monkeypatch.setattr(worker_module.time, "monotonic", lambda: 100.0 + since)
    monkeypatch.setattr(worker_module, "real_sleep", slept.append)
    one.let_in()
    assert slept == [PAUSE] * sleeps


def test_the_listener_has_its_callers_do_it(logger):
    listener = asynclog.wrap(MemorySink()).listener
    assert listener.inner.on_full == worker_module.worker.let_in
