"""MemorySink: a sink that keeps what it is given, and fails as it is told to."""

from __future__ import annotations

import asyncio
import collections
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

from asynclog.sinks.base import Sink
from asynclog.values import Batch, Delivered, Part, Verdict, whole

#: What one attempt comes to: a verdict on the whole batch, parts, an exception to raise, or a
#: function of the batch that returns (or raises) one of these.
Step: TypeAlias = "Verdict | BaseException | type[BaseException] | Sequence[Part] | Callable[[Batch], Any]"


class MemorySink(Sink):
    """Keeps the records and batches that are delivered to it; for the tests of apps.

    >>> sink = MemorySink(level="ERROR")
    >>> handler = asynclog.wrap(sink)
    >>> logging.getLogger("shop").addHandler(handler)
    >>> ...
    >>> handler.flush()
    >>> assert sink.messages == ["out of stock"]

    Args:
        script: What the first attempts come to, one step each: a verdict (`RetryLater("busy")`),
            parts, an exception or its class, or a function of the batch. Afterwards every attempt
            delivers.
        delay: Seconds that each attempt takes (the loop goes on meanwhile); default 0.
        batch_records: Records in one batch at most; default the sinks' own 1,000.
        batch_age: Seconds that a record waits for company after a delivery; default 0.
        keywords: ``level``, ``formatter``, ``filters`` and ``name``, as every sink takes them.

    Attributes:
        batches: Every attempt's batch, failed ones too.
        records: The records that were delivered, once each, as plain `logging.LogRecord` objects.
        texts: What the formatter made of them.
        opened: How often the sink was opened.
        closed: How often it was closed.
        cancelled: How many attempts were cancelled.
    """

    def __init__(
        self,
        script: Iterable[Step] = (),
        *,
        delay: float = 0.0,
        batch_records: int | None = None,
        batch_age: float | None = None,
        **keywords: Any,
    ) -> None:
        super().__init__(**keywords)
        self.label = self.get_name() or "memory"
        if batch_records is not None:
            self.batch_records = batch_records
        if batch_age is not None:
            self.batch_age = batch_age
        self.delay = delay
        self.script: collections.deque[Step] = collections.deque(script)
        self._always: Step | None = None
        self.after_fork()

    @property
    def messages(self) -> list[str]:
        """The delivered records' merged messages."""
        return [record.getMessage() for record in self.records]

    def fail_with(self, *steps: Step) -> None:
        """Have the next attempts come to these steps."""
        self.script.extend(steps)

    def go_down(self, step: Step) -> None:
        """Have every attempt come to this step, until `come_back`."""
        self._always = step

    def come_back(self) -> None:
        """Deliver again."""
        self._always = None

    async def open(self) -> None:
        """Count."""
        self.opened += 1

    async def deliver(self, batch: Batch) -> Sequence[Part]:
        """Do what the script says, and keep what was delivered."""
        self.batches.append(batch)
        if self.delay:
            try:
                await asyncio.sleep(self.delay)
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        parts = _played(self._next_step(), batch)
        for part in parts:
            if isinstance(part.verdict, Delivered):
                self._keep(part)
        return parts

    async def aclose(self) -> None:
        """Count."""
        self.closed += 1

    def after_fork(self) -> None:
        """Start empty in a forked child: what was delivered is the parent's."""
        self.batches: list[Batch] = []
        self.records: list[logging.LogRecord] = []
        self.texts: list[str] = []
        self.opened = self.closed = self.cancelled = 0
        self._kept: set[int] = set()

    def _next_step(self) -> Step | None:
        if self._always is not None:
            return self._always
        return self.script.popleft() if self.script else None

    def _keep(self, part: Part) -> None:
        for item in part.items:
            # Once a record, however many recipients it is delivered to. The record is kept below,
            # so its id is not used again.
            if id(item.record) not in self._kept:
                self._kept.add(id(item.record))
                self.records.append(item.record)
                self.texts.append(item.text)


def _played(step: Any, batch: Batch) -> Sequence[Part]:
    """Return the parts that a step means, or raise what it says."""
    if callable(step) and not isinstance(step, type):
        step = step(batch)
    if isinstance(step, BaseException) or (isinstance(step, type) and issubclass(step, BaseException)):
        raise step
    if step is None:
        return whole(batch, Delivered())
    if isinstance(step, (list, tuple)):
        return step
    return whole(batch, step)
