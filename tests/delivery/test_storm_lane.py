"""A lane under storm control, stepped by hand on a clock that jumps."""

import asyncio
import logging

import pytest

from asynclog.alarm import AlarmBoard
from asynclog.delivery.storm_lane import StormLane
from asynclog.ledger import UNCOUNTED, Ledger
from asynclog.options import LaneOptions, QueueOptions
from asynclog.testing import FakeClock, MemorySink
from asynclog.values import Delivered, Lost, Part, Rejected, RetryLater, SharedOutcome
from tests.delivery import kit


class FoldingSink(MemorySink):
    sends_mail = True
    rate = (30, 3600.0)
    burst = 10

    @property
    def counts(self):
        """The count of every mail that was taken, once each."""
        return {batch.id: batch.digest.count for batch in self.taken}

    def after_fork(self):
        super().after_fork()
        self.taken = []

    async def deliver(self, batch):
        parts = await super().deliver(batch)
        if any(isinstance(part.verdict, Delivered) for part in parts):
            self.taken.append(batch)
        return parts


class Stepped(kit.Stepped):
    def __init__(self, **options):
        self.sink = FoldingSink()
        self.clock = FakeClock()
        self.alarms = []
        self.total = Ledger()
        options.setdefault("retry_initial", 1.0)
        board = AlarmBoard(self.alarms.append, self.clock)
        self.lane = StormLane(
            self.sink,
            self.sink,
            LaneOptions(**options),
            QueueOptions(maxsize=10),
            board,
            self.total,
            "lane",
            clock=self.clock,
            chance=lambda: 1.0,
        )

    def until(self, seconds):
        """Make every attempt that is due within some seconds."""
        ends = self.clock.monotonic() + seconds
        for _ in range(1000):
            wait = self.seconds()
            if wait is None or self.clock.monotonic() + wait > ends:
                self.clock.advance(max(0.0, ends - self.clock.monotonic()))
                return
            self.clock.advance(wait)
            asyncio.run(self.lane.runner.attempt())
        raise AssertionError("it goes on for ever")

    def flush(self):
        mark = self.lane.request_flush()
        self.until(0.0)
        return self.lane.is_past(mark)


def test_the_first_leaves_at_once_and_the_rest_as_one_digest_after_a_minute():
    one = Stepped()
    one.log("broken")
    one.until(0.0)
    one.log(*["broken"] * 99)
    one.until(59.0)
    assert list(one.sink.counts.values()) == [1]
    one.until(10.0)
    assert list(one.sink.counts.values()) == [1, 99]
    assert one.check()["delivered"] == 100


def test_what_is_counted_takes_no_room_in_the_lane():
    one = Stepped()
    one.log(*["broken"] * 1000)
    assert one.lane.remaining() == 1000
    assert one.flush()
    assert sum(one.sink.counts.values()) == 1000
    assert one.check()["dropped"] == {}


def test_while_a_mail_is_retried_what_comes_is_counted_and_leaves_in_few_mails():
    one = Stepped(retry_max=60.0, breaker_reset=60.0)
    one.sink.go_down(RetryLater("451 later"))
    for minute in range(47):
        one.log(*[f"group {minute} broken"] * 10)
        one.until(60.0)
    one.sink.come_back()
    one.until(600.0)
    assert len({batch.id for batch in one.sink.batches}) <= 4
    assert sum(one.sink.counts.values()) == 470
    assert one.check()["delivered"] == 470
    first = one.sink.taken[0]
    assert first.refusal == "451 later"
    assert one.clock.time() - first.refused_since > 46 * 60


def test_one_mail_may_pass_one_that_the_server_can_not_stand():
    one = Stepped(retry_max=2.0, breaker_reset=2.0)
    one.sink.go_down(lambda batch: RetryLater("451 no") if "poison" in batch.items[0].text else Delivered())
    one.log("poison")
    one.until(20.0)
    one.log("another")
    one.until(60.0)
    assert [batch.items[0].text for batch in one.sink.taken] == ["another"]
    assert one.lane.remaining() == 1
    one.sink.come_back()
    one.until(60.0)
    assert sum(one.sink.counts.values()) == 2


def test_a_flush_sends_a_mail_that_failed_often_too_once_the_server_is_back():
    one = Stepped()
    one.sink.go_down(RetryLater("451 later"))
    one.log("first")
    one.until(20.0)
    assert len(one.sink.batches) >= 5
    one.log("second")
    one.sink.come_back()
    assert one.flush()
    assert sorted(one.sink.counts.values()) == [1, 1]
    assert one.lane.remaining() == 0


def test_a_mail_is_the_same_mail_when_it_is_retried():
    one = Stepped()
    one.sink.fail_with(RetryLater("451"), RetryLater("451"))
    one.log("broken", "broken")
    one.settle_all()
    ids = [(batch.id, batch.digest, batch.attempt) for batch in one.sink.batches]
    assert len({(id, digest) for id, digest, _ in ids[:3]}) == 1
    assert [attempt for _, _, attempt in ids[:3]] == [0, 1, 2]


@pytest.mark.parametrize(
    ("verdict", "key", "count"),
    [
        (Rejected("554 no"), "dead_lettered", 3),
        (Lost("too_old"), "dropped", {"too_old": 3}),
    ],
)
def test_what_will_never_be_taken_is_counted_with_all_its_records(verdict, key, count):
    one = Stepped()
    one.sink.fail_with(verdict)
    one.log("broken", "broken", "broken")
    one.until(1.0)
    assert one.check()[key] == count


def test_one_recipient_is_enough_and_the_other_is_served_apart():
    one = Stepped()

    def step(batch):
        if batch.recipients is None:
            return [Part(Delivered(), batch.items, ("a",)), Part(RetryLater("full"), batch.items, ("b",))]
        assert batch.recipients == ("b",)
        return Delivered()

    one.sink.fail_with(step, step)
    one.log("broken", "broken")
    one.until(0.0)
    assert one.check()["delivered"] == 2
    one.log("another")
    one.settle_all()
    assert [batch.recipients for batch in one.sink.batches].count(("b",)) == 1
    assert one.check()["delivered"] == 3


def test_a_flush_is_past_when_what_was_taken_before_it_is_settled_and_not_before():
    one = Stepped(retry_initial=5.0, retry_max=5.0)
    one.log("broken")
    one.until(0.0)
    one.log("broken", "another")
    one.sink.fail_with(RetryLater("451"))
    mark = one.lane.request_flush()
    assert not one.lane.is_past(mark)
    one.until(0.0)
    one.log("broken")
    assert not one.lane.is_past(mark)
    one.until(6.0)
    assert one.lane.is_past(mark)
    assert one.lane.remaining() == 1, "what came later is not in its mail"


def test_a_record_that_counts_nowhere_is_told_and_counted_nowhere():
    one = Stepped()
    one.lane.take(kit.fields("asynclog dropped 3 records", logging.WARNING), None, 0, UNCOUNTED)
    assert one.flush()
    assert [batch.items[0].text for batch in one.sink.taken] == ["asynclog dropped 3 records"]
    assert list(one.sink.counts.values()) == [0]
    assert one.total.snapshot()["delivered"] == 0


def test_records_that_another_lane_has_too_are_settled_with_the_last_lane():
    one = Stepped()
    outcomes = [SharedOutcome(2) for _ in range(5)]
    one.total.accepted += 5
    for shared in outcomes:
        one.lane.take(kit.fields("broken"), None, 100, shared)
    assert one.flush()
    assert one.total.delivered == 0
    for shared in outcomes:
        one.total.settle_shared(shared, 1, 1, "", 40)
    assert one.total.delivered == 5


def test_at_its_end_what_is_left_is_counted_as_dropped():
    one = Stepped()
    one.sink.go_down(RetryLater("451"))
    one.log(*["broken"] * 5)
    one.until(0.0)
    one.log(*["broken"] * 5)
    one.lane.give_up("handler_removed")
    assert one.check()["dropped"] == {"handler_removed": 10}
    assert one.lane.remaining() == 0


def test_a_forked_child_starts_empty():
    one = Stepped()
    one.log(*["broken"] * 5)
    one.lane.after_fork()
    assert one.lane.remaining() == 0
    assert one.seconds() is None
    assert one.flush()


def test_a_record_that_can_not_be_rendered_is_counted_all_the_same(monkeypatch):
    one = Stepped()

    def out_of_memory(*_):
        raise MemoryError

    monkeypatch.setattr(one.lane.intake, "_finished", out_of_memory)
    one.log("broken", "broken")
    assert one.flush()
    assert list(one.sink.counts.values()) == [2]
    assert one.check()["delivered"] == 2
