"""`wrap`: round handlers, which go on meaning what they meant."""

from __future__ import annotations

import gc
import io
import logging
import logging.handlers
import os
import subprocess
import sys
import textwrap
import threading
import time
import weakref

import pytest

import asynclog
from asynclog import handler as handler_module
from asynclog.errors import OptionTypeError, OptionValueError
from asynclog.testing import faults
from asynclog.testing.smtpd import running_smtpd
from tests.wrapkit import Remembering, fresh_logger, is_listed, until


@pytest.fixture
def wrapping():
    """`asynclog.wrap`, whose listeners end with the test."""
    wrapped = []

    def wrap(*handlers, **options):
        wrapped.append(asynclog.wrap(*handlers, **options))
        return wrapped[-1]

    yield wrap
    for one in wrapped:
        if one.listener is not None:
            one.listener.stop(5)


def mail_handler(server, **keywords):
    keywords = {"mailhost": ("127.0.0.1", server.port)} | keywords
    return logging.handlers.SMTPHandler(
        keywords.pop("mailhost"), "server-error@example.com", ["a@example.com"], "It failed", **keywords
    )


def smtp_sink(**keywords):
    return asynclog.SMTPSink("smtp://127.0.0.1:9", sender="a@example.com", recipients="b@example.com", **keywords)


# -- what comes of it ------------------------------------------------------------------------------


def test_one_call_delivers_to_mail_file_and_third_party(wrapping, tmp_path):
    other, logger = Remembering(), fresh_logger()
    with running_smtpd() as server:
        file = logging.FileHandler(tmp_path / "app.log")
        wrapper = wrapping(mail_handler(server), file, other)
        assert isinstance(wrapper, asynclog.QueueHandler)
        logger.addHandler(wrapper)
        logger.error("user %s failed", "ann")
        assert wrapper.listener.flush(20)
        assert len(server.mails) == 1
    assert (tmp_path / "app.log").read_text() == "user ann failed\n"
    assert other.lines == ["user ann failed"]
    assert wrapper.listener.stats()["delivered"] == wrapper.listener.stats()["accepted"] == 1


def test_handlers_may_be_given_as_a_list_and_each_counts_once(wrapping):
    first, second, logger = Remembering(), Remembering(), fresh_logger()
    wrapper = wrapping(first, handlers=[second, first])
    logger.addHandler(wrapper)
    logger.info("once")
    assert wrapper.listener.flush(20)
    assert first.lines == second.lines == ["once"]


def test_each_call_has_a_listener_of_its_own(wrapping):
    one, other = wrapping(Remembering()), wrapping(Remembering())
    assert one.listener is not other.listener
    logger = fresh_logger()
    logger.addHandler(one)
    logger.error("x")
    assert one.listener.flush(20)
    assert other.listener.stats()["accepted"] == 0
    one.listener.stop(5)
    assert other.listener.flush(1)


def test_a_stream_handler_that_is_given_is_wrapped(wrapping):
    stream, logger = io.StringIO(), fresh_logger()
    wrapper = wrapping(logging.StreamHandler(stream))
    logger.addHandler(wrapper)
    logger.error("to the stream")
    assert wrapper.listener.flush(20)
    assert stream.getvalue() == "to the stream\n"


def test_a_sink_put_straight_on_a_logger_delivers_through_a_wrap_of_its_own(tmp_path):
    sink, logger = asynclog.FileSink(tmp_path / "app.log", level="WARNING"), fresh_logger()
    logger.addHandler(sink)
    logger.info("not this")
    logger.warning("this")
    sink.flush()
    assert (tmp_path / "app.log").read_text() == "this\n"
    logger.removeHandler(sink)
    sink.close()
    logger.addHandler(sink)
    logger.error("and after a close")
    sink.flush()
    assert (tmp_path / "app.log").read_text() == "this\nand after a close\n"
    sink.close()


def test_a_sink_used_directly_by_many_threads_at_once_gets_one_wrap(tmp_path):
    sink, logger, start = asynclog.FileSink(tmp_path / "app.log"), fresh_logger(), threading.Barrier(8)
    logger.addHandler(sink)

    def work(number):
        start.wait()
        logger.error("%d", number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sink.flush()
    assert sorted((tmp_path / "app.log").read_text().split()) == [str(number) for number in range(8)]
    sink.close()


def test_a_sink_delivers_directly_even_where_asynclog_is_disabled(tmp_path, monkeypatch):
    monkeypatch.setenv("ASYNCLOG_DISABLED", "1")
    sink, logger = asynclog.FileSink(tmp_path / "app.log"), fresh_logger()
    logger.addHandler(asynclog.wrap(sink))
    logger.error("still here")
    sink.flush()
    assert (tmp_path / "app.log").read_text() == "still here\n"
    sink.close()


# -- level, filters, formatter -----------------------------------------------------------------------


def test_levels_filters_and_formatters_set_before_stay_in_force(wrapping):
    strict, loose, logger = Remembering(), Remembering(), fresh_logger()
    strict.setLevel(logging.ERROR)
    strict.addFilter(lambda record: "secret" not in record.getMessage())
    strict.setFormatter(logging.Formatter("%(levelname)s! %(message)s"))
    wrapper = wrapping(strict, loose)
    logger.addHandler(wrapper)
    logger.info("info")
    logger.error("secret")
    logger.error("open")
    assert wrapper.listener.flush(20)
    assert strict.lines == ["ERROR! open"]
    assert loose.lines == ["info", "secret", "open"]


def test_levels_filters_and_formatters_set_on_the_original_later_take_effect(wrapping, tmp_path):
    file, logger = logging.FileHandler(tmp_path / "app.log"), fresh_logger()
    wrapper = wrapping(file)
    logger.addHandler(wrapper)
    logger.info("before")
    assert wrapper.listener.flush(20)
    file.setLevel(logging.ERROR)
    file.addFilter(lambda record: record.getMessage() != "filtered")
    file.setFormatter(logging.Formatter("[%(levelname)s] %(message)s"))
    logger.info("info")
    logger.error("filtered")
    logger.error("after")
    assert wrapper.listener.flush(20)
    assert (tmp_path / "app.log").read_text() == "before\n[ERROR] after\n"


def test_levels_filters_and_formatters_set_on_the_wrapper_take_effect(wrapping, tmp_path):
    file, other, logger = logging.FileHandler(tmp_path / "app.log"), Remembering(), fresh_logger()
    wrapper = wrapping(file, other)
    logger.addHandler(wrapper)
    wrapper.setLevel(logging.WARNING)
    wrapper.addFilter(lambda record: record.getMessage() != "filtered")
    wrapper.setFormatter(logging.Formatter("<%(message)s>"))
    logger.info("info")
    logger.warning("filtered")
    logger.warning("passed")
    assert wrapper.listener.flush(20)
    assert (tmp_path / "app.log").read_text() == "<passed>\n"
    assert other.lines == ["<passed>"]


# -- wrapping twice ----------------------------------------------------------------------------------


def test_wrapping_a_wrapper_returns_it(wrapping):
    wrapper = wrapping(Remembering())
    assert asynclog.wrap(wrapper) is wrapper
    assert asynclog.wrap(handlers=[wrapper]) is wrapper


def test_wrapping_what_was_wrapped_returns_its_wrapper(wrapping):
    one, other = Remembering(), Remembering()
    single, pair = wrapping(one), wrapping(other, sink := asynclog.HandlerSink(Remembering()))
    assert asynclog.wrap(one) is single
    assert asynclog.wrap(other, sink) is pair


def test_one_of_a_pair_wrapped_again_shares_its_lane(wrapping):
    one, other = Remembering(), Remembering()
    pair, logger = wrapping(one, other), fresh_logger()
    again = asynclog.wrap(one)
    assert again.listener is pair.listener
    assert asynclog.wrap(one) is again
    logger.addHandler(again)
    logger.error("for one")
    assert again.listener.flush(20)
    assert (one.lines, other.lines) == (["for one"], [])
    again.setFormatter(logging.Formatter("- %(message)s"))
    assert other.formatter is None
    logger.error("dashed")
    assert again.listener.flush(20)
    assert one.lines == ["for one", "- dashed"]


def test_a_mixture_of_wrapped_and_new_hands_each_record_to_both_once(wrapping):
    old, new, logger = Remembering(), Remembering(), fresh_logger()
    wrapper = wrapping(old)
    mixture = wrapping(wrapper, new)
    mixture.addFilter(lambda record: record.getMessage() != "filtered")
    logger.addHandler(mixture)
    logger.error("filtered")
    logger.error("both")
    mixture.flush()
    assert old.lines == new.lines == ["both"]
    wrapper.setLevel(logging.CRITICAL)
    logger.error("one")
    mixture.flush()
    assert (old.lines, new.lines) == (["both"], ["both", "one"])
    assert asynclog.wrap(wrapper, new) is mixture


def test_options_for_what_is_wrapped_already_are_refused(wrapping):
    handler = Remembering()
    wrapper = wrapping(handler)
    for target in (handler, wrapper):
        with pytest.raises(OptionTypeError, match=r"maxsize.*wrapped already"):
            asynclog.wrap(target, maxsize=5)


def test_a_wrapper_that_is_dropped_is_forgotten():
    handler = Remembering()
    gone = weakref.ref(asynclog.wrap(handler))
    gc.collect()
    assert gone() is None
    wrapper, logger = asynclog.wrap(handler), fresh_logger()
    logger.addHandler(wrapper)
    logger.error("again")
    assert wrapper.listener.stop(20)
    assert handler.lines == ["again"]


# -- what is taken from the original -------------------------------------------------------------------


def test_the_original_leaves_the_list_that_logging_shuts_down_by_and_keeps_its_name(wrapping):
    handler = Remembering()
    handler.set_name("tests.wrap.named")
    assert is_listed(handler)
    wrapping(handler)
    assert not is_listed(handler)
    assert logging._handlers["tests.wrap.named"] is handler


def test_the_stream_of_a_wrapped_file_handler_is_closed_and_its_file_not_emptied(wrapping, tmp_path):
    path, logger = tmp_path / "app.log", fresh_logger()
    file = logging.FileHandler(path, mode="w")
    stream = file.stream
    logger.addHandler(file)
    logger.error("by itself")
    logger.removeHandler(file)
    wrapper = wrapping(file)
    assert stream.closed
    assert file.stream is None
    logger.addHandler(wrapper)
    logger.error("wrapped")
    assert wrapper.listener.flush(20)
    assert path.read_text() == "by itself\nwrapped\n"


def test_a_handler_hung_in_emit_does_not_hold_up_shutdown():
    script = """
        import logging, threading, time, asynclog

        class Hanging(logging.Handler):
            def emit(self, record):
                started.set()
                time.sleep(600)

        started = threading.Event()
        logging.getLogger().addHandler(asynclog.wrap(Hanging(), exit_timeout=0.5))
        logging.error("x")
        assert started.wait(20)
    """
    begun = time.monotonic()
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stderr
    assert "1 records left" in run.stderr
    assert time.monotonic() - begun < 40


def test_a_failure_in_a_wrapped_handler_is_counted_and_its_own_handle_error_still_called(wrapping):
    handler, logger = Remembering(fails=True), fresh_logger()
    wrapper = wrapping(handler)
    logger.addHandler(wrapper)
    logger.error("x")
    until(lambda: wrapper.listener.stats()["dropped"])
    assert wrapper.listener.stats()["dropped"] == {"handler_error": 1}
    assert [record.getMessage() for record in handler.told] == ["x"]


def test_the_first_record_after_a_close_reopens(wrapping, tmp_path):
    wrapper, logger = wrapping(logging.FileHandler(tmp_path / "app.log")), fresh_logger()
    logger.addHandler(wrapper)
    for word in ("one", "two", "three"):
        logger.error(word)
        wrapper.close()
        assert wrapper.listener.pending() == 0
    assert (tmp_path / "app.log").read_text() == "one\ntwo\nthree\n"


# -- options -------------------------------------------------------------------------------------------


def test_options_go_to_the_queue_and_to_the_lanes_they_fit(wrapping, tmp_path):
    alarms = []
    wrapper = wrapping(
        sink := smtp_sink(),
        asynclog.FileSink(tmp_path / "app.log"),
        maxsize=7,
        overflow="drop_newest",
        batch_records=3,
        exit_timeout=2,
        on_alarm=alarms.append,
        rate="5/minute",
        burst=2,
        subject="{app}: {levelname}",
        app="shop",
    )
    assert (wrapper.queue.options.maxsize, wrapper.queue.options.overflow) == (7, "drop_newest")
    mail, file = wrapper.listener.lanes
    assert mail.policy.records == file.policy.records == 3
    assert wrapper.listener.exit_timeout == 2
    assert (sink.rate, sink.burst) == ((5, 60.0), 2)
    assert (mail.storm.options.rate, mail.storm.options.burst, file.bucket) == ((5, 60.0), 2, None)
    record = logging.makeLogRecord({"levelname": "ERROR", "name": "x"})
    assert sink._renderer.subjects.of_one(record) == "shop: ERROR"


def test_mail_keywords_leave_the_others_of_a_sink_as_they_were(wrapping):
    sink = smtp_sink(app="shop", environment="live", rate="9/hour", burst=4)
    wrapping(sink, environment="test", digest=False)
    record = logging.makeLogRecord({"levelname": "ERROR", "name": "x", "module": "cart", "funcName": "pay"})
    assert sink._renderer.subjects.of_one(record) == "[shop/test] ERROR in cart.pay"
    assert (sink.digest, sink.rate, sink.burst) == (False, (9, 3600.0), 4)


def test_without_a_rate_given_one_mail_a_record_has_none(wrapping):
    sink = smtp_sink()
    assert sink.rate == (30, 3600.0)
    wrapping(sink, digest=False)
    assert sink.rate is None


def test_mail_keywords_reach_a_standard_handler_in_the_mail_itself(wrapping):
    logger = fresh_logger()
    with running_smtpd() as server:
        wrapper = wrapping(mail_handler(server), subject="{environment} {levelname}", environment="live", app="shop")
        logger.addHandler(wrapper)
        logger.error("x")
        assert wrapper.listener.flush(20)
        text = server.mails[0].data.decode()
    assert "\r\nSubject: live ERROR\r\n" in text
    assert "\r\nX-Asynclog-App: shop\r\n" in text


def own_emit():
    class Own(logging.handlers.SMTPHandler):
        def emit(self, record):
            pass

    return Own("127.0.0.1", "a@example.com", ["b@example.com"], "x")


BAD = [
    (lambda: asynclog.wrap(), OptionValueError, r"handlers=\(\).*at least one handler"),
    (lambda: asynclog.wrap(handlers=[]), OptionValueError, "at least one handler"),
    (lambda: asynclog.wrap("app.log"), OptionTypeError, "'app.log' is of type str: give handlers or sinks"),
    (lambda: asynclog.wrap([Remembering()]), OptionTypeError, "is of type list: give handlers"),
    (lambda: asynclog.wrap(logging.getLogger("x")), OptionTypeError, "is of type Logger"),
    (lambda: asynclog.wrap(logging.FileHandler), OptionTypeError, "is of type type"),
    (lambda: asynclog.wrap(None), OptionTypeError, "None is of type NoneType"),
    (lambda: asynclog.wrap(handlers="cfg://handlers.mail"), OptionTypeError, "handlers=.*give a list"),
    (lambda: asynclog.wrap(handlers=Remembering()), OptionTypeError, "handlers=.*give a list"),
    (lambda: asynclog.wrap(handlers=["cfg://handlers.mail"]), OptionTypeError, "cfg://handlers.mail"),
    (lambda: asynclog.wrap(handlers=3), OptionTypeError, "handlers=3"),
    (lambda: asynclog.wrap(Remembering(), maxsise=3), OptionTypeError, r"wrap\(\).*'maxsise'.*did you mean 'maxsize'"),
    (lambda: asynclog.wrap(Remembering(), maxsize="3"), OptionTypeError, "maxsize='3'"),
    (lambda: asynclog.wrap(Remembering(), maxsize=0), OptionValueError, "maxsize=0"),
    (lambda: asynclog.wrap(Remembering(), overflow="wait"), OptionValueError, "overflow='wait'"),
    (lambda: asynclog.wrap(Remembering(), exceptions="all"), OptionValueError, "exceptions='all'"),
    (lambda: asynclog.wrap(Remembering(), retry_max=-1), OptionValueError, "retry_max=-1"),
    (lambda: asynclog.wrap(Remembering(), exit_timeout="5"), OptionTypeError, "exit_timeout='5'"),
    (lambda: asynclog.wrap(Remembering(), on_alarm="mail"), OptionTypeError, "on_alarm='mail'"),
    (lambda: asynclog.wrap(Remembering(), rate="30/hour"), OptionTypeError, "rate='30/hour'.*Remembering"),
    (lambda: asynclog.wrap(Remembering(), digest=False), OptionTypeError, "digest=False.*about mail"),
    (lambda: asynclog.wrap(own_emit(), subject="x"), OptionTypeError, r"subject='x'.*\(Own\)"),
    (lambda: asynclog.wrap(smtp_sink(), rate="often"), OptionValueError, "rate='often'"),
    (lambda: asynclog.wrap(smtp_sink(), rate=3), OptionTypeError, "rate=3"),
    (lambda: asynclog.wrap(smtp_sink(), burst=0), OptionValueError, "burst=0"),
    (lambda: asynclog.wrap(smtp_sink(), digest=1), OptionTypeError, "digest=1"),
    (lambda: asynclog.wrap(smtp_sink(), subject="{user}"), OptionValueError, "subject='{user}'"),
    (lambda: asynclog.wrap(smtp_sink(), app="a\nb"), OptionValueError, "app='a"),
    (lambda: asynclog.wrap(smtp_sink(), sender="x@y"), OptionTypeError, "no option 'sender'"),
    (lambda: smtp_sink().configure(colour="red"), OptionTypeError, "no option 'colour'"),
]


@pytest.mark.parametrize(("call", "error", "text"), BAD)
def test_bad_input_fails_at_once_and_names_option_value_and_fix(call, error, text):
    with pytest.raises(error, match=text) as caught:
        call()
    assert isinstance(caught.value, asynclog.AsynclogError)
    assert isinstance(caught.value, (TypeError, ValueError))


def test_a_call_that_fails_leaves_the_handlers_as_they_were(tmp_path):
    handler, file, sink = Remembering(), logging.FileHandler(tmp_path / "app.log"), smtp_sink(burst=3)
    with pytest.raises(OptionValueError):
        asynclog.wrap(handler, file, sink, burst=7, rate="often")
    with pytest.raises(OptionTypeError):
        asynclog.wrap(handler, file, sink, "x", burst=7)
    assert is_listed(handler)
    assert "handleError" not in vars(handler)
    assert file.stream is not None
    assert sink.burst == 3
    file.close()


# -- what the report says --------------------------------------------------------------------------------


def test_insecure_mail_is_in_the_report_and_told_once(wrapping, capfd):
    alarms, logger = [], fresh_logger()
    handler = logging.handlers.SMTPHandler("mail.invalid", "a@example.com", ["b@example.com"], "x", timeout=1)
    wrapper = wrapping(handler, on_alarm=alarms.append, exit_timeout=0)
    (row,) = wrapper.listener.report
    assert (row.handler, row.wrapped, row.sink) == (handler, True, "mail:mail.invalid")
    assert "plain text" in row.note
    assert str(wrapper.listener.report) == f"wrapped     SMTPHandler -> mail:mail.invalid: {row.note}"
    logger.addHandler(wrapper)
    logger.error("x")
    logger.error("y")
    until(lambda: any(alarm.kind == "insecure_mail" for alarm in alarms))
    wrapper.listener.stop(0.5)
    assert [alarm.kind for alarm in alarms].count("insecure_mail") == 1
    assert capfd.readouterr().err.count("plain text") == 1


def test_mail_to_this_host_is_nothing_to_report(wrapping):
    with running_smtpd() as server:
        wrapper = wrapping(mail_handler(server))
    assert [row.note for row in wrapper.listener.report] == [""]


# -- ASYNCLOG_DISABLED -----------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["1", "true", "yes"])
def test_disabled_one_handler_is_returned_as_it_is(monkeypatch, value):
    monkeypatch.setenv("ASYNCLOG_DISABLED", value)
    handler = Remembering()
    assert asynclog.wrap(handler, maxsize=5) is handler
    assert is_listed(handler)


@pytest.mark.parametrize("value", ["", "0", "false"])
def test_set_to_nothing_it_does_not_disable(monkeypatch, wrapping, value):
    monkeypatch.setenv("ASYNCLOG_DISABLED", value)
    assert isinstance(wrapping(Remembering()), asynclog.QueueHandler)


def test_disabled_several_get_each_record_in_order_and_at_once(monkeypatch):
    monkeypatch.setenv("ASYNCLOG_DISABLED", "1")
    strict, loose, logger = Remembering(), Remembering(), fresh_logger()
    strict.setLevel(logging.ERROR)
    handler = asynclog.wrap(strict, loose)
    handler.setFormatter(logging.Formatter("* %(message)s"))
    logger.addHandler(handler)
    logger.info("a")
    logger.error("b")
    assert (strict.lines, loose.lines) == (["* b"], ["* a", "* b"])


def test_disabled_bad_options_fail_all_the_same(monkeypatch):
    monkeypatch.setenv("ASYNCLOG_DISABLED", "1")
    with pytest.raises(OptionTypeError, match="maxsise"):
        asynclog.wrap(Remembering(), maxsise=3)


# -- the caller --------------------------------------------------------------------------------------------


def test_the_caller_never_waits_for_a_mail_server_that_says_nothing(wrapping):
    logger = fresh_logger()
    with running_smtpd(faults.silent()) as server:
        wrapper = wrapping(mail_handler(server, timeout=1), exit_timeout=0)
        logger.addHandler(wrapper)
        slowest = 0.0
        for number in range(50):
            begun = time.perf_counter()
            logger.error("%d", number)
            slowest = max(slowest, time.perf_counter() - begun)
        until(lambda: server.connections)
        wrapper.listener.stop(0)
    assert slowest < 1.0


def test_a_plain_record_takes_the_fast_path_through_wrappers_and_doors(wrapping, monkeypatch, tmp_path):
    files = [logging.FileHandler(tmp_path / f"{number}.log") for number in range(3)]
    pair, single = wrapping(*files[:2]), wrapping(files[2])
    door, logger = asynclog.wrap(files[0]), fresh_logger()
    monkeypatch.setattr(handler_module.QueueHandler, "_carefully", lambda self, record: pytest.fail("the slow path"))
    for handler in (single, door):
        handler.handle(logger.makeRecord("x", logging.ERROR, "f.py", 1, "plain %s", ("text",), None))
    monkeypatch.undo()
    assert pair.listener.flush(20)
    assert single.listener.flush(20)
    assert [file.read_text() for file in sorted(tmp_path.glob("*.log"))] == ["plain text\n", "", "plain text\n"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_after_a_fork_both_sides_deliver_through_one_wrapper(wrapping, tmp_path):
    wrapper, logger = wrapping(logging.FileHandler(tmp_path / "app.log")), fresh_logger()
    logger.addHandler(wrapper)
    logger.error("before")
    assert wrapper.listener.flush(20)
    pid = os.fork()
    if not pid:
        logger.error("child")
        os._exit(0 if wrapper.listener.flush(20) else 1)
    logger.error("parent")
    assert os.waitpid(pid, 0)[1] == 0
    assert wrapper.listener.flush(20)
    assert sorted((tmp_path / "app.log").read_text().split()) == ["before", "child", "parent"]


# -- closing what is wrapped ----------------------------------------------------------------------------------


def test_closing_the_wrapper_closes_what_it_wraps_once_all_is_delivered(wrapping):
    handler, logger = Remembering(), fresh_logger()
    wrapper = wrapping(handler)
    logger.addHandler(wrapper)
    logger.error("x")
    wrapper.listener.stop(20)
    assert handler.closed == 0
    wrapper.listener.start()
    logger.error("y")
    wrapper.close()
    until(lambda: handler.closed == 1)
    assert handler.lines == ["x", "y"]
    wrapper.close()
    assert handler.closed == 2


def test_closing_a_wrapper_that_never_delivered_closes_what_it_wraps():
    handler = Remembering()
    wrapper = asynclog.wrap(handler)
    wrapper.close()
    assert handler.closed == 1


def test_a_handler_that_writes_when_it_is_closed_does_so_at_exit():
    script = """
        import logging, asynclog

        class AtTheEnd(logging.Handler):
            lines = []

            def emit(self, record):
                self.lines.append(record.getMessage())

            def close(self):
                print("closed with", self.lines, flush=True)
                super().close()

        logging.getLogger().addHandler(asynclog.wrap(AtTheEnd()))
        logging.error("x")
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (run.stdout, run.stderr) == ("closed with ['x']\n", "")


def test_a_handler_sink_made_by_hand_keeps_to_its_handler(wrapping):
    handler, logger = Remembering(), fresh_logger()
    handler.setLevel(logging.ERROR)
    handler.setFormatter(logging.Formatter("<%(message)s>"))
    sink = asynclog.HandlerSink(handler)
    assert handler.level == logging.ERROR
    wrapper = wrapping(sink)
    assert not is_listed(handler)
    logger.addHandler(wrapper)
    logger.warning("low")
    logger.error("high")
    handler.addFilter(lambda record: record.getMessage() != "filtered")
    logger.error("filtered")
    sink.setLevel(logging.DEBUG)
    logger.debug("low now")
    assert wrapper.listener.flush(20)
    assert handler.lines == ["<high>", "<low now>"]
