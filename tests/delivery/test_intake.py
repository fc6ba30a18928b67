"""From the queue into a lane: rendering, and what ends there."""

import asyncio
import contextvars
import gc
import logging
import weakref

import pytest

from asynclog.capture.gate import Gate, LaneGate
from asynclog.capture.record import capture
from asynclog.testing import MemorySink
from asynclog.values import in_full
from tests.conftest import wait_until
from tests.delivery.kit import Stepped, fields

user = contextvars.ContextVar("user", default="nobody")


class ByUser(logging.Formatter):
    def format(self, record):
        return f"{user.get()}: {super().format(record)}"


class Raises(logging.Formatter):
    def format(self, record):
        raise SystemExit("no")


def give(one, record):
    """Take a record as the handler, the queue and the listener would."""
    sink = one.sink
    gate = Gate([LaneGate(1, sink, runs_user_code=sink.runs_user_code, wants_live=sink.wants_live)])
    for got, _, size, captured in capture(record, gate, lambda *a: None):
        one.total.accepted += 1
        one.lane.take(got, in_full(captured), size, None)
    one.lane.end_slice()


def record(msg="m", *args, **extra):
    made = logging.LogRecord("shop", logging.ERROR, "shop.py", 1, msg, args, extra.pop("exc_info", None))
    made.__dict__.update(extra)
    return made


def test_a_standard_formatters_text_is_made_at_once():
    one = Stepped(MemorySink(formatter=logging.Formatter("%(levelname)s %(message)s")))
    give(one, record("user %s", "ada"))
    assert [item.text for item in one.lane.buffer.items] == ["ERROR user ada"]


async def test_a_formatter_that_users_wrote_runs_on_another_thread_in_the_callers_context():
    one = Stepped(MemorySink(formatter=ByUser("%(message)s")))
    token = user.set("ada")
    give(one, record("in"))
    user.reset(token)
    give(one, record("out"))
    assert one.lane.intake.formatting == 2
    while one.lane.intake.formatting:
        await asyncio.sleep(0.001)
    assert [item.text for item in one.lane.buffer.items] == ["ada: in", "nobody: out"]


async def test_a_raising_formatter_costs_its_text_and_not_the_record():
    one = Stepped(MemorySink(formatter=Raises()))
    try:
        raise ValueError("the error itself")
    except ValueError as error:
        give(one, record("m", exc_info=(type(error), error, error.__traceback__)))
    while one.lane.intake.formatting:
        await asyncio.sleep(0.001)
    (item,) = one.lane.buffer.items
    assert "the formatter raised: SystemExit" in item.text
    assert "ValueError: the error itself" in item.text
    assert one.alarms[0].kind == "formatter_error"


def test_what_the_formatting_thread_did_survives_the_end_of_the_loop():
    sink = MemorySink(formatter=ByUser("%(message)s"))
    one = Stepped(sink)

    async def give_and_leave():
        give(one, record("kept"))

    asyncio.run(give_and_leave())  # the loop is closed before the thread is done, or right after
    wait_until(lambda: one.lane.intake._done or one.lane.buffer.items)
    one.lane.intake.collect()
    assert one.lane.intake.formatting == 0
    one.settle_all()
    assert sink.messages == ["kept"]
    assert one.check()["delivered"] == 1


async def test_a_formatter_set_later_takes_effect():
    one = Stepped()
    give(one, record("a"))
    one.sink.setFormatter(logging.Formatter("new: %(message)s"))
    give(one, record("b"))
    assert [item.text for item in one.lane.buffer.items] == ["a", "new: b"]


class Request:
    pass


@pytest.mark.parametrize("formatter", [None, logging.Formatter("%(message)s %(request)s"), ByUser("%(message)s")])
async def test_nothing_of_the_callers_is_held_once_a_lane_has_the_record(formatter):
    one = Stepped(MemorySink(formatter=formatter))

    def call():
        request = Request()
        token = user.set(request)
        try:
            raise ValueError(request)
        except ValueError as error:
            give(one, record("m %s", request, request=request, exc_info=(type(error), error, error.__traceback__)))
        user.reset(token)
        return weakref.ref(request)

    gone = call()
    while one.lane.intake.formatting:
        await asyncio.sleep(0.001)
    deadline = 100
    while gone() is not None and deadline:
        gc.collect()
        await asyncio.sleep(0.01)  # the formatting thread still holds its last call for a moment
        deadline -= 1
    assert gone() is None
    assert one.lane.remaining() == 1


async def test_an_event_dict_that_a_users_formatter_read_is_let_go():
    class Events(logging.Formatter):
        def format(self, record):
            return f"event {record.msg['event']}"

    one = Stepped(MemorySink(formatter=Events()))
    request = Request()
    give(one, record({"event": "paid", "request": request}))
    gone = weakref.ref(request)
    del request
    while one.lane.intake.formatting:
        await asyncio.sleep(0.001)
    (item,) = one.lane.buffer.items
    assert item.text == "event paid"
    assert isinstance(item.record.msg, str)
    for _ in range(100):
        gc.collect()
        if gone() is None:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it is still held")


def test_a_handlers_own_format_is_honoured():
    class Own(MemorySink):
        def format(self, record):
            return f"own {record.getMessage()}"

    async def run():
        one = Stepped(Own())
        give(one, record("m"))
        while one.lane.intake.formatting:
            await asyncio.sleep(0.001)
        return one.lane.buffer.items[0].text

    assert asyncio.run(run()) == "own m"


def test_after_a_fork_nothing_is_being_formatted():
    one = Stepped(MemorySink(formatter=ByUser("%(message)s")))
    one.lane.take(fields(), None, 100, None)
    one.lane.after_fork()
    assert one.lane.remaining() == 0
