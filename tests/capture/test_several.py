"""Several handlers behind one queue: the fast path hands over what the careful one would."""

from __future__ import annotations

import collections
import decimal
import logging
import logging.handlers
import sys

import pytest

import asynclog
from asynclog.captured import each_frame
from asynclog.handler import QueueHandler
from asynclog.render.carried import FACTS, LEAD_UP
from asynclog.values import in_full, unpack


@pytest.fixture
def handler(tmp_path, request):
    """A wrapper of three handlers whose queue nobody drains."""
    file = logging.FileHandler(tmp_path / "app.log", delay=True)
    errors = logging.FileHandler(tmp_path / "errors.log", delay=True)
    errors.setLevel(logging.WARNING)
    mail = logging.handlers.SMTPHandler(("127.0.0.1", 9), "app@example.com", ["ops@example.com"], "failed")
    mail.setLevel(logging.ERROR)
    wrapper = asynclog.wrap(file, errors, mail, **getattr(request, "param", {}))
    wrapper.queue.on_wake = lambda: None
    yield wrapper
    wrapper.queue.entries.clear()
    for one in (file, errors):
        one.close()


def raised(depth=3):
    try:
        raise ValueError("no") if not depth else raised(depth - 1)[1]
    except ValueError:
        return sys.exc_info()


def chained():
    try:
        raise KeyError("second") from raised()[1]
    except KeyError:
        return sys.exc_info()


def record(msg="m", args=(), level=logging.INFO, info=None, **extra):
    one = logging.LogRecord("shop", level, __file__, 1, msg, args, info)
    one.__dict__.update(extra)
    return one


RECORDS = {
    "plain": {},
    "with arguments": {"msg": "%s of %d for %s", "args": ("one", 2, decimal.Decimal("3.5"))},
    "with a dictionary": {"msg": "%(a)s", "args": ({"a": 1},)},
    "with an argument that changes": {"msg": "%s", "args": ([1, 2],)},
    "with extras": {"user": "joe", "n": 3},
    "with an extra that changes": {"items": [1]},
    "long": {"msg": "x" * 5_000},
    "an odd message": {"msg": ValueError("no text")},
    "falsy exception": {"info": ()},
    "an exception": {"info": raised(), "level": logging.ERROR},
    "an exception at INFO": {"info": raised()},
    "an exception with another": {"info": chained(), "level": logging.WARNING},
    "a warning": {"level": logging.WARNING},
    "an error": {"level": logging.ERROR, "msg": "it broke: %s", "args": ("disk",)},
    "nobody wants it": {"level": -1},
}


def seen(queue):
    """Return what waits, in comparable form."""
    found = []
    for queued in list(queue.entries):
        fields, mask, _, carried = unpack(queued)
        full = in_full(carried)
        exception = full.exception if full else None
        nodes = [(node.exc_type, node.text, node.cause) for node in exception.nodes] if exception else None
        frames = [each[:2] for each in each_frame(exception.frames)] if exception else None
        more = (full.template, full.carried, full.lines) if full else (None, None, None)
        found.append(({**fields, "exc_info": fields["exc_info"] or None}, mask, nodes, frames, more))
    queue.entries.clear()
    return found


@pytest.mark.parametrize("handler", [{}, {"lead_up": 0}, {"context": lambda: {"path": "/buy"}}], indirect=True)
@pytest.mark.parametrize("words", RECORDS.values(), ids=RECORDS)
def test_it_hands_over_what_the_careful_path_would(handler, words):
    words = dict(words)
    one = record(words.pop("msg", "m"), words.pop("args", ()), words.pop("level", logging.INFO), **words)
    fields = dict(one.__dict__)
    buffer = handler.queue.gate.lead_up
    taken = []
    for way in (handler.handle, handler._carefully):
        if buffer is not None:
            buffer.clear()
        assert way(one) is (False if one.levelno < 0 else one)
        taken.append(seen(handler.queue))
        assert one.__dict__ == fields, "the record is the app's"
    assert taken[0] == taken[1]
    assert len(taken[0]) == (0 if one.levelno < 0 else 1)


def test_plain_records_never_leave_the_fast_path(handler, monkeypatch):
    monkeypatch.setattr(QueueHandler, "_carefully", lambda *_: pytest.fail("it left"))
    for name in ("plain", "with arguments", "with extras", "long", "an exception", "a warning", "an error"):
        words = dict(RECORDS[name])
        one = record(words.pop("msg", "m"), words.pop("args", ()), words.pop("level", logging.INFO), **words)
        assert handler.handle(one) is one


def test_masks_follow_the_levels(handler):
    for level in (logging.INFO, logging.WARNING, logging.ERROR):
        handler.handle(record(level=level))
    assert [mask for _, mask, *_ in seen(handler.queue)] == [0b001, 0b011, 0b111]


def test_an_error_takes_along_what_led_up_to_it(handler):
    handler.queue.gate.lead_up.clear()
    for number in range(3):
        handler.handle(record("step %d", (number,)))
    handler.handle(record("it broke", level=logging.ERROR, info=raised()))
    *steps, error = seen(handler.queue)
    assert [carried for *_, (_, carried, _) in steps] == [None, None, None]
    (carried,) = error[-1][1].values()
    assert [one.text() for one in carried[LEAD_UP]] == ["step 0", "step 1", "step 2"]
    assert error[2] == [(ValueError, "no", -1)]


@pytest.mark.parametrize("handler", [{"maxsize": 10, "overflow": "drop_newest"}], indirect=True)
def test_a_full_queue_counts_what_it_refuses(handler):
    for number in range(25):
        handler.handle(record("%d", (number,), level=logging.ERROR, info=raised() if number % 2 else None))
    ledger = handler.queue.ledger
    assert len(handler.queue.entries) == 10
    assert ledger.accepted == 25
    assert sum(ledger.dropped.values()) == 15


@pytest.mark.parametrize("handler", [{"context": lambda: {"path": "/buy"}, "lead_up": 0}], indirect=True)
def test_an_error_takes_along_what_the_context_says(handler):
    handler.handle(record("it broke", level=logging.ERROR))
    handler.handle(record("a step"))
    error, step = seen(handler.queue)
    assert list(error[-1][1].values()) == [{FACTS: {"path": "/buy"}}]
    assert step[-1][1] is None


class Interrupted(collections.deque):
    """Raises once what was put is in it, as a signal's handler may."""

    error = KeyboardInterrupt

    def append(self, one):
        super().append(one)
        raise self.error


@pytest.mark.parametrize("handler", [{}, {"context": lambda: {"path": "/buy"}}], indirect=True)
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_what_a_signal_raises_once_the_record_has_its_place_passes_and_doubles_nothing(handler, error):
    handler.queue.entries = Interrupted()
    handler.queue.entries.error = error
    with pytest.raises(error):
        handler.handle(record(level=logging.ERROR))
    assert len(handler.queue.entries) == 1
    assert handler.queue.ledger.accepted == 1
