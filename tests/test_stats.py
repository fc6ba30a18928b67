"""Counting: every record has exactly one outcome, at every moment and under threads."""

import enum
import itertools
import logging
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

import asynclog
from asynclog.ledger import DEAD_LETTERED, DELIVERED, DROPPED, SPOOLED, Ledger, add_up, unused_name
from asynclog.testing import MemorySink
from asynclog.values import Rejected, RetryLater, SharedOutcome, unpack
from tests.conftest import check_adds_up, wait_until


@pytest.mark.parametrize("order", list(itertools.permutations([DELIVERED, SPOOLED, DEAD_LETTERED, DROPPED])))
def test_of_several_lanes_outcomes_the_worst_wins_in_any_order(order):
    ledger, shared = Ledger(), SharedOutcome(4)
    ledger.accepted += 1
    for outcome in order:
        assert ledger.snapshot()["pending"] == 1
        # Only a drop needs its level: a lane that delivers gives none.
        ledger.settle_shared(shared, outcome, 1, "why", logging.ERROR if outcome == DROPPED else 0)
    counts = ledger.snapshot()
    assert counts["dropped"] == {"why": 1}
    assert counts["dropped_levels"] == {"ERROR": 1}
    assert counts["pending"] == 0


@given(st.lists(st.sampled_from([DELIVERED, SPOOLED, DEAD_LETTERED, DROPPED]), min_size=1))
def test_a_shared_outcome_settles_once(outcomes):
    ledger, shared = Ledger(), SharedOutcome(len(outcomes))
    ledger.accepted += 1
    for outcome in outcomes:
        ledger.settle_shared(shared, outcome, 1, "why", 20)
    counts = ledger.snapshot()
    assert counts["pending"] == 0
    name = {DELIVERED: "delivered", SPOOLED: "spooled", DEAD_LETTERED: "dead_lettered"}.get(max(outcomes))
    assert (counts[name] if name else sum(counts["dropped"].values())) == 1


def test_levels_that_are_enums_are_counted_by_number():
    class Level(enum.IntEnum):
        ALERT = 45

    ledger = Ledger()
    ledger.settle(DROPPED, 1, "x", Level.ALERT)
    ledger.settle(DROPPED, 1, "x", 45)
    assert ledger.dropped_levels == {45: 2}
    assert all(type(level) is int for level in ledger.dropped_levels)


def test_lanes_of_one_name_are_told_apart_when_added_up():
    one = {**Ledger().snapshot(), "lanes": {"file": {"accepted": 1}}, "errors": {"x": 1}, "accepted": 2}
    total = add_up([one, one])
    assert total["accepted"] == 4
    assert set(total["lanes"]) == {"file", "file#2"}
    assert total["errors"] == {"x": 2}
    assert unused_name("a", ["a", "a#2"]) == "a#3"


@pytest.fixture
def fast_switching():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def test_counters_are_exact_under_eight_threads(fast_switching, logger):
    sink, other = MemorySink(), MemorySink(level="ERROR")
    handler = asynclog.wrap(sink, other, maxsize=1_000_000, max_memory=10**10)
    logger.addHandler(handler)
    handler.listener.stop()

    def log():
        for number in range(20_000):
            logger.info("n %d", number)

    threads = [threading.Thread(target=log) for _ in range(8)]
    [one.start() for one in threads]
    [one.join() for one in threads]
    stats = handler.listener.stats()
    assert stats["accepted"] == stats["pending"] == 160_000
    assert len(handler.queue.entries) == 160_000
    assert handler.queue.memory == sum(unpack(queued)[2] for queued in handler.queue.entries)


def test_the_account_adds_up_at_every_moment_while_threads_log_and_the_sinks_fail(fast_switching, logger):
    def moody(batch):
        turn = hash(batch.id) % 4
        return [None, Rejected("no"), RetryLater("later", after=0.0), None][turn] if batch.attempt == 0 else None

    good, bad = MemorySink(), MemorySink(level="WARNING", batch_records=7)
    bad.go_down(moody)
    handler = asynclog.wrap(good, bad, maxsize=500)
    logger.addHandler(handler)
    listener, stop = handler.listener, threading.Event()
    seen, failures = [0], []

    def watch():
        while not stop.is_set():
            try:
                check_adds_up(listener.stats())
            except AssertionError as error:
                failures.append(error)
            seen[0] += 1

    def log(level):
        for number in range(4_000):
            logger.log(level, "n %d", number)

    watcher = threading.Thread(target=watch)
    watcher.start()
    threads = [threading.Thread(target=log, args=(level,)) for level in (10, 20, 30, 40)]
    [one.start() for one in threads]
    [one.join() for one in threads]
    assert listener.flush(20)
    stop.set()
    watcher.join()
    assert not failures, failures[0]
    assert seen[0] > 10
    stats = listener.stats()
    check_adds_up(stats)
    assert stats["accepted"] == 16_000
    assert stats["pending"] == 0
    delivered = [record for record in good.records if record.name == logger.name]  # and not the news of drops
    assert stats["lanes"]["memory"]["delivered"] == len(delivered)


def test_with_one_lane_delivered_and_one_dead_lettered_the_record_is_a_dead_letter(logger):
    good, bad = MemorySink(), MemorySink([Rejected("no")])
    handler = asynclog.wrap(good, bad)
    logger.addHandler(handler)
    logger.error("x")
    assert handler.listener.flush()
    stats = handler.listener.stats()
    assert (stats["delivered"], stats["dead_lettered"]) == (0, 1)
    assert stats["lanes"]["memory"]["delivered"] == stats["lanes"]["memory#2"]["dead_lettered"] == 1


def test_the_module_adds_up_all_listeners(logger):
    before = asynclog.stats()["accepted"]
    for _ in range(2):
        logger.addHandler(asynclog.wrap(MemorySink()))
    logger.error("x")
    assert asynclog.flush()
    wait_until(lambda: asynclog.stats()["accepted"] == before + 2)
    check_adds_up(asynclog.stats())
