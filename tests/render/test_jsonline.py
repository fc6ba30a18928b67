"""JSON lines: one object a line, whatever the record holds."""

from __future__ import annotations

import json
import logging
import logging.config
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynclog.errors import OptionTypeError, OptionValueError
from asynclog.render.jsonline import JSONFormatter, freeze


def record(msg="hello", args=(), **attributes):
    made = logging.LogRecord("shop.cart", logging.ERROR, "/app/cart.py", 12, msg, args, None, "pay")
    vars(made).update({"created": 1_700_000_000.123456, **attributes})
    return made


def rendered(one, **options):
    line = JSONFormatter(**options).format(one)
    assert len(line.splitlines()) == 1
    line.encode("utf-8")
    return json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def test_the_keys_are_stable_and_in_order():
    found = rendered(record("hello %s", ("you",), user="ann"), fields={"app": "shop"})
    found.pop("task", None)
    assert list(found) == ["time", "level", "logger", "message", "place", "process", "thread", "extra", "app"]
    assert found["time"] == "2023-11-14T22:13:20.123456+00:00"
    assert (found["level"], found["logger"], found["message"]) == ("ERROR", "shop.cart", "hello you")
    assert found["place"] == {"file": "/app/cart.py", "line": 12, "function": "pay"}
    assert found["thread"]["name"] == threading.current_thread().name
    assert found["extra"] == {"user": "ann"}
    assert found["app"] == "shop"


def test_an_exception_has_type_message_and_traceback():
    try:
        raise KeyError("no")
    except KeyError:
        info = sys.exc_info()
    found = rendered(record(exc_info=info, stack_info="Stack: …"))
    assert found["exception"]["type"] == "KeyError"
    assert found["exception"]["message"] == "'no'"
    assert found["exception"]["traceback"] == logging.Formatter().formatException(info)
    assert found["stack"] == "Stack: …"


def test_a_type_of_a_module_is_named_with_it():
    info = (json.JSONDecodeError, json.JSONDecodeError("x", "", 0), None)
    assert rendered(record(exc_info=info))["exception"]["type"] == "json.decoder.JSONDecodeError"


def test_text_that_another_formatter_made_of_the_exception_is_used():
    assert rendered(record(exc_text="Traceback …"))["exception"]["traceback"] == "Traceback …"


def test_what_asynclog_keeps_on_a_record_is_no_extra():
    assert "extra" not in rendered(record(_asynclog_something=1))


def test_extras_can_be_left_out():
    assert "extra" not in rendered(record(user="ann"), extras=False)


class Hostile:
    def __repr__(self):
        raise SystemExit

    __str__ = __repr__


class HostileDict(dict):
    def items(self):
        raise RuntimeError

    __iter__ = __len__ = keys = items


CYCLE: list = [1]
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    ("value", "frozen"),
    [
        (float("nan"), "NaN"),
        (float("inf"), "Infinity"),
        (-float("inf"), "-Infinity"),
        (b"a\xff", "a\\xff"),
        ({1: 2, None: 3, (1, 2): 4}, {"1": 2, "None": 3, "(1, 2)": 4}),
        ((1, 2), [1, 2]),
        ({3}, [3]),
        (frozenset({3}), [3]),
        (Hostile(), "<Hostile whose repr raises SystemExit>"),
        (HostileDict(a=1), {"a": 1}),
        ({Hostile(): 1}, {"<Hostile whose repr raises SystemExit>": 1}),
        (1 << 2000, hex(1 << 2000)),
        (True, True),
        (None, None),
        (1.5, 1.5),
        (CYCLE, [1, [1, [1, [1, [1, [1, [1, [1, "…"]]]]]]]]),
        (10**100, 10**100),
    ],
)
def test_odd_values_become_what_json_has(value, frozen):
    assert freeze(value) == frozen
    assert rendered(record(x=value))["extra"]["x"] in (frozen, [1, [1, [1, [1, [1, [1, [1, "…"]]]]]]])


def test_a_frozen_value_no_longer_follows_the_original():
    original = {"a": [1]}
    frozen = freeze(original)
    original["a"].append(2)
    assert frozen == {"a": [1]}


@pytest.mark.parametrize(
    "value",
    ["x" * 10**6, ["x"] * 10**6, {n: n for n in range(10**5)}, b"x" * 10**6, 1 << 10**6, [[["x" * 1000] * 100] * 100], list(range(10**6))],
    ids=["str", "list", "dict", "bytes", "int", "nested", "ints"],
)  # fmt: skip
def test_what_is_large_is_cut_and_says_so(value):
    shown = json.dumps(freeze(value, 1000), ensure_ascii=False)
    assert len(shown) < 2500
    assert "…" in shown or "huge" in shown


PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary()
NESTED = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner) | st.dictionaries(PLAIN, inner) | st.tuples(inner, inner),
    max_leaves=30,
)


@given(NESTED, st.integers(1, 500), st.text(st.characters()), st.booleans())
def test_any_record_is_one_line_of_json(value, budget, message, ascii_only):
    one = record(message, x=value)
    line = JSONFormatter(budget=budget, ensure_ascii=ascii_only).format(one)
    found = rendered(one, budget=budget, ensure_ascii=ascii_only)
    if ascii_only:
        assert line.isascii()
    # Two lone surrogates side by side are one character to a reader of JSON.
    assert found["message"].encode("utf-16", "surrogatepass") == message.encode("utf-16", "surrogatepass")
    assert set(found["extra"]) <= {"x", "…"} or len(found["extra"]) == 1


@given(NESTED)
def test_freezing_what_is_frozen_changes_nothing(value):
    frozen = freeze(value, 10**6)
    assert freeze(frozen, 10**6) == frozen


@pytest.mark.parametrize(
    "attributes",
    [
        {"created": "yesterday"}, {"created": 1e300}, {"created": None}, {"created": float("nan")}, {"levelname": 7},
        {"name": None}, {"lineno": object()}, {"pathname": b"\xff"}, {"process": None}, {"thread": 10**5000},
        {"exc_info": (ValueError, Hostile(), None)}, {"exc_info": (1, 2, 3)}, {"exc_info": True},
        {"stack_info": Hostile()}, {"msg": Hostile()}, {"args": (1, 2)}, {"exc_text": 7}, {1: 2},
    ],
)  # fmt: skip
def test_an_odd_record_is_rendered_all_the_same(attributes):
    one = record()
    one.__dict__.update(attributes)
    assert "message" in rendered(one)


def test_a_record_without_its_attributes_is_rendered_all_the_same():
    one = record()
    del one.pathname
    assert rendered(one)["message"] == "a record that could not be rendered: AttributeError"


def test_surrogates_and_line_separators_are_escaped():
    line = JSONFormatter().format(record("\ud800\u2028\x85ä😀"))
    assert "\\ud800\\u2028\\u0085ä😀" in line


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"fields": ["app"]}, OptionTypeError, ["fields", "dict"]),
        ({"fields": {1: 2}}, OptionTypeError, ["fields", "names"]),
        ({"fields": {"time": 1}}, OptionValueError, ["fields", "'time'"]),
        ({"extras": 1}, OptionTypeError, ["extras"]),
        ({"budget": 0}, OptionValueError, ["budget", "0"]),
        ({"ensure_ascii": None}, OptionTypeError, ["ensure_ascii"]),
    ],
)
def test_a_wrong_option_is_told(options, kind, words):
    with pytest.raises(kind) as caught:
        JSONFormatter(**options)
    for word in words:
        assert word in str(caught.value)


def test_it_can_be_named_in_dictconfig():
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"json": {"()": "asynclog.render.jsonline.JSONFormatter", "fields": {"app": "x"}}},
        }
    )


def test_it_asks_the_callers_side_for_extras():
    assert JSONFormatter.needs_extras is True
