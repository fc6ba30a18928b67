"""The worker's end: fan-out, flushing, starting and stopping, and what it lets go of."""

import asyncio
import contextvars
import gc
import logging
import threading
import time
import weakref

import pytest

import asynclog
from asynclog import lifecycle, threads
from asynclog.delivery import drops
from asynclog.testing import FakeClock, MemorySink, check_sink
from asynclog.values import Delivered, Part, Rejected, RetryLater
from asynclog.worker import worker
from tests.conftest import check_adds_up, wait_until


def shipped(logger, *sinks, **options):
    handler = asynclog.wrap(*(sinks or [MemorySink()]), **options)
    logger.addHandler(handler)
    return handler.listener


class Blocked(asynclog.ThreadedSink):
    """Hangs in its thread until it is released."""

    def __init__(self, **keywords):
        super().__init__(**keywords)
        self.release = threading.Event()
        self.entered = threading.Event()
        self.got = []

    def deliver_blocking(self, batch):
        self.entered.set()
        self.release.wait(60)
        self.got += [item.text for item in batch.items]
        return (Part(Delivered(), batch.items),)


@pytest.fixture
def blocked():
    sink = Blocked()
    yield sink
    sink.release.set()


# -- life ------------------------------------------------------------------------------------------


def test_it_starts_by_itself_at_the_first_record(logger):
    sink = MemorySink()
    shipped(logger, sink)
    logger.error("x")
    wait_until(lambda: sink.messages == ["x"])


def test_nothing_is_started_by_making_one(logger):
    listener = asynclog.wrap(MemorySink()).listener
    assert listener not in worker.listeners
    assert listener.flush()
    assert listener.stop()
    assert listener not in worker.listeners


def test_start_stop_and_flush_can_be_repeated(logger):
    sink = MemorySink()
    listener = shipped(logger, sink)
    for number in range(5):
        listener.start()
        listener.start()
        logger.error("%d", number)
        assert listener.flush()
        assert listener.flush()
        assert listener.stop()
        assert listener.stop()
    assert sink.messages == [str(number) for number in range(5)]
    assert sink.opened == sink.closed == 5


def test_after_stop_records_wait_for_a_start(logger):
    sink = MemorySink()
    listener = shipped(logger, sink)
    logger.error("before")
    assert listener.stop()
    logger.error("after")
    assert not listener.flush(0.1)
    assert not listener.stop(0.1)
    assert sink.messages == ["before"]
    listener.start()
    assert listener.flush()
    assert sink.messages == ["before", "after"]


def test_a_with_block_delivers_on_the_way_out(logger):
    sink = MemorySink()
    with shipped(logger, sink) as listener:
        assert isinstance(listener, asynclog.QueueListener)
        logger.error("in")
    assert sink.messages == ["in"]
    assert sink.closed == 1


async def test_an_async_with_block_delivers_and_keeps_the_loop_going(logger):
    sink, ticks = MemorySink(delay=0.2), []

    async def tick():
        while True:
            ticks.append(1)
            await asyncio.sleep(0.005)

    ticking = asyncio.get_running_loop().create_task(tick())
    async with shipped(logger, sink) as listener:
        logger.error("in")
        await asyncio.sleep(0)
    ticking.cancel()
    assert sink.messages == ["in"]
    assert len(ticks) > 5
    logger.error("after")
    listener.start()
    assert await listener.aflush(10)
    assert sink.messages == ["in", "after"]


def test_a_closed_handler_opens_again_at_the_next_record(logger):
    sink = MemorySink()
    handler = asynclog.wrap(sink)
    logger.addHandler(handler)
    logger.error("one")
    handler.close()
    assert sink.messages == ["one"]
    assert sink.closed == 1
    logger.error("two")
    wait_until(lambda: sink.messages == ["one", "two"])


@pytest.mark.parametrize("round_", range(30))
def test_starting_while_it_stops_loses_nothing(logger, round_):
    sink = MemorySink()
    listener = shipped(logger, sink)
    logger.error("a")
    stopping = threading.Thread(target=listener.stop, args=(2.0,))
    stopping.start()
    time.sleep(round_ * 0.0003)
    listener.start()
    logger.error("b")
    stopping.join()
    listener.start()
    assert listener.flush(10), listener
    assert sink.messages == ["a", "b"]


def test_records_logged_while_handlers_are_closed_and_opened_again_all_arrive(logger):
    sink = MemorySink()
    handler = asynclog.wrap(sink)
    logger.addHandler(handler)
    done = threading.Event()

    def close():
        while not done.is_set():
            handler.close()

    closing = threading.Thread(target=close)
    closing.start()
    for number in range(2_000):
        logger.error("%d", number)
    done.set()
    closing.join()
    wait_until(lambda: handler.listener.flush(1))
    assert sink.messages == [str(number) for number in range(2_000)]


def test_a_record_that_comes_while_a_closed_listener_ends_on_the_loop_is_delivered(logger, monkeypatch):
    sink = MemorySink()
    handler = asynclog.wrap(sink)
    logger.addHandler(handler)
    logger.error("one")
    assert handler.listener.flush(10)
    pending, late = handler.listener.inner.pending, []

    def then_a_record_comes():
        found = pending()
        if threads.is_own_thread() and not late:
            late.append(threading.Thread(target=logger.error, args=("two",)))
            late[0].start()
            late[0].join()
        return found

    monkeypatch.setattr(handler.listener.inner, "pending", then_a_record_comes)
    with logging._lock:  # as dictConfig holds it: the end is left to the loop
        handler.close()
    wait_until(lambda: sink.messages == ["one", "two"])


def test_a_record_that_comes_between_the_flush_and_the_end_of_a_close_is_delivered(logger, monkeypatch):
    sink = MemorySink()
    handler = asynclog.wrap(sink)
    logger.addHandler(handler)
    logger.error("one")
    listener = handler.listener
    end = listener.lifecycle.end

    def end_just_after_a_record(state, deadline):
        listener.lifecycle.state, listener.inner.sleeping = state, False  # the worker is awake: nobody rings
        logger.error("two")
        assert listener.inner.entries
        end(state, deadline)

    monkeypatch.setattr(listener.lifecycle, "end", end_just_after_a_record)
    handler.close()
    monkeypatch.setattr(listener.lifecycle, "end", end)
    wait_until(lambda: sink.messages == ["one", "two"])


def test_a_record_that_comes_while_it_lies_down_keeps_it_up():
    queue = asynclog.RecordQueue()
    listener = asynclog.QueueListener(queue, MemorySink())
    queue.sleeping = False  # as a record finds it that comes just before: it rings nobody
    asynclog.QueueHandler(queue).handle(logging.makeLogRecord({"msg": "late", "levelno": logging.ERROR}))
    listener.lifecycle.state = "running"
    assert not listener.lie_down()
    assert not queue.sleeping
    listener.lifecycle.state = "idle"


def on_the_loop(command):
    done = threading.Event()
    worker.post(lambda: (command(), done.set()))
    assert done.wait(20)


def test_an_end_that_was_asked_for_before_a_start_leaves_the_lanes_running(logger):
    sink = MemorySink()
    listener = shipped(logger, sink)
    logger.error("a")
    assert listener.flush(10)
    on_the_loop(lambda: listener.lifecycle._detach(time.monotonic() + 5.0))  # the start has come first
    logger.error("b")
    wait_until(lambda: sink.messages == ["a", "b"])
    assert not sink.closed


def test_a_start_that_comes_while_the_lanes_are_about_to_end_starts_them_again(logger):
    sink = MemorySink()
    listener = shipped(logger, sink)
    logger.error("a")
    assert listener.flush(10)

    def end_and_start():
        listener.lifecycle.state = "idle"
        listener.lifecycle._detach(time.monotonic() + 5.0)
        listener.start()

    on_the_loop(end_and_start)
    wait_until(lambda: sink.closed == 1)
    logger.error("b")
    wait_until(lambda: sink.messages == ["a", "b"])
    assert listener.stop(10)
    assert sink.closed == 2


def test_a_start_that_comes_in_the_middle_of_an_end_is_served(logger, monkeypatch):
    sink = MemorySink()
    listener = shipped(logger, sink)
    logger.error("a")
    assert listener.flush(10)

    class StartsMeanwhile(list):
        """The worker's listeners; the listener starts when it is about to be taken from among them."""

        def __iter__(self):
            if listener.lifecycle.state == "idle":
                listener.start()
            return super().__iter__()

    def end():
        listener.lifecycle.state = "idle"
        listener.lifecycle._detach(time.monotonic() + 5.0)

    monkeypatch.setattr(worker, "listeners", StartsMeanwhile(worker.listeners))
    on_the_loop(end)
    logger.error("b")
    wait_until(lambda: sink.messages == ["a", "b"])


# -- deadlines -----------------------------------------------------------------------------------


@pytest.mark.parametrize("timeout", [0.0, 0.3, 1.0])
def test_stop_returns_in_time_with_a_hung_thread(logger, blocked, timeout):
    listener = shipped(logger, blocked)
    logger.error("x")
    assert blocked.entered.wait(20)
    before = time.monotonic()
    assert not listener.stop(timeout)
    assert time.monotonic() - before < timeout + 2
    assert listener.stats()["pending"] == 1
    blocked.release.set()
    wait_until(lambda: blocked.got == ["x"])
    listener.start()
    assert listener.flush()
    assert blocked.got == ["x"], "what hung and came to its end is not delivered a second time"
    assert listener.stats()["delivered"] == 1


def test_stop_returns_in_time_with_a_hung_connection_which_is_cancelled(logger):
    sink = MemorySink(delay=3600)
    listener = shipped(logger, sink)
    logger.error("x")
    wait_until(lambda: sink.batches)
    before = time.monotonic()
    assert not listener.stop(0.5)
    assert time.monotonic() - before < 3
    assert sink.cancelled == 1
    sink.delay = 0
    listener.start()
    assert listener.flush()
    assert sink.messages == ["x"]


def test_stop_returns_in_time_with_a_sink_that_swallows_its_cancellation(logger):
    class Stubborn(MemorySink):
        async def deliver(self, batch):
            for _ in range(100):
                try:
                    await asyncio.sleep(0.1)
                except asyncio.CancelledError:
                    pass
            return await super().deliver(batch)

    listener = shipped(logger, Stubborn())
    logger.error("x")
    wait_until(lambda: listener.lanes[0].runner.scope is not None)
    before = time.monotonic()
    listener.stop(0.5)
    assert time.monotonic() - before < 4


def test_flush_returns_in_time_when_the_sink_is_down_and_leaves_no_work_behind(logger):
    sink = MemorySink()
    sink.go_down(RetryLater("down"))
    listener = shipped(logger, sink)
    logger.error("x")
    before = time.monotonic()
    assert not listener.flush(0.3)
    assert time.monotonic() - before < 3
    wait_until(lambda: not listener._drain.requests)
    assert listener.queue.sleeping or wait_until(lambda: listener.queue.sleeping) is None
    sink.come_back()
    assert listener.flush(10)


def test_flush_says_true_when_what_is_left_was_refused_for_good(logger):
    listener = shipped(logger, MemorySink([Rejected("no")]))
    logger.error("x")
    assert listener.flush()
    assert listener.stats()["dead_lettered"] == 1


def test_flush_of_all_listeners_waits_for_them_together(logger):
    sinks = [MemorySink(delay=0.3) for _ in range(10)]
    for sink in sinks:
        shipped(logger, sink)
    logger.error("x")
    before = time.monotonic()
    assert asynclog.flush(20)
    assert time.monotonic() - before < 2.5
    assert all(sink.messages == ["x"] for sink in sinks)


# -- apart from one another ----------------------------------------------------------------------


def test_a_hung_lane_holds_up_no_other(logger, blocked):
    fast = MemorySink()
    listener = shipped(logger, blocked, fast, maxsize=50)
    for number in range(20):
        logger.error("%d", number)
    wait_until(lambda: len(fast.messages) == 20)
    assert blocked.got == []
    check_adds_up(listener.stats())
    assert listener.stats()["pending"] == 20
    blocked.release.set()
    assert listener.flush(20)
    assert len(blocked.got) == 20


def test_a_raising_formatter_or_sink_hurts_nobody_else(logger):
    class Raises(logging.Formatter):
        def format(self, record):
            raise SystemExit

    broken, bad_format, fine = MemorySink(), MemorySink(formatter=Raises()), MemorySink()
    broken.go_down(SystemExit)
    listener = shipped(logger, broken, bad_format, fine)
    restarts = worker.board.counts.get("worker_restarted", 0)
    for number in range(10):
        logger.error("%d", number)
    wait_until(lambda: len(fine.messages) == 10 and len(bad_format.messages) == 10)
    errors = listener.stats()["errors"]
    assert errors["formatter_error"] == 10
    assert errors["sink_error"] >= 1
    assert worker.board.counts.get("worker_restarted", 0) == restarts
    broken.come_back()
    assert listener.flush(10)
    assert len(broken.messages) == 10


def test_block_holds_the_queue_up_and_drops_nothing_that_a_flush_asks_for(logger, blocked):
    fast = MemorySink()
    listener = shipped(logger, blocked, fast, maxsize=20, overflow="block:0.01", batch_records=1)
    for number in range(20):
        logger.error("%d", number)
    blocked.entered.wait(20)
    listener.flush(0.3)
    assert listener.lanes[0].ledger.snapshot()["dropped"] == {}
    blocked.release.set()
    assert listener.flush(20)
    stats = listener.stats()
    check_adds_up(stats)
    assert stats["delivered"] + sum(stats["dropped"].values()) == 20
    assert set(stats["dropped"]) <= {"queue_full"}


# -- lanes that come and go ------------------------------------------------------------------------


def test_a_lane_added_while_it_runs_gets_what_comes_after(logger):
    first, second = MemorySink(), MemorySink()
    listener = shipped(logger, first)
    logger.error("a")
    assert listener.flush()
    listener.add_handlers([second, first])
    assert len(listener.lanes) == 2
    logger.error("b")
    assert listener.flush()
    assert (first.messages, second.messages) == (["a", "b"], ["b"])


def test_a_lane_removed_while_its_sink_is_down_settles_what_it_had(logger):
    first, second = MemorySink(), MemorySink()
    second.go_down(RetryLater("down"))
    listener = shipped(logger, first, second)
    logger.error("a")
    assert not listener.remove_handler(second, 0.2)
    wait_until(lambda: listener.pending() == 0)
    logger.error("b")
    assert listener.flush()
    assert first.messages[:2] == ["a", "b"]
    assert first.messages[2].startswith("asynclog dropped 1 records (handler_removed: 1)")
    stats = listener.stats()
    assert stats["dropped"] == {"handler_removed": 1}
    check_adds_up(stats)


def test_records_for_a_lane_that_is_gone_go_to_no_other(logger):
    first, second, third = MemorySink(), MemorySink(), MemorySink()
    listener = shipped(logger, first, second)
    listener.stop()
    logger.error("for the first two")
    listener.remove_handler(second, 0.0)
    listener.add_handlers([third])
    listener.start()
    logger.error("for the first and the third")
    assert listener.flush()
    assert len(first.messages) == 2
    assert third.messages == ["for the first and the third"]
    assert listener.stats()["delivered"] == 2


def test_records_whose_every_lane_is_gone_are_counted(logger):
    only = MemorySink()
    listener = shipped(logger, only)
    listener.stop()
    logger.error("x")
    listener.remove_handler(only, 0.0)
    listener.start()
    wait_until(lambda: listener.pending() == 0)
    assert listener.stats()["dropped"] == {"refused": 1}


# -- drops are told ----------------------------------------------------------------------------------


def test_drops_are_announced_on_every_lane_before_it_ends_and_counted_apart(logger):
    one, two = MemorySink(), MemorySink(level="ERROR", formatter=logging.Formatter("%(tag)s %(message)s"))
    listener = shipped(logger, one, two, maxsize=10)
    listener.stop()
    for _ in range(15):
        logger.info("flood")
    for number in range(5):
        logger.warning("w%d", number)
    listener.start()
    assert listener.flush()
    news = one.records[-1]
    assert news.getMessage().startswith("asynclog dropped 10 records (queue_full: 10) in ")
    assert news.name == "asynclog"
    assert news.levelno == logging.INFO
    assert two.texts[-1].startswith("- asynclog dropped 10 records")
    stats = listener.stats()
    assert stats["accepted"] == 20
    assert stats["delivered"] == 10
    assert "formatter_error" not in stats["errors"]


def test_drops_are_announced_some_time_after_even_if_nothing_more_is_logged(logger, monkeypatch):
    monkeypatch.setattr(drops, "ANNOUNCE_EVERY", 0.3)
    sink = MemorySink()
    listener = shipped(logger, sink, maxsize=10)
    listener.stop()
    for _ in range(15):
        logger.info("flood")
    listener.start()
    wait_until(lambda: any("asynclog dropped" in message for message in sink.messages))


# -- nothing is pinned ---------------------------------------------------------------------------------


class Request:
    pass


user = contextvars.ContextVar("user", default=None)


class ByUser(logging.Formatter):
    def format(self, record):
        return f"{user.get()} {super().format(record)}"


@pytest.mark.parametrize("formatter", [None, ByUser(), asynclog.JSONFormatter()], ids=["standard", "user's", "JSON"])
def test_while_the_sink_is_down_nothing_of_the_callers_is_held(logger, formatter):
    sink = MemorySink(formatter=formatter)
    sink.go_down(RetryLater("down"))
    listener = shipped(logger, sink)
    gone = []

    def call():
        local, extra, context, argument = Request(), Request(), Request(), Request()
        gone.extend(map(weakref.ref, (local, extra, context, argument)))
        token = user.set(context)
        try:
            raise ValueError("x")
        except ValueError:
            logger.exception("m %s", argument, extra={"request": extra})
        logger.error("n", extra={"request": extra})
        user.reset(token)

    contextvars.copy_context().run(call)
    wait_until(lambda: sink.batches)

    def all_gone():
        gc.collect()
        return not any(ref() is not None for ref in gone)

    wait_until(all_gone)
    assert listener.stats()["pending"] == 2
    sink.come_back()
    assert listener.flush(10)
    assert len(sink.messages) == 2


# -- looking in ----------------------------------------------------------------------------------------


def test_time_is_the_clocks(logger):
    clock = FakeClock()
    sink = MemorySink(batch_age=3600.0)
    listener = shipped(logger, sink)
    for lane in listener.lanes:
        lane.clock = clock
    logger.error("first")
    wait_until(lambda: sink.messages == ["first"])
    logger.error("second")
    wait_until(lambda: listener.lanes[0].buffer.items)
    assert sink.messages == ["first"]
    clock.jump_wall(-86_400)
    clock.advance(3600)
    listener.lanes[0].wake()
    worker.post(listener.lanes[0].wake)
    wait_until(lambda: sink.messages == ["first", "second"])


def test_repr_and_report_name_the_lanes(logger):
    listener = shipped(logger, MemorySink(), MemorySink())
    assert "memory#2" in repr(listener)
    assert set(listener.stats()["lanes"]) == {"memory", "memory#2"}


async def test_the_memory_sink_conforms():
    await check_sink(MemorySink())


async def test_the_conformance_check_finds_a_sink_that_forgets_records():
    class Forgets(MemorySink):
        async def deliver(self, batch):
            return [Part(Delivered(), batch.items[:1])]

    with pytest.raises(AssertionError, match="no part speaks of 99 records"):
        await check_sink(Forgets())


def test_a_listener_that_ends_while_it_is_asked_to_lie_down_is_still_rung_for(monkeypatch):
    queue = asynclog.RecordQueue()
    listener = asynclog.QueueListener(queue, MemorySink())
    cycle = listener.lifecycle
    cycle.state = lifecycle.RUNNING

    def ends_meanwhile():
        # Another thread ends it here, and a third has put a record and not looked at `sleeping` yet.
        queue.sleeping = False
        queue.put_nowait(logging.makeLogRecord({"msg": "m", "levelno": 40}))
        cycle.state, queue.sleeping = lifecycle.IDLE, True
        return False

    queue.on_wake = None
    monkeypatch.setattr(cycle, "is_waited_for", ends_meanwhile)
    listener.lie_down()
    assert queue.sleeping, "the next record starts it again"
