"""Capture: from the record what would change or die after the call returns, and nothing more."""

from __future__ import annotations

import contextvars
import logging
import sys
from collections.abc import Sequence
from typing import Any

from asynclog.capture.context import take_facts
from asynclog.capture.exception import capture_exc_info
from asynclog.capture.gate import Gate, LaneGate, Note
from asynclog.captured import Lone, lone_exception
from asynclog.plain import COMPUTED, FRAME_SIZE, IMMUTABLE, RECORD_SIZE, STANDARD_FIELDS, size_of
from asynclog.render.carried import FACTS, LEAD_UP, Kept, LeadUp, carried_size, lead_ups
from asynclog.render.jsonline import freeze
from asynclog.render.line import MAX_TEXT, cut, is_from_outside, line_on_caller, merge_message, placeholder
from asynclog.render.rebuild import rebuild
from asynclog.values import Captured, Entry, SharedOutcome, in_full

#: A caller's time and memory for the extras of one record in a JSON lane.
FREEZE_BUDGET = 64 * 1024
#: Characters of a template that are kept besides the message made of it.
MAX_TEMPLATE = 4096


def capture(record: logging.LogRecord, gate: Gate, note: Note) -> list[Entry]:
    """Capture a record for the lanes that want it.

    Args:
        record: The record, on the thread that logged it.
        gate: The lanes.
        note: Told of what the app's own code raised meanwhile.

    Returns:
        No entry when no lane wants it; one, or several that settle together where a filter
        changed the record between two lanes.
    """
    groups = gate.admit(record, note)
    entries = _sharing([_entry(mask, one, fields, gate, note) for mask, one, fields in groups])
    return _carrying(entries, gate, note) if entries and (gate.carrying or gate.lead_up is not None) else entries


def capture_for_all(record: logging.LogRecord, note: Note) -> Entry:
    """Capture a record that no gate was asked about: nobody knows yet who will read it."""
    return _entry(-1, record, record.__dict__.copy(), None, note)


def capture_merged(record: logging.LogRecord, fields: dict[str, Any], size: int, lane: LaneGate, note: Note) -> Entry:
    """Capture a record that is plain but for an argument that could change, for one lane that asks for nothing else.

    What `capture` makes of such a record, without the questions that the fast path has asked already.

    Args:
        record: The record, of logging's own class, with a template of type `str`.
        fields: A copy of its attributes, with no others than those that cannot change.
        size: Characters in those that are not standard.
        lane: The lane.
        note: Told of what an argument raised meanwhile.
    """
    captured = Captured()
    if fields["exc_info"]:
        size += _take_exception(fields, captured, keep=False)
    else:
        fields["exc_info"] = None
    msg = record.msg
    text, error = merge_message(msg, record.args)
    if error is not None:
        note("message_error", f"a message of logger {record.name} could not be merged: {type(error).__name__}")
    captured.template = msg if len(msg) <= MAX_TEMPLATE else cut(msg, MAX_TEMPLATE)
    fields["msg"], fields["args"] = text, None
    return fields, lane.bit, RECORD_SIZE + size + len(text), captured


def capture_late(entry: Entry, gate: Gate, note: Note) -> list[Entry]:
    """Ask the gate about a record that was captured for all; on the worker's side.

    Returns:
        As `capture`: what the filters changed on the way is in the entries.
    """
    fields, _, size, carried = entry
    first = in_full(carried) or Captured()
    record = rebuild(fields.copy(), first)
    stand_in = record.exc_info
    entries: list[Entry] = []
    for mask, one, changed in gate.admit(record, note):
        same = stand_in is not None and changed["exc_info"] is stand_in
        if same:
            changed["exc_info"] = None
        changed, mask, _, captured = _entry(mask, one, changed, gate, note)  # noqa: PLW2901
        assert isinstance(captured, Captured)
        if same:
            captured.exception, captured.live = first.exception, first.live
        captured.context = first.context
        captured.template = captured.template or first.template
        entries.append((changed, mask, size, captured))
    return _sharing(entries)


def _sharing(entries: list[Entry]) -> list[Entry]:
    if len(entries) > 1:
        shared = SharedOutcome(sum(mask.bit_count() for _, mask, _, _ in entries))
        for _, _, _, captured in entries:
            assert isinstance(captured, Captured)
            captured.shared = shared
    return entries


def _carrying(entries: list[Entry], gate: Gate, note: Note) -> list[Entry]:
    """Give errors what their mails show besides them, and keep the record for those that come after it."""
    first = entries[0][0]
    found = _carried(first, [entry[1] for entry in entries], gate, note)
    given: list[Entry] = []
    for (fields, mask, size, captured), carried in zip(entries, found, strict=True):
        assert isinstance(captured, Captured)
        captured.carried = carried
        given.append((fields, mask, size + sum(map(carried_size, (carried or {}).values())), captured))
    return given


def _carried(
    fields: dict[str, Any], masks: list[int], gate: Gate, note: Note
) -> list[dict[int, dict[str, Any]] | None]:
    """Keep a record for those that come after it, and return what it takes along itself, by lane, for each mask."""
    buffer = gate.lead_up
    found: list[dict[int, dict[str, Any]] | None] = [None for _ in masks]
    try:
        levelno = fields["levelno"]
        before = () if buffer is None else buffer.note(fields, asked=levelno >= logging.ERROR)
        if before or levelno >= gate.asks_from:
            found = [_of_lanes(levelno, mask, gate, before, note) for mask in masks]
    except Exception as error:  # a record of an odd shape: it goes without
        note("context_error", f"what led up to a record could not be kept: {type(error).__name__}")
    return found


def _of_lanes(
    levelno: int, mask: int, gate: Gate, before: tuple[LeadUp, ...], note: Note
) -> dict[int, dict[str, Any]] | None:
    found: dict[int, dict[str, Any]] = {}
    for lane in gate.carrying:
        if not lane.bit & mask:
            continue
        facts = take_facts(levelno, lane.providers, note) if lane.providers else None
        carried: dict[str, Any] = {FACTS: facts} if facts else {}
        if lane.lead_up and before:
            carried[LEAD_UP] = before[-lane.lead_up :]
        if carried:
            found[lane.bit] = carried
    return found or None


def carrying_alone(
    fields: dict[str, Any], mask: int, size: int, lone: Lone | None, before: Sequence[Kept], gate: Gate, note: Note
) -> Entry:
    """Return a record of the fast path with what `capture` adds at last, where lanes ask for facts.

    Args:
        fields: A copy of its attributes, with no others than those that cannot change.
        mask: The lanes that want it.
        size: What it takes, in bytes by estimate.
        lone: Its exception.
        before: What led up to it.
        gate: The lanes.
        note: Told of what the app's own code raised meanwhile.
    """
    captured = Captured()
    captured.carried = carried = _of_lanes(fields["levelno"], mask, gate, lead_ups(before), note)
    captured.exception = None if lone is None else lone_exception(lone)
    fields["exc_info"] = None
    return fields, mask, size + sum(map(carried_size, (carried or {}).values())), captured


def _entry(mask: int, record: logging.LogRecord, fields: dict[str, Any], gate: Gate | None, note: Note) -> Entry:
    captured = Captured()
    lanes = [lane for lane in gate.lanes if lane.bit & mask] if gate is not None else []
    size = RECORD_SIZE + _take_exception(fields, captured, keep=any(lane.wants_live for lane in lanes))
    _take_message(record, fields, captured, note, keep_dict=any(lane.wants_context for lane in lanes))
    size += len(fields["msg"]) + sum(map(size_of, fields["args"] or ()))
    if gate is None or any(lane.wants_context for lane in lanes):
        captured.context = contextvars.copy_context()
    if len(fields) > len(STANDARD_FIELDS):
        size += _take_extras(fields, lanes, captured, note)
    if fields["stack_info"]:
        fields["stack_info"] = cut(str(fields["stack_info"]))
        size += len(fields["stack_info"])
    return fields, mask, size, captured


def _take_exception(fields: dict[str, Any], captured: Captured, *, keep: bool) -> int:
    exc_info = fields["exc_info"]
    if not exc_info:
        return size_of(fields["exc_text"])
    if isinstance(exc_info, BaseException):
        exc_info = (type(exc_info), exc_info, exc_info.__traceback__)
    elif not isinstance(exc_info, tuple):
        exc_info = sys.exc_info()
    fields["exc_info"] = None
    if keep:
        captured.live = exc_info
    captured.exception = capture_exc_info(exc_info)
    if captured.exception is None:
        return 0
    return captured.exception.frame_count * FRAME_SIZE + captured.exception.text_size


def _take_message(
    record: logging.LogRecord, fields: dict[str, Any], captured: Captured, note: Note, *, keep_dict: bool
) -> None:
    """Merge the message now if it could change; else leave template and arguments to the worker."""
    msg, args = fields["msg"], fields["args"]
    kind = type(record)
    if keep_dict and type(msg) is dict and not args:
        fields["msg"] = msg.copy()  # structlog's event dict: its formatter reads it in the worker
        return
    own = kind is not logging.LogRecord and kind.getMessage is not logging.LogRecord.getMessage
    if not own and type(msg) is str and len(msg) <= MAX_TEXT and _is_plain(args):
        return
    if own:
        text, error = _own_message(record)
    else:
        text, error = merge_message(msg, args)
    if error is not None:
        note("message_error", f"a message of logger {fields['name']} could not be merged: {type(error).__name__}")
    captured.template = cut(msg, MAX_TEMPLATE) if type(msg) is str else None
    fields["msg"], fields["args"] = text, None


def _own_message(record: logging.LogRecord) -> tuple[str, BaseException | None]:
    try:
        return cut(str(record.getMessage())), None
    except BaseException as error:
        if is_from_outside(error):
            raise
        return placeholder("getMessage raised", error), error


def _is_plain(args: Any) -> bool:
    if not args:
        return True
    if type(args) is not tuple:  # a dict of arguments can change after the call
        return False
    return all(type(one) in IMMUTABLE and (type(one) not in (str, bytes) or len(one) <= MAX_TEXT) for one in args)


def _take_extras(fields: dict[str, Any], lanes: list[LaneGate], captured: Captured, note: Note) -> int:
    changing = [name for name, value in fields.items() if name not in STANDARD_FIELDS and type(value) not in IMMUTABLE]
    size = sum(size_of(value) for name, value in fields.items() if name not in STANDARD_FIELDS and name not in COMPUTED)
    if not changing:
        return size
    for lane in lanes:
        if not lane.names.isdisjoint(changing):
            captured.lines = captured.lines or {}
            captured.lines[lane.bit] = _line(lane.face, fields, note)
    if any(lane.takes_extras for lane in lanes):
        for name in changing:
            fields[name] = freeze(fields[name], FREEZE_BUDGET)
    elif lanes and not any(lane.wants_context or lane.wants_live for lane in lanes):
        # Nobody after the queue could read them, and they may be requests or sessions.
        for name in changing:
            del fields[name]
    return size


def _line(face: logging.Handler, fields: dict[str, Any], note: Note) -> str:
    try:
        return cut(line_on_caller(face, logging.makeLogRecord(fields)))
    except BaseException as error:
        if is_from_outside(error):
            raise
        note("formatter_error", f"the formatter of {type(face).__name__} raised {type(error).__name__}")
        message, _ = merge_message(fields["msg"], fields["args"])
        return f"{placeholder('asynclog: the formatter raised', error)} {message}"
