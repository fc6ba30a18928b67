"""The gate: which lanes want a record, asked on the calling thread."""

import logging
import sys

import pytest

import asynclog
from asynclog.capture.gate import Gate, LaneGate
from asynclog.testing import MemorySink


def gate(*faces, **flags):
    flags = {"runs_user_code": False, "wants_live": False, **flags}
    return Gate([LaneGate(1 << n, face, **flags) for n, face in enumerate(faces)])


def record(msg="m", level=logging.ERROR, **extra):
    made = logging.LogRecord("n", level, "p", 1, msg, None, None)
    made.__dict__.update(extra)
    return made


def no_note(kind, text):
    raise AssertionError(f"{kind}: {text}")


def test_levels_decide_the_mask():
    faces = [MemorySink(level=level) for level in ("DEBUG", "ERROR", "WARNING")]
    for level, mask in ((10, 0b001), (30, 0b101), (40, 0b111)):
        ((got, _, _),) = gate(*faces).admit(record(level=level), no_note)
        assert got == mask
    assert gate(MemorySink(level="ERROR")).admit(record(level=20), no_note) == []


def test_a_change_by_a_filter_splits_the_record_into_groups_and_later_lanes_see_it():
    def change(one):
        one.msg += "!"
        one.tag = 1
        return True

    faces = [MemorySink(), MemorySink(filters=[change]), MemorySink(), MemorySink(filters=[change])]
    groups = gate(*faces).admit(record(), no_note)
    assert [(mask, fields["msg"], "tag" in fields) for mask, _, fields in groups] == [
        (0b0001, "m", False),
        (0b0110, "m!", True),
        (0b1000, "m!!", True),
    ]


def test_a_filter_that_refuses_and_changes_leaves_its_change_as_under_logging():
    def change_and_refuse(one):
        one.msg = "changed"
        return False

    groups = gate(MemorySink(filters=[change_and_refuse]), MemorySink()).admit(record(), no_note)
    assert [(mask, fields["msg"]) for mask, _, fields in groups] == [(0b10, "changed")]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="filters replace records from 3.12 on")
def test_a_replaced_record_is_for_its_own_lane():
    faces = [MemorySink(filters=[lambda one: record("other")]), MemorySink()]
    groups = gate(*faces).admit(record(), no_note)
    assert [(mask, fields["msg"]) for mask, _, fields in groups] == [(0b01, "other"), (0b10, "m")]


def test_a_raising_filter_lets_the_record_pass_and_is_noted():
    notes = []
    faces = [MemorySink(filters=[lambda one: 1 / 0])]
    assert len(gate(*faces).admit(record(), lambda *note: notes.append(note))) == 1
    assert notes[0][0] == "filter_error"
    assert "ZeroDivisionError" in notes[0][1]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_a_signal_may_have_raised_passes(error):
    def raises(one):
        raise error

    with pytest.raises(error):
        gate(MemorySink(filters=[raises])).admit(record(), no_note)


@pytest.mark.parametrize(
    ("fmt", "style", "names"),
    [
        ("%(message)s %(user)s %(levelname)-8s %(n)05d", "%", {"user", "n"}),
        ("{message} {user.name} {tags[0]} {n:>5}", "{", {"user", "tags", "n"}),
        ("$message ${user} $asctime", "$", {"user"}),
        (None, "%", set()),
    ],
)
def test_it_knows_the_extras_that_a_format_names(fmt, style, names):
    face = MemorySink(formatter=logging.Formatter(fmt, style=style))
    assert gate(face).lanes[0].names == names


class Own(MemorySink):
    def filter(self, record):
        return True


@pytest.mark.parametrize(
    ("faces", "flags", "fast"),
    [
        ([MemorySink()], {}, True),
        ([MemorySink(formatter=logging.Formatter("%(message)s"))], {}, True),
        ([MemorySink(formatter=asynclog.JSONFormatter())], {}, True),
        ([MemorySink(), MemorySink()], {}, True),
        ([MemorySink(), Own()], {}, False),
        ([], {}, False),
        ([MemorySink(formatter=type("F", (logging.Formatter,), {"format": lambda s, r: ""})())], {}, False),
        ([MemorySink()], {"wants_live": True}, False),
        ([MemorySink()], {"runs_user_code": True}, False),
        ([Own()], {}, False),
    ],
)
def test_the_fast_path_is_for_plain_lanes(faces, flags, fast):
    assert (gate(*faces, **flags).only is not None) == fast


def test_a_formatter_set_later_is_noticed():
    face = MemorySink()
    one = gate(face)
    face.setFormatter(logging.Formatter("%(user)s"))
    one.admit(record(), no_note)
    assert one.lanes[0].names == {"user"}


def test_of_several_plain_lanes_those_are_chosen_that_want_the_level():
    faces = [MemorySink(level="INFO"), MemorySink(level="ERROR"), MemorySink()]
    several = gate(*faces).only
    assert [several.mask_of(levelno) for levelno in (10, 20, 40)] == [0b100, 0b101, 0b111]
    assert [several.mark_of(mask) for mask in (0b001, 0b101)] == [None, 0b101]
    faces[1].setLevel("DEBUG")
    assert several.mask_of(10) == 0b110
    faces[2].addFilter(lambda one: True)
    assert several.mask_of(10) == -1
    faces[2].filters.clear()
    faces[0].setFormatter(logging.Formatter("%(user)s"))
    assert several.mask_of(50) == -1
