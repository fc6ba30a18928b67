"""What led up to an error: the records of the same request, and of no other."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import threading
import weakref

import pytest

from asynclog.capture import lead_up
from asynclog.capture.lead_up import LONGEST, LeadUpBuffer
from asynclog.errors import OptionTypeError, OptionValueError


def fields(msg="it happened", *args, **more):
    facts = {"msg": msg, "args": args or None, "name": "shop", "levelno": 20, "levelname": "INFO", "created": 1.0}
    return logging.makeLogRecord(facts | more).__dict__


def texts(buffer):
    return [one.text() for one in buffer.before()]


def test_the_last_records_are_kept_oldest_first():
    buffer = LeadUpBuffer(3)
    for number in range(5):
        buffer.note(fields("number %s", number))
    assert texts(buffer) == ["number 2", "number 3", "number 4"]
    buffer.clear()
    assert texts(buffer) == []


def test_none_are_kept_where_none_are_wanted():
    buffer = LeadUpBuffer(0)
    buffer.note(fields())
    assert texts(buffer) == []
    assert len(buffer) == 0


def test_contexts_are_apart():
    buffer = LeadUpBuffer()
    for name in ("a", "b"):
        contextvars.Context().run(lambda name=name: buffer.note(fields(name)))
    assert texts(buffer) == []
    thread = threading.Thread(target=lambda: buffer.note(fields("thread")))
    thread.start()
    thread.join(10)
    assert texts(buffer) == []


async def test_tasks_started_from_a_context_that_has_logged_are_apart():
    buffer = LeadUpBuffer()
    buffer.note(fields("startup"))

    async def request(name):
        buffer.note(fields(name))
        await asyncio.sleep(0)
        return texts(buffer)

    assert await asyncio.gather(request("a"), request("b")) == [["a"], ["b"]]
    assert texts(buffer) == ["startup"]


def test_requests_that_one_thread_serves_one_after_the_other_are_apart():
    class Request:
        pass

    current = []
    buffer = LeadUpBuffer(scope=lambda: current[-1] if current else None)
    for name in ("a", "b"):
        current.append(Request())
        buffer.note(fields(name))
        assert texts(buffer) == [name]
        current.clear()
        gc.collect()
        assert texts(buffer) == []
        assert buffer.note(fields("outside"), asked=True) == ()


def test_no_request_is_kept_alive():
    class Request:
        pass

    request = Request()
    current = [request]
    buffer = LeadUpBuffer(scope=lambda: current[0])
    buffer.note(fields())
    gone = weakref.ref(request)
    current[0] = None
    del request
    gc.collect()
    assert gone() is None


def test_a_scope_that_no_weak_reference_can_be_made_of_works_too():
    current = ["request-1"]
    buffer = LeadUpBuffer(scope=lambda: current[0])
    buffer.note(fields("a"))
    assert texts(buffer) == ["a"]
    current[0] = "request-2"
    assert texts(buffer) == []


def test_memory_is_bounded_over_all_contexts(monkeypatch):
    monkeypatch.setattr(lead_up, "MOST_IN_ALL", 50)
    buffer = LeadUpBuffer(20)
    contexts = [contextvars.Context() for _ in range(30)]
    for context in contexts:
        for number in range(10):
            context.run(lambda number=number: buffer.note(fields(f"{number}")))
    assert len(buffer) == 50
    kept = [context.run(lambda: texts(buffer)) for context in contexts]
    assert sum(map(len, kept)) == 50
    assert kept[-1] == [str(number) for number in range(10)]
    assert kept[0] == []


def test_long_messages_are_cut_and_objects_are_not_kept():
    buffer = LeadUpBuffer()
    buffer.note(fields("x" * 100_000 + "END"))
    buffer.note(fields("%s", "y" * 100_000))
    buffer.note(fields("object %s", object()))
    buffer.note(fields({"event": 1}))
    found = texts(buffer)
    assert all(len(text) < LONGEST + 50 for text in found)
    assert found[0].endswith("END")
    assert found[2:] == ["object %s", "dict"]
    assert all(one.args is None for one in buffer.before())


def test_a_template_that_does_not_fit_is_shown_as_it_is():
    buffer = LeadUpBuffer()
    buffer.note(fields("%d", "x"))
    assert texts(buffer)[0].startswith("%d <arguments that do not fit")


def test_many_threads_of_one_context_lose_nothing_but_what_is_too_many():
    buffer = LeadUpBuffer(10_000)
    buffer.note(fields("first"))
    context = contextvars.copy_context()

    def work():
        own = context.copy()
        for number in range(500):
            own.run(buffer.note, fields("step %s of thread %s", number, threading.get_ident()))
            own.run(buffer.before)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(buffer.before()) == 2_001


def test_odd_options_are_refused():
    with pytest.raises(OptionValueError, match="lead_up"):
        LeadUpBuffer(-1)
    with pytest.raises(OptionTypeError, match="lead_up"):
        LeadUpBuffer("many")
    with pytest.raises(OptionTypeError, match="scope"):
        LeadUpBuffer(scope=7)


def test_a_record_that_several_handlers_note_is_kept_once_and_never_before_itself():
    buffer = LeadUpBuffer()
    first, error = fields("step", created=1.5), fields("it broke", created=2.5)
    for _ in range(3):
        buffer.note(first)
    buffer.note(error)
    assert texts(buffer) == ["step", "it broke"]
    assert [one.text() for one in buffer.note(error, asked=True)] == ["step"]
    assert buffer.note(error) == ()
    assert [one.text() for one in buffer.note(fields("it broke", created=2.6), asked=True)] == ["step", "it broke"]
