"""Capture: what is taken from a record on the caller, and what is not."""

import contextvars
import datetime
import decimal
import logging
import uuid

import pytest

import asynclog
from asynclog.capture.gate import Gate, LaneGate
from asynclog.capture.record import capture, capture_for_all, capture_late
from asynclog.render.line import MAX_TEXT
from asynclog.testing import MemorySink
from asynclog.values import in_full


class Users(logging.Formatter):
    def format(self, record):
        return super().format(record)


def gate(*faces, **flags):
    flags = {"runs_user_code": False, "wants_live": False, **flags}
    return Gate([LaneGate(1 << n, face, **flags) for n, face in enumerate(faces)])


def record(msg="m", *args, exc_info=None, **extra):
    made = logging.LogRecord("n", logging.ERROR, "p", 1, msg, args, exc_info)
    made.__dict__.update(extra)
    return made


def take(one, *faces, notes=None, **flags):
    notes = [] if notes is None else notes
    ((fields, mask, size, captured),) = capture(
        one, gate(*(faces or [MemorySink()]), **flags), lambda *n: notes.append(n)
    )
    return fields, mask, size, in_full(captured)


class Thing:
    def __init__(self, text="thing"):
        self.text = text
        self.asked = 0

    def __str__(self):
        self.asked += 1
        return self.text

    __repr__ = __str__


@pytest.mark.parametrize(
    "value",
    ["s", 1, 1.5, True, None, b"b", 1j, datetime.datetime(2024, 1, 1), decimal.Decimal("1.1"), uuid.UUID(int=1)],
)
def test_values_that_can_never_change_are_left_for_the_worker(value):
    fields, _, _, _ = take(record("%s", value))
    assert (fields["msg"], fields["args"]) == ("%s", (value,))


@pytest.mark.parametrize("value", [[1], {"a": 1}, (1, [2]), Thing(), object(), frozenset(), type("S", (str,), {})("x")])
def test_a_value_that_could_change_is_merged_on_the_caller_and_the_template_kept(value):
    fields, _, _, captured = take(record("a %s", value, 1) if False else record("a %s", value))
    assert fields["args"] is None
    assert fields["msg"] == f"a {value}"
    assert captured.template == "a %s"


def test_each_value_is_asked_for_its_text_once():
    thing = Thing()
    take(record("%s", thing), MemorySink(), MemorySink())
    assert thing.asked == 1


def test_named_arguments_are_merged():
    assert take(record("%(a)s", {"a": [1]}))[0]["msg"] == "[1]"


def test_a_message_that_is_no_string_becomes_one():
    assert take(record(Thing("text")))[0]["msg"] == "text"
    assert take(record({"event": "x"}))[0]["msg"] == "{'event': 'x'}"


def test_an_event_dict_stays_one_for_a_formatter_that_users_wrote():
    event = {"event": "x"}
    fields, _, _, captured = take(record(event), MemorySink(formatter=Users()))
    assert fields["msg"] == event
    assert fields["msg"] is not event
    assert captured.context is not None


def test_long_texts_are_cut_with_a_marker():
    for one in (record("x" * (MAX_TEXT + 1)), record("%s", "x" * (MAX_TEXT + 1)), record("m", stack_info="x" * 10**7)):
        fields, _, size, captured = take(one)
        assert size < 3 * MAX_TEXT
    assert "asynclog cut" in fields["stack_info"]


def test_the_context_is_copied_only_for_code_that_may_read_it():
    assert take(record())[3].context is None
    assert isinstance(take(record(), MemorySink(formatter=Users()))[3].context, contextvars.Context)
    assert isinstance(take(record(), runs_user_code=True)[3].context, contextvars.Context)


def raised():
    try:
        raise ValueError("x")
    except ValueError as error:
        return (type(error), error, error.__traceback__)


def test_an_exception_is_captured_and_not_kept():
    fields, _, size, captured = take(record(exc_info=raised()))
    assert fields["exc_info"] is None
    assert captured.live is None
    assert captured.exception.text == "x"


def test_a_live_exception_is_kept_for_those_who_need_it():
    exc_info = raised()
    assert take(record(exc_info=exc_info), wants_live=True)[3].live == exc_info


def test_extras_that_nobody_can_read_are_let_go():
    fields, _, _, _ = take(record(request=object(), user="ada"))
    assert "request" not in fields
    assert fields["user"] == "ada"


def test_an_extra_that_a_format_names_becomes_text_on_the_caller():
    face = MemorySink(formatter=logging.Formatter("%(message)s %(who)s"))
    _, _, _, captured = take(record(who=Thing("ada")), face, MemorySink())
    assert captured.lines == {1: "m ada"}


def test_a_format_that_cannot_print_an_extra_costs_a_placeholder_and_is_noted():
    class Raises:
        def __str__(self):
            raise ValueError

    notes = []
    face = MemorySink(formatter=logging.Formatter("%(who)s %(message)s"))
    _, _, _, captured = take(record(who=Raises()), face, notes=notes)
    assert "the formatter raised: ValueError" in captured.lines[1]
    assert captured.lines[1].endswith(" m")
    assert notes[0][0] == "formatter_error"


def test_extras_of_a_json_lane_are_frozen():
    tags = ["a"]
    fields, _, _, _ = take(record(tags=tags), MemorySink(formatter=asynclog.JSONFormatter()))
    tags.append("b")
    assert list(fields["tags"]) == ["a"]


def test_entries_of_one_record_share_its_outcome():
    def change(one):
        one.msg = "changed"
        return True

    entries = capture(record(), gate(MemorySink(), MemorySink(filters=[change]), MemorySink()), lambda *n: None)
    assert [entry[1] for entry in entries] == [0b001, 0b110]
    assert entries[0][3].shared is entries[1][3].shared
    assert entries[0][3].shared.left == 3


def test_what_was_captured_for_all_meets_the_gate_later():
    def tag(one):
        assert one.exc_info[1].args or True
        one.tag = "t"
        return True

    exc_info = raised()
    entry = capture_for_all(record("a %s", 1, exc_info=exc_info), lambda *n: None)
    assert entry[1] == -1
    late = capture_late(entry, gate(MemorySink(), MemorySink(filters=[tag])), lambda *n: None)
    assert [(one[1], one[0].get("tag"), one[0]["exc_info"]) for one in late] == [(1, None, None), (2, "t", None)]
    assert all(in_full(one[3]).exception.text == "x" for one in late)
    assert late[0][3].shared.left == 2


def test_what_no_lane_wants_later_is_no_entry():
    entry = capture_for_all(record(), lambda *n: None)
    assert capture_late(entry, gate(MemorySink(filters=[lambda one: False])), lambda *n: None) == []
