"""The hand-off: bounds, policies, waking, and the face of queue.Queue."""

import asyncio
import contextvars
import logging
import logging.handlers
import queue as stdlib_queue
import signal
import threading
import time

import pytest

import asynclog
from asynclog.eviction import SENTINEL
from asynclog.fork import process_state
from asynclog.reentry import inside
from asynclog.testing import MemorySink
from asynclog.values import texts_size
from tests.conftest import check_adds_up, wait_until


def record(msg="m", level=logging.ERROR, *args):
    return logging.LogRecord("shop", level, "shop.py", 1, msg, args, None)


def messages(queue):
    return [queued["msg"] if isinstance(queued, dict) else queued[0]["msg"] for queued in queue.entries]


@pytest.fixture
def stopped(logger):
    """A handler whose listener does not drain, so that its queue fills."""

    def make(*sinks, **options):
        handler = asynclog.wrap(*(sinks or [MemorySink()]), **options)
        handler.listener.stop()
        logger.addHandler(handler)
        return handler

    return make


def test_drop_oldest_keeps_the_newest(stopped, logger):
    queue = stopped(maxsize=10).queue
    for number in range(25):
        logger.error(f"e{number}")
    assert messages(queue) == [f"e{number}" for number in range(15, 25)]
    counts = queue.ledger.snapshot()
    assert counts["dropped"] == {"queue_full": 15}
    assert (counts["accepted"], counts["pending"]) == (25, 10)


def test_drop_newest_keeps_the_oldest(stopped, logger):
    queue = stopped(maxsize=10, overflow="drop_newest").queue
    for number in range(25):
        logger.error(f"e{number}")
    assert messages(queue) == [f"e{number}" for number in range(10)]
    assert queue.ledger.snapshot()["dropped"] == {"queue_full": 15}


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest", "block:0.01"])
def test_with_little_room_records_below_warning_go_first(stopped, logger, overflow):
    queue = stopped(maxsize=10, overflow=overflow).queue
    for number in range(20):
        logger.info(f"i{number}")
    assert len(queue.entries) == 8
    logger.warning("w")
    logger.error("e")
    assert messages(queue)[8:] == ["w", "e"]
    assert queue.ledger.snapshot()["dropped_levels"] == {"INFO": 12}


def test_it_is_bounded_in_bytes(stopped, logger):
    queue = stopped(max_memory=1_000_000).queue
    for _ in range(100):
        logger.error("x" * 100_000)
    assert queue.memory <= 1_000_000
    assert len(queue.entries) == 9
    check_adds_up(queue.ledger.snapshot())


def test_a_record_that_is_larger_than_all_the_room_drops_itself_and_no_others(stopped, logger):
    queue = stopped(max_memory=65_536).queue
    logger.error("small")
    logger.error("x" * 200_000)
    assert messages(queue) == ["small"]


def test_exceptions_take_room_by_their_frames(stopped, logger):
    queue = stopped().queue

    def deep(n):
        if n:
            deep(n - 1)
        raise ValueError

    try:
        deep(500)
    except ValueError:
        logger.exception("x")
    assert queue.memory > 500 * 100


def test_block_waits_for_room(logger):
    gate = threading.Event()

    class Slow(asynclog.ThreadedSink):
        got = 0

        def deliver_blocking(self, batch):
            from asynclog.values import Delivered, Part

            gate.wait(20)
            Slow.got += len(batch.items)
            return (Part(Delivered(), batch.items),)

    handler = asynclog.wrap(Slow(), maxsize=10, overflow="block:15", batch_records=1)
    logger.addHandler(handler)
    threading.Timer(0.3, gate.set).start()
    for number in range(100):
        logger.error(f"e{number}")
    assert gate.is_set(), "it was full long before"
    assert handler.listener.flush(20)
    stats = handler.listener.stats()
    assert stats["dropped"] == {}
    assert Slow.got == stats["delivered"] == 100


def test_block_gives_up_after_its_seconds(stopped, logger):
    queue = stopped(maxsize=5, overflow="block:0.05").queue
    for number in range(6):
        logger.error(f"e{number}")
    assert messages(queue) == [f"e{number}" for number in range(5)]
    assert queue.ledger.snapshot()["dropped"] == {"queue_full": 1}


async def test_block_never_waits_under_a_running_loop(stopped, logger):
    queue = stopped(maxsize=5, overflow="block:600").queue
    for number in range(20):
        logger.error(f"e{number}")
    assert queue.ledger.snapshot()["dropped"] == {"queue_full": 15}


def test_block_never_waits_inside_a_logging_call_of_the_same_thread(stopped, logger):
    queue = stopped(maxsize=5, overflow="block:600").queue

    class Logs:
        def __str__(self):
            for number in range(10):
                logger.error(f"inner {number}")
            return "logs"

    for number in range(4):
        logger.error(f"e{number}")
    thread = threading.Thread(target=lambda: logger.error("outer %s", Logs()), daemon=True)
    thread.start()
    wait_until(lambda: queue.ledger.snapshot()["dropped"].get("queue_full", 0) == 9)
    queue.pop_entry()  # lets the outer one in, which does wait
    thread.join(20)
    assert not thread.is_alive()


def test_a_signal_handler_that_logs_while_its_thread_waits_for_room_does_not_wait(stopped, logger):
    queue = stopped(maxsize=5, overflow="block:1").queue
    for number in range(5):
        logger.error(f"e{number}")
    took = []

    def on_alarm(signum, frame):
        before = time.monotonic()
        logger.error("from the signal")
        took.append(time.monotonic() - before)

    old = signal.signal(signal.SIGALRM, on_alarm)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        logger.error("waits")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert took
    assert took[0] < 0.9
    assert queue.ledger.snapshot()["dropped"] == {"queue_full": 2}


def test_a_put_by_hand_in_a_signal_handler_does_not_wait_inside_another():
    queue = asynclog.RecordQueue(maxsize=2, overflow="block:1")
    queue.put_nowait(record())
    queue.put_nowait(record())
    took = []

    def on_alarm(signum, frame):
        before = time.monotonic()
        queue.put_nowait(record("from the signal"))
        took.append(time.monotonic() - before)

    old = signal.signal(signal.SIGALRM, on_alarm)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        queue.put_nowait(record("waits"))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert took
    assert took[0] < 0.9


def test_an_exception_thrown_into_a_wait_passes_and_the_record_is_counted(stopped, logger):
    queue = stopped(maxsize=5, overflow="block:600").queue
    for number in range(5):
        logger.error(f"e{number}")

    def interrupt(signum, frame):
        raise KeyboardInterrupt

    old = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(KeyboardInterrupt):
            logger.error("waits")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    counts = queue.ledger.snapshot()
    assert counts["dropped"] == {"interrupted": 1}
    assert counts["pending"] == 5
    assert threading.get_ident() not in inside


def test_it_wakes_once_for_a_burst():
    queue, rings = asynclog.RecordQueue(), []
    queue.on_wake = lambda: rings.append(1)
    for _ in range(100):
        queue.put_nowait(record())
    assert len(rings) == 1
    queue.sleeping = True
    queue.put_nowait(record())
    assert len(rings) == 2


def test_a_wake_that_raises_costs_no_record_and_logs_none_twice(logger):
    handler = asynclog.wrap(MemorySink())
    handler.queue.on_wake = lambda: 1 / 0
    logger.addHandler(handler)
    logger.error("once")
    assert messages(handler.queue) == ["once"]
    assert handler.queue.sleeping, "the next record tries again"
    assert handler.queue.errors == {"wake_error": 1}


def test_after_a_fork_it_is_empty_and_at_zero(stopped, logger):
    queue = stopped().queue
    logger.error("parent's")
    queue.after_fork()
    assert queue.empty()
    assert queue.ledger.snapshot()["accepted"] == 0
    assert (queue.memory, queue.sleeping) == (0, True)


# -- the face of queue.Queue --------------------------------------------------------------------


def test_a_fork_that_was_noticed_already_empties_nothing_again(logger):
    queue = asynclog.RecordQueue()
    logger.addHandler(asynclog.QueueHandler(queue))
    logger.error("kept")
    process_state.forked()  # the at-fork hook and the look at the process id may both call it
    assert queue.qsize() == 1


def test_put_and_get_by_hand():
    queue = asynclog.RecordQueue(maxsize=3)
    assert queue.empty()
    queue.put(record("a %s", logging.ERROR, 1))
    queue.put_nowait(record("b"))
    assert (queue.qsize(), queue.full(), queue.maxsize) == (2, False, 3)
    got = queue.get()
    assert isinstance(got, logging.LogRecord)
    assert got.getMessage() == "a 1"
    queue.task_done()
    assert queue.get_nowait().msg == "b"
    queue.task_done()
    with pytest.raises(ValueError, match="too many"):
        queue.task_done()
    for get in (queue.get_nowait, lambda: queue.get(timeout=0.01), lambda: queue.get(False)):
        with pytest.raises(stdlib_queue.Empty):
            get()
    queue.join()


@pytest.mark.parametrize("bad", ["text", 7, {"msg": "x"}])
def test_only_records_go_in(bad):
    with pytest.raises(TypeError, match="put a logging.LogRecord"):
        asynclog.RecordQueue().put_nowait(bad)


def test_an_exception_put_by_hand_can_be_printed_by_whoever_gets_it():
    queue = asynclog.RecordQueue()
    try:
        raise ValueError("x")
    except ValueError as error:
        made = logging.LogRecord("a", 40, "p", 1, "m", None, (type(error), error, error.__traceback__))
        expected = logging.Formatter().formatException(made.exc_info)
    queue.put_nowait(made)
    assert logging.Formatter().format(queue.get()) == f"m\n{expected}"


class Keeps(logging.Handler):
    def __init__(self):
        super().__init__()
        self.got = []

    def emit(self, record):
        self.got.append(self.format(record))


def test_the_standard_librarys_listener_drains_a_record_queue(logger):
    queue, keeps = asynclog.RecordQueue(), Keeps()
    logger.addHandler(asynclog.QueueHandler(queue))
    listener = logging.handlers.QueueListener(queue, keeps)
    listener.start()
    for number in range(50):
        logger.error("n %d", number)
    listener.stop()  # by a sentinel, for which it calls task_done as well
    assert keeps.got == [f"n {number}" for number in range(50)]
    queue.join()
    assert queue.ledger.snapshot()["delivered"] == 50


def test_the_standard_librarys_handler_fills_a_record_queue(logger):
    sink = MemorySink(level="WARNING", formatter=logging.Formatter("%(levelname)s %(tag)s %(message)s"))
    sink.addFilter(lambda record: setattr(record, "tag", f"<{record.lineno}>") or True)
    queue = asynclog.RecordQueue()
    listener = asynclog.QueueListener(queue, sink)
    logger.addHandler(logging.handlers.QueueHandler(queue))
    logger.warning("n %d", 1)
    logger.info("refused by the level")
    assert listener.flush()
    assert len(sink.texts) == 1
    assert sink.texts[0].startswith("WARNING <")
    assert sink.texts[0].endswith("> n 1")
    stats = listener.stats()
    assert stats["dropped"] == {"refused": 1}
    queue.join()
    check_adds_up(stats)


def test_records_put_before_there_was_a_listener_meet_its_filters(logger):
    queue = asynclog.RecordQueue()
    logger.addHandler(asynclog.QueueHandler(queue))
    user = contextvars.ContextVar("user")

    class ByUser(logging.Formatter):
        def format(self, record):
            return f"{user.get()}: {super().format(record)}"

    token = user.set("ada")
    try:
        raise ValueError("before")
    except ValueError:
        logger.exception("early")
    logger.error("secret")
    user.reset(token)
    plain, by_user = MemorySink(), MemorySink(formatter=ByUser())

    def redact(record):
        if record.msg == "secret":
            record.msg = "***"
        return True

    by_user.addFilter(redact)
    listener = asynclog.QueueListener(queue, plain, by_user)
    listener.start()
    assert listener.flush()
    assert plain.messages == ["early", "secret"]
    assert plain.texts[0].endswith("ValueError: before")
    assert by_user.texts[0].startswith("ada: early\nTraceback")
    assert by_user.texts[0].count("Traceback") == 1
    assert by_user.texts[1] == "ada: ***"
    assert listener.stats()["accepted"] == listener.stats()["delivered"] == 2


def test_a_sentinel_harms_nobody(logger):
    sink = MemorySink()
    handler = asynclog.wrap(sink, maxsize=5)
    logger.addHandler(handler)
    listener = handler.listener
    listener.stop()
    handler.queue.put_nowait(None)
    for number in range(10):
        logger.error(f"e{number}")  # drop_oldest meets the sentinel first
    listener.start()
    listener.enqueue_sentinel()
    assert SENTINEL is not None
    logger.error("after")
    assert listener.flush()
    assert sink.messages[-1] == "after" or "after" in sink.messages
    assert "worker_error" not in listener.stats()["errors"]
    check_adds_up(listener.stats())


def test_get_waits_for_a_record():
    queue = asynclog.RecordQueue()
    threading.Timer(0.05, lambda: queue.put(record("late"))).start()
    assert queue.get(timeout=20).msg == "late"


async def test_put_is_fine_on_a_loop():
    queue = asynclog.RecordQueue()
    queue.put_nowait(record())
    await asyncio.sleep(0)
    assert queue.qsize() == 1


def test_a_flush_is_not_misled_by_records_that_were_refused_behind_it(stopped, logger):
    handler = stopped(maxsize=10, overflow="drop_newest")
    for number in range(30):
        logger.error("%d", number)
    queue = handler.queue
    assert (queue.put_so_far(), queue.ledger.accepted) == (10, 30)
    target = queue.put_so_far()
    while queue.gone < target:
        assert queue.pop_run(3)
    assert queue.empty()


def test_entries_of_different_lanes_never_share_a_run():
    queue = asynclog.RecordQueue()
    for mark in (None, 2, 2, None, None, 4):
        queue.put_scarce({**record().__dict__, "exc_info": mark})
    runs = []
    while run := queue.pop_run(16):
        runs.append([queued["exc_info"] for queued in run])
    assert runs == [[None], [2, 2], [None, None], [4]]
    assert queue.put_so_far() == queue.gone == 6


# -- runs --------------------------------------------------------------------------------------------


def test_a_run_is_what_one_lane_gets_in_order_and_never_many_exceptions():
    queue = asynclog.RecordQueue()
    queue.sleeping = False

    def put(mark, carried, count):
        for _ in range(count):
            number = queue.put_so_far()
            queue.left -= 1
            if carried is not None:
                queue.texts += texts_size({"stack_info": carried})
            queue.entries.append({"exc_info": mark, "stack_info": carried, "levelno": 40, "number": number})

    put(None, None, 3)
    put(2, None, 2)
    put(None, 5000, 40)
    put(None, None, 70)
    queue.put_nowait(logging.makeLogRecord({"msg": "in full"}))
    put(None, None, 1)
    lengths, numbers = [], []
    while run := queue.pop_run(64):
        lengths.append(len(run))
        numbers += [one["number"] if type(one) is dict else "in full" for one in run]
    assert lengths == [3, 2, 16, 16, 64, 14, 1, 1]
    assert numbers == [*range(115), "in full", 116]
    assert queue.texts == queue.memory == 0
    assert queue.gone == queue.put_so_far() == 117
