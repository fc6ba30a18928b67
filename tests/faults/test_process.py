"""FAULTS, rows 40 to 53: what the process, its threads and the app's own code can do.

Rows 41 to 43 and 53 that need no process of their own are in tests/test_handler.py, row 46 and the
restarts of row 51 in tests/test_worker.py, and row 52 in tests/faults/test_exit.py.
"""

import gc
import logging
import logging.config
import os
import signal
import threading
import time
from collections import Counter

import pytest

import asynclog
from asynclog.testing import MemorySink
from asynclog.values import RetryLater
from tests.conftest import check_adds_up, wait_until
from tests.faults.interpreters import VERSIONS, interpreter, run

pytestmark = pytest.mark.skipif(os.name != "posix", reason="forks and signals")


@pytest.fixture(params=VERSIONS)
def python(request):
    return interpreter(request.param)


FORKS = """
    import logging, os, sys, threading, time
    import asynclog
    log = logging.getLogger("shop")
    log.setLevel("DEBUG")
    log.addHandler(asynclog.wrap(asynclog.FileSink("app.log")))
    done = threading.Event()
    counts = [0] * 4
    def chatter(thread):
        while not done.is_set():
            log.info("parent thread %d %d", thread, counts[thread])
            counts[thread] += 1
            time.sleep(0.0003)
    threads = [threading.Thread(target=chatter, args=(n,)) for n in range(4)]
    if int(sys.argv[1]):
        [one.start() for one in threads]
    log.error("parent first")
    children = {}
    for number in range(int(sys.argv[2])):
        pid = os.fork()
        if pid == 0:
            log.error("child %d a", number)
            log.error("child %d b %s", number, [number])
            ok = log.handlers[0].listener.stop(20)
            os._exit(0 if ok else 3)
        children[pid] = number
        if len(children) >= 4:
            pid, status = os.wait()
            assert status == 0, (children[pid], status)
            del children[pid]
    while children:
        pid, status = os.wait()
        assert status == 0, (children[pid], status)
        del children[pid]
    done.set()
    if int(sys.argv[1]):
        [one.join() for one in threads]
    print(sum(counts))
"""


def test_row_40_two_hundred_forks_while_others_log_hang_nobody_and_repeat_nothing(tmp_path):
    ended = run(FORKS, 1, 200, folder=tmp_path)
    assert ended.code == 0, ended
    found = Counter((tmp_path / "app.log").read_text().splitlines())
    expected = {f"child {n} a" for n in range(200)} | {f"child {n} b [{n}]" for n in range(200)} | {"parent first"}
    assert expected <= found.keys(), expected - found.keys()
    chatter = sum(count for line, count in found.items() if line.startswith("parent thread"))
    assert chatter == int(ended.out)
    assert not [line for line, count in found.items() if count > 1]


def test_row_40_on_every_version(python, tmp_path):
    ended = run(FORKS, 0, 20, python=python, folder=tmp_path)
    assert ended.code == 0, ended
    found = Counter((tmp_path / "app.log").read_text().splitlines())
    assert len(found) == 41
    assert set(found.values()) == {1}


def test_row_40_a_child_does_not_inherit_what_waits(tmp_path):
    code = """
    import logging, os
    import asynclog
    log = logging.getLogger("shop")
    handler = asynclog.wrap(asynclog.FileSink("app.log"))
    log.addHandler(handler)
    handler.listener.stop()
    log.error("the parent's")
    pid = os.fork()
    if pid == 0:
        assert handler.listener.stats()["accepted"] == 0
        handler.listener.start()
        log.error("the child's")
        os._exit(0 if handler.listener.stop(20) else 3)
    assert os.waitpid(pid, 0)[1] == 0
    handler.listener.start()
    """
    ended = run(code, folder=tmp_path)
    assert ended.code == 0, ended
    assert (tmp_path / "app.log").read_text().splitlines() == ["the child's", "the parent's"]


# -- row 47: re-entry ------------------------------------------------------------------------------


def test_row_47_a_finalizer_that_logs_during_any_allocation_neither_deadlocks_nor_loses(logger):
    sink = MemorySink()
    handler = asynclog.wrap(sink, maxsize=100_000)
    logger.addHandler(handler)
    made = [0]

    class Logs:
        def __init__(self):
            self.me = self  # garbage that only the collector finds

        def __del__(self):
            logger.info("from __del__")
            made[0] += 1

    threshold = gc.get_threshold()
    gc.set_threshold(5, 5, 5)
    try:
        for number in range(3_000):
            Logs()
            logger.info("%s %s", number, [number])
            if number % 3 == 0:
                try:
                    raise ValueError(number)
                except ValueError:
                    logger.exception("x")
    finally:
        gc.set_threshold(*threshold)
    # While another thread collects, gc.collect() does nothing, and finalizers there would log after the flush has begun.
    ends = time.monotonic() + 60
    while made[0] < 3_000 and time.monotonic() < ends:
        gc.collect()
        time.sleep(0.01)
    assert made[0] == 3_000
    assert handler.listener.flush(30)
    stats = handler.listener.stats()
    assert stats["delivered"] == stats["accepted"] == 3_000 + 1_000 + 3_000
    assert len(sink.records) == stats["delivered"]


def test_row_47_a_signal_handler_that_logs_at_a_kilohertz_neither_deadlocks_nor_loses(logger):
    sink = MemorySink()
    handler = asynclog.wrap(sink, maxsize=1_000_000)
    logger.addHandler(handler)
    rung = [0]

    def ring(signum, frame):
        rung[0] += 1
        logger.info("signal %d %s", rung[0], [1])

    old = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    logged = 0
    try:
        ends = time.monotonic() + 2.0
        while time.monotonic() < ends:
            logger.info("plain %d", logged)
            logger.info("merged %s", [logged])
            logged += 2
            if logged % 100 == 0:
                handler.flush()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert handler.listener.flush(30)
    stats = handler.listener.stats()
    assert rung[0] > 20
    assert stats["delivered"] == stats["accepted"] == len(sink.records) == logged + rung[0]


# -- row 48: feedback --------------------------------------------------------------------------------


def test_row_48_debug_on_the_root_with_the_sink_down_does_not_feed_on_itself(tmp_path):
    code = """
    import asyncio, logging, socket, time
    import asynclog
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    sink = asynclog.SMTPSink(f"smtp://localhost:{port}", sender="a@example.com", recipients=["b@example.com"])
    handler = asynclog.wrap(sink, retry_initial=0.01, retry_max=0.01, breaker_reset=0.01, exit_timeout=0.5)
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.DEBUG)
    logging.error("one")
    time.sleep(2)
    stats = handler.listener.stats()
    print(stats["accepted"], stats["errors"].get("attempt_failed", 0))
    """
    ended = run(code, folder=tmp_path)
    accepted, failures = map(int, ended.out.split())
    assert failures > 3, ended
    assert accepted == 1, ended
    assert ended.err.count("\n") < 20, ended


# -- row 49: overload --------------------------------------------------------------------------------


def test_row_49_ten_times_the_drain_rate_keeps_memory_flat_counts_every_drop_and_spares_errors(tmp_path):
    code = """
    import asyncio, gc, logging, resource, sys, threading, time
    import asynclog
    from asynclog.testing import MemorySink
    from asynclog.values import Delivered, Part
    class Slow(asynclog.Sink):
        label = "slow"
        batch_records = 50
        got = {"DEBUG": 0, "ERROR": 0}
        async def deliver(self, batch):
            await asyncio.sleep(0.01)
            for item in batch.items:
                if item.record.name == "shop":
                    self.got[item.record.levelname] += 1
            return (Part(Delivered(), batch.items),)
    log = logging.getLogger("shop")
    log.setLevel("DEBUG")
    handler = asynclog.wrap(Slow(), maxsize=2000)
    log.addHandler(handler)
    def size():
        gc.collect()
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096
    sent = {"DEBUG": 0, "ERROR": 0}
    sizes = []
    ends = time.monotonic() + 6
    number = 0
    while time.monotonic() < ends:
        for _ in range(500):
            number += 1
            if number % 50 == 0:
                log.error("e %d %s", number, "x" * 200)
                sent["ERROR"] += 1
            else:
                log.debug("d %d %s", number, "x" * 200)
                sent["DEBUG"] += 1
        time.sleep(0.01)
        if number % 20_000 == 0:
            sizes.append(size())
    assert handler.listener.flush(60)
    stats = handler.listener.stats()
    print(sent["DEBUG"], sent["ERROR"], Slow.got["DEBUG"], Slow.got["ERROR"], stats["accepted"], stats["delivered"],
          sum(stats["dropped"].values()), max(sizes) - sizes[1], stats["dropped_levels"].get("ERROR", 0))
    """
    if not os.path.exists("/proc/self/statm"):
        pytest.skip("no /proc")
    ended = run(code, folder=tmp_path)
    assert ended.code == 0, ended
    debugs, errors, got_debugs, got_errors, accepted, delivered, dropped, grown, lost_errors = map(
        int, ended.out.split()
    )
    assert accepted == debugs + errors == delivered + dropped
    assert delivered == got_debugs + got_errors
    assert dropped > delivered, "it was no overload"
    assert got_errors == errors - lost_errors
    assert lost_errors == 0, "records below WARNING make room for errors"
    assert grown < 20_000_000, ended


# -- row 50: logging's own lock ----------------------------------------------------------------------


@pytest.mark.parametrize("sink_state", ["slow", "down", "hung"])
def test_row_50_dict_config_and_shutdown_during_a_send_end_within_the_deadline(sink_state, tmp_path):
    code = """
    import asyncio, logging, logging.config, os, time
    import asynclog
    from asynclog.testing import MemorySink
    from asynclog.values import RetryLater
    state = os.environ["STATE"]
    sink = MemorySink(delay={"slow": 0.3, "down": 0.0, "hung": 3600.0}[state])
    if state == "down":
        sink.go_down(RetryLater("down"))
    handler = asynclog.wrap(sink, exit_timeout=2.0)
    class Chatty(logging.Handler):  # needs logging's lock on a thread of ours
        def emit(self, record):
            logging.getLogger(f"new.{record.getMessage()}.{time.monotonic()}")
    handler.listener.add_handlers([Chatty()])
    log = logging.getLogger("shop")
    log.addHandler(handler)
    for number in range(20):
        log.error("%d", number)
    time.sleep(0.05)
    began = time.monotonic()
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})
    print("dictConfig", time.monotonic() - began)
    began = time.monotonic()
    log.error("after")
    logging.shutdown()
    print("shutdown", time.monotonic() - began)
    """
    ended = run(code, folder=tmp_path, STATE=sink_state)
    assert ended.code == 0, ended
    took = dict(line.split() for line in ended.out.splitlines())
    assert float(took["dictConfig"]) < 1.5, ended
    assert float(took["shutdown"]) < 2.0 + 4.0, ended


def test_row_50_a_configuration_that_replaces_the_handlers_leaves_no_listener_running(logger):
    handlers = [asynclog.wrap(MemorySink()) for _ in range(5)]
    for handler in handlers:
        logger.addHandler(handler)
    logger.error("x")
    with logging._lock:  # as dictConfig holds it while it closes what was configured before
        for handler in handlers:
            handler.flush()
            handler.close()
    sinks = [handler.listener.lanes[0].sink for handler in handlers]
    wait_until(lambda: all(sink.messages == ["x"] and sink.closed for sink in sinks))
    logger.error("again")
    wait_until(lambda: all(sink.messages == ["x", "again"] for sink in sinks))


# -- rows 45 and 51 ----------------------------------------------------------------------------------


@pytest.mark.parametrize("jump", [-86_400.0, 86_400.0])
def test_row_45_a_jump_of_the_wall_clock_makes_neither_storm_nor_stall(logger, monkeypatch, jump):
    sink = MemorySink([RetryLater("busy")])
    listener = asynclog.wrap(sink, retry_initial=0.05, retry_max=0.05).listener
    logger.addHandler(asynclog.QueueHandler(listener.queue))
    logger.error("before")
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + jump)
    for number in range(10):
        logger.error("%d", number)
    assert listener.flush(10)
    assert sink.messages == ["before", *map(str, range(10))]
    assert len(sink.batches) < 15


def test_row_51_memory_that_runs_out_in_a_lane_costs_no_more_than_a_retry(logger):
    sink = MemorySink([MemoryError, MemoryError])
    handler = asynclog.wrap(sink, retry_initial=0.01, retry_max=0.01)
    logger.addHandler(handler)
    for number in range(10):
        logger.error("%d", number)
    assert handler.listener.flush(20)
    assert sink.messages == [str(number) for number in range(10)]
    check_adds_up(handler.listener.stats())


def test_an_app_that_is_under_fire_from_all_sides_accounts_for_every_record(logger):
    class Moody(logging.Formatter):
        def format(self, record):
            if record.levelno == logging.WARNING:
                raise ValueError
            return super().format(record)

    def failing(batch):
        return RetryLater("later", after=0.0) if batch.attempt == 0 and hash(batch.id) % 3 == 0 else None

    sinks = [MemorySink(formatter=Moody()), MemorySink(level="ERROR"), MemorySink(batch_records=3)]
    sinks[2].go_down(failing)
    handler = asynclog.wrap(*sinks, maxsize=300)
    logger.addHandler(handler)
    listener, done = handler.listener, threading.Event()

    def disturb():
        while not done.is_set():
            listener.flush(0.01)
            listener.stop(0.05)
            listener.start()
            handler.close()
            listener.start()

    disturbing = threading.Thread(target=disturb)
    disturbing.start()
    logged = Counter()

    def log(name):
        for number in range(1_500):
            logger.log((10, 30, 40)[number % 3], "%s %s", name, [number])
            logged[name] += 1

    threads = [threading.Thread(target=log, args=(name,)) for name in "abcd"]
    [one.start() for one in threads]
    [one.join() for one in threads]
    done.set()
    disturbing.join()
    listener.start()
    assert listener.flush(30), listener.stats()
    stats = listener.stats()
    check_adds_up(stats)
    assert stats["accepted"] == 6_000
    assert stats["pending"] == 0
