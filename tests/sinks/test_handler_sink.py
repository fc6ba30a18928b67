"""A handler in a HandlerSink does what it did, on a thread of its own."""

from __future__ import annotations

import contextvars
import logging
import threading

import pytest

import asynclog
from asynclog.errors import OptionTypeError, OptionValueError
from asynclog.sinks.handler import HandlerSink

REQUEST = contextvars.ContextVar("request", default="none")


class Emits(logging.Handler):
    """Keeps what a third-party handler could look at."""

    def __init__(self):
        super().__init__()
        self.seen = []
        self.errors = []

    def emit(self, record):
        local = None
        if record.exc_info and record.exc_info[2] is not None:
            local = record.exc_info[2].tb_frame.f_locals.get("secret")
        self.seen.append((record.getMessage(), REQUEST.get(), threading.get_ident(), local))

    def handleError(self, record):
        self.errors.append(record.getMessage())


class Fails(Emits):
    def emit(self, record):
        try:
            raise OSError("the far end is gone")
        except OSError:
            self.handleError(record)


class Raises(Emits):
    def emit(self, record):
        raise RuntimeError("not even handleError")


class HandlesItself(Emits):
    """Overrides handle() alone, as some handlers do."""

    def emit(self, record):
        raise AssertionError("handle() does the work")

    def handle(self, record):
        self.seen.append(record.getMessage())
        return True


def shipped(logger, handler, **options):
    wrapper = asynclog.wrap(handler, **options)
    logger.addHandler(wrapper)
    return wrapper.listener


def test_it_runs_on_another_thread_in_the_callers_context(logger):
    handler = Emits()
    listener = shipped(logger, handler)
    token = REQUEST.set("/cart")
    logger.error("hello")
    REQUEST.reset(token)
    assert listener.flush(10)
    [(message, request, thread, _)] = handler.seen
    assert (message, request) == ("hello", "/cart")
    assert thread != threading.get_ident()


@pytest.mark.parametrize(("exceptions", "expected"), [(None, "s3cret"), ("keep", "s3cret"), ("capture", None)])
def test_a_third_party_handler_gets_the_live_exception_unless_told_otherwise(logger, exceptions, expected):
    handler = Emits()
    listener = shipped(logger, handler, exceptions=exceptions)
    secret = "s3cret"
    try:
        raise ValueError("boom")
    except ValueError:
        logger.exception("failed")
    assert listener.flush(10)
    assert handler.seen[0][3] == expected
    assert secret


def test_a_failure_that_the_handler_swallows_is_counted_and_its_own_handle_error_called(logger):
    handler = Fails()
    listener = shipped(logger, handler)
    logger.error("lost")
    assert listener.flush(10)
    assert handler.errors == ["lost"]
    assert listener.stats()["dropped"] == {"handler_error": 1}
    assert listener.stats()["delivered"] == 0


def test_a_handler_that_raises_loses_its_own_record_and_no_other(logger):
    raising, working = Raises(), Emits()
    wrapper = asynclog.wrap(raising, working)
    logger.addHandler(wrapper)
    logger.error("one")
    logger.error("two")
    assert wrapper.listener.flush(10)
    assert [seen[0] for seen in working.seen] == ["one", "two"]
    lanes = wrapper.listener.stats()["lanes"]
    assert lanes["handler:Raises"]["dropped"] == {"handler_error": 2}
    assert lanes["handler:Emits"]["delivered"] == 2


def test_a_handler_that_overrides_handle_alone_is_served_by_it(logger):
    handler = HandlesItself()
    listener = shipped(logger, handler)
    logger.error("served")
    assert listener.flush(10)
    assert handler.seen == ["served"]


def test_its_own_handle_error_is_back_once_it_is_unhooked():
    handler = Emits()
    sink = HandlerSink(handler)
    assert "handleError" in vars(handler)
    sink.unhook()
    assert "handleError" not in vars(handler)


def test_bad_options_are_refused():
    with pytest.raises(OptionTypeError, match="handler"):
        HandlerSink("app.log")  # type: ignore[arg-type]
    with pytest.raises(OptionValueError, match="exceptions"):
        HandlerSink(Emits(), exceptions="maybe")
