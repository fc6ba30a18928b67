"""The lanes of one listener: opened and closed, found by an entry's mask, and told of to the callers."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

from asynclog.alarm import AlarmBoard
from asynclog.capture.gate import Gate, LaneGate
from asynclog.capture.lead_up import LeadUpBuffer
from asynclog.capture.scope import request_scope
from asynclog.clock import Clock
from asynclog.delivery.lane import Lane
from asynclog.delivery.storm_lane import StormLane
from asynclog.ledger import unused_name
from asynclog.options import LaneOptions
from asynclog.queue import RecordQueue
from asynclog.sinks.convert import sink_for
from asynclog.values import FIRST_BIT
from asynclog.worker import load_libraries


class Lanes:
    """Opens a lane for each handler, and keeps the queue's gate in step with them.

    Args:
        inner: The queue that is drained into them; its bounds hold for each lane too.
        options: The lanes' options.
        board: Where their alarms go.
        clock: Where time comes from.

    Attributes:
        all: The lanes there are; replaced and never changed, for it is read on several threads.
        by_mask: The lanes of each mask that an entry came with; replaced with every change.
    """

    def __init__(self, inner: RecordQueue, options: LaneOptions, board: AlarmBoard, clock: Clock) -> None:
        self._inner = inner
        self._options = options
        self._board = board
        self._clock = clock
        self.all: tuple[Lane, ...] = ()
        self.by_mask: dict[int, tuple[Lane, ...]] = {}
        self._next_bit = FIRST_BIT
        self._lead_up: LeadUpBuffer | None = None

    def make(self, handlers: Iterable[logging.Handler], mail_options: dict[str, Any]) -> list[Lane]:
        """Make a lane for each handler that has none; `add` opens them."""
        lanes = list(self.all)
        for handler in handlers:
            if not any(lane.face is handler for lane in lanes):
                lanes.append(self._make_one(handler, [lane.name for lane in lanes], mail_options))
        return lanes[len(self.all) :]

    def _make_one(self, handler: logging.Handler, names: list[str], mail_options: dict[str, Any]) -> Lane:
        bounds = self._inner.options
        sink = sink_for(handler, **mail_options)
        if bounds.exceptions is not None:
            sink.wants_live = bounds.exceptions == "keep"
        # Never a bit that was another lane's: records in the queue may still carry it.
        bit = self._next_bit
        self._next_bit <<= 1
        if sink.sends_mail:
            load_libraries()  # for the first mail of an app that is busy
        name = unused_name(sink.label, names)
        kind = StormLane if sink.folds else Lane
        return kind(sink, handler, self._options, bounds, self._board, self._inner.ledger, name, bit, self._clock)

    def add(self, lanes: Iterable[Lane]) -> None:
        """Let callers put records into these lanes too."""
        self._replace((*self.all, *lanes))

    def remove(self, handler: logging.Handler) -> list[Lane]:
        """Take a handler's lanes out; return them: they are not ended."""
        gone = [lane for lane in self.all if lane.face is handler]
        self._replace(tuple(lane for lane in self.all if lane.face is not handler))
        return gone

    def _replace(self, lanes: tuple[Lane, ...]) -> None:
        self.all = lanes
        self.by_mask = {}
        self._inner.gate = self.gate_for(lanes)

    def gate_for(self, lanes: Sequence[Lane]) -> Gate:
        """Return what the caller must know of some of the lanes."""
        wanted = max((lane.sink.lead_up for lane in (*lanes, *self.all)), default=0)
        if wanted and (self._lead_up is None or self._lead_up.size < wanted):
            self._lead_up = LeadUpBuffer(wanted, request_scope)
        # Only where it was asked for: the fast path of every other handler is a price to be paid knowingly.
        for_others = any(lane.sink.lead_up_given for lane in self.all)
        gates = [LaneGate.of_sink(lane.bit, lane.face, lane.sink) for lane in lanes]
        return Gate(gates, self._lead_up, for_others=for_others)

    def of_mask(self, mask: int) -> tuple[Lane, ...]:
        """Return the lanes that an entry is for, as far as they are still open."""
        by_mask = self.by_mask  # one and the same: it may be replaced meanwhile
        lanes = by_mask.get(mask)
        if lanes is None:
            lanes = by_mask[mask] = tuple(lane for lane in self.all if lane.bit & mask)
        return lanes

    def missing(self, lane: Lane) -> dict[str, str]:
        """Return a stand-in for each extra that a lane's format names: no filter will have set it."""
        gate = self._inner.gate
        return {name: "-" for one in (gate.lanes if gate else ()) if one.bit == lane.bit for name in one.names}
