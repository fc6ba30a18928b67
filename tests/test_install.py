"""`install` and `uninstall`: round a logging setup that stands already, and off again."""

from __future__ import annotations

import io
import logging
import logging.handlers
import sys
import threading
import time
import warnings

import pytest

import asynclog
from asynclog.errors import OptionTypeError, OptionValueError
from asynclog.testing import faults
from asynclog.testing.smtpd import running_smtpd
from tests.wrapkit import Remembering, fresh_logger, is_listed, until


@pytest.fixture(autouse=True)
def nothing_stays_installed():
    yield
    asynclog.uninstall(5)


def reasons(listener):
    return {type(row.handler).__name__: row.note for row in listener.report if not row.wrapped}


# -- on --------------------------------------------------------------------------------------------------


def test_handlers_are_wrapped_at_their_places(tmp_path):
    logger, stream, other = fresh_logger(), logging.StreamHandler(io.StringIO()), Remembering()
    file = logging.FileHandler(tmp_path / "app.log")
    logger.handlers = [file, stream, other]
    listener = asynclog.install(logger)
    first, second, third = logger.handlers
    assert isinstance(first, asynclog.QueueHandler)
    assert second is stream
    assert isinstance(third, asynclog.QueueHandler)
    logger.error("x")
    assert listener.flush(20)
    assert (tmp_path / "app.log").read_text() == "x\n"
    assert other.lines == ["x"]
    assert stream.stream.getvalue() == "x\n"


def test_it_returns_the_listener_of_the_process_and_takes_only_what_is_new():
    logger, one, other = fresh_logger(), Remembering(), Remembering()
    logger.addHandler(one)
    listener = asynclog.install(logger)
    door = logger.handlers[0]
    logger.addHandler(other)
    assert asynclog.install(logger) is listener
    assert logger.handlers[0] is door
    assert [row.handler for row in listener.report.wrapped] == [one, other]
    assert asynclog.install(logger) is listener
    assert len(listener.lanes) == 2
    logger.error("x")
    assert listener.flush(20)
    assert one.lines == other.lines == ["x"]


def test_records_that_wait_together_go_each_to_the_handler_of_its_logger():
    loggers = [fresh_logger(), fresh_logger(), fresh_logger()]
    handlers = [Remembering(), Remembering(), Remembering()]
    for logger, handler in zip(loggers, handlers, strict=True):
        logger.addHandler(handler)
    listener = asynclog.install(*loggers)
    for logger in loggers:
        logger.error("warm")
    assert listener.flush(20)
    for number in range(60):
        loggers[number % 3].error("%d", number)
    for number in range(60, 90):
        loggers[number % 2].error("%d", number, exc_info=ValueError("x") if number % 5 == 0 else None)
    assert listener.flush(20)
    for which, handler in enumerate(handlers):
        told = [int(line.split()[0]) for line in handler.lines if line[:1].isdigit()]
        expected = [n for n in range(60) if n % 3 == which] + [n for n in range(60, 90) if n % 2 == which]
        assert told == expected


def test_loggers_may_be_names_and_adapters():
    logger, handler = fresh_logger(), Remembering()
    logger.addHandler(handler)
    asynclog.install(logger.name)
    assert isinstance(logger.handlers[0], asynclog.QueueHandler)
    asynclog.uninstall()
    asynclog.install(logging.LoggerAdapter(logger, {}))
    assert isinstance(logger.handlers[0], asynclog.QueueHandler)


def test_by_default_every_logger_with_a_handler_is_taken_root_included():
    logger, handler, at_root = fresh_logger(), Remembering(), Remembering()
    logger.addHandler(handler)
    logging.getLogger().addHandler(at_root)
    try:
        report = asynclog.install().report
        assert {(row.handler, row.logger) for row in report.wrapped} >= {(handler, logger.name), (at_root, "root")}
        asynclog.uninstall()
        assert at_root in logging.getLogger().handlers
    finally:
        logging.getLogger().removeHandler(at_root)


def test_a_handler_on_several_loggers_is_served_by_one_lane_and_emits_as_often_as_before():
    parent, handler = fresh_logger(), Remembering()
    child = parent.getChild("child")
    parent.addHandler(handler)
    child.addHandler(handler)
    child.error("twice")
    parent.error("once")
    before, handler.lines = handler.lines, []
    listener = asynclog.install(parent, child)
    assert parent.handlers[0] is child.handlers[0]
    assert len(listener.lanes) == 1
    child.error("twice")
    parent.error("once")
    assert listener.flush(20)
    assert handler.lines == before == ["twice", "twice", "once"]
    assert [(row.handler, row.logger) for row in listener.report] == [(handler, parent.name), (handler, child.name)]


def test_lists_of_handlers_that_two_loggers_share_stay_shared():
    # app.logger.handlers = logging.getLogger("gunicorn.error").handlers is a common line
    one, other, handler = fresh_logger(), fresh_logger(), Remembering()
    one.addHandler(handler)
    other.handlers = one.handlers
    listener = asynclog.install(one, other)
    other.error("x")
    assert listener.flush(20)
    assert handler.lines == ["x"]
    asynclog.uninstall()
    assert one.handlers is other.handlers
    assert one.handlers == [handler]


def test_levels_filters_and_formatters_set_on_either_side_take_effect():
    logger, handler = fresh_logger(), Remembering()
    handler.setLevel(logging.WARNING)
    logger.addHandler(handler)
    listener = asynclog.install(logger)
    logger.info("low")
    handler.setLevel(logging.INFO)
    logger.info("info")
    assert listener.flush(20)
    logger.handlers[0].setFormatter(logging.Formatter("<%(message)s>"))
    logger.handlers[0].addFilter(lambda record: record.getMessage() != "filtered")
    logger.error("filtered")
    logger.error("error")
    logger.handlers[0].setLevel(logging.CRITICAL)
    logger.error("too low now")
    assert listener.flush(20)
    assert handler.lines == ["info", "<error>"]


def test_what_is_left_alone_is_reported_with_the_reason(caplog):
    logger, memory = fresh_logger(), logging.handlers.MemoryHandler(10)
    target = Remembering()
    memory.setTarget(target)
    stdlib = logging.handlers.QueueHandler(__import__("queue").SimpleQueue())
    wrapped = asynclog.wrap(Remembering())
    fine = logging.handlers.SysLogHandler()
    logger.handlers = [
        logging.StreamHandler(sys.stderr),
        logging.NullHandler(),
        target,
        stdlib,
        wrapped,
        logging.lastResort,
        caplog.handler,
        memory,
        fine,
    ]
    before = list(logger.handlers)
    listener = asynclog.install(logger)
    assert [row.handler for row in listener.report.wrapped] == [memory, fine]
    assert logger.handlers[:7] == before[:7]
    assert reasons(listener) == {
        "StreamHandler": "it writes to a stream; streams=True wraps it too",
        "NullHandler": "it does nothing",
        "Remembering": "it is the target of a MemoryHandler",
        "QueueHandler": "it is wrapped already",
        "_StderrHandler": "it is logging.lastResort",
        "LogCaptureHandler": "it is pytest's, which looks at it at once",
    }
    assert [row.note for row in listener.report if row.handler is stdlib] == ["it has a queue of its own"]
    assert str(listener.report).startswith("left alone  StreamHandler on ")
    assert "wrapped     SysLogHandler on " in str(listener.report)
    fine.close()


def test_streams_are_wrapped_on_demand():
    logger, stream = fresh_logger(), io.StringIO()
    logger.addHandler(logging.StreamHandler(stream))
    listener = asynclog.install(logger, streams=True)
    logger.error("x")
    assert listener.flush(20)
    assert stream.getvalue() == "x\n"


def test_flasks_own_handler_is_left_alone_even_with_streams():
    flask = pytest.importorskip("flask")
    app = flask.Flask(f"tests_install_{id(object())}")
    default = flask.logging.default_handler
    if default not in app.logger.handlers:
        app.logger.addHandler(default)
    with pytest.warns(RuntimeWarning, match="its stream follows the request"):
        asynclog.install(app.logger, streams=True)
    assert default in app.logger.handlers


def test_wrapping_nothing_warns_and_says_what_was_found():
    logger = fresh_logger()
    with pytest.warns(RuntimeWarning, match="wrapped nothing: no logger has a handler yet"):
        asynclog.install(logger)
    asynclog.uninstall()
    logger.addHandler(logging.NullHandler())
    with pytest.warns(RuntimeWarning, match="NullHandler on .*it does nothing"):
        asynclog.install(logger)


def test_a_sink_on_a_logger_is_taken_in(tmp_path):
    logger, sink = fresh_logger(), asynclog.FileSink(tmp_path / "app.log")
    logger.addHandler(sink)
    listener = asynclog.install(logger)
    logger.error("installed")
    assert listener.flush(20)
    assert asynclog.uninstall()
    assert logger.handlers == [sink]
    logger.error("by itself")
    sink.flush()
    assert (tmp_path / "app.log").read_text() == "installed\nby itself\n"
    sink.close()


def test_a_handler_that_is_wrapped_elsewhere_goes_on_through_that_lane():
    one, other, handler = fresh_logger(), fresh_logger(), Remembering()
    wrapper = asynclog.wrap(handler)
    one.addHandler(wrapper)
    other.addHandler(handler)
    asynclog.install(other)
    other.error("x")
    assert wrapper.listener.flush(20)
    assert wrapper.listener.stats()["delivered"] == 1
    asynclog.uninstall()
    assert (one.handlers, other.handlers) == ([wrapper], [handler])
    one.error("y")
    assert wrapper.listener.stop(20)
    assert handler.lines == ["x", "y"]


def test_insecure_mail_is_in_the_report():
    logger = fresh_logger()
    logger.addHandler(logging.handlers.SMTPHandler("mail.invalid", "a@example.com", ["b@example.com"], "x"))
    (row,) = asynclog.install(logger).report
    assert (row.wrapped, row.sink, row.logger) == (True, "mail:mail.invalid", logger.name)
    assert "plain text" in row.note


def test_no_record_is_lost_or_doubled_while_it_is_put_on_and_taken_off():
    logger, one, other, stop = fresh_logger(), Remembering(), Remembering(), threading.Event()
    logger.handlers = [one, other]
    counts = [0, 0]

    def work(which):
        while not stop.is_set():
            logger.error("%d", which)
            counts[which] += 1
            time.sleep(0)

    threads = [threading.Thread(target=work, args=(which,)) for which in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        goal = sum(counts) + 50
        until(lambda goal=goal: sum(counts) > goal)
        asynclog.install(logger)
        until(lambda goal=goal: sum(counts) > goal + 50)
        assert asynclog.uninstall(20)
    stop.set()
    for thread in threads:
        thread.join()
    assert logger.handlers == [one, other]
    for handler in (one, other):
        assert [handler.lines.count("0"), handler.lines.count("1")] == counts


# -- off -------------------------------------------------------------------------------------------------


def test_uninstall_puts_the_same_handlers_back_where_they_were(tmp_path):
    logger, stream, other = fresh_logger(), logging.StreamHandler(io.StringIO()), Remembering()
    file = logging.FileHandler(tmp_path / "app.log", mode="w")
    before = [other, stream, file]
    logger.handlers = list(before)
    asynclog.install(logger)
    logger.error("installed")
    assert asynclog.uninstall(20)
    assert logger.handlers == before
    assert all(is_listed(handler) for handler in before)
    assert "handleError" not in vars(other)
    logger.error("by itself")
    assert other.lines == ["installed", "by itself"]
    assert (tmp_path / "app.log").read_text() == "installed\nby itself\n"
    file.close()


def test_a_rotating_file_goes_on_where_the_sink_left_it(tmp_path):
    path, logger = tmp_path / "app.log", fresh_logger()
    file = logging.handlers.RotatingFileHandler(path, maxBytes=30, backupCount=9)
    logger.addHandler(file)
    for number in range(3):
        logger.error("by itself %d", number)
    asynclog.install(logger)
    for number in range(3):
        logger.error("installed %d", number)
    assert asynclog.uninstall(20)
    for number in range(3):
        logger.error("by itself again %d", number)
    file.close()
    parts = sorted(tmp_path.glob("app.log*"), key=lambda part: int(part.suffix[1:]) if part.suffix != ".log" else 0)
    lines = "".join(part.read_text() for part in reversed(parts)).splitlines()
    assert lines == [
        *(f"by itself {number}" for number in range(3)),
        *(f"installed {number}" for number in range(3)),
        *(f"by itself again {number}" for number in range(3)),
    ]


@pytest.mark.parametrize("mode", ["w", "a"])
def test_a_file_that_was_never_opened_before_is_not_emptied_after_uninstall(tmp_path, mode):
    path, logger = tmp_path / "app.log", fresh_logger()
    file = logging.FileHandler(path, mode, delay=True)
    logger.addHandler(file)
    asynclog.install(logger)
    logger.error("installed")
    assert asynclog.uninstall(20)
    logger.error("by itself")
    file.close()
    assert path.read_text() == "installed\nby itself\n"


def test_uninstall_keeps_what_the_app_added_and_removed_meanwhile():
    logger = fresh_logger()
    gone, kept, back, new = (Remembering() for _ in range(4))
    logger.handlers = [gone, kept, back]
    asynclog.install(logger)
    logger.removeHandler(logger.handlers[0])
    logger.addHandler(new)
    logger.addHandler(back)  # the app puts one back by itself
    asynclog.uninstall(20)
    assert logger.handlers == [kept, new, back]


def test_uninstall_finds_doors_that_the_app_put_on_other_loggers():
    logger, other, handler = fresh_logger(), fresh_logger(), Remembering()
    logger.addHandler(handler)
    asynclog.install(logger)
    other.addHandler(logger.handlers[0])
    asynclog.uninstall(20)
    assert other.handlers == [handler]


def test_a_door_that_the_app_kept_passes_on_after_uninstall():
    logger, handler = fresh_logger(), Remembering()
    handler.setLevel(logging.ERROR)
    logger.addHandler(handler)
    asynclog.install(logger)
    door = logger.handlers[0]
    asynclog.uninstall(20)
    logger.handlers = [door]
    logger.info("low")
    logger.error("x")
    assert handler.lines == ["x"]
    listener = asynclog.install(logger)
    logger.error("y")
    assert listener.flush(20)
    assert handler.lines == ["x", "y"]


def test_installed_again_after_uninstall_all_is_as_the_first_time():
    logger, handler = fresh_logger(), Remembering()
    logger.addHandler(handler)
    first = asynclog.install(logger, maxsize=100)
    asynclog.uninstall(20)
    second = asynclog.install(logger, maxsize=200)
    assert second is not first
    logger.error("x")
    assert second.flush(20)
    assert handler.lines == ["x"]


def test_uninstall_with_nothing_installed_does_nothing():
    assert asynclog.uninstall()
    assert asynclog.uninstall(0)


def test_uninstall_says_when_something_is_left_and_returns_in_time():
    logger = fresh_logger()
    with running_smtpd(faults.silent()) as server:
        mail = logging.handlers.SMTPHandler(("127.0.0.1", server.port), "a@example.com", ["b@example.com"], "x")
        logger.addHandler(mail)
        listener = asynclog.install(logger, exit_timeout=0)
        logger.error("x")
        begun = time.monotonic()
        assert not asynclog.uninstall(0.5)
        assert time.monotonic() - begun < 20
        assert logger.handlers == [mail]
        assert listener.pending() == 1
        server.behaviour = faults.healthy()
        listener.start()
        assert listener.stop(30)
        assert len(server.mails) == 1


# -- options -----------------------------------------------------------------------------------------------


def test_options_of_queue_and_lanes_are_given_with_the_first_call():
    logger, other = fresh_logger(), fresh_logger()
    logger.addHandler(Remembering())
    listener = asynclog.install(logger, maxsize=50, batch_records=5)
    other.addHandler(Remembering())
    assert asynclog.install(other, maxsize=50) is listener
    with pytest.raises(OptionValueError, match=r"maxsize=60: install\(\) was called before, as 50"):
        asynclog.install(other, maxsize=60)
    with pytest.raises(OptionValueError, match="retry_max=9: .*without it"):
        asynclog.install(other, retry_max=9)
    assert listener.inner.options.maxsize == 50
    assert {lane.policy.records for lane in listener.lanes} == {5}


def test_mail_keywords_reach_the_mail_handlers_and_a_repeated_call_may_give_them_again():
    logger = fresh_logger()
    sink = asynclog.SMTPSink("smtp://127.0.0.1:9", sender="a@example.com", recipients="b@example.com")
    logger.handlers = [sink, Remembering()]
    listener = asynclog.install(logger, rate="3/hour")
    assert sink.rate == (3, 3600.0)
    assert asynclog.install(logger, rate="3/hour") is listener
    with pytest.raises(OptionTypeError, match="rate='4/hour'"):
        asynclog.install(logger, rate="4/hour")


def with_a_handler():
    logger = fresh_logger()
    logger.addHandler(Remembering())
    return logger


BAD = [
    (lambda: asynclog.install(3), OptionTypeError, "loggers=3 is of type int: give loggers or their names"),
    (lambda: asynclog.install([with_a_handler()]), OptionTypeError, "is of type list"),
    (lambda: asynclog.install(Remembering()), OptionTypeError, "is of type Remembering"),
    (lambda: asynclog.install(with_a_handler(), streams="yes"), OptionTypeError, "streams='yes'"),
    (
        lambda: asynclog.install(with_a_handler(), stream=True),
        OptionTypeError,
        r"install\(\).*'stream'.*mean 'streams'",
    ),
    (lambda: asynclog.install(with_a_handler(), maxsize=0), OptionValueError, "maxsize=0"),
    (lambda: asynclog.install(with_a_handler(), rate="3/hour"), OptionTypeError, "rate='3/hour'.*about mail"),
    (lambda: asynclog.uninstall("5"), OptionTypeError, "timeout='5'"),
    (lambda: asynclog.uninstall(-1), OptionValueError, "timeout=-1"),
]


@pytest.mark.parametrize(("call", "error", "text"), BAD)
def test_bad_input_fails_at_once_and_names_option_value_and_fix(call, error, text):
    with pytest.raises(error, match=text) as caught:
        call()
    assert isinstance(caught.value, asynclog.AsynclogError)


def test_disabled_nothing_is_wrapped_and_nothing_warns(monkeypatch):
    monkeypatch.setenv("ASYNCLOG_DISABLED", "1")
    logger, handler = fresh_logger(), Remembering()
    logger.addHandler(handler)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        listener = asynclog.install(logger)
    assert logger.handlers == [handler]
    assert [(row.wrapped, row.note) for row in listener.report] == [(False, "ASYNCLOG_DISABLED is set")]
    assert asynclog.uninstall()


def test_closing_one_door_closes_its_handler_and_leaves_the_others_at_work():
    logger, one, other = fresh_logger(), Remembering(), Remembering()
    logger.handlers = [one, other]
    listener = asynclog.install(logger)
    logger.error("x")
    logger.handlers[0].close()
    assert (one.closed, other.closed) == (1, 0)
    assert one.lines == ["x"]
    logger.error("y")
    assert listener.flush(20)
    assert one.lines == other.lines == ["x", "y"]
