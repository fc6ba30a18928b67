"""A record's text, letter for letter as logging.Formatter writes it."""

import copy
import logging
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asynclog.capture.gate import Gate, LaneGate
from asynclog.capture.record import capture
from asynclog.render import line
from asynclog.render.rebuild import plain_record, rebuild
from asynclog.testing import MemorySink
from asynclog.values import in_full

PERCENT = ["%(message)s", "%(levelname)-8s", "%(asctime)s", "%(name)s", "%(lineno)05d", "%(msecs)03d", "%(process)d"]
PERCENT += ["%(funcName)s", "%(threadName)s", "%(created)f", "%(pathname)s:%(lineno)d", "%%", "\n", "ä ", "%(user)s"]
BRACES = [
    "{message}",
    "{levelname:>10}",
    "{asctime}",
    "{name!r}",
    "{lineno:05d}",
    "{msecs:.1f}",
    "{{}}",
    "\n",
    "{user}",
]
DOLLARS = ["$message", "${levelname}", "$asctime", "${name}", "$lineno", "$$", "\n", "ä", "$user"]

FORMATS = st.one_of(
    st.tuples(st.just("%"), st.lists(st.sampled_from(PERCENT), min_size=1, max_size=6)),
    st.tuples(st.just("{"), st.lists(st.sampled_from(BRACES), min_size=1, max_size=6)),
    st.tuples(st.just("$"), st.lists(st.sampled_from(DOLLARS), min_size=1, max_size=6)),
)
VALUES = st.one_of(st.text(max_size=8), st.integers(), st.floats(), st.none(), st.booleans(), st.binary(max_size=4))
MESSAGES = st.one_of(
    st.tuples(st.text(st.characters(exclude_characters="%"), max_size=30), st.just(())),
    st.tuples(st.just("%s and %r"), st.tuples(VALUES, VALUES)),
    st.tuples(st.just("%(a)s"), st.builds(lambda v: ({"a": v},), VALUES)),
    st.tuples(st.just("ends with a newline %s\n"), st.tuples(VALUES)),
    st.tuples(st.just([1, "two"]), st.just(())),
    st.tuples(st.just("list %s"), st.just(([1, 2],))),
)


def _error(text, cause):
    try:
        try:
            raise KeyError(text)
        except KeyError as error:
            if cause:
                raise ValueError(text) from error
            raise
    except Exception as error:
        return (type(error), error, error.__traceback__)


EXC = st.one_of(st.none(), st.just((None, None, None)), st.builds(_error, st.text(max_size=10), st.booleans()))


def ours(formatter, record):
    """The text that a lane makes of a record after its way through the queue."""
    face = MemorySink(formatter=formatter)
    gate = Gate([LaneGate(1, face, runs_user_code=False, wants_live=False)])
    ((fields, _, _, carried),) = capture(record, gate, lambda *note: None)
    captured = in_full(carried)
    exception = captured.exception if captured else None
    if captured and captured.lines:
        return line.complete_line(face, captured.lines[1], plain_record(fields), exception)
    return line.renderer(face)(plain_record(fields), exception)


def make(name, level, msg, args, exc_info, created, stack, user):
    record = logging.LogRecord(name, level, "/app/shop.py", 12, msg, args, exc_info, "view", stack)
    record.created = created
    record.msecs = (created - int(created)) * 1000 + 0.0
    if user is not None:
        record.user = user
    return record


@settings(max_examples=400, deadline=None)
@given(
    FORMATS,
    st.sampled_from([None, "%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z", "", "%d.%m. %%"]),
    st.text(max_size=8),
    st.sampled_from([0, 5, 10, 20, 30, 35, 40, 50]),
    MESSAGES,
    EXC,
    st.floats(0, 4e9),
    st.sampled_from([None, "Stack (most recent call last):\n  here", "ends\n"]),
    st.sampled_from(["ada", 7, ["x"], None]),
)
def test_every_format_style_and_exception_prints_as_in_logging(
    fmt, datefmt, name, level, message, exc, created, stack, user
):
    style, pieces = fmt
    try:
        formatter = logging.Formatter("".join(pieces), datefmt, style)
    except ValueError:
        return  # the standard library refuses the format itself
    record = make(name, level, *message, exc, created, stack, user)
    try:
        expected = formatter.format(copy.copy(record))
    except Exception as error:
        if user is None:  # the format names an extra that is not there: ours raises as well, and the lane catches it
            with pytest.raises((type(error), KeyError)):
                ours(formatter, copy.copy(record))
        return
    assert ours(formatter, copy.copy(record)) == expected


def test_two_records_of_one_second_and_two_of_different_ones():
    formatter = logging.Formatter("%(asctime)s %(message)s")
    face = MemorySink(formatter=formatter)
    render = line.renderer(face)
    for created in (0.0, 0.25, 0.999, 1.0, 1e9, 0.5, 1_700_000_000.123):
        record = make("n", 20, "m", None, None, created, None, None)
        assert render(copy.copy(record), None) == formatter.format(record)


def test_a_converter_set_on_the_class_or_the_instance_rules(monkeypatch):
    record = make("n", 20, "m", None, None, 1_700_000_000.0, None, None)
    formatter = logging.Formatter("%(asctime)s")
    monkeypatch.setattr(logging.Formatter, "converter", time.gmtime)
    assert ours(formatter, copy.copy(record)) == formatter.format(record)
    formatter.converter = lambda seconds: time.gmtime(0)
    assert ours(formatter, copy.copy(record)) == formatter.format(record)


@pytest.mark.parametrize("attribute", ["default_time_format", "default_msec_format"])
def test_time_formats_set_on_the_formatter_rule(attribute):
    formatter = logging.Formatter("%(asctime)s")
    setattr(formatter, attribute, None if attribute == "default_msec_format" else "%Y")
    record = make("n", 20, "m", None, None, 1_700_000_000.5, None, None)
    assert ours(formatter, copy.copy(record)) == formatter.format(record)


@pytest.mark.skipif(sys.version_info < (3, 10), reason="defaults came with 3.10")
@pytest.mark.parametrize(
    ("style", "fmt"), [("%", "%(who)s %(message)s"), ("{", "{who} {message}"), ("$", "$who $message")]
)
def test_defaults_of_the_format_are_honoured(style, fmt):
    formatter = logging.Formatter(fmt, style=style, defaults={"who": "nobody"})
    record = make("n", 20, "m", None, None, 1.0, None, None)
    assert ours(formatter, copy.copy(record)) == formatter.format(record)


@pytest.mark.parametrize(
    "name", ["format", "formatTime", "formatException", "formatMessage", "formatStack", "usesTime"]
)
def test_a_method_patched_on_the_class_or_the_instance_makes_it_the_users(monkeypatch, name):
    assert line.is_standard(MemorySink(formatter=logging.Formatter()))
    formatter = logging.Formatter()
    setattr(formatter, name, lambda *a: "x")
    assert not line.is_standard(MemorySink(formatter=formatter))
    monkeypatch.setattr(logging.Formatter, name, lambda self, *a: "x")
    assert not line.is_standard(MemorySink(formatter=logging.Formatter()))


@pytest.mark.parametrize("name", ["format", "formatTime", "formatException", "formatMessage", "formatStack"])
def test_a_subclass_is_left_to_itself(name):
    kind = type("Own", (logging.Formatter,), {name: lambda self, *a: "<own>"})
    formatter = kind("%(asctime)s %(message)s")
    face = MemorySink(formatter=formatter)
    assert not line.is_standard(face)
    exc = _error("x", cause=True)
    record = make("n", 20, "m", None, exc, 1.0, "stack", None)
    gate = Gate([LaneGate(1, face, runs_user_code=False, wants_live=False)])
    ((fields, _, _, carried),) = capture(copy.copy(record), gate, lambda *note: None)
    captured = in_full(carried)
    got = line.renderer(face)(rebuild(fields, captured, live=False), captured.exception)
    assert got == formatter.format(record)


def test_an_exc_text_that_another_formatter_left_is_used_as_in_logging():
    record = make("n", 20, "m", None, _error("x", cause=False), 1.0, None, None)
    record.exc_text = "left by another"
    formatter = logging.Formatter()
    assert ours(formatter, copy.copy(record)) == formatter.format(record) == "m\nleft by another"


@pytest.mark.parametrize("length", [0, 1, 99, 100, 101, 1000])
def test_a_cut_keeps_both_ends_and_counts_what_is_gone(length):
    text = "".join(chr(97 + n % 26) for n in range(length))
    got = line.cut(text, 100)
    if length <= 100:
        assert got == text
    else:
        assert got.startswith(text[:50])
        assert got.endswith(text[-50:])
        assert f"cut {length - 100} characters" in got


def test_what_stands_for_a_raising_formatter_keeps_message_and_traceback():
    record = make("shop", 40, "m %s", (1,), None, 1.0, None, None)
    text = line.fallback_text(record, None, ValueError("no"))
    assert text == "Level 40 shop: <asynclog: the formatter raised: ValueError> m 1".replace("Level 40", "ERROR")
