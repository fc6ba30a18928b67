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
from asynclog.values import in_full, texts_size, unpack


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


@pytest.mark.parametrize("words", [{}, {"info": raised()}, {"msg": "it broke: %s", "args": ("disk",)}])
def test_what_led_up_to_an_error_is_what_the_careful_path_says_and_weighs_the_same(handler, words):
    queue = handler.queue
    one = record(**{"msg": "it broke", "level": logging.ERROR, **words})
    steps = [record("step %d of %s", (number, "many")) for number in range(3)]
    steps.append(record("x" * 3_000, level=logging.WARNING))
    taken, weights = [], []
    for way in (handler.handle, handler._carefully):
        queue.gate.lead_up.clear()
        before = queue.texts
        way(one)
        alone = queue.texts - before
        queue.gate.lead_up.clear()
        for step in steps:
            handler.handle(step)
        before = queue.texts
        way(one)
        weights.append(queue.texts - before - alone)
        taken.append(seen(queue))
    assert taken[0][-1] == taken[1][-1]
    assert len(taken[0][-1][-1][1][0b100][LEAD_UP]) == 4
    assert weights[0] == weights[1] > 1_000


def test_a_record_is_kept_with_its_arguments_whatever_exception_it_has(handler):
    handler.queue.gate.lead_up.clear()
    handler.handle(record("%s went", ("disk",), logging.WARNING, raised(30)))
    (kept,) = handler.queue.gate.lead_up.before()
    assert (kept.msg, kept.args, kept.text()) == ("%s went", ("disk",), "disk went")


def test_a_record_that_no_mail_wants_takes_nothing_along(handler):
    for lane in handler.queue.gate.lanes:
        if lane.lead_up:
            lane.face.setLevel(logging.CRITICAL)
    for _ in range(2):
        handler.handle(record("it broke", level=logging.ERROR))
    assert [more for *_, more in seen(handler.queue)] == [(None, None, None)] * 2


def test_what_is_taken_off_the_queue_is_taken_off_the_account(handler):
    queue = handler.queue
    queue.gate.lead_up.clear()
    for number in range(5):
        handler.handle(record("%d", (number,)))
        handler.handle(record("it broke", level=logging.ERROR, info=raised() if number % 2 else None))
    assert queue.texts == sum(map(texts_size, queue.entries)) > 0
    runs = []
    while run := queue.pop_run(100):
        runs.append(len(run))
    assert runs == [1] * 10, "one that takes something along is no run's"
    assert queue.texts == 0


@pytest.mark.parametrize("handler", [{"maxsize": 10}], indirect=True)
def test_a_full_queue_gives_up_what_takes_something_along_and_accounts_for_it(handler):
    for number in range(200):
        handler.handle(record("%d", (number,), level=logging.ERROR, info=raised() if number % 2 else None))
    queue = handler.queue
    assert len(queue.entries) <= 10
    assert queue.texts == sum(map(texts_size, queue.entries))
    assert sum(queue.ledger.dropped.values()) == 200 - len(queue.entries)


class NoName(str):
    __slots__ = ()

    def __str__(self):
        raise ValueError("no name")


@pytest.mark.parametrize(("name", "shown"), [(NoName("ODD"), "ODD"), (object(), "object"), (None, "NoneType")])
def test_a_name_of_an_odd_type_does_not_stop_the_worker(handler, name, shown):
    handler.queue.gate.lead_up.clear()
    step = record("step", levelname=name)
    handler.handle(step)
    handler.handle(record("it broke", level=logging.ERROR))
    (kept,) = seen(handler.queue)[-1][-1][1][0b100][LEAD_UP]
    assert (type(kept.levelname), kept.levelname) == (str, shown)


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


def path_of_warnings():
    return {"path": "/buy"}


path_of_warnings.level = logging.WARNING


@pytest.mark.parametrize("way", ["handle", "_carefully"])
@pytest.mark.parametrize(("level", "said"), [(logging.INFO, None), (logging.WARNING, {"path": "/buy"})])
def test_a_provider_is_asked_from_its_own_level_on(way, level, said):
    mail = logging.handlers.SMTPHandler(("127.0.0.1", 9), "app@example.com", ["ops@example.com"], "failed")
    wrapper = asynclog.wrap(mail, context=path_of_warnings)
    wrapper.queue.on_wake = lambda: None
    getattr(wrapper, way)(record(level=level))
    ((*_, (_, carried, _)),) = seen(wrapper.queue)
    assert (carried and carried[1].get(FACTS)) == said


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
