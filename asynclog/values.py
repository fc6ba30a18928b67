"""The values that the stages hand to one another.

What a lane gives its sink is a `Batch` of `Item`; what the sink says of it is a tuple of `Part`.
"""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, overload

from asynclog.captured import LONE_SIZE, CapturedException, lone_exception
from asynclog.plain import RECORD_SIZE

if TYPE_CHECKING:
    from asynclog.digest import Digest


class Item:
    """One record in one lane: rendered, so that nothing the caller lent is held any longer.

    Attributes:
        record: A plain record: the message merged or with immutable arguments, a stand-in in place
            of the live exception. May be given as its attributes alone.
        text: What the lane's formatter made of it; empty where the handler formats by itself.
        size: Estimated bytes in memory.
        shared: What the lanes of one record settle together; ``None`` with a single lane.
        context: The caller's copied context, where the handler that gets the record may read it.
    """

    # A slotted class and not a frozen dataclass: one is made for each record in each lane, and a
    # frozen dataclass's __init__ costs three times as much.
    __slots__ = ("_record", "context", "shared", "size", "text")

    def __init__(
        self,
        record: logging.LogRecord | dict[str, Any],
        text: str,
        size: int,
        shared: SharedOutcome | None = None,
        context: contextvars.Context | None = None,
    ) -> None:
        self._record = record
        self.text = text
        self.size = size
        self.shared = shared
        self.context = context

    @property
    def record(self) -> logging.LogRecord:
        """The record; made of its attributes when it is first asked for: a file needs none."""
        record = self._record
        if isinstance(record, dict):
            fields, record = record, logging.LogRecord.__new__(logging.LogRecord)
            record.__dict__ = fields
            self._record = record
        return record


# What waits in a lane: an item, or what `asynclog.render.run` made of a record of the fast path: its
# attributes as the queue held them, with the text in ``exc_text`` and in ``stack_info`` the record's
# size, unless that is no more than any record's. For each record of a file an item would be one
# object more to make, to count and for the garbage collector to walk, and nobody would look at it.
Rendered: TypeAlias = "Item | dict[str, Any]"


def item_of(rendered: Rendered) -> Item:
    """Return what waits in a lane as an item; the attributes are as they were again."""
    if type(rendered) is not dict:
        return rendered  # type: ignore[return-value]
    text, size = rendered["exc_text"], rendered["stack_info"]
    rendered["exc_info"] = rendered["exc_text"] = rendered["stack_info"] = None
    return Item(rendered, text, RECORD_SIZE if size is None else size)


class LazyItems(Sequence[Item]):
    """The records of a batch for a sink that reads texts alone: an item is made when it is asked for.

    Each is made once, so that it can be told by its identity. Used by one thread at a time.
    """

    __slots__ = ("_kept",)

    def __init__(self, rendered: Iterable[Rendered]) -> None:
        self._kept = list(rendered)

    def texts(self) -> list[str]:
        """Return the records' texts."""
        return [one["exc_text"] if type(one) is dict else one.text for one in self._kept]  # type: ignore[union-attr]

    def created(self, at: int) -> float:
        """Return when a record was made."""
        one = self._kept[at]
        created: float = one["created"] if type(one) is dict else one.record.created  # type: ignore[union-attr]
        return created

    def shared(self) -> list[Item]:
        """Return those whose outcome several lanes settle together, or that count nowhere."""
        return [one for one in self._kept if type(one) is not dict and one.shared is not None]  # type: ignore[union-attr,misc]

    @overload
    def __getitem__(self, at: int) -> Item: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Item, ...]: ...
    def __getitem__(self, at: int | slice) -> Item | tuple[Item, ...]:
        """Return a record, or some of them as a tuple."""
        kept = self._kept
        if isinstance(at, slice):
            return tuple([self[one] for one in range(*at.indices(len(kept)))])
        item = item_of(kept[at])
        kept[at] = item
        return item

    def __iter__(self) -> Iterator[Item]:
        """Go through the records."""
        return (self[at] for at in range(len(self._kept)))

    def __len__(self) -> int:
        return len(self._kept)

    def __repr__(self) -> str:
        return f"<{len(self._kept)} records>"


# What the queue carries for a record: its attributes, the mask of the lanes that want it, its
# estimated size in bytes, and what was captured beyond the attributes. A bare tuple, since a slotted
# object costs ten times as much to make, on the caller's path. An exception alone stands there as it is,
# and gets its Captured in the worker.
Entry: TypeAlias = "tuple[dict[str, Any], int, int, Captured | CapturedException | None]"


#: The bit of a listener's first lane, mostly its only one.
FIRST_BIT = 1

# As the queue holds what the fast path puts there: the record's attributes alone, with the lane's bit
# in ``exc_info`` unless it is the first's, or a `Carrying`, and in ``stack_info`` what it carries
# besides: nothing, the size of a text that is long, or a `Lone`. Both attributes are None in such a
# record. A tuple round them, or an object for the exception, would be more for the garbage collector
# to walk, and it walks all that waits, over and over, while a backlog grows.
Queued: TypeAlias = "Entry | dict[str, Any]"


def texts_size(queued: Queued) -> int:
    """Return the estimated bytes of an entry beyond a record's kilobyte."""
    if type(queued) is not dict:
        return queued[2] - RECORD_SIZE  # type: ignore[index]
    carried = queued["stack_info"]
    if carried is None:
        return 0
    return (carried if type(carried) is int else carried[LONE_SIZE]) - RECORD_SIZE


def unpack(queued: Queued) -> Entry:
    """Return an entry in its full shape; the attributes are as they were again."""
    if type(queued) is not dict:
        return queued  # type: ignore[return-value]
    mark, carried = queued["exc_info"] or FIRST_BIT, queued["stack_info"]
    queued["exc_info"] = queued["stack_info"] = None
    size, exception = RECORD_SIZE, None
    if type(carried) is int:
        size = carried
    elif carried is not None:
        size, exception = carried[LONE_SIZE], lone_exception(carried)
    if not isinstance(mark, Carrying):
        return queued, mark, size, exception
    captured = Captured()
    captured.exception, captured.carried = exception, mark.give(mark.mask, mark.kept)
    return queued, mark.mask, size, captured


class Carrying:
    """Where the queue holds a record's mask: the mask and what led up to the record.

    Told by its identity, so that no other record is taken for one of the same lanes.

    Args:
        mask: The lanes.
        kept: What led up to it, as it was kept.
        give: Makes of both what each lane takes along, as in `Captured`; must not raise.
    """

    __slots__ = ("give", "kept", "mask")

    def __init__(self, mask: int, kept: Any, give: Callable[[int, Any], dict[int, dict[str, Any]]]) -> None:
        self.mask = mask
        self.kept = kept
        self.give = give


class Captured:
    """What an entry carries beyond the record's attributes; most records need none.

    Attributes:
        exception: The captured exception.
        live: The live ``exc_info``, for the lanes that need it.
        context: The caller's copied context, for formatters and handlers that may read it.
        template: The message before its arguments were merged on the caller.
        lines: What a lane's format made of the record on the caller, by the lane's bit, where the
            format names values that could change.
        shared: What settles the record's outcome, where several entries are one record.
        carried: Attributes for a lane's record alone, by the lane's bit: request facts and the
            records that led up to it.
    """

    __slots__ = ("carried", "context", "exception", "lines", "live", "shared", "template")

    def __init__(self) -> None:
        self.exception: CapturedException | None = None
        self.live: Any = None
        self.context: contextvars.Context | None = None
        self.template: str | None = None
        self.lines: dict[int, str] | None = None
        self.shared: SharedOutcome | None = None
        self.carried: dict[int, dict[str, Any]] | None = None


def in_full(captured: Captured | CapturedException | None) -> Captured | None:
    """Return what an entry carries in its full form."""
    if captured is None or isinstance(captured, Captured):
        return captured
    full = Captured()
    full.exception = captured
    return full


class SharedOutcome:
    """The outcome of a record that several lanes serve: settled with the last, the worst wins.

    Attributes:
        left: Lanes that have not settled it yet.
        worst: The worst outcome so far.
        reason: What that outcome is counted under.
        level: The record's level in the lane that it came from.
        folded: Where lanes that fold records into counts hold it (`asynclog.delivery.held`); empty
            once it is one of a count there, ``None`` as long as no lane folded it.
    """

    __slots__ = ("folded", "left", "level", "reason", "worst")

    def __init__(self, lanes: int) -> None:
        self.folded: list[Any] | None = None
        self.left = lanes
        self.worst = 0
        self.reason = ""
        self.level = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """What a sink is to deliver in one go.

    Attributes:
        id: The same for every attempt, so that a retry can be told from a new mail.
        items: The records, oldest first; never empty, unless there is a digest: then those that
            were kept whole. For a `text_only` sink it may be `LazyItems`, which is no tuple but is
            used like one.
        attempt: 0 at first, then 1, 2, …
        recipients: The only recipients that still have to be served; ``None``: all of them.
        digest: What the mail says, where records were counted by group; it is delivered or
            refused as a whole.
        refused_since: Wall time since when the sink took nothing, where that held this up or some of
            its records were counted meanwhile.
        refused_until: Wall time when the sink took something again, where this was made after that;
            ``None``: it has not yet, or this was itself refused.
        refusal: What stood in the way last, in a few words; without secrets.
    """

    id: str
    items: tuple[Item, ...]
    attempt: int = 0
    recipients: tuple[str, ...] | None = None
    digest: Digest | None = None
    refused_since: float | None = None
    refused_until: float | None = None
    refusal: str = ""


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


@dataclass(frozen=True, slots=True)
class Lost:
    """It was tried, failed and may not be tried again: counted as dropped.

    Attributes:
        reason: A word to count it under, such as ``"handler_error"``.
        text: What happened, for the alarm; without secrets.
    """

    reason: str
    text: str = ""


Verdict: TypeAlias = Delivered | RetryLater | Rejected | Lost


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
