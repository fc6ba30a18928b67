"""What a sink's parts mean for the records of a batch. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from asynclog.values import Batch, Delivered, Item, Lost, Part, Rejected, RetryLater, whole


@dataclass(frozen=True, slots=True)
class Work:
    """A batch that a lane still has to deliver.

    Args:
        batch: What is to be delivered.
        counted: Whether its records have their outcome already: one recipient took the mail, and
            only the others are still to be served.
    """

    batch: Batch
    counted: bool = False


@dataclass(slots=True)
class Verdicts:
    """What came of an attempt, sorted by what the lane does with it."""

    delivered: list[Item] = field(default_factory=list)
    rejected: list[Item] = field(default_factory=list)
    lost: list[tuple[Item, str]] = field(default_factory=list)
    rest: list[Work] = field(default_factory=list)
    retry: RetryLater | None = None
    reports: list[tuple[str, str]] = field(default_factory=list)


def sort_out(work: Work, parts: Sequence[Part]) -> Verdicts:
    """Sort the parts of an attempt.

    A record counts as delivered once one recipient took it; what is left of it then is retried or
    reported without being counted again. A record that no part speaks of is retried: a sink that
    forgets one must not lose it.
    """
    batch = work.batch
    found = Verdicts()
    if len(parts) == 1 and type(parts[0].verdict) is Delivered and parts[0].items is batch.items:
        found.delivered = [] if work.counted else list(batch.items)
        return found
    spoken = {id(item) for part in parts for item in part.items}
    forgotten = tuple(item for item in batch.items if id(item) not in spoken)
    if forgotten:
        parts = [*parts, Part(RetryLater("the sink did not say what came of it"), forgotten, batch.recipients)]
    delivered = {id(item) for part in parts if isinstance(part.verdict, Delivered) for item in part.items}
    waiting = {id(item) for part in parts if isinstance(part.verdict, RetryLater) for item in part.items}
    done: set[int] = set()
    for part in parts:
        for item in _new(part.items, done, work.counted):
            if id(item) in delivered:
                found.delivered.append(item)
            elif id(item) in waiting:
                continue
            elif isinstance(part.verdict, Lost):
                found.lost.append((item, part.verdict.reason))
            else:
                found.rejected.append(item)
            done.add(id(item))
        _report(part, found)
    for part in parts:
        if isinstance(part.verdict, RetryLater):
            found.rest.extend(_rest(work, part, delivered))
    return found


def _new(items: tuple[Item, ...], done: set[int], counted: bool) -> list[Item]:
    return [] if counted else [item for item in items if id(item) not in done]


def _report(part: Part, found: Verdicts) -> None:
    verdict = part.verdict
    if isinstance(verdict, RetryLater):
        if found.retry is None or (verdict.circuit and not found.retry.circuit):
            found.retry = verdict
    elif isinstance(verdict, Rejected):
        who = f" for {', '.join(part.recipients)}" if part.recipients else ""
        found.reports.append(("rejected", f"{len(part.items)} records were refused{who}: {verdict.reason}"))
    elif isinstance(verdict, Lost):
        found.reports.append((verdict.reason, f"{len(part.items)} records were lost: {verdict.text or verdict.reason}"))


def _rest(work: Work, part: Part, delivered: set[int]) -> list[Work]:
    """Return what is left to be tried of a part that has to be retried."""
    batch = work.batch
    already = tuple(item for item in part.items if id(item) in delivered)
    fresh = tuple(item for item in part.items if id(item) not in delivered)
    rest = []
    for items, counted in ((already, True), (fresh, work.counted)):
        if not items:
            continue
        same = len(items) == len(batch.items)
        # A mail with fewer records is another mail: it may not share a Message-ID.
        name = batch.id if same else f"{batch.id}.{batch.attempt + 1}{'a' if counted else 'b'}"
        left = replace(batch, id=name, items=items, attempt=batch.attempt + 1, recipients=part.recipients)
        rest.append(Work(left, counted))
    return rest


def failed(work: Work, reason: str) -> Verdicts:
    """Return the verdicts on an attempt that ended with an exception."""
    return sort_out(work, whole(work.batch, RetryLater(reason)))
