"""The gate: which lanes want a record, asked on the calling thread.

Levels and filters run here, in handler order, before anything is captured: filters may read the
request, and they may change or replace the record, as under `logging`. What no lane wants is
refused before it is counted.
"""

from __future__ import annotations

import logging
import re
import string
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from asynclog.plain import COMPUTED, STANDARD_FIELDS, is_overridden_on
from asynclog.render.carried import LEAD_UP, Kept, lead_ups
from asynclog.render.jsonline import JSONFormatter
from asynclog.render.line import is_from_outside, is_standard
from asynclog.values import FIRST_BIT

if TYPE_CHECKING:
    from asynclog.capture.context import Provider
    from asynclog.capture.lead_up import LeadUpBuffer
    from asynclog.sinks.base import Sink

#: Called with a kind and a text when the app's own code raised on the caller's path.
Note = Callable[[str, str], None]

_PERCENT_NAME = re.compile(r"%\((\w+)\)")


class LaneGate:
    """What the caller must know of one lane.

    Args:
        bit: The lane's bit in the mask.
        face: The handler whose level, filters and formatter rule.
        runs_user_code: Whether the handler runs code that may read the caller's context.
        wants_live: Whether the handler needs the live exception.
        providers: Asked about the request, for records at ERROR and above.
        lead_up: Earlier records of the same request that such a record takes along, at most.
        lead_up_given: Whether that is worth the fast path of a handler that is wrapped alone.
    """

    __slots__ = (
        "bit",
        "face",
        "formatter",
        "has_own_filter",
        "lead_up",
        "lead_up_given",
        "mark",
        "names",
        "providers",
        "runs_user_code",
        "takes_extras",
        "wants_context",
        "wants_live",
    )

    def __init__(
        self,
        bit: int,
        face: logging.Handler,
        *,
        runs_user_code: bool,
        wants_live: bool,
        providers: tuple[Provider, ...] = (),
        lead_up: int = 0,
        lead_up_given: bool = False,
    ) -> None:
        self.bit = bit
        #: The bit as the fast path queues it: that of a listener's first lane is understood.
        self.mark = None if bit == FIRST_BIT else bit
        self.face = face
        self.providers = providers
        self.lead_up = lead_up
        self.lead_up_given = lead_up_given
        self.runs_user_code = runs_user_code
        self.wants_live = wants_live
        self.refresh()

    @classmethod
    def of_sink(cls, bit: int, face: logging.Handler, sink: Sink) -> LaneGate:
        """Return what the caller must know of the lane that serves a sink."""
        return cls(
            bit,
            face,
            runs_user_code=sink.runs_user_code,
            wants_live=sink.wants_live,
            providers=sink.context,
            lead_up=sink.lead_up,
            lead_up_given=sink.lead_up_given,
        )

    def refresh(self) -> None:
        """Look again at the handler's formatter: it was set anew."""
        self.formatter = self.face.formatter
        #: Whether the handler overrides `logging.Filterer.filter` itself.
        own = type(self.face).filter is not logging.Filterer.filter
        self.has_own_filter = own or is_overridden_on(self.face, "filter")
        standard = is_standard(self.face)
        self.takes_extras = isinstance(self.formatter, JSONFormatter)
        self.wants_context = self.runs_user_code or not (standard or self.takes_extras)
        #: The extras that the format names.
        self.names = _names(self.formatter) if standard else frozenset()


class _Nobody:
    """Stands where the fast path asks a lone lane's handler for its level: no record comes up to it."""

    level = sys.maxsize


#: The face of `SeveralLanes`: by this the fast path knows them, and a lone lane is asked nothing more.
NOBODY: Final = _Nobody()


class SeveralLanes:
    """Lanes of one listener none of which needs the caller's context or the live exception.

    Or a lone one whose records take facts or lead-up records along.

    Attributes:
        face: `NOBODY`.
        lanes: In handler order.
        carrying: Their gate, where some take facts or lead-up records along, or records are kept for
            others that do.
    """

    __slots__ = ("_marks", "carrying", "face", "lanes")

    def __init__(self, lanes: tuple[LaneGate, ...], carrying: Gate | None) -> None:
        self.face = NOBODY
        self.lanes = lanes
        self.carrying = carrying
        # One object for each set of lanes: records that wait are told apart by its identity.
        self._marks: dict[int, int | None] = {FIRST_BIT: None}

    def mask_of(self, levelno: int) -> int:
        """Return which lanes want a record of a level; -1 where a filter or a new formatter is to be asked."""
        mask = 0
        for lane in self.lanes:
            face = lane.face
            if face.filters or face.formatter is not lane.formatter:
                return -1
            if levelno >= face.level:
                mask |= lane.bit
        return mask

    def mark_of(self, mask: int) -> int | None:
        """Return a set of lanes as the queue holds it."""
        return self._marks.setdefault(mask, mask)


class Gate:
    """The lanes of one listener, as the caller sees them.

    Args:
        lanes: In handler order.
        lead_up: Keeps the last records of each request; ``None``: nothing does.
        for_others: Whether records are kept for lanes of the listener that are behind another gate,
            though no lane here wants them.

    Attributes:
        lanes: In handler order.
        carrying: The lanes whose records take facts or lead-up records along.
        asks_from: The lowest level from which on one of their providers is asked for facts.
        taking: The mask of those that take lead-up records along.
        lead_up: Keeps the last records of each request, where a lane wants them and the records
            don't go the fast path for it, or lanes behind another gate do.
        only: The one lane whose records need nothing special, where there is but one; for several, or
            where it takes something along, `SeveralLanes`: the fast path asks for nothing else.
            ``None`` where the careful path has to look.
    """

    __slots__ = ("asks_from", "carrying", "lanes", "lead_up", "only", "taking")

    def __init__(
        self, lanes: Sequence[LaneGate], lead_up: LeadUpBuffer | None = None, *, for_others: bool = False
    ) -> None:
        self.lanes = tuple(lanes)
        is_worth_it = len(lanes) > 1 or any(lane.lead_up_given for lane in lanes)
        is_wanted = for_others or (is_worth_it and any(lane.lead_up for lane in lanes))
        self.lead_up = lead_up if is_wanted else None
        self.carrying = tuple(lane for lane in lanes if lane.providers or (lane.lead_up and self.lead_up is not None))
        levels = [getattr(one, "level", logging.ERROR) for lane in lanes for one in lane.providers]
        self.asks_from = min(levels, default=sys.maxsize)
        self.taking = sum(lane.bit for lane in self.carrying if lane.lead_up)
        self.only: LaneGate | SeveralLanes | None = None
        self.refresh()

    def refresh(self) -> None:
        """Look again at every handler's formatter."""
        for lane in self.lanes:
            if lane.face.formatter is not lane.formatter:
                lane.refresh()
        carries = self.lead_up is not None or bool(self.carrying)
        self.only = None
        if any(lane.wants_context or lane.wants_live or lane.has_own_filter for lane in self.lanes):
            return
        if len(self.lanes) == 1 and not carries:
            self.only = self.lanes[0]
        elif self.lanes:
            self.only = SeveralLanes(self.lanes, self if carries else None)

    def with_lead_up(self, mask: int, kept: Sequence[Kept]) -> dict[int, dict[str, Any]]:
        """Return what led up to a record for each of its lanes that takes it along."""
        before = lead_ups(kept)
        lanes = [lane for lane in self.carrying if lane.lead_up and lane.bit & mask]
        return {lane.bit: {LEAD_UP: before[-lane.lead_up :]} for lane in lanes}

    def admit(self, record: logging.LogRecord, note: Note) -> list[tuple[int, logging.LogRecord, dict[str, Any]]]:
        """Ask every lane, in order.

        Returns:
            Groups of lanes that saw the same record: their mask, the record and a copy of its
            attributes. One group unless a filter changed or replaced the record for the lanes
            after it (or for itself).
        """
        groups: list[tuple[int, logging.LogRecord, dict[str, Any]]] = []
        mask = 0
        for lane in self.lanes:
            face = lane.face
            if face.formatter is not lane.formatter:
                self.refresh()
            if record.levelno < face.level:
                continue
            if not face.filters and not lane.has_own_filter:
                mask |= lane.bit
                continue
            before = record.__dict__.copy() if mask else None
            verdict = _ask(face, record, note)
            if before is not None and _changed(before, record.__dict__):
                groups.append((mask, record, before))
                mask = 0
            if isinstance(verdict, logging.LogRecord) and verdict is not record:
                groups.append((lane.bit, verdict, verdict.__dict__.copy()))
            elif verdict:
                mask |= lane.bit
        if mask:
            groups.append((mask, record, record.__dict__.copy()))
        return groups


def _ask(face: logging.Filterer, record: logging.LogRecord, note: Note) -> Any:
    """Ask a handler's filters; one that raises is counted and the record passes."""
    try:
        return face.filter(record)
    except BaseException as error:
        if is_from_outside(error):
            raise
        note("filter_error", f"a filter of {type(face).__name__} raised {type(error).__name__}; the record passed")
        return True


def _changed(before: dict[str, Any], after: dict[str, Any]) -> bool:
    # By identity: comparing values would run their __eq__.
    return len(before) != len(after) or any(after.get(name, before) is not value for name, value in before.items())


def _names(formatter: logging.Formatter | None) -> frozenset[str]:
    """Return the extras that a standard formatter's format names."""
    if formatter is None:
        return frozenset()
    template = formatter._style._fmt
    if isinstance(formatter._style, logging.StrFormatStyle):
        fields = {field.split(".")[0].split("[")[0] for _, field, _, _ in string.Formatter().parse(template) if field}
    elif isinstance(formatter._style, logging.StringTemplateStyle):
        fields = set(string.Template(template).get_identifiers())
    else:
        fields = set(_PERCENT_NAME.findall(template))
    return frozenset(fields - STANDARD_FIELDS - set(COMPUTED))
