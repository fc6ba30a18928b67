"""`logging.config.dictConfig`: every door that it has to asynclog, on every Python."""

from __future__ import annotations

import io
import logging
import logging.config
import logging.handlers
import queue
import sys
import textwrap
import time

import pytest

import asynclog
from asynclog.listeners import all_listeners
from asynclog.testing.smtpd import running_smtpd
from asynclog.worker import worker
from tests.wrapkit import Remembering, fresh_logger, is_listed, until

standard_keys = pytest.mark.skipif(sys.version_info < (3, 12), reason="dictConfig knows queue handlers since 3.12")


@pytest.fixture
def configure():
    """dictConfig for one fresh logger; what it made ends with the test, and pytest's own handlers stay."""
    logger = fresh_logger("configured")
    listed = logging._handlerList[:]
    made = []

    def configure(handlers, use=("app",), **more):
        config = {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": handlers,
            "loggers": {logger.name: {"handlers": list(use), "level": "DEBUG", "propagate": False}},
        } | more
        # pytest's capturing handlers are in the list that dictConfig closes and clears.
        logging._handlerList[:] = [one for one in logging._handlerList if one not in listed]
        logging.config.dictConfig(config)
        made.extend(logger.handlers)
        return logger

    yield configure
    for handler in made:
        if isinstance(handler, asynclog.QueueHandler) and hasattr(handler.listener, "flush"):
            handler.listener.stop(5)
    logger.handlers.clear()
    logging._handlerList[:] = listed + [one for one in logging._handlerList if one not in listed]


class FromConfiguration(Remembering):
    """Looked up by dictConfig; the newest is found on the class."""

    newest: FromConfiguration

    def __init__(self):
        super().__init__()
        FromConfiguration.newest = self


REMEMBERING = {"class": f"{__name__}.FromConfiguration"}


# -- "()": asynclog.wrap ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a_sorts_first", "zzz_sorts_last"])
def test_wrap_finds_handlers_whose_names_sort_before_and_after_its_own(configure, tmp_path, name):
    logger = configure(
        {
            name: {"()": "asynclog.wrap", "handlers": ["cfg://handlers.file", "cfg://handlers.memory"]},
            "file": {"class": "logging.FileHandler", "filename": tmp_path / "app.log", "formatter": "short"},
            "memory": REMEMBERING,
        },
        [name],
        formatters={"short": {"format": "%(levelname)s %(message)s"}},
    )
    (wrapper,) = logger.handlers
    logger.error("first")
    logger.error("second")
    wrapper.flush()
    assert (tmp_path / "app.log").read_text() == "ERROR first\nERROR second\n"
    assert FromConfiguration.newest.lines == ["first", "second"]
    assert [type(row.handler) for row in wrapper.listener.report] == [logging.FileHandler, FromConfiguration]
    assert not is_listed(FromConfiguration.newest)
    assert wrapper.listener.stats()["delivered"] == 2


def test_the_listener_knows_its_handlers_before_the_first_record(configure):
    logger = configure({"app": {"()": "asynclog.wrap", "handlers": ["cfg://handlers.memory"]}, "memory": REMEMBERING})
    assert [row.handler for row in logger.handlers[0].listener.report] == [FromConfiguration.newest]


def test_a_sink_may_be_made_and_wrapped_by_configuration(configure):
    with running_smtpd() as server:
        logger = configure(
            {
                "app": {"()": "asynclog.wrap", "handlers": ["cfg://handlers.mail"], "rate": "100/hour", "maxsize": 50},
                "mail": {
                    "()": "asynclog.SMTPSink",
                    "url": server.url,
                    "sender": "app@example.com",
                    "recipients": ["ops@example.com"],
                    "subject": "{levelname}!",
                    "level": "ERROR",
                    "formatter": "short",
                },
            },
            formatters={"short": {"format": "<%(message)s>"}},
        )
        logger.warning("no")
        logger.error("yes")
        logger.handlers[0].flush()
        assert logger.handlers[0].listener.lanes[0].sink.rate == (100, 3600.0)
        text = server.mails[0].data.decode()
    assert len(server.mails) == 1
    assert "\r\nSubject: ERROR!\r\n" in text
    assert "\r\n\r\n<yes>\r\n" in text


def test_sinks_may_stand_on_a_logger_by_themselves(configure, tmp_path):
    logger = configure(
        {
            "app": {
                "()": "asynclog.FileSink",
                "path": str(tmp_path / "app.log"),
                "formatter": "json",
                "level": "WARNING",
            }
        },
        formatters={"json": {"()": "asynclog.JSONFormatter"}},
    )
    logger.info("no")
    logger.warning("yes")
    logger.handlers[0].flush()
    assert '"message":"yes"' in (tmp_path / "app.log").read_text()
    assert '"message":"no"' not in (tmp_path / "app.log").read_text()
    logger.handlers[0].close()


@pytest.mark.parametrize("name", ["app", "zzz"])
def test_level_formatter_and_filters_beside_it_apply_to_all_it_wraps(configure, name):
    logger = configure(
        {
            name: {
                "()": "asynclog.wrap",
                "handlers": ["cfg://handlers.memory"],
                "level": "WARNING",
                "formatter": "short",
                "filters": ["quiet"],
            },
            "memory": REMEMBERING,
        },
        [name],
        formatters={"short": {"format": "<%(message)s>"}},
        filters={"quiet": {"()": lambda: lambda record: record.getMessage() != "filtered"}},
    )
    logger.info("low")
    logger.warning("filtered")
    logger.warning("passed")
    logger.handlers[0].flush()
    assert FromConfiguration.newest.lines == ["<passed>"]


def test_an_incremental_configuration_takes_effect_on_wrapper_and_original(configure):
    logger = configure({"app": {"()": "asynclog.wrap", "handlers": ["cfg://handlers.memory"]}, "memory": REMEMBERING})
    logger.info("one")

    def set_level(name, level):
        logging.config.dictConfig({"version": 1, "incremental": True, "handlers": {name: {"level": level}}})

    set_level("memory", "ERROR")
    logger.info("two")
    set_level("memory", "INFO")
    set_level("app", "CRITICAL")
    logger.error("three")
    set_level("app", "DEBUG")
    logger.info("four")
    logger.handlers[0].flush()
    assert FromConfiguration.newest.lines == ["one", "four"]


def test_what_is_wrapped_already_may_stand_among_the_handlers(configure):
    logger = configure(
        {
            "app": {"()": "asynclog.wrap", "handlers": ["cfg://handlers.inner", "cfg://handlers.memory"]},
            "inner": {"()": "asynclog.wrap", "handlers": ["cfg://handlers.other"]},
            "other": REMEMBERING,
            "memory": {"class": f"{__name__}.Another"},
        }
    )
    for word in ("one", "two"):
        logger.error(word)
    logger.handlers[0].flush()
    asynclog.flush(20)
    assert Another.newest_lines() == ["one", "two"]
    inner = logging._handlers["other"]
    assert inner.lines == ["one", "two"]


class Another(FromConfiguration):
    @staticmethod
    def newest_lines():
        return logging._handlers["memory"].lines


BAD = [
    ({"()": "asynclog.wrap"}, "at least one handler"),
    ({"()": "asynclog.wrap", "handlers": []}, "at least one handler"),
    ({"()": "asynclog.wrap", "handlers": ["cfg://handlers.mial"]}, "cfg://handlers.mial' stands for nothing"),
    ({"()": "asynclog.wrap", "handlers": ["memory"]}, "in dictConfig write them as 'cfg://handlers.NAME'"),
    ({"()": "asynclog.wrap", "handlers": ["cfg://version"]}, "1 is of type int"),
    ({"()": "asynclog.wrap", "handlers": "cfg://handlers.memory"}, "handlers="),
    ({"()": "asynclog.wrap", "handlers": ["cfg://handlers.memory"], "maxsise": 3}, "did you mean 'maxsize'"),
    ({"()": "asynclog.wrap", "handlers": ["cfg://handlers.memory"], "maxsize": "3"}, "maxsize='3'"),
    ({"()": "asynclog.wrap", "handlers": ["cfg://handlers.memory"], "rate": "3/hour"}, "rate='3/hour'"),
    ({"()": "asynclog.SMTPSink", "url": "http://x", "sender": "a@b.c", "recipients": "a@b.c"}, "smtp://"),
    ({"()": "asynclog.FileSink", "path": "app.log", "when": "noon"}, "when='NOON'"),
]


@pytest.mark.parametrize(("entry", "text"), BAD)
@pytest.mark.parametrize("name", ["app", "zzz"])
def test_a_bad_option_fails_while_it_configures_and_says_why(configure, entry, text, name):
    with pytest.raises(ValueError, match=f"Unable to configure handler '{name}'") as caught:
        configure({name: dict(entry), "memory": REMEMBERING}, [name])
    assert isinstance(caught.value.__cause__, asynclog.AsynclogError)
    assert text in str(caught.value.__cause__)


# -- class: asynclog.QueueHandler ---------------------------------------------------------------------------


@standard_keys
def test_a_queue_and_listener_that_dictconfig_made_up_are_exchanged_for_ours(configure):
    logger = configure({"app": {"class": "asynclog.QueueHandler", "handlers": ["memory"]}, "memory": REMEMBERING})
    (handler,) = logger.handlers
    assert type(handler.queue) is asynclog.RecordQueue
    assert type(handler.listener) is asynclog.QueueListener
    FromConfiguration.newest.setLevel(logging.ERROR)  # respected, though dictConfig says False by default
    logger.info("low")
    logger.error("high")
    handler.flush()
    assert FromConfiguration.newest.lines == ["high"]


@standard_keys
def test_a_queue_that_is_named_stays_and_gets_our_listener(configure):
    logger = configure(
        {
            "app": {
                "class": "asynclog.QueueHandler",
                "handlers": ["memory"],
                "queue": {"()": "asynclog.RecordQueue", "maxsize": 77},
            },
            "memory": REMEMBERING,
        }
    )
    (handler,) = logger.handlers
    assert handler.queue.maxsize == 77
    assert type(handler.listener) is asynclog.QueueListener
    logger.error("x")
    handler.flush()
    assert FromConfiguration.newest.lines == ["x"]


@standard_keys
def test_a_plain_queue_that_is_named_stays_is_read_from_the_first_record_on_and_told_when_it_is_done(configure):
    logger = configure(
        {
            "app": {"class": "asynclog.QueueHandler", "handlers": ["memory"], "queue": {"()": "queue.Queue"}},
            "memory": REMEMBERING,
        }
    )
    (handler,) = logger.handlers
    assert type(handler.queue) is queue.Queue
    assert type(handler.listener) is asynclog.QueueListener
    logger.error("x")
    until(lambda: FromConfiguration.newest.lines == ["x"])
    until(lambda: not handler.queue.unfinished_tasks)


@standard_keys
def test_our_listener_named_with_no_queue_gets_a_queue_of_ours(configure):
    logger = configure(
        {
            "app": {"class": "asynclog.QueueHandler", "handlers": ["memory"], "listener": "asynclog.QueueListener"},
            "memory": REMEMBERING,
        }
    )
    (handler,) = logger.handlers
    assert type(handler.queue) is asynclog.RecordQueue
    assert handler.listener.queue is handler.queue
    logger.error("x")
    handler.flush()
    assert FromConfiguration.newest.lines == ["x"]


@standard_keys
def test_a_listener_of_the_standard_librarys_that_is_named_stays(configure):
    logger = configure(
        {
            "app": {
                "class": "asynclog.QueueHandler",
                "handlers": ["memory"],
                "listener": "logging.handlers.QueueListener",
            },
            "memory": REMEMBERING,
        }
    )
    (handler,) = logger.handlers
    assert type(handler.listener) is logging.handlers.QueueListener
    handler.listener.start()
    logger.error("x")
    handler.listener.stop()
    assert FromConfiguration.newest.lines == ["x"]


def test_a_plain_queue_and_listener_put_together_by_hand_stay():
    memory, plain = Remembering(), queue.Queue()
    handler = asynclog.QueueHandler(plain)
    handler.listener = logging.handlers.QueueListener(plain, memory)
    assert handler.queue is plain
    assert type(handler.listener) is logging.handlers.QueueListener


@standard_keys
def test_handlers_that_sort_later_are_found_by_the_standard_keys_too(configure):
    logger = configure(
        {"aaa": {"class": "asynclog.QueueHandler", "handlers": ["memory"]}, "memory": REMEMBERING}, ["aaa"]
    )
    logger.error("x")
    logger.handlers[0].flush()
    assert FromConfiguration.newest.lines == ["x"]


# -- again and again ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrapped", ["cfg://handlers.file", "cfg://handlers.memory"])
def test_configuring_again_delivers_what_waits_and_never_deadlocks(configure, tmp_path, wrapped):
    handlers = {
        "app": {"()": "asynclog.wrap", "handlers": [wrapped]},
        "file": {"class": "logging.FileHandler", "filename": tmp_path / "app.log"},
        "memory": REMEMBERING,
    }
    lines = []
    for number in range(5):
        begun = time.monotonic()
        logger = configure({name: dict(entry) for name, entry in handlers.items()})
        assert time.monotonic() - begun < 30
        last, memory = logger.handlers[0], FromConfiguration.newest
        for index in range(100):
            logger.error("%d.%d", number, index)
        memory_lines = memory.lines
        lines.append(memory_lines)
    last.flush()
    expected = [[f"{number}.{index}" for index in range(100)] for number in range(5)]
    if wrapped.endswith("memory"):
        until(lambda: lines == expected)
    else:
        until(lambda: sorted((tmp_path / "app.log").read_text().split()) == sorted(sum(expected, [])))


def test_a_wrapper_that_was_configured_away_ends_when_it_has_delivered(configure):
    logger = configure({"app": {"()": "asynclog.wrap", "handlers": ["cfg://handlers.memory"]}, "memory": REMEMBERING})
    listener, memory = logger.handlers[0].listener, FromConfiguration.newest
    logger.error("x")
    configure({"app": {"class": "logging.NullHandler"}})
    until(lambda: listener not in worker.listeners)
    assert memory.lines == ["x"]
    assert listener in all_listeners()
    assert listener.pending() == 0


def test_a_wrapper_that_outlived_a_configuration_goes_on(configure):
    kept, memory, logger = fresh_logger(), Remembering(), None
    wrapper = asynclog.wrap(memory)
    kept.addHandler(wrapper)
    for number in range(20):
        kept.error("%d", number)
        logger = configure({"app": {"class": "logging.NullHandler"}})
        logging._handlerList.append(__import__("weakref").ref(wrapper))
        kept.error("%d again", number)
    assert wrapper.listener.stop(20)
    assert memory.lines == [f"{number}{word}" for number in range(20) for word in ("", " again")]
    assert logger is not None


def test_a_yaml_like_configuration_of_strings_and_lists_is_enough(configure, tmp_path):
    import json

    text = textwrap.dedent("""
        {"app": {"()": "asynclog.wrap", "handlers": ["cfg://handlers.file"], "overflow": "drop_newest",
                 "retry_initial": 2, "exit_timeout": 3},
         "file": {"class": "logging.handlers.RotatingFileHandler", "filename": "PATH", "maxBytes": 1000,
                  "backupCount": 3}}
    """)
    logger = configure(json.loads(text.replace("PATH", str(tmp_path / "app.log"))))
    logger.error("x")
    logger.handlers[0].flush()
    assert logger.handlers[0].listener.exit_timeout == 3
    assert logger.handlers[0].queue.options.overflow == "drop_newest"
    assert (tmp_path / "app.log").read_text() == "x\n"


@pytest.mark.parametrize("name", ["app", "zzz"])
def test_disabled_the_configuration_works_without_us(configure, monkeypatch, name):
    monkeypatch.setenv("ASYNCLOG_DISABLED", "1")
    logger = configure(
        {
            name: {"()": "asynclog.wrap", "handlers": ["cfg://handlers.memory"], "formatter": "short"},
            "memory": REMEMBERING,
        },
        [name],
        formatters={"short": {"format": "<%(message)s>"}},
    )
    logger.error("x")
    assert FromConfiguration.newest.lines == ["<x>"]


def test_the_console_may_be_wrapped_by_configuration(configure):
    stream = io.StringIO()
    logger = configure(
        {
            "app": {"()": "asynclog.wrap", "handlers": ["cfg://handlers.console"]},
            "console": {"class": "logging.StreamHandler", "stream": stream},
        }
    )
    logger.error("x")
    logger.handlers[0].flush()
    assert stream.getvalue() == "x\n"
