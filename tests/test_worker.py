"""The worker: one thread for all, that survives its own faults."""

import asyncio
import logging
import re
import threading
import time

import pytest

import asynclog
from asynclog import drain, lifecycle, threads
from asynclog import listener as listener_module
from asynclog import worker as worker_module
from asynclog.testing import MemorySink
from asynclog.values import Delivered, Part
from asynclog.worker import Worker, worker
from tests.conftest import check_adds_up, wait_until


def shipped(logger, *sinks, **options):
    handler = asynclog.wrap(*(sinks or [MemorySink()]), **options)
    logger.addHandler(handler)
    return handler.listener


@pytest.fixture(autouse=True)
def _quick_restarts(monkeypatch):
    monkeypatch.setattr(worker_module, "_RESTART_DELAY", 0.01)
    monkeypatch.setattr(worker_module, "_LONGEST_RESTART_DELAY", 0.01)


def restarts():
    return worker.board.counts.get("worker_restarted", 0)


@pytest.mark.parametrize("error", [MemoryError(), ValueError("a fault"), SystemExit(1), KeyboardInterrupt()])
def test_after_a_fault_it_is_restarted_and_the_queue_is_kept(logger, monkeypatch, error):
    sink = MemorySink()
    listener = shipped(logger, sink)
    logger.error("before")
    assert listener.flush()
    before = restarts()
    real, faults = listener.drain, [error, error]

    def faulty(seconds):
        if faults and listener.inner.entries:
            raise faults.pop()
        return real(seconds)

    monkeypatch.setattr(listener, "drain", faulty)
    for number in range(10):
        logger.error("%d", number)
    wait_until(lambda: len(sink.messages) == 11)
    assert sink.messages == ["before", *map(str, range(10))]
    assert restarts() == before + 2
    assert listener.flush()
    check_adds_up(listener.stats())


def crash(monkeypatch, listener):
    """Have the worker fail once, and return when it runs again."""
    before, real, faults = restarts(), listener.drain, [RuntimeError("a fault")]
    monkeypatch.setattr(
        listener, "drain", lambda seconds: real(seconds) if not faults else (_ for _ in ()).throw(faults.pop())
    )
    worker.ring()
    wait_until(lambda: restarts() > before)
    wait_until(lambda: worker.loop is not None)


def test_after_a_restart_the_bell_still_wakes_it_each_time(logger, monkeypatch):
    sink = MemorySink()
    listener = shipped(logger, sink)
    logger.error("before")
    assert listener.flush()
    crash(monkeypatch, listener)
    for number in range(5):
        wait_until(lambda: listener.inner.sleeping)
        time.sleep(0.02)
        logger.error("%d", number)
        wait_until(lambda number=number: sink.messages[-1] == str(number))


def test_the_bell_survives_what_a_look_raises(logger, monkeypatch):
    sink = MemorySink()
    shipped(logger, sink)
    logger.error("before")
    wait_until(lambda: sink.messages == ["before"])
    has_records, failures = worker._has_records, [MemoryError(), MemoryError()]

    def fails_at_first():
        if failures:
            raise failures.pop()
        return has_records()

    monkeypatch.setattr(worker, "_has_records", fails_at_first)
    # The looks come first: a record that finds the loop awake is drained without one.
    worker.ring()
    wait_until(lambda: not failures)
    logger.error("after")
    wait_until(lambda: sink.messages == ["before", "after"])
    assert asynclog.stats()["errors"]["worker_error"] >= 2


def test_a_thread_that_was_at_work_during_the_restart_serves_the_next_loop(logger, monkeypatch):
    release, entered = threading.Event(), threading.Event()

    class Slow(asynclog.ThreadedSink):
        got = []

        def deliver_blocking(self, batch):
            entered.set()
            release.wait(20)
            Slow.got += [item.text for item in batch.items]
            return (Part(Delivered(), batch.items),)

    class Upper(logging.Formatter):
        def format(self, record):
            return super().format(record).upper()

    formatted = MemorySink(formatter=Upper())
    listener = shipped(logger, Slow(), formatted)
    logger.error("a")
    assert entered.wait(20)
    crash(monkeypatch, listener)
    release.set()
    logger.error("b")
    assert listener.flush(20)
    # "a" hung across the restart: nobody heard what became of it, and it is written again.
    assert Slow.got[-1] == "b"
    assert set(Slow.got) == {"a", "b"}
    assert formatted.texts == ["A", "B"]
    check_adds_up(listener.stats())


def test_row_46_a_sink_that_blocks_the_loop_for_five_seconds_is_noticed_and_no_caller_waits(logger, capfd, tmp_path):
    entered = threading.Event()

    class Blocks(MemorySink):
        async def deliver(self, batch):
            if batch.items[0].text == "block":
                entered.set()
                time.sleep(5.0)
            return await super().deliver(batch)

    sink = Blocks()
    listener = shipped(logger, sink, asynclog.FileSink(str(tmp_path / "app.log")))
    logger.error("before")
    assert listener.flush(20)
    before = worker.board.counts.get("loop_stalled", 0)
    worker.board._last.clear()  # told of a moment ago by another test, it would be held back
    logger.error("block")
    assert entered.wait(20)
    for number in range(500):
        logger.error("%d", number)
        try:
            raise ValueError(number)
        except ValueError:
            logger.exception("x %s", [number])
    assert not listener.flush(0.2)
    # Had any of the calls, or flush, waited for the loop, it would be free by now.
    assert len(sink.batches) == 1
    assert listener.flush(20)
    stats = listener.stats()
    assert stats["delivered"] == stats["accepted"] == 1 + 1 + 1_000
    assert len(sink.messages) == 1_002
    check_adds_up(stats)
    wait_until(lambda: worker.board.counts.get("loop_stalled", 0) > before)
    assert asynclog.stats()["errors"]["loop_stalled"] >= 1
    assert re.search(r"the worker's loop was blocked for [4-9]\.\d s", capfd.readouterr().err)


def test_a_long_sleep_is_no_stall(logger):
    listener = shipped(logger)
    logger.error("a")
    assert listener.flush()
    before = worker.board.counts.get("loop_stalled", 0)
    worker.post(lambda: None)  # a ring that comes while it is awake
    worker.post(lambda: None)
    wait_until(lambda: listener.inner.sleeping)
    time.sleep(worker_module._STALL + 0.3)
    logger.error("b")
    assert listener.flush()
    assert worker.board.counts.get("loop_stalled", 0) == before


def test_a_command_that_fails_costs_no_restart(logger):
    listener = shipped(logger)
    logger.error("a")
    assert listener.flush()
    before = restarts()
    done = []
    worker.post(lambda: 1 / 0)
    worker.post(lambda: done.append(1))
    wait_until(lambda: done)
    assert restarts() == before


def test_it_rests_when_there_is_nothing_to_do(logger):
    listener = shipped(logger)
    logger.error("a")
    assert listener.flush()
    wait_until(lambda: listener.inner.sleeping)
    steps, real = [], worker._step
    worker._step = lambda: steps.append(1) or real()
    try:
        time.sleep(0.5)
    finally:
        del worker._step
    assert len(steps) < 20


def test_there_is_one_thread_for_all_listeners(logger):
    for _ in range(5):
        shipped(logger)
    logger.error("x")
    assert asynclog.flush()
    before = len(threads.own_idents)
    for _ in range(5):
        shipped(logger)
    logger.error("x")
    assert asynclog.flush()
    assert len(threads.own_idents) == before


def test_where_no_thread_can_start_it_is_tried_again_and_told_once(monkeypatch, capsys):
    one = Worker()
    monkeypatch.setattr(threads, "start", lambda target: False)
    assert not one.ensure()
    assert not one.ensure()
    assert "no thread can be started" in capsys.readouterr().err
    assert one.board.counts == {"no_thread": 1}
    started = []
    monkeypatch.setattr(threads, "start", lambda target: started.append(target) or True)
    one._retry_start_at = 0.0
    assert one.ensure()
    assert len(started) == 1


@pytest.fixture
def no_threads(monkeypatch):
    """A worker that never ran, in a process where no thread can be started."""
    fresh = Worker()
    monkeypatch.setattr(threads, "start", lambda target: False)
    for module in (listener_module, lifecycle, drain):
        monkeypatch.setattr(module, "worker", fresh)
    return fresh


def test_where_no_thread_can_start_flush_works_in_the_calling_thread(logger, no_threads):
    class File(asynclog.ThreadedSink):
        got = []

        def deliver_blocking(self, batch):
            File.got += [(threading.get_ident(), item.text) for item in batch.items]
            return (Part(Delivered(), batch.items),)

    class Upper(logging.Formatter):
        def format(self, record):
            return super().format(record).upper()

    sink = MemorySink(formatter=Upper())
    listener = shipped(logger, File(), sink)
    logger.error("a")
    assert listener.flush(10)
    assert File.got == [(threading.get_ident(), "a")]
    assert sink.texts == ["A"]
    assert threading.get_ident() not in threads.own_idents
    assert listener.inner.sleeping, "the next record tries again to start a thread"
    logger.error("b")
    assert listener.stop(10)
    assert sink.texts == ["A", "B"]


async def test_where_no_thread_can_start_nothing_is_run_inside_the_apps_loop(logger, no_threads):
    listener = shipped(logger)
    logger.error("a")
    assert not listener.flush(0.2)
    assert listener.pending() == 1
    await asyncio.sleep(0)


def test_where_no_thread_can_start_two_flushes_don_t_work_at_the_same_time(logger, no_threads):
    sink = MemorySink(delay=0.2)
    listener = shipped(logger, sink)
    logger.error("a")
    done = []
    flushing = [threading.Thread(target=lambda: done.append(listener.flush(20))) for _ in range(4)]
    [one.start() for one in flushing]
    [one.join() for one in flushing]
    assert done == [True] * 4
    assert len(sink.batches) == 1


class Loop:
    """A loop that notes when it is woken."""

    def __init__(self):
        self.woken = 0

    def call_soon_threadsafe(self, *_):
        self.woken += 1


@pytest.mark.parametrize("asleep", [True, False])
def test_the_bell_wakes_a_loop_that_sleeps_and_tells_one_that_is_awake(asleep):
    one, loop, bell = Worker(), Loop(), threads.SimpleQueue()
    one._asleep = asleep
    bell.put("now")
    bell.put(None)
    one._listen(bell, loop)
    assert loop.woken == asleep
    assert one._rung


async def test_without_a_bell_s_thread_the_loop_hears_a_ring_while_it_is_awake():
    one, bell = Worker(), threads.SimpleQueue()
    one._woken = asyncio.Event()
    listening = asyncio.create_task(one._listen_on_loop(bell))
    bell.put("now")
    async with asyncio.timeout(20):
        while not one._rung:
            await asyncio.sleep(0.001)
    listening.cancel()


async def test_a_ring_that_came_while_it_was_awake_lets_it_not_sleep():
    one = Worker()
    one.loop, one._woken = asyncio.get_running_loop(), asyncio.Event()
    one._rung = True
    async with asyncio.timeout(20):
        await one._sleep()
    assert not one._asleep
    one._rung = False
    with pytest.raises(TimeoutError):  # and without one it does
        async with asyncio.timeout(0.1):
            await one._sleep()
