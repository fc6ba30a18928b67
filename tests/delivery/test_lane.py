"""A lane's decisions, stepped by hand: nothing here sleeps, and there is no thread."""

import asyncio
import logging

import pytest

from asynclog.delivery import lane as lane_module
from asynclog.delivery import runner as runner_module
from asynclog.testing import MemorySink
from asynclog.values import Delivered, Lost, Part, Rejected, RetryLater
from tests.delivery.kit import Stepped


def test_the_first_leaves_at_once_and_later_ones_share_a_batch():
    one = Stepped(batch_age=10.0)
    one.log("first")
    assert one.seconds() == 0.0
    one.attempt()
    one.log("second")
    assert one.seconds() == 10.0
    one.clock.advance(4.0)
    one.log("third")
    assert one.seconds() == 6.0
    one.attempt()
    assert [len(batch.items) for batch in one.sink.batches] == [1, 2]
    assert one.check()["delivered"] == 3


def test_a_full_batch_does_not_wait():
    one = Stepped(batch_age=10.0, batch_records=3)
    one.log("first")
    one.attempt()
    one.log("a", "b")
    assert one.seconds() == 10.0
    one.log("c")
    assert one.seconds() == 0.0


def test_a_failed_batch_is_retried_whole_in_order_under_the_same_id():
    one = Stepped(MemorySink([RetryLater("busy"), RetryLater("busy"), OSError("gone")]))
    one.log("a", "b")
    one.attempt()
    one.log("c")
    assert one.seconds() == 1.0
    one.attempt()
    assert one.seconds() == 2.0
    one.attempt()
    one.settle_all()
    ids = [batch.id for batch in one.sink.batches]
    assert ids[0] == ids[1] == ids[2] == ids[3] != ids[4]
    assert [batch.attempt for batch in one.sink.batches] == [0, 1, 2, 3, 0]
    assert one.sink.messages == ["a", "b", "c"]
    assert one.check()["delivered"] == 3


def test_a_servers_hint_wins_over_the_backoff():
    one = Stepped(MemorySink([RetryLater("greylisted", after=300.0)]))
    one.log("a")
    one.attempt()
    assert one.seconds() == 300.0


def test_five_failures_open_the_breaker_with_one_alarm_and_a_success_closes_it():
    sink = MemorySink()
    sink.go_down(RetryLater("connection refused"))
    one = Stepped(sink, retry_initial=0.1, retry_max=0.1, breaker_reset=60.0)
    one.log("a")
    for _ in range(5):
        one.attempt()
    assert one.seconds() == 60.0
    for _ in range(3):
        one.attempt()
    kinds = [alarm.kind for alarm in one.alarms]
    assert kinds.count("breaker_open") == 1
    sink.come_back()
    one.attempt()
    assert [alarm.kind for alarm in one.alarms][-1] == "breaker_closed"
    assert one.check()["delivered"] == 1


def test_a_refused_login_opens_the_breaker_at_once():
    one = Stepped(MemorySink([RetryLater("535", circuit=True)]), breaker_reset=60.0)
    one.log("a")
    one.attempt()
    assert one.seconds() == 60.0
    assert [alarm.kind for alarm in one.alarms] == ["breaker_open"]


def test_rejected_records_are_dead_letters_and_lost_ones_dropped():
    sink = MemorySink([lambda b: [Part(Rejected("no"), b.items[:1]), Part(Lost("handler_error"), b.items[1:])]])
    one = Stepped(sink)
    one.log("a", "b", "c")
    one.attempt()
    counts = one.check()
    assert counts["dead_lettered"] == 1
    assert counts["dropped"] == {"handler_error": 2}


def test_one_full_mailbox_does_not_keep_the_mail_from_the_others():
    def full_mailbox(batch):
        if batch.recipients == ("full",):
            return [Part(RetryLater("452 mailbox full"), batch.items, ("full",))]
        return [Part(Delivered(), batch.items, ("ok",)), Part(RetryLater("452 mailbox full"), batch.items, ("full",))]

    sink = MemorySink()
    sink.go_down(full_mailbox)
    one = Stepped(sink, retry_initial=30.0, retry_max=30.0)
    for number in range(20):
        one.log(f"m{number}")
        assert one.seconds() == 0.0, "the others' mail waits for nothing"
        one.attempt()
    assert one.check()["delivered"] == 20
    assert sink.messages == [f"m{n}" for n in range(20)]
    assert not one.lane.health.breaker.is_open
    sink.come_back()
    one.settle_all()
    served = [batch for batch in sink.batches if batch.recipients == ("full",)]
    assert len({batch.items[0].text for batch in served}) == 20
    assert one.check()["delivered"] == 20


def test_mails_for_a_mailbox_that_stays_full_are_bounded(monkeypatch):
    monkeypatch.setattr(lane_module, "_MAX_APART", 3)
    sink = MemorySink()
    sink.go_down(lambda b: [Part(Delivered(), b.items, ("ok",)), Part(RetryLater("full"), b.items, ("full",))])
    one = Stepped(sink, retry_initial=3600.0, retry_max=3600.0)
    for number in range(10):
        one.log(f"m{number}")
        one.attempt()
    assert len(one.lane.apart) == 3
    assert any("given up" in alarm.text for alarm in one.alarms)


def test_a_mail_that_fails_time_and_again_lets_newer_ones_pass():
    class Mail(MemorySink):
        sends_mail = True

    sink = Mail()
    sink.go_down(lambda b: RetryLater("451 scanner failed") if b.items[0].text == "poison" else Delivered())
    one = Stepped(sink, retry_initial=1.0, retry_max=60.0, breaker_reset=60.0)
    one.log("poison")
    one.attempt()
    one.log("good")
    for _ in range(8):
        one.attempt()
    assert sink.messages == ["good"]
    assert not one.lane.health.breaker.is_open
    one.log("better")
    one.attempt()
    assert sink.messages == ["good", "better"]
    sink.come_back()
    one.settle_all()
    assert sorted(sink.messages) == ["better", "good", "poison"]
    assert one.check()["delivered"] == 3


def test_a_flush_does_not_put_off_a_mail_that_failed_often():
    class Mail(MemorySink):
        sends_mail = True

    sink = Mail()
    sink.go_down(RetryLater("451 later"))
    one = Stepped(sink)
    one.log("old")
    for _ in range(5):
        one.attempt()
    one.log("new")
    sink.come_back()
    mark = one.lane.request_flush()
    while one.seconds() == 0:
        one.attempt()
    assert one.lane.is_past(mark)
    assert sorted(sink.messages) == ["new", "old"]


def test_a_file_keeps_its_order_however_long_it_fails():
    sink = MemorySink()
    sink.go_down(RetryLater("disk full"))
    one = Stepped(sink, batch_records=1)
    one.log("a", "b", "c")
    for _ in range(20):
        one.attempt()
    assert {batch.items[0].text for batch in sink.batches} == {"a"}
    sink.come_back()
    one.settle_all()
    assert sink.messages == ["a", "b", "c"]


def test_the_rate_limits_batches_and_a_flush_passes_it():
    sink = MemorySink()
    sink.rate, sink.burst = (1, 60.0), 2
    one = Stepped(sink)
    for number in range(2):
        one.log(f"m{number}")
        assert one.seconds() == 0.0
        one.attempt()
    one.log("late")
    assert one.seconds() == pytest.approx(60.0)
    mark = one.lane.request_flush()
    assert one.seconds() == 0.0
    one.attempt()
    assert one.lane.is_past(mark)


def test_a_flush_makes_a_waiting_retry_due_and_is_not_past_until_it_is_settled():
    one = Stepped(MemorySink([RetryLater("x", after=500.0)]), breaker_reset=60.0)
    one.log("a")
    one.attempt()
    mark = one.lane.request_flush()
    assert one.seconds() == 0.0
    assert not one.lane.is_past(mark)
    one.attempt()
    assert one.lane.is_past(mark)


def test_a_flush_does_not_take_dropped_newcomers_for_the_ones_it_waits_for():
    sink = MemorySink()
    sink.go_down(RetryLater("down"))
    one = Stepped(sink, bounds={"maxsize": 10, "overflow": "drop_newest"})
    one.log(*"abcdefgh")
    mark = one.lane.request_flush()
    one.log(*(["newcomer"] * 50))
    assert not one.lane.is_past(mark)
    one.check()


def test_a_flush_does_not_wait_for_a_recipient_of_a_record_that_is_delivered():
    sink = MemorySink([lambda b: [Part(Delivered(), b.items, ("a",)), Part(RetryLater("x"), b.items, ("b",))]])
    one = Stepped(sink)
    one.log("m")
    mark = one.lane.request_flush()
    one.attempt()
    assert one.lane.is_past(mark)
    assert one.lane.remaining() == 0


def test_the_announcement_of_drops_is_counted_nowhere_and_gets_through_a_full_lane():
    one = Stepped(bounds={"maxsize": 10, "overflow": "drop_newest"})
    one.log(*"abcdefghij")
    one.log("x", "y", "z")
    assert one.lane.has_news()
    one.lane.announce_drops(one.clock.monotonic(), {})
    assert not one.lane.has_news()
    one.settle_all()
    assert one.sink.messages[-1] == "asynclog dropped 3 records (lane_full: 3) in 0 s"
    assert one.check()["delivered"] == 10
    assert one.lane.ledger.snapshot()["accepted"] == 13


def test_one_announcement_waits_at_a_time_and_the_next_one_has_the_rest():
    sink = MemorySink()
    sink.go_down(RetryLater("down"))
    one = Stepped(sink, bounds={"maxsize": 10, "overflow": "drop_newest"})
    one.log(*"abcdefghij")
    for _ in range(50):
        one.log("dropped")
        if one.lane.has_news():
            one.lane.announce_drops(one.clock.monotonic(), {})
        one.clock.advance(60)
    assert one.lane.remaining() == 11
    sink.come_back()
    one.settle_all()
    one.lane.announce_drops(one.clock.monotonic(), {})
    one.settle_all()
    news = [message for message in sink.messages if message.startswith("asynclog")]
    assert [message.split()[2] for message in news] == ["1", "49"]


def test_an_announcement_that_is_dropped_itself_is_made_again():
    one = Stepped(bounds={"maxsize": 10})
    one.log(*"abcdefghij", "k")
    one.lane.announce_drops(one.clock.monotonic(), {})
    one.log(*(str(number) for number in range(20)))
    assert one.lane.has_news()
    one.settle_all()
    one.lane.announce_drops(one.clock.monotonic(), {})
    one.settle_all()
    (news,) = [message for message in one.sink.messages if message.startswith("asynclog")]
    assert news.startswith(f"asynclog dropped {sum(one.total.dropped.values())} records")


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), MemoryError(), asyncio.CancelledError()])
def test_whatever_a_sink_raises_is_a_failure_and_retried(error):
    one = Stepped(MemorySink([error]))
    one.log("a")
    one.attempt()
    one.settle_all()
    assert one.check()["delivered"] == 1
    assert [alarm.kind for alarm in one.alarms][0] == "sink_error"


def test_a_sink_that_answers_nonsense_is_retried_and_named():
    one = Stepped(MemorySink([lambda b: 7]))
    one.log("a")
    one.attempt()
    assert "TypeError" in one.alarms[0].text
    assert one.check()["pending"] == 1


def test_a_lane_that_fails_to_take_a_record_counts_it(monkeypatch):
    one = Stepped()
    monkeypatch.setattr(one.lane.intake, "take", lambda *a: (_ for _ in ()).throw(MemoryError()))
    one.log("a")
    assert one.check()["dropped"] == {"lane_error": 1}


def test_what_a_full_lane_drops_is_counted_by_reason_and_level():
    one = Stepped(bounds={"maxsize": 10})
    one.log(*(f"e{n}" for n in range(10)))
    one.log("debug", level=logging.DEBUG)
    one.log("newest")
    counts = one.check()
    assert counts["dropped"] == {"lane_full": 2}
    assert counts["dropped_levels"] == {"DEBUG": 1, "ERROR": 1}
    one.settle_all()
    assert one.sink.messages[0] == "e1"
    assert one.sink.messages[-1] == "newest"


async def test_stopping_cancels_a_delivery_that_can_be_and_closes_the_sink():
    sink = MemorySink(delay=3600.0)
    one = Stepped(sink)
    one.log("a")
    one.lane.start(asyncio.get_running_loop().create_task)
    while not sink.batches:
        await asyncio.sleep(0)
    await one.lane.stop(0.0)
    assert (sink.cancelled, sink.closed) == (1, 1)
    assert one.check()["pending"] == 1
    sink.delay = 0.0
    one.lane.start(asyncio.get_running_loop().create_task)
    while one.lane.remaining():
        await asyncio.sleep(0)
    await one.lane.stop(0.0)
    assert sink.messages == ["a"]
    assert sink.batches[0].id == sink.batches[1].id
    assert sink.opened == sink.closed == 2


async def test_a_lane_that_is_started_while_it_stops_goes_on():
    sink = MemorySink()
    one = Stepped(sink)
    spawn = asyncio.get_running_loop().create_task
    one.lane.start(spawn)
    await asyncio.sleep(0)
    stopping = spawn(one.lane.stop(5.0))
    await asyncio.sleep(0)
    one.lane.start(spawn)
    await stopping
    one.log("a")
    while one.lane.remaining():
        await asyncio.sleep(0)
    assert sink.messages == ["a"]
    await one.lane.stop(0.0)


async def test_a_raising_open_is_tried_again(monkeypatch):
    monkeypatch.setattr(runner_module, "_FAULT_PAUSE", 0.0)

    class Odd(MemorySink):
        async def open(self):
            await super().open()
            if self.opened < 3:
                raise OSError("not yet")

    one = Stepped(Odd())
    one.log("a")
    one.lane.start(asyncio.get_running_loop().create_task)
    while one.lane.remaining():
        await asyncio.sleep(0)
    assert one.sink.messages == ["a"]
    await one.lane.stop(0.0)


def test_what_is_left_of_a_lane_that_is_removed_is_counted():
    sink = MemorySink([RetryLater("x")])
    one = Stepped(sink, batch_records=1)
    one.log("a", "b", "c")
    one.attempt()
    one.lane.give_up("handler_removed")
    assert one.check()["dropped"] == {"handler_removed": 3}


def test_after_a_fork_it_is_empty():
    one = Stepped(MemorySink([RetryLater("x")]))
    one.log("a", "b")
    one.attempt()
    one.lane.after_fork()
    assert one.lane.remaining() == 0
    assert one.lane.ledger.snapshot()["accepted"] == 0
    assert one.seconds() is None
