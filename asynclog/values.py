"""The values that the stages hand to one another.

What a lane gives its sink is a `Batch` of `Item`; what the sink says of it is a tuple of `Part`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias


class Item:
    """One record in one lane: rendered, so that nothing the caller lent is held any longer.

    Attributes:
        record: A plain record: the message merged or with immutable arguments, a stand-in in place
            of the live exception.
        text: What the lane's formatter made of it; empty where the handler formats by itself.
        size: Estimated bytes in memory.
        shared: What the lanes of one record settle together; ``None`` with a single lane.
    """

    # A slotted class and not a frozen dataclass: one is made for each record in each lane, and a
    # frozen dataclass's __init__ costs three times as much.
    __slots__ = ("record", "shared", "size", "text")

    def __init__(self, record: logging.LogRecord, text: str, size: int, shared: SharedOutcome | None = None) -> None:
        self.record = record
        self.text = text
        self.size = size
        self.shared = shared


class SharedOutcome:
    """The outcome of a record that several lanes serve: settled with the last, the worst wins."""

    __slots__ = ("left", "reason", "worst")

    def __init__(self, lanes: int) -> None:
        self.left = lanes
        self.worst = 0
        self.reason = ""


@dataclass(frozen=True, slots=True)
class Batch:
    """What a sink is to deliver in one go.

    Attributes:
        id: The same for every attempt, so that a retry can be told from a new mail.
        items: The records, oldest first; never empty.
        attempt: 0 at first, then 1, 2, …
        recipients: The only recipients that still have to be served; ``None``: all of them.
    """

    id: str
    items: tuple[Item, ...]
    attempt: int = 0
    recipients: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Delivered:
    """The sink has it."""


@dataclass(frozen=True, slots=True)
class RetryLater:
    """It could not be delivered now.

    Attributes:
        reason: What stood in the way, in a few words, for the alarm; without secrets.
        after: The server's own hint, in seconds; ``None``: the lane's backoff decides.
        circuit: True where trying again soon is pointless or harmful (login refused, a bad
            certificate): the lane opens its breaker at once and says so.
    """

    reason: str
    after: float | None = None
    circuit: bool = False


@dataclass(frozen=True, slots=True)
class Rejected:
    """It will never be taken: to the dead letters with it.

    Attributes:
        reason: What the server or the system said, in a few words; without secrets.
        payload: What was offered (the mail's bytes), where the sink has it.
    """

    reason: str
    payload: bytes | None = None


Verdict: TypeAlias = Delivered | RetryLater | Rejected


@dataclass(frozen=True, slots=True)
class Part:
    """What came of a part of a batch: some of its records and/or recipients.

    Attributes:
        verdict: What came of it.
        items: The records that the verdict is about.
        recipients: The recipients that it is about; ``None``: every one that the batch had.
            A record with one part delivered is delivered; its other recipients' parts are
            retried or reported without counting the record again.
    """

    verdict: Verdict
    items: tuple[Item, ...]
    recipients: tuple[str, ...] | None = None


def whole(batch: Batch, verdict: Verdict) -> Sequence[Part]:
    """Return one verdict for a whole batch."""
    return (Part(verdict, batch.items, batch.recipients),)
