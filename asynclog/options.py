"""The options model: every keyword of `wrap`, `install`, `RecordQueue` and `QueueListener`, checked when given.

Related options travel as one frozen dataclass, so that a keyword is named, checked and given its
default in one place, whichever of the four doors it came in by.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from asynclog import checks

OVERFLOWS = ("drop_oldest", "drop_newest", "block")
EXCEPTIONS = ("capture", "keep")

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class QueueOptions:
    """How much may wait, and what happens when more comes.

    Args:
        maxsize: Records that may wait in the queue, and in each lane behind it; default 10,000.
        max_memory: Bytes, by asynclog's estimate, that they may take; default 64 MiB.
        overflow: ``"drop_oldest"`` (default), ``"drop_newest"``, or ``"block"``: the logging call
            waits for room, up to 1 s or as many seconds as ``"block:0.25"`` says, then drops.
        exceptions: ``"capture"``: frames' positions are taken and nothing is pinned; ``"keep"``:
            the live exception goes along, with every local of every frame. Default ``None``:
            captured, and kept for third-party handlers only.

    Raises:
        OptionTypeError: An option is of the wrong type.
        OptionValueError: An option has a value it cannot take.
    """

    maxsize: int = 10_000
    max_memory: int = 64 * 1024 * 1024
    overflow: str = "drop_oldest"
    exceptions: str | None = None
    block_timeout: float = dataclasses.field(default=1.0, init=False)

    def __post_init__(self) -> None:
        checks.integer("maxsize", self.maxsize, minimum=1)
        checks.integer("max_memory", self.max_memory, minimum=65_536)
        if self.exceptions is not None:
            checks.choice("exceptions", self.exceptions, EXCEPTIONS)
        self._split_overflow()

    def _split_overflow(self) -> None:
        policy: Any = self.overflow
        if isinstance(policy, str) and policy.startswith("block:"):
            try:
                timeout = float(policy.removeprefix("block:"))
            except ValueError:
                checks.bad_value("overflow", policy, 'give the seconds to wait as in "block:0.25"')
            object.__setattr__(self, "block_timeout", checks.seconds("overflow", timeout, positive=True))
            object.__setattr__(self, "overflow", "block")
        else:
            checks.choice("overflow", policy, OVERFLOWS)


@dataclass(frozen=True, slots=True)
class LaneOptions:
    """How one lane batches, retries and ends.

    Args:
        batch_records: Records in one batch at most; default the sink's own (files 1,000); mail
            under storm control has no batches.
        batch_age: Seconds that a record waits for company after something was sent; the first
            after a quiet spell never waits. Default the sink's own (files 0). Mail under storm control has
            a pace of its own, see ``digest_interval``.
        retry_initial: Seconds before the first retry at most (full jitter); default 1. Doubles
            with every failure.
        retry_max: Seconds between retries at most; default 60.
        breaker_reset: Seconds between single attempts once the breaker is open; default 60.
        exit_timeout: Seconds that the interpreter's end may take for what is left; default 5.
        on_alarm: Called with an `Alarm` when something is wrong with the delivery, on a thread of
            asynclog's own; default none. The line on stderr is written all the same.

    Raises:
        OptionTypeError: An option is of the wrong type.
        OptionValueError: An option has a value it cannot take.
    """

    batch_records: int | None = None
    batch_age: float | None = None
    retry_initial: float = 1.0
    retry_max: float = 60.0
    breaker_reset: float = 60.0
    exit_timeout: float = 5.0
    on_alarm: Callable[[Any], object] | None = None

    def __post_init__(self) -> None:
        if self.batch_records is not None:
            checks.integer("batch_records", self.batch_records, minimum=1)
        if self.batch_age is not None:
            checks.seconds("batch_age", self.batch_age)
        checks.seconds("retry_initial", self.retry_initial, positive=True)
        checks.seconds("retry_max", self.retry_max, positive=True)
        if self.retry_max < self.retry_initial:
            checks.bad_value(
                "retry_max", self.retry_max, f"give at least retry_initial, which is {self.retry_initial:g}"
            )
        checks.seconds("breaker_reset", self.breaker_reset, positive=True)
        checks.seconds("exit_timeout", self.exit_timeout)
        if self.on_alarm is not None:
            checks.function("on_alarm", self.on_alarm)


QUEUE_OPTIONS = frozenset(field.name for field in dataclasses.fields(QueueOptions) if field.init)
LANE_OPTIONS = frozenset(field.name for field in dataclasses.fields(LaneOptions))


def take(model: type[_T], names: frozenset[str], keywords: Mapping[str, Any]) -> _T:
    """Build an options model from the keywords that are its own."""
    return model(**{name: value for name, value in keywords.items() if name in names})
