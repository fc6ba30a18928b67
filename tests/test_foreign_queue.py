"""Queues that are not ours: the standard library's, and one of multiprocessing from a child."""

import asyncio
import logging
import logging.handlers
import multiprocessing
import queue as stdlib_queue
import threading

import pytest

import asynclog
from asynclog.testing import MemorySink
from asynclog.values import RetryLater
from asynclog.worker import worker
from tests.conftest import check_adds_up, wait_until


@pytest.mark.parametrize("kind", [stdlib_queue.Queue, stdlib_queue.SimpleQueue, stdlib_queue.LifoQueue])
@pytest.mark.parametrize("handler", [logging.handlers.QueueHandler, asynclog.QueueHandler])
def test_any_standard_queue_is_drained_and_flush_waits_for_it(logger, kind, handler):
    queue, sink = kind(), MemorySink()
    logger.addHandler(handler(queue))
    with asynclog.QueueListener(queue, sink) as listener:
        for number in range(300):
            logger.error("n %d", number)
        assert listener.flush(20)
        assert sorted(sink.messages) == sorted(f"n {number}" for number in range(300))
        check_adds_up(listener.stats())
    logger.error("late")
    assert not listener.flush(0.1)
    listener.start()
    assert listener.flush(20)
    assert sink.messages[-1] == "late"


def test_a_foreign_queue_s_listener_starts_by_itself_at_the_first_record_and_not_after_a_stop(logger):
    queue, sink = stdlib_queue.Queue(), MemorySink()
    handler, listener = asynclog.QueueHandler(queue), asynclog.QueueListener(queue, sink)
    handler.listener = listener
    logger.addHandler(handler)
    logger.error("a")
    wait_until(lambda: sink.messages == ["a"])
    assert listener.stop()
    logger.error("b")
    assert not listener.flush(0.1)
    assert sink.messages == ["a"]


def test_task_done_is_called_after_the_delivery_and_join_returns(logger):
    queue, sink = stdlib_queue.Queue(), MemorySink(level="ERROR")
    sink.go_down(RetryLater("down"))
    logger.addHandler(logging.handlers.QueueHandler(queue))
    listener = asynclog.QueueListener(queue, sink)
    listener.start()
    logger.error("a")
    logger.debug("refused by the level")
    wait_until(lambda: sink.batches)
    wait_until(lambda: queue.unfinished_tasks == 1)
    sink.come_back()
    assert listener.flush(20)
    wait_until(lambda: queue.unfinished_tasks == 0)
    queue.join()
    listener.enqueue_sentinel()
    wait_until(lambda: queue.unfinished_tasks == 0)
    assert listener.stats()["accepted"] == 1


def test_what_comes_faster_than_it_is_drained_stays_in_the_foreign_queue(logger):
    queue, sink = stdlib_queue.Queue(), MemorySink(batch_records=200)
    logger.addHandler(logging.handlers.QueueHandler(queue))
    listener = asynclog.QueueListener(queue, sink)
    for number in range(30_000):
        logger.info("%d", number)
    listener.start()
    wait_until(lambda: queue.empty() and listener.pending() == 0, 60)
    dropped = listener.stats()["dropped"]
    assert "queue_full" not in dropped, dropped
    check_adds_up(listener.stats())


def test_filters_run_on_the_workers_side(logger):
    queue = stdlib_queue.Queue()

    def tag(record):
        record.tag = "t"
        return "no" not in record.getMessage()

    sink = MemorySink(filters=[tag], formatter=logging.Formatter("%(tag)s %(message)s"))
    logger.addHandler(asynclog.QueueHandler(queue))
    with asynclog.QueueListener(queue, sink) as listener:
        logger.error("no")
        logger.error("yes")
        assert listener.flush(20)
    assert sink.texts == ["t yes"]


def test_a_queue_whose_get_raises_is_told_of_and_read_on(logger):
    class Odd(stdlib_queue.Queue):
        faults = 2

        def get(self, *args):
            if Odd.faults:
                Odd.faults -= 1
                raise TypeError("cannot unpickle")
            return super().get(*args)

    queue, sink = Odd(), MemorySink()
    logger.addHandler(asynclog.QueueHandler(queue))
    with asynclog.QueueListener(queue, sink) as listener:
        logger.error("x")
        assert listener.flush(20)
        assert sink.messages == ["x"]
        wait_until(lambda: listener.stats()["errors"].get("foreign_queue_error") == 2)


def test_records_of_an_odd_shape_are_survived(logger):
    queue, sink = stdlib_queue.Queue(), MemorySink()
    with asynclog.QueueListener(queue, sink) as listener:
        odd = logging.makeLogRecord({"msg": "odd"})
        del odd.levelno
        queue.put(odd)
        queue.put("no record at all")
        queue.put(None)
        queue.put(logging.makeLogRecord({"msg": "fine", "levelno": 40}))
        assert listener.flush(20)
        assert sink.messages == ["fine"]
        wait_until(lambda: queue.unfinished_tasks == 0)


async def test_the_asynchronous_ways_wait_for_it_too(logger):
    queue, sink = stdlib_queue.Queue(), MemorySink()
    logger.addHandler(asynclog.QueueHandler(queue))
    async with asynclog.QueueListener(queue, sink) as listener:
        for number in range(100):
            logger.error("%d", number)
        assert await listener.aflush(20)
        assert len(sink.messages) == 100
        logger.error("last")
        await asyncio.sleep(0)
    assert sink.messages[-1] == "last"


def _child(queue):
    log = logging.Logger("child")
    log.addHandler(asynclog.QueueHandler(queue))
    for number in range(20):
        log.error("from the child %d", number)
    try:
        raise ValueError("in the child")
    except ValueError:
        log.exception("failed")
    queue.close()
    queue.join_thread()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_child_logs_through_a_multiprocessing_queue(method):
    context = multiprocessing.get_context(method)
    queue, sink = context.Queue(), MemorySink()
    listener = asynclog.QueueListener(queue, sink)
    listener.start()
    child = context.Process(target=_child, args=(queue,))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    wait_until(lambda: len(sink.texts) == 21)
    assert sink.texts[0] == "from the child 0"
    assert sink.texts[-1].endswith("ValueError: in the child")
    assert listener.stop(10)
    queue.close()


class Gone(stdlib_queue.Queue):
    """A manager's queue whose process has died."""

    def task_done(self):
        raise BrokenPipeError("the manager is gone")


def test_a_task_done_that_fails_hurts_no_delivery(logger):
    queue, sink = Gone(), MemorySink()
    restarts = worker.board.counts.get("worker_restarted", 0)
    logger.addHandler(asynclog.QueueHandler(queue))
    with asynclog.QueueListener(queue, sink) as listener:
        for number in range(3):
            logger.error("%d", number)
            wait_until(lambda number=number: sink.messages[-1:] == [str(number)])
        wait_until(lambda: listener.stats()["errors"].get("foreign_queue_error"))
        assert worker.board.counts.get("worker_restarted", 0) == restarts
        assert "lane_error" not in listener.stats()["errors"]


def test_refused_records_without_end_keep_no_other_waiting(logger):
    queue, sink = stdlib_queue.Queue(), MemorySink(level="ERROR")
    logger.addHandler(logging.handlers.QueueHandler(queue))
    logger.setLevel(logging.DEBUG)
    stop = threading.Event()

    def chatter():
        while not stop.is_set():
            logger.debug("nobody wants it")
            stop.wait(0.002)

    with asynclog.QueueListener(queue, sink) as listener:
        logger.error("first")
        assert listener.flush(20)
        thread = threading.Thread(target=chatter)
        thread.start()
        try:
            stop.wait(0.05)
            logger.error("second")
            wait_until(lambda: sink.messages == ["first", "second"])
        finally:
            stop.set()
            thread.join()
