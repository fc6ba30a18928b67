"""The caller's end: what it takes, what it refuses, and that it never raises."""

import contextvars
import copy
import enum
import logging
import logging.handlers
import queue as stdlib_queue
import signal
import sys
import threading
import time

import pytest

import asynclog
from asynclog.capture.record import capture
from asynclog.reentry import inside
from asynclog.testing import MemorySink
from asynclog.values import Captured, RetryLater, unpack
from tests.conftest import check_adds_up, wait_until


def shipped(logger, *sinks, **options):
    handler = asynclog.wrap(*(sinks or [MemorySink()]), **options)
    logger.addHandler(handler)
    return handler


def delivered(handler):
    assert handler.listener.flush(20)
    return handler.listener.lanes[0].sink


# -- what arguments may do -------------------------------------------------------------------------


class Hostile:
    def __init__(self, error):
        self.error = error

    def _raise(self, *args):
        raise self.error

    __str__ = __repr__ = __format__ = __len__ = __iter__ = __getitem__ = __bool__ = __int__ = _raise


class Custom(BaseException):
    pass


@pytest.mark.parametrize("error", [ValueError("x"), Custom("y"), GeneratorExit(), MemoryError(), RecursionError()])
@pytest.mark.parametrize("call", ["%s", "%r", "%d"])
def test_an_argument_that_raises_costs_a_placeholder(logger, call, error):
    handler = shipped(logger)
    logger.error("before " + call, Hostile(error))
    logger.error(Hostile(error))
    sink = delivered(handler)
    assert len(sink.texts) == 2
    assert "before" in sink.texts[0]
    assert type(error).__name__ in sink.texts[0]
    assert type(error).__name__ in sink.texts[1]
    assert handler.listener.stats()["errors"]["message_error"] == 2


@pytest.mark.parametrize(
    ("msg", "args"),
    [("%s %s", (1,)), ("%d", ("x",)), ("no place", (1, 2)), ("%(missing)s", ({"a": 1},)), ("%", (1,)), ("%z", (1,))],
)
def test_arguments_that_do_not_fit_cost_a_placeholder(logger, msg, args):
    handler = shipped(logger)
    logger.error(msg, *args)
    sink = delivered(handler)
    assert msg in sink.texts[0]
    assert "asynclog could not merge the arguments" in sink.texts[0]


def test_endless_recursion_in_an_argument_is_survived(logger):
    class Deep:
        def __str__(self):
            return str(self)

    handler = shipped(logger)
    logger.error("%s", Deep())
    assert "RecursionError" in delivered(handler).texts[0]


def test_an_exception_whose_str_raises_is_delivered(logger):
    class Odd(Exception):
        def __str__(self):
            raise Custom

    handler = shipped(logger)
    try:
        raise Odd
    except Odd:
        logger.exception("m")
    assert delivered(handler).texts[0].endswith("Odd: <exception str() failed>")


def test_arguments_changed_after_the_call_print_as_at_the_call(logger):
    handler = shipped(logger)
    handler.listener.stop()
    values, mapping, extra = [1], {"a": [1]}, {"tags": ["x"]}
    handler.listener.lanes[0].sink.setFormatter(logging.Formatter("%(message)s %(tags)s"))
    logger.error("%s %r", values, mapping, extra=extra)
    logger.error("%(a)s", mapping, extra=extra)
    values.append(2)
    mapping["a"].append(2)
    extra["tags"].append("y")
    handler.listener.start()
    assert delivered(handler).texts == ["[1] {'a': [1]} ['x']", "[1] ['x']"]


def test_surrogates_nuls_and_bidi_marks_are_delivered(logger):
    handler = shipped(logger)
    logger.error("a\udcff\0b\u202ec %s", "\ud800")
    assert delivered(handler).messages == ["a\udcff\0b\u202ec \ud800"]


def test_a_message_of_fifty_megabytes_is_cut_with_a_marker_before_it_is_queued(logger):
    handler = shipped(logger)
    handler.listener.stop()
    logger.error("x" * 50_000_000)
    logger.error("y %s", "z" * 50_000_000)
    assert handler.queue.memory < 5_000_000
    handler.listener.start()
    for text in delivered(handler).texts:
        assert "asynclog cut" in text
        assert len(text) < 2_000_000


def test_a_traceback_of_ten_thousand_frames_is_bounded(logger):
    import sys

    handler = shipped(logger)
    handler.listener.stop()
    code = "def f(n):\n    if n: g(n - 1)\n    else: raise ValueError('deep')\ndef g(n):\n    f(n)\n"
    scope = {}
    exec(code, scope)
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    try:
        scope["f"](5_000)
    except ValueError:
        logger.exception("m")
    finally:
        sys.setrecursionlimit(before)
    assert handler.queue.memory < 2_000_000
    handler.listener.start()
    (text,) = delivered(handler).texts
    assert text.endswith("ValueError: deep")
    assert len(text) < 2_000_000


# -- levels and filters --------------------------------------------------------------------------


def test_what_no_lane_wants_is_never_accepted(logger):
    handler = shipped(logger, MemorySink(level="ERROR"))
    logger.info("no")
    logger.error("yes")
    assert delivered(handler).messages == ["yes"]
    assert handler.listener.stats()["accepted"] == 1


def test_levels_and_formatters_set_later_take_effect(logger):
    sink = MemorySink()
    handler = shipped(logger, sink)
    sink.setLevel("ERROR")
    logger.info("no")
    handler.setFormatter(logging.Formatter("set on the wrapper: %(message)s"))
    logger.error("yes")
    delivered(handler)
    assert sink.texts == ["set on the wrapper: yes"]


def test_each_lane_has_its_own_level_and_filters(logger):
    debug, error = MemorySink(), MemorySink(level="ERROR")
    only_paid = MemorySink(filters=[lambda record: "paid" in record.getMessage()])
    handler = shipped(logger, debug, error, only_paid)
    logger.debug("paid")
    logger.error("failed")
    delivered(handler)
    assert debug.messages == ["paid", "failed"]
    assert error.messages == ["failed"]
    assert only_paid.messages == ["paid"]
    assert handler.listener.stats()["accepted"] == 2


def test_filters_run_on_the_callers_thread_and_see_its_context(logger):
    seen, user = [], contextvars.ContextVar("user")

    def look(record):
        seen.append((threading.get_ident(), user.get()))
        return True

    handler = shipped(logger, MemorySink(filters=[look]))
    token = user.set("ada")
    logger.error("x")
    user.reset(token)
    assert seen == [(threading.get_ident(), "ada")]
    delivered(handler)


@pytest.mark.parametrize("where", ["sink", "wrapper"])
def test_a_raising_filter_is_counted_and_the_call_unharmed(logger, where):
    def raises(record):
        raise Custom

    sink = MemorySink()
    handler = shipped(logger, sink)
    (sink if where == "sink" else handler).addFilter(raises)
    logger.error("x")
    delivered(handler)
    errors = handler.listener.stats()["errors"]
    if where == "sink":
        assert sink.messages == ["x"], "it passes: a broken filter must not hide an error"
        assert errors["filter_error"] == 1
    else:
        assert errors["handler_error"] == 1


def test_a_filter_between_two_lanes_changes_the_record_for_the_later_ones_only(logger):
    first, last = MemorySink(), MemorySink()

    def redact(record):
        record.msg = "***"
        return True

    last.addFilter(redact)
    handler = shipped(logger, first, last)
    logger.error("secret")
    delivered(handler)
    assert (first.messages, last.messages) == (["secret"], ["***"])
    stats = handler.listener.stats()
    assert stats["accepted"] == stats["delivered"] == 1


@pytest.mark.skipif("sys.version_info < (3, 12)", reason="filters replace records from 3.12 on")
def test_a_filter_that_replaces_the_record_does_so_for_its_own_lane(logger):
    def replace(record):
        new = copy.copy(record)
        new.msg = "other"
        return new

    first, second = MemorySink(filters=[replace]), MemorySink()
    handler = shipped(logger, first, second)
    logger.error("x")
    delivered(handler)
    assert (first.messages, second.messages) == (["other"], ["x"])


def test_a_handler_that_overrides_filter_itself_is_asked(logger):
    class Picky(MemorySink):
        def filter(self, record):
            return "yes" in record.msg

    handler = shipped(logger, Picky())
    logger.error("no")
    logger.error("yes")
    assert delivered(handler).messages == ["yes"]


def test_the_order_of_filters_and_records_is_the_callers(logger):
    order = []
    sinks = [MemorySink(filters=[lambda record, n=n: order.append(n) or True]) for n in range(3)]
    handler = shipped(logger, *sinks)
    for number in range(100):
        logger.error("%d", number)
    delivered(handler)
    assert order == [0, 1, 2] * 100
    for sink in sinks:
        assert sink.messages == [str(number) for number in range(100)]


def test_levels_that_are_enums_work(logger):
    class Level(enum.IntEnum):
        ALERT = 45

    handler = shipped(logger)
    logger.log(Level.ALERT, "x")
    assert delivered(handler).messages == ["x"]


# -- context and exceptions ----------------------------------------------------------------------


def test_a_formatter_that_overrides_format_sees_the_callers_context(logger):
    user = contextvars.ContextVar("user", default="nobody")

    class ByUser(logging.Formatter):
        def format(self, record):
            record.user = user.get()
            return super().format(record)

    handler = shipped(logger, MemorySink(formatter=ByUser("%(user)s %(message)s")), MemorySink())
    for name in ("ada", "bob"):
        contextvars.copy_context().run(lambda name=name: (user.set(name), logger.error("x")))
    assert delivered(handler).texts == ["ada x", "bob x"]


def test_an_extra_that_only_its_own_context_can_print_is_text_by_then(logger):
    user = contextvars.ContextVar("user")

    class Proxy:
        def __str__(self):
            return user.get()

    handler = shipped(logger, MemorySink(formatter=logging.Formatter("%(who)s: %(message)s")))
    contextvars.copy_context().run(lambda: (user.set("ada"), logger.error("x", extra={"who": Proxy()})))
    assert delivered(handler).texts == ["ada: x"]


def test_a_third_party_handler_gets_the_live_exception_and_others_do_not(logger):
    class Frames(logging.Handler):
        got = []

        def emit(self, record):
            if record.exc_info:
                Frames.got.append(record.exc_info[2].tb_frame.f_locals.get("secret"))

    sink = MemorySink()
    handler = shipped(logger, sink, Frames())
    try:
        secret = 42
        raise ValueError(secret)
    except ValueError:
        logger.exception("x")
    delivered(handler)
    assert Frames.got == [42]
    assert sink.records[0].exc_info[2].tb_frame.f_locals == {}


def test_one_record_may_carry_an_exception_in_place_of_a_tuple(logger):
    handler = shipped(logger)
    error = ValueError("by itself")
    record = logger.makeRecord("n", 40, "f", 1, "m", None, None)
    record.exc_info = error
    handler.handle(record)
    assert delivered(handler).texts == ["m\nValueError: by itself"]


def test_outside_of_an_except_block_it_prints_what_logging_prints(logger):
    handler = shipped(logger)
    logger.exception("m")
    assert delivered(handler).texts == ["m\nNoneType: None"]


def test_what_another_handlers_formatter_left_on_the_record_is_no_extra(logger):
    logger.addHandler(logging.StreamHandler(open("/dev/null", "w")))
    logger.handlers[0].setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    handler = shipped(logger)
    handler.listener.stop()
    logger.error("x" * 1000)
    fields, _, size, captured = unpack(handler.queue.entries[0])
    assert "message" not in fields
    assert size < 2500
    assert captured is None, "it took the fast path"


def test_extras_that_cannot_change_take_the_fast_path_too(logger):
    handler = shipped(logger)
    handler.listener.stop()
    logger.error("m", extra={"user": "ada", "tries": 3, "big": "x" * 2000})
    assert type(handler.queue.entries[0]) is dict
    fields, _, size, _ = unpack(handler.queue.entries[0])
    assert (fields["user"], fields["tries"]) == ("ada", 3)
    assert size > 3000


def test_an_extra_that_could_change_is_never_queued_as_it_is(logger):
    handler = shipped(logger)
    handler.listener.stop()
    changing = ["x"]
    logger.error("m", extra={"user": "ada", "tags": changing})
    # Not behind the standard attributes, since one of those is gone.
    odd = logging.makeLogRecord({"msg": "m", "levelno": 40, "tags": changing, "user": "ada"})
    del odd.processName
    handler.handle(odd)
    for queued in handler.queue.entries:
        assert changing not in unpack(queued)[0].values()


@pytest.mark.parametrize("stack", ["", False, 0])
def test_a_stack_that_is_none_harms_nothing(logger, stack):
    handler = shipped(logger)
    handler.handle(logging.makeLogRecord({"msg": "odd", "levelno": 40, "stack_info": stack}))
    logger.error("next")
    assert delivered(handler).texts == ["odd", "next"]


class Falsy(Exception):
    def __bool__(self):
        return False


@pytest.mark.parametrize("info", [False, (), 0, Falsy("x")])
def test_an_exc_info_that_is_false_is_not_kept(logger, info):
    handler = shipped(logger)
    handler.listener.stop()
    handler.handle(logging.makeLogRecord({"msg": "m", "levelno": 40, "exc_info": info}))
    assert all(unpack(queued)[0]["exc_info"] is None for queued in handler.queue.entries)


def test_the_apps_own_code_finds_no_exception_of_ours_being_handled(logger):
    seen = []
    handler = asynclog.wrap(MemorySink(), MemorySink())
    handler.addFilter(lambda record: seen.append(sys.exc_info()[1]) or True)
    logger.addHandler(handler)
    logger.error("m")
    assert seen == [None]
    assert handler.listener.stop(20)


def test_what_a_signals_handler_raises_while_a_call_waits_for_room_is_the_apps(logger):
    handler = asynclog.wrap(MemorySink(), maxsize=5, overflow="block:20")
    handler.listener.stop()
    logger.addHandler(handler)
    for number in range(5):
        logger.error("%d", number)

    def too_long(signum, frame):
        raise TimeoutError("the request took too long")

    before = signal.signal(signal.SIGALRM, too_long)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(TimeoutError):
            logger.error("waits")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    counts = handler.queue.ledger.snapshot()
    assert (counts["accepted"], counts["dropped"]) == (6, {"interrupted": 1})


class Changing:
    def __str__(self):
        return "as it is now"


def failed():
    try:
        raise ValueError("x")
    except ValueError:
        return sys.exc_info()


@pytest.mark.parametrize(
    "attributes",
    [
        {"args": (Changing(),)},
        {"args": ({"a": [1]},)},
        {"msg": "%(a)s", "args": ({"a": 1},)},
        {"args": (Changing(),), "exc_info": failed()},
        {"args": (Changing(),), "exc_info": False},
        {"args": (Changing(),), "user": "ada", "tries": 3},
        {"args": (Changing(),), "changing": [1]},
        {"msg": "%d", "args": (Changing(),)},
        {"msg": "%s" + "x" * 5_000, "args": (Changing(),)},
        {"msg": "%s", "args": (["x" * 2_000_000],)},
        {"msg": "%s %s", "args": (b"bytes", Changing())},
        {"msg": "%s %s", "args": ("x" * 3_000, Changing())},
    ],
    ids=lambda attributes: "-".join(attributes),
)
def test_a_message_that_has_to_be_made_at_once_is_queued_as_the_careful_way_would(logger, attributes):
    handler = shipped(logger)
    handler.listener.stop()
    queue, noted = handler.queue, []
    record = logging.LogRecord("shop", 40, "shop.py", 1, attributes.get("msg", "m %s"), attributes["args"], None)
    for name, value in attributes.items():
        if name not in ("msg", "args"):
            setattr(record, name, value)
    gate = handler.door or queue.gate
    (fields, mask, size, captured) = capture(record, gate, lambda kind, _: noted.append(kind))[0]
    assert handler.handle(record) is record
    queued_fields, queued_mask, queued_size, queued = unpack(queue.entries[0])
    assert (queued_fields, queued_mask, queued_size) == ({**fields, "exc_info": None}, mask, size)
    for name in Captured.__slots__:
        if name != "exception":
            assert getattr(queued, name) == getattr(captured, name), name
    assert (queued.exception is None) == (captured.exception is None)
    assert queued.exception is None or queued.exception.frames == captured.exception.frames
    assert list(queue.errors) == noted
    assert queue.memory == queued_size
    assert not inside


def test_a_message_that_logs_while_it_is_made_is_queued_behind_what_it_logs(logger):
    class Logs:
        def __str__(self):
            logger.error("inner")
            return "outer"

    handler = shipped(logger)
    logger.error("%s", Logs())
    assert delivered(handler).messages == ["inner", "outer"]


# -- feedback and re-entry -----------------------------------------------------------------------


def test_what_a_sink_logs_on_asynclogs_own_thread_never_comes_back_in(logger, capsys):
    class Chatty(MemorySink):
        async def deliver(self, batch):
            logger.debug("I am delivering %d", len(batch.items))
            return await super().deliver(batch)

    handler = shipped(logger, Chatty())
    logger.error("x")
    sink = delivered(handler)
    assert sink.messages == ["x"]
    assert handler.listener.stats()["errors"]["feedback"] == 1
    told = []
    wait_until(lambda: told.append(capsys.readouterr().err) or "own thread: I am delivering 1" in "".join(told))


def test_a_finalizer_of_the_apps_that_runs_on_our_thread_is_the_apps(logger):
    class Logs:
        def __del__(self):
            logger.error("from __del__ on %s", threading.get_ident())

    things = [Logs()]

    class Finalizes(MemorySink):
        async def deliver(self, batch):
            things.clear()
            return await super().deliver(batch)

    handler = shipped(logger, Finalizes())
    logger.error("x")
    sink = delivered(handler)
    wait_until(lambda: len(sink.messages) == 2)
    assert sink.messages[1] != f"from __del__ on {threading.get_ident()}"
    assert "feedback" not in handler.listener.stats()["errors"]


def test_a_message_that_logs_and_flushes_while_it_is_made_waits_for_nothing(logger):
    class Logs:
        def __str__(self):
            logger.error("inner")
            assert not asynclog.flush(60)  # asks, and does not wait in here
            return "outer"

    sink = MemorySink()
    sink.go_down(RetryLater("down"))
    handler = shipped(logger, sink)
    before = time.monotonic()
    logger.error("%s", Logs())
    assert time.monotonic() - before < 30
    sink.come_back()
    assert sorted(delivered(handler).messages) == ["inner", "outer"]


# -- the standard library's shape ------------------------------------------------------------------


def test_prepare_enqueue_and_emit_can_be_overridden(logger):
    calls = []

    class Own(asynclog.QueueHandler):
        def prepare(self, record):
            calls.append("prepare")
            record = copy.copy(super().prepare(record))
            record.msg = f"prepared {record.msg}"
            return record

        def enqueue(self, record):
            calls.append("enqueue")
            super().enqueue(record)

    queue, sink = asynclog.RecordQueue(), MemorySink(level="ERROR")
    listener = asynclog.QueueListener(queue, sink)
    logger.addHandler(Own(queue))
    logger.error("x")
    logger.info("refused")
    assert listener.flush()
    assert sink.messages == ["prepared x"]
    assert calls == ["prepare", "enqueue"] * 2
    assert listener.stats()["accepted"] == 1


def test_an_overridden_emit_may_put_what_it_likes(logger):
    class Own(asynclog.QueueHandler):
        def emit(self, record):
            self.queue.put_nowait(record)
            self.queue.put_nowait(record)

    queue, sink = asynclog.RecordQueue(), MemorySink()
    listener = asynclog.QueueListener(queue, sink)
    logger.addHandler(Own(queue))
    logger.error("twice")
    assert listener.flush()
    assert sink.messages == ["twice", "twice"]


@pytest.mark.parametrize("method", ["emit", "prepare", "enqueue"])
def test_an_override_that_raises_is_counted_and_the_caller_unharmed(logger, method):
    def raises(self, record):
        raise Custom

    queue = asynclog.RecordQueue()
    logger.addHandler(type("Own", (asynclog.QueueHandler,), {method: raises})(queue))
    logger.error("x")
    assert queue.errors == {"handler_error": 1}


def test_with_a_foreign_queue_records_are_prepared_as_the_standard_library_does(logger):
    theirs, ours = stdlib_queue.Queue(), stdlib_queue.Queue()
    for handler in (logging.handlers.QueueHandler(theirs), asynclog.QueueHandler(ours)):
        handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
        logger.addHandler(handler)
    try:
        raise ValueError("x")
    except ValueError:
        logger.exception("m %d", 1, extra={"user": "ada"})
    expected, got = theirs.get_nowait(), ours.get_nowait()
    assert got.__dict__ == expected.__dict__


def test_a_full_foreign_queue_costs_the_record_and_is_counted(logger, capsys):
    before = asynclog.stats()["errors"].get("queue_full", 0)
    queue = stdlib_queue.Queue(1)
    logger.addHandler(asynclog.QueueHandler(queue))
    logger.error("in")
    logger.error("out")
    assert queue.qsize() == 1
    assert asynclog.stats()["errors"]["queue_full"] == before + 1
    assert "Traceback" not in capsys.readouterr().err


def test_it_takes_no_lock(logger):
    handler = shipped(logger)
    assert handler.lock is None
    logging.shutdown([lambda: handler])
    logger.error("after a close it opens again")
    assert "after a close it opens again" in delivered(handler).messages


def test_records_without_process_or_thread_are_taken(logger, monkeypatch):
    for name in ("logProcesses", "logThreads", "logMultiprocessing"):
        monkeypatch.setattr(logging, name, False)
    handler = shipped(logger)
    logger.error("x")
    assert delivered(handler).messages == ["x"]


def test_a_record_class_of_the_apps_own_keeps_its_get_message(logger, monkeypatch):
    class Record(logging.LogRecord):
        def getMessage(self):
            return f"own {self.msg} {self.args}"

    class Broken(logging.LogRecord):
        def getMessage(self):
            raise Custom

    handler = shipped(logger)
    for kind in (Record, Broken):
        handler.handle(kind("n", 40, "p", 1, "m", ("a",), None))
    assert delivered(handler).messages == ["own m ('a',)", "<getMessage raised: Custom>"]


def test_several_listeners_stay_apart(logger):
    one, two = shipped(logger), shipped(logger)
    logger.error("both")
    assert one.listener.stop()
    logger.error("one waits")
    assert delivered(two).messages == ["both", "one waits"]
    assert one.listener.lanes[0].sink.messages == ["both"]
    assert one.listener.stats()["pending"] == 1
    one.listener.start()
    assert delivered(one).messages == ["both", "one waits"]
    check_adds_up(asynclog.stats())


@pytest.mark.parametrize("lanes", [1, 2])
@pytest.mark.parametrize("nothing", [None, False, ()])
def test_exc_info_of_any_false_value_is_no_exception(logger, nothing, lanes):
    handlers = [asynclog.wrap(MemorySink(level=level)) for level in (logging.DEBUG, logging.WARNING)[:lanes]]
    for handler in handlers:
        logger.addHandler(handler)
    logger.error("%s", "paid", exc_info=nothing)
    for handler in handlers:
        sink = delivered(handler)
        assert sink.texts == ["paid"]
        assert not sink.records[0].exc_info
        check_adds_up(handler.listener.stats())


def test_exc_info_of_a_false_value_stays_with_the_lane_it_is_for(logger, tmp_path):
    paths = [tmp_path / "all.log", tmp_path / "errors.log"]
    for path, level in zip(paths, (logging.DEBUG, logging.ERROR), strict=True):
        handler = logging.FileHandler(path)
        handler.setLevel(level)
        logger.addHandler(handler)
    listener = asynclog.install(logger)
    try:
        logger.warning("%s", "paid", exc_info=False)
        logger.error("%s", "lost", exc_info=False)
        assert listener.flush(20)
    finally:
        asynclog.uninstall()
    assert [path.read_text() for path in paths] == ["paid\nlost\n", "lost\n"]
