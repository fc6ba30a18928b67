"""Into a lane that folds records: each is counted in its group at once, and few are rendered."""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Any

from asynclog.delivery.fingerprint import Fingerprint, Fingerprinter
from asynclog.delivery.intake import Intake, pacer
from asynclog.values import Captured, Item, SharedOutcome

if TYPE_CHECKING:
    from asynclog.delivery.storm_lane import StormLane

_Unnamed = tuple[dict[str, Any], Captured | None, int, SharedOutcome | None]
_Named = tuple[_Unnamed, Fingerprint]
_Unrendered = tuple[dict[str, Any], Captured | None, int, Fingerprint]


class StormIntake(Intake):
    """Finds records' groups, has them counted, and renders those that are kept whole.

    A ``fingerprint`` function that the user wrote runs where formatters run: on the lane's own
    thread, in the caller's context. All other groups are found on the loop, where it is a look-up.

    Attributes:
        formatting: Records whose group is not known yet: they are with the thread.
        rendering: For each record that the thread renders, how many had been counted before it.
    """

    def __init__(self, lane: StormLane) -> None:
        super().__init__(lane)
        self._storm_lane = lane
        override = lane.sink.fingerprint
        self._asks = override is not None
        self._fingerprinter = Fingerprinter(override, self._tell)
        self._forget()

    def _forget(self) -> None:
        self.rendering: collections.deque[int] = collections.deque()
        self._unnamed: list[_Unnamed] = []
        self._unrendered: list[_Unrendered] = []
        self._found: collections.deque[_Named] = collections.deque()
        self._rendered: collections.deque[tuple[Fingerprint, Item | None]] = collections.deque()

    def _tell(self, error: BaseException) -> None:
        self.lane.board.tell(
            "fingerprint_error",
            self.lane.name,
            f"finding a record's group raised {type(error).__name__}; the default stood in",
        )

    def take(self, fields: dict[str, Any], captured: Captured | None, size: int, shared: SharedOutcome | None) -> None:
        """Count a record, or set it aside for the thread that asks for its group."""
        if self.lane.face.formatter is not self._formatter:
            self._look()
        if self._asks:
            self._unnamed.append((fields, captured, size, shared))
            self.formatting += 1
        else:
            self._count(fields, captured, size, shared, self._fingerprinter.of(fields, captured))

    def _count(
        self,
        fields: dict[str, Any],
        captured: Captured | None,
        size: int,
        shared: SharedOutcome | None,
        group: Fingerprint,
    ) -> None:
        lane = self._storm_lane
        if not lane.fold(fields, group, shared):
            return
        if self._by_user:
            self._unrendered.append((fields, captured, size, group))
            self.rendering.append(lane.folded - 1)
        else:
            lane.storm.keep(group, self._whole(fields, captured, size))

    def _whole(self, fields: dict[str, Any], captured: Captured | None, size: int) -> Item | None:
        """Render a record; ``None`` where that fails: it is counted all the same."""
        try:
            return self._finished(fields, captured, size, None)
        except BaseException as error:  # out of memory, or a fault of ours
            self.lane.board.tell("lane_error", self.lane.name, f"a record is only counted: {type(error).__name__}")
            return None

    def end_slice(self) -> None:
        """Send what was set aside to the lane's thread."""
        if self._unnamed:
            unnamed, self._unnamed = self._unnamed, []
            self._thread.submit(self._name_all, unnamed, lambda _: self.collect())
        if self._unrendered:
            unrendered, self._unrendered = self._unrendered, []
            self._thread.submit(self._render_all, unrendered, lambda _: self.collect())

    # -- on the lane's thread --------------------------------------------------------------------

    def _name_all(self, unnamed: list[_Unnamed]) -> None:
        pace = pacer()
        of = self._fingerprinter.of
        for one in unnamed:
            fields, captured, _, _ = one
            if captured is not None and captured.context is not None:
                group = captured.context.copy().run(of, fields, captured)
            else:
                group = of(fields, captured)
            self._found.append((one, group))
            pace()

    def _render_all(self, unrendered: list[_Unrendered]) -> None:
        pace = pacer()
        for fields, captured, size, group in unrendered:
            self._rendered.append((group, self._whole(fields, captured, size)))
            pace()

    # -- back on the loop ------------------------------------------------------------------------

    def collect(self) -> None:
        """Take over what the thread has done; called on the loop."""
        while self._found:
            (fields, captured, size, shared), group = self._found.popleft()
            self.formatting -= 1
            self._count(fields, captured, size, shared, group)
        while self._rendered:
            group, item = self._rendered.popleft()
            if self.rendering:
                self.rendering.popleft()
            self._storm_lane.storm.keep(group, item)
        self.end_slice()
        self.lane.wake()

    def after_fork(self) -> None:
        """Forget the parent's thread and what it was given."""
        super().after_fork()
        self._forget()
