"""Bad input fails when it is given, with an error that names the option, the value and the fix."""

import math

import pytest

import asynclog
from asynclog import checks
from asynclog.options import LaneOptions, QueueOptions
from asynclog.testing import MemorySink

QUEUE = [
    ({"maxsize": 0}, ValueError, "maxsize=0"),
    ({"maxsize": -1}, ValueError, "maxsize=-1"),
    ({"maxsize": "10"}, TypeError, "maxsize='10'"),
    ({"maxsize": True}, TypeError, "maxsize=True"),
    ({"maxsize": 2.5}, TypeError, "maxsize=2.5"),
    ({"maxsize": None}, TypeError, "maxsize=None"),
    ({"max_memory": 1000}, ValueError, "at least 65536"),
    ({"max_memory": "64MB"}, TypeError, "max_memory='64MB'"),
    ({"overflow": "drop_oldst"}, ValueError, "did you mean 'drop_oldest'"),
    ({"overflow": None}, TypeError, "overflow=None"),
    ({"overflow": "block:soon"}, ValueError, 'as in "block:0.25"'),
    ({"overflow": "block:0"}, ValueError, "more than 0"),
    ({"overflow": "block:-1"}, ValueError, "more than 0"),
    ({"overflow": "block:nan"}, ValueError, "more than 0"),
    ({"overflow": "block:inf"}, ValueError, "more than 0"),
    ({"exceptions": "live"}, ValueError, "exceptions='live'"),
    ({"exceptions": True}, TypeError, "exceptions=True"),
]
LANE = [
    ({"batch_records": 0}, ValueError, "batch_records=0"),
    ({"batch_records": 1.0}, TypeError, "batch_records=1.0"),
    ({"batch_age": -1}, ValueError, "batch_age=-1"),
    ({"batch_age": math.nan}, ValueError, "batch_age=nan"),
    ({"batch_age": "5"}, TypeError, "batch_age='5'"),
    ({"retry_initial": 0}, ValueError, "retry_initial=0"),
    ({"retry_max": math.inf}, ValueError, "retry_max=inf"),
    ({"retry_max": 10**400}, ValueError, "retry_max="),
    ({"retry_initial": 10.0, "retry_max": 5.0}, ValueError, "at least retry_initial, which is 10"),
    ({"breaker_reset": 0}, ValueError, "breaker_reset=0"),
    ({"exit_timeout": -0.1}, ValueError, "exit_timeout=-0.1"),
    ({"exit_timeout": None}, TypeError, "exit_timeout=None"),
    ({"on_alarm": "print"}, TypeError, "on_alarm='print'"),
]


@pytest.mark.parametrize(("keywords", "error", "text"), QUEUE)
@pytest.mark.parametrize("door", [QueueOptions, asynclog.RecordQueue, lambda **k: asynclog.wrap(MemorySink(), **k)])
def test_a_bad_queue_option_is_refused_at_every_door(door, keywords, error, text):
    with pytest.raises(error) as caught:
        door(**keywords)
    assert isinstance(caught.value, asynclog.AsynclogError)
    assert text in str(caught.value)


@pytest.mark.parametrize(("keywords", "error", "text"), LANE)
@pytest.mark.parametrize(
    "door",
    [
        LaneOptions,
        lambda **k: asynclog.wrap(MemorySink(), **k),
        lambda **k: asynclog.QueueListener(asynclog.RecordQueue(), MemorySink(), **k),
    ],
)
def test_a_bad_lane_option_is_refused_at_every_door(door, keywords, error, text):
    with pytest.raises(error) as caught:
        door(**keywords)
    assert isinstance(caught.value, asynclog.AsynclogError)
    assert text in str(caught.value)


def test_an_unknown_keyword_is_refused_with_the_nearest_known_one():
    with pytest.raises(asynclog.OptionTypeError, match="did you mean 'batch_age'"):
        asynclog.QueueListener(asynclog.RecordQueue(), batch_ages=3)


@pytest.mark.parametrize("bad", [None, 7, "queue", object()])
def test_what_is_no_queue_is_refused(bad):
    with pytest.raises(TypeError, match="queue="):
        asynclog.QueueHandler(bad)
    with pytest.raises(TypeError, match="queue="):
        asynclog.QueueListener(bad)


@pytest.mark.parametrize("bad", [None, 7, "handler", print])
def test_what_is_no_handler_is_refused(bad):
    with pytest.raises(TypeError):
        asynclog.QueueListener(asynclog.RecordQueue(), bad)


@pytest.mark.parametrize("bad", [-1, math.nan, math.inf])
@pytest.mark.parametrize("call", ["flush", "stop"])
def test_a_bad_timeout_is_refused(call, bad):
    listener = asynclog.QueueListener(asynclog.RecordQueue(), MemorySink())
    with pytest.raises(ValueError, match="timeout="):
        getattr(listener, call)(bad)
    with pytest.raises(TypeError, match="timeout="):
        getattr(listener, call)("5")


def test_block_takes_its_seconds_along():
    assert QueueOptions(overflow="block").block_timeout == 1.0
    options = QueueOptions(overflow="block:0.25")
    assert (options.overflow, options.block_timeout) == ("block", 0.25)


def test_a_value_whose_repr_raises_is_still_named():
    class Odd:
        def __repr__(self):
            raise RuntimeError

    with pytest.raises(TypeError, match="maxsize=<Odd whose repr raises>"):
        QueueOptions(maxsize=Odd())


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("30/hour", (30, 3600.0)),
        ("10 per minute", (10, 60.0)),
        ("1/s", (1, 1.0)),
        ("5/Days", (5, 86400.0)),
        (None, None),
    ],
)
def test_rates_that_are_understood(text, rate):
    assert checks.rate("rate", text) == rate


@pytest.mark.parametrize("text", ["", "0/hour", "hour", "3/fortnight", "-1/hour", "1.5/hour"])
def test_rates_that_are_not(text):
    with pytest.raises(ValueError, match="30/hour"):
        checks.rate("rate", text)
