"""Overload: which records go, that each is counted once, and that an interruption changes neither."""

import dis
import itertools
import logging
import subprocess
import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import asynclog
from asynclog.capture.gate import Gate, LaneGate
from asynclog.eviction import SENTINEL
from asynclog.ledger import DELIVERED
from asynclog.plain import RECORD_SIZE
from asynclog.reentry import inside, waiting
from asynclog.testing import MemorySink
from asynclog.values import FIRST_BIT, Captured, SharedOutcome, unpack
from tests.conftest import check_adds_up, wait_until


class Interrupted(Exception):  # noqa: N818
    """What a signal's handler raises."""


class Text:
    """An argument that could change."""

    def __str__(self):
        return "text"


def fail(depth):
    if depth:
        fail(depth - 1)
    raise ValueError("x" * depth)


def log_exception(logger, level, number):
    try:
        fail(number % 4)
    except ValueError:
        logger.log(level, "%d", number, exc_info=True)


def log_cause(logger, level, number):
    try:
        try:
            fail(number % 4)
        except ValueError as error:
            raise KeyError(number) from error
    except KeyError:
        logger.log(level, "%d", number, exc_info=True)


KINDS = {
    "plain": lambda logger, level, number: logger.log(level, "%d", number),
    "long": lambda logger, level, number: logger.log(level, "%d %s", number, "x" * 3_000),
    "mutable": lambda logger, level, number: logger.log(level, "%d %s", number, Text()),
    "exception": log_exception,
    "cause": log_cause,
}


class Marks(logging.Filter):
    """Changes each record for the lanes behind it, so that it is captured once for each lane."""

    def filter(self, record):
        record.mark = object()
        return True


def lanes(*, filters):
    """Return a gate of two lanes, both with the same record or each with its own."""
    sinks = MemorySink(), MemorySink()
    if filters:
        sinks[1].addFilter(Marks())
    return Gate(
        [LaneGate(FIRST_BIT << n, sink, runs_user_code=False, wants_live=False) for n, sink in enumerate(sinks)]
    )


# What one of these is for: the gate it goes through.
GATES = {"several": lambda: lanes(filters=False), "group": lambda: lanes(filters=True)}


def put(handler, logger, kind, level, number):
    """Log one of a kind, or a plain one for several lanes."""
    before = handler.queue.gate
    if kind in GATES:
        handler.queue.gate = GATES[kind]()
    try:
        KINDS[kind if kind in KINDS else "plain"](logger, level, number)
    finally:
        handler.queue.gate = before


def filled(maxsize=100, **options):
    """Return a handler of a queue that nobody drains, and its logger."""
    queue = asynclog.RecordQueue(maxsize=maxsize, **options)
    queue.gate = Gate([LaneGate(FIRST_BIT, MemorySink(), runs_user_code=False, wants_live=False)])
    assert queue.gate.only is not None, "it is on the fast path"
    handler = asynclog.QueueHandler(queue)
    logger = logging.Logger("overflow")
    logger.addHandler(handler)
    return handler, logger


def numbers(queue):
    """Return the numbers of the records that wait."""
    waiting = [unpack(dict(one) if type(one) is dict else one)[0] for one in queue.entries if one is not SENTINEL]
    return [fields["args"][0] if fields["args"] else int(fields["msg"].split()[0]) for fields in waiting]


def check_account(queue):
    """Check that all numbers say what waits."""
    sizes = [unpack(dict(one) if type(one) is dict else one)[2] for one in queue.entries]
    assert queue.texts == sum(sizes) - len(sizes) * RECORD_SIZE
    assert queue.memory == sum(sizes)
    assert queue.put_so_far() - queue.gone == len(sizes)
    counts = queue.ledger.snapshot()
    # One that was captured once for each lane is one record.
    carried = [one[3] for one in queue.entries if type(one) is tuple]
    shared = [id(one.shared) for one in carried if isinstance(one, Captured) and one.shared is not None]
    sentinels = sum(one is SENTINEL for one in queue.entries)
    assert counts["pending"] == len(sizes) - sentinels - len(shared) + len(set(shared))
    assert not inside
    assert not waiting
    assert sum(counts["dropped"].values()) == sum(counts["dropped_levels"].values())
    check_adds_up(counts)


PUT = st.tuples(st.sampled_from(sorted(KINDS)), st.sampled_from([logging.INFO, logging.WARNING, logging.ERROR]))
STEP = st.one_of(PUT, PUT, PUT, st.integers(0, 20), st.just("sentinel"))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 40), STEP), max_size=30),
    st.integers(1, 80),
    st.sampled_from([65_536, 1 << 26]),
    st.sampled_from(["drop_oldest", "drop_newest", "block:0.0001"]),
)
def test_whatever_comes_it_stays_bounded_and_every_number_is_exact(steps, maxsize, max_memory, overflow):
    handler, logger = filled(maxsize, overflow=overflow, max_memory=max_memory)
    queue, put, taken = handler.queue, itertools.count(), 0
    logged = {logging.INFO: 0, logging.WARNING: 0, logging.ERROR: 0}
    for times, step in steps:
        if step == "sentinel":
            queue.put_nowait(None)
        elif isinstance(step, int):
            run = queue.pop_run(step)
            taken += sum(one is not SENTINEL for one in run)
            queue.ledger.settle(DELIVERED, sum(one is not SENTINEL for one in run))
        else:
            kind, level = step
            for _ in range(times):
                logged[level] += 1
                KINDS[kind](logger, level, last := next(put))
                if overflow == "drop_oldest" and level >= logging.WARNING:
                    assert numbers(queue)[-1] == last, "the newest stays"
        check_account(queue)
        assert numbers(queue) == sorted(numbers(queue)), "in order"
        sentinels = sum(one is SENTINEL for one in queue.entries)  # they are let in whatever there is
        assert len(queue.entries) <= maxsize + sentinels
        assert queue.memory <= max_memory + sentinels * RECORD_SIZE
    counts = queue.ledger.snapshot()
    assert counts["accepted"] == sum(logged.values())
    assert counts["dropped"].get("queue_full", 0) == sum(logged.values()) - taken - len(numbers(queue))
    assert all(counts["dropped_levels"].get(logging.getLevelName(level), 0) <= n for level, n in logged.items())


@pytest.mark.parametrize("maxsize", [1, 2, 15, 16, 100, 5_000])
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_of_a_full_queue_only_the_oldest_go_and_few_at_once(maxsize, kind):
    handler, logger = filled(maxsize)
    total = 2 * maxsize + 7
    for number in range(total):
        KINDS[kind](logger, logging.ERROR, number)
    left = numbers(handler.queue)
    assert left == list(range(total - len(left), total))
    assert len(left) >= maxsize - min(maxsize // 16, 64)
    check_account(handler.queue)


def test_a_queue_that_is_full_of_bytes_gives_up_the_oldest_too():
    handler, logger = filled(10_000, max_memory=1_000_000)
    for number in range(1_000):
        KINDS["long"](logger, logging.ERROR, number)
    left = numbers(handler.queue)
    assert left == list(range(1_000 - len(left), 1_000))
    assert 700_000 < handler.queue.memory <= 1_000_000
    check_account(handler.queue)


def test_records_below_warning_leave_the_last_fifth_to_the_others_after_an_eviction_as_well():
    handler, logger = filled(100)
    for number in range(205):
        logger.error("%d", number)
    held = numbers(handler.queue)
    logger.info("%d", 999)
    assert numbers(handler.queue) == held
    assert handler.queue.ledger.snapshot()["dropped_levels"]["INFO"] == 1


@pytest.mark.parametrize("overflow", ["drop_newest", "drop_oldest"])
def test_what_is_refused_anyway_is_refused_before_its_exception_is_asked_for_its_text(overflow):
    asked = []

    class Asked(Exception):
        def __str__(self):
            asked.append(1)
            return "asked"

    handler, logger = filled(100, overflow=overflow)
    for number in range(100):
        logger.error("%d", number)
    before = numbers(handler.queue)
    level = logging.ERROR if overflow == "drop_newest" else logging.INFO
    try:
        raise Asked
    except Asked:
        for number in range(5):
            logger.log(level, "%d", number, exc_info=True)
    assert not asked
    assert numbers(handler.queue) == before
    assert handler.queue.ledger.snapshot()["dropped_levels"] == {logging.getLevelName(level): 5}
    check_account(handler.queue)


def test_evicted_records_for_several_lanes_settle_in_each():
    queue = asynclog.RecordQueue(maxsize=32)
    shared, entries = SharedOutcome(2), []
    for bit in (1, 2):
        captured = Captured()
        captured.shared = shared
        fields = dict(logging.LogRecord("shop", 40, "shop.py", 1, "m", (), None).__dict__)
        entries.append((fields, bit, 1024, captured))
    queue.put_group(entries)
    for number in range(60):
        queue.put_nowait(logging.LogRecord("shop", 40, "shop.py", 1, "%d", (number,), None))
    counts = queue.ledger.snapshot()
    assert counts["accepted"] == 61
    assert counts["dropped"] == {"queue_full": 61 - len(queue.entries)}
    assert counts["pending"] == len(queue.entries)


# -- interruptions -------------------------------------------------------------------------------


def signal_points(code):
    """Return where in a code object CPython may look for signals: its start, after a call, where a loop turns.

    Each with the instruction that has to be the one before, and None for a loop's.
    """
    points, before = {}, None
    for one in dis.get_instructions(code):
        if one.opname == "JUMP_BACKWARD":
            points[one.offset] = None
        elif before is not None and before.opname.startswith(("CALL", "RESUME")):
            points[one.offset] = before.offset
        before = one
    return points


TRACED = {
    "asynclog.handler",
    "asynclog.queue",
    "asynclog.eviction",
    "asynclog.ledger",
    "asynclog.reentry",
    "asynclog.capture.exception",
}


class At:
    """Does something at the n-th place, in asynclog's own code, where a signal's handler could run."""

    def __init__(self, turn, do):
        self.turn = turn
        self.do = do
        self.points = {}
        self.before = {}
        self.done = False
        self.returned = False

    def __call__(self, frame, event, _):
        if frame.f_globals.get("__name__") not in TRACED:
            return None
        frame.f_trace_opcodes = True
        if event == "return":
            self.returned = True
        elif event == "opcode":
            # After a call of a function in Python it goes on in the caller without a look.
            returned, self.returned = self.returned, False
            points = self.points.get(frame.f_code)
            if points is None:
                points = self.points[frame.f_code] = signal_points(frame.f_code)
            at, before = frame.f_lasti, self.before.get(frame)
            self.before[frame] = at
            if at in points and points[at] in (None, before) and not returned:
                self.turn -= 1
                if self.turn < 0 and not self.done:
                    self.done = True
                    sys.settrace(None)
                    self.do()
        return self


def interrupt(turn, do, call):
    """Make a call, and do something at its n-th interruption; return whether there are as many."""
    at = At(turn, do)
    before = sys.gettrace()
    sys.settrace(at)
    try:
        call()
    except Interrupted:
        pass
    finally:
        sys.settrace(before)
    return at.done


def raises():
    raise Interrupted


def turns(kind, levels, **options):
    """Count the turns of `interrupt`, after one that comes to nothing: 3.12 tells of no opcodes the first time."""
    handler, logger = on_the_brink(levels, **options)
    interrupt(1_000_000, raises, lambda: put(handler, logger, kind, logging.ERROR, 64))
    return itertools.count()


def on_the_brink(levels, **options):
    """Return a handler whose next call has to give something up."""
    handler, logger = filled(64, **options)
    put(handler, logger, "group", logging.ERROR, 0)  # two entries
    for number in range(1, 63):
        put(handler, logger, ("plain", "exception", "mutable")[number % 3], levels[number % len(levels)], number)
    check_account(handler.queue)
    assert len(handler.queue.entries) == 64
    return handler, logger


LEVELS = [logging.ERROR, logging.WARNING, 35]


@pytest.mark.parametrize("levels", [LEVELS[:1], LEVELS])
@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest", "block:0.00001"])
@pytest.mark.parametrize("kind", ["plain", "long", "exception", "cause", "mutable", "several", "group"])
def test_an_exception_out_of_a_signals_handler_anywhere_leaves_every_count_exact(kind, overflow, levels):
    for turn in turns(kind, levels, overflow=overflow):
        handler, logger = on_the_brink(levels, overflow=overflow)
        gate = handler.queue.gate
        some = interrupt(
            turn,
            raises,
            lambda handler=handler, logger=logger: put(handler, logger, kind, logging.ERROR, 64),
        )
        assert handler.queue.gate is gate
        check_account(handler.queue)
        left = numbers(handler.queue)
        assert left == sorted(left)
        assert left.count(64) in ((0, 2) if kind == "group" else (0, 1))
        assert handler.queue.ledger.snapshot()["accepted"] in (63, 64)
        if not some:
            break
    assert turn > 10, "there was something to interrupt"


@pytest.mark.parametrize("kind", ["plain", "long", "exception", "mutable", "several", "group"])
def test_an_interrupted_call_that_found_room_leaves_every_count_exact(kind):
    for turn in turns(kind, LEVELS):
        handler, logger = filled(64)
        some = interrupt(
            turn,
            raises,
            lambda handler=handler, logger=logger: put(handler, logger, kind, logging.ERROR, 64),
        )
        check_account(handler.queue)
        if not some:
            break
    assert turn > 2


@pytest.mark.parametrize("error", [Interrupted, KeyboardInterrupt])
@pytest.mark.parametrize("scarce", [False, True])
@pytest.mark.parametrize("kind", ["plain", "exception", "mutable", "several", "group"])
def test_nothing_is_queued_that_nobody_is_woken_for_wherever_a_signals_handler_raises(kind, scarce, error):
    def log(handler, logger):
        put(handler, logger, kind, logging.ERROR, 64)

    def cut_short():
        raise error

    woken = False
    interrupt(1_000_000, raises, lambda: log(*(on_the_brink(LEVELS) if scarce else filled(64))))
    for turn in itertools.count():
        handler, logger = on_the_brink(LEVELS) if scarce else filled(64)
        queue, rings = handler.queue, []
        queue.on_wake = lambda rings=rings: rings.append(1)
        queue.sleeping = True
        try:
            some = interrupt(turn, cut_short, lambda handler=handler, logger=logger: log(handler, logger))
        except KeyboardInterrupt:
            some = True
        if 64 in numbers(queue):
            woken = True
            assert rings
            assert not queue.sleeping
        check_account(queue)
        if not some:
            break
    assert woken
    assert turn > 2


@pytest.mark.parametrize("error", [Interrupted, KeyboardInterrupt])
def test_a_ring_that_a_signals_handler_cuts_short_is_rung_again(error):
    handler, logger = filled(64)
    rings = []

    def ring():
        rings.append(1)
        if len(rings) == 1:
            raise error

    handler.queue.on_wake = ring
    if error is KeyboardInterrupt:
        with pytest.raises(KeyboardInterrupt):
            logger.error("%d", 1)
    else:
        logger.error("%d", 1)
    assert len(rings) == 2
    assert not handler.queue.sleeping


@pytest.mark.parametrize("kind", ["plain", "exception"])
def test_a_signals_handler_that_logs_in_the_middle_of_it_loses_nothing(kind):
    for turn in turns(kind, levels := [logging.ERROR, logging.WARNING]):
        handler, logger = on_the_brink(levels)
        log = lambda logger=logger: [KINDS[kind](logger, logging.ERROR, 1_000 + n) for n in range(3)]  # noqa: E731
        some = interrupt(turn, log, lambda logger=logger: KINDS[kind](logger, logging.ERROR, 64))
        check_account(handler.queue)
        assert len(handler.queue.entries) <= 64 + 1, "bounded within one for each that puts at the same instant"
        left = numbers(handler.queue)
        assert 64 in left
        assert handler.queue.ledger.snapshot()["accepted"] == 64 + 3 * some
        if not some:
            break
    assert turn > 10


def test_under_threads_that_flood_it_and_a_worker_that_drains_it_every_record_is_counted_once():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    sink = MemorySink()
    handler = asynclog.wrap(sink, maxsize=300)
    logger = logging.Logger("overflow")
    logger.addHandler(handler)
    queue = handler.queue

    def flood():
        for number in range(3_000):
            KINDS[("plain", "exception", "mutable")[number % 3]](logger, logging.ERROR, number)

    threads = [threading.Thread(target=flood) for _ in range(6)]
    try:
        [one.start() for one in threads]
        [one.join() for one in threads]
    finally:
        sys.setswitchinterval(before)
    assert handler.listener.flush(30)
    counts = handler.listener.stats()
    assert counts["accepted"] == 18_000
    assert counts["pending"] == 0
    wait_until(lambda: not queue.entries)
    assert queue.memory == 0
    assert queue.put_so_far() == queue.gone
    assert len([one for one in sink.records if one.name == "overflow"]) == counts["delivered"]
    handler.listener.stop(20)


def test_a_thread_that_counts_as_inside_for_ever_costs_no_record_at_exit(tmp_path):
    path = tmp_path / "log.txt"
    script = f"""
import logging, time, asynclog
from _thread import get_ident
from asynclog.reentry import inside
class Slow(logging.FileHandler):
    def emit(self, record):
        time.sleep(0.3)
        super().emit(record)
logger = logging.Logger("shop")
logger.addHandler(asynclog.wrap(Slow({str(path)!r})))
for number in range(4):
    logger.error("record %d", number)
inside[get_ident()] = 1
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
    assert path.read_text().split("\n") == [f"record {n}" for n in range(4)] + [""]
