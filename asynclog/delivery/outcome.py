"""What a sink's parts mean for the records of a batch. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from asynclog.ledger import DEAD_LETTERED, DELIVERED, DROPPED
from asynclog.values import Batch, Delivered, Item, Lost, Part, Rejected, RetryLater, Verdict, whole


@dataclass(frozen=True, slots=True)
class Work:
    """A batch that a lane still has to deliver.

    Args:
        batch: What is to be delivered.
        counted: Whether its records have their outcome already: one recipient took the mail, and
            only the others are still to be served.
        index: How many records the lane had let in before the first of these; a flush goes by it.
        due_at: When it is tried again, where it waits apart from the rest of the lane.
    """

    batch: Batch
    counted: bool = False
    index: int = 0
    due_at: float = 0.0

    def pending(self) -> int:
        """Return how many of its records have no outcome yet."""
        if self.counted:
            return 0
        digest = self.batch.digest
        return len(self.batch.items) if digest is None else digest.count


@dataclass(slots=True)
class Verdicts:
    """What came of an attempt, sorted by what the lane does with it.

    Attributes:
        outcome: What became of all records that a digest counts; ``None``: nothing yet, or it was
            counted before.
        reason: What that outcome is counted under.
    """

    delivered: Sequence[Item] = ()
    rejected: list[Item] = field(default_factory=list)
    lost: list[tuple[Item, str]] = field(default_factory=list)
    rest: list[Work] = field(default_factory=list)
    retry: RetryLater | None = None
    reports: list[tuple[str, str]] = field(default_factory=list)
    outcome: int | None = None
    reason: str = ""

    @property
    def any_delivered(self) -> bool:
        """Whether something was taken that had not been before."""
        return bool(self.delivered) or self.outcome == DELIVERED


def sort_out(work: Work, parts: Sequence[Part]) -> Verdicts:
    """Sort the parts of an attempt.

    A record counts as delivered once one recipient took it; what is left of it then is retried or
    reported without being counted again. A record that no part speaks of is retried: a sink that
    forgets one must not lose it.
    """
    batch = work.batch
    found = Verdicts()
    if not all(isinstance(part, Part) and isinstance(part.verdict, Verdict) for part in parts):
        raise TypeError("deliver() has to return asynclog.values.Part objects with a verdict each")
    if batch.digest is not None:
        return _sort_out_digest(work, parts, found)
    if len(parts) == 1 and type(parts[0].verdict) is Delivered and parts[0].items == batch.items:
        found.delivered = () if work.counted else batch.items
        return found
    spoken = {id(item) for part in parts for item in part.items}
    forgotten = tuple(item for item in batch.items if id(item) not in spoken)
    if forgotten:
        parts = [*parts, Part(RetryLater("the sink did not say what came of it"), forgotten, batch.recipients)]
    delivered = {id(item) for part in parts if isinstance(part.verdict, Delivered) for item in part.items}
    waiting = {id(item) for part in parts if isinstance(part.verdict, RetryLater) for item in part.items}
    own = {id(item) for item in batch.items}
    done: set[int] = set()
    found.delivered = taken = []
    for part in parts:
        for item in [] if work.counted else part.items:
            if id(item) in done or id(item) not in own:
                continue
            if id(item) in delivered:
                taken.append(item)
            elif id(item) in waiting:
                continue
            elif isinstance(part.verdict, Lost):
                found.lost.append((item, part.verdict.reason))
            else:
                found.rejected.append(item)
            done.add(id(item))
        _report(part, found)
    found.rest = _rest(work, parts, delivered)
    return found


def _sort_out_digest(work: Work, parts: Sequence[Part], found: Verdicts) -> Verdicts:
    """Sort the parts of a mail that counts records: whoever took it took all of it."""
    batch = work.batch
    assert batch.digest is not None
    if not parts:
        parts = [Part(RetryLater("the sink did not say what came of it"), batch.items, batch.recipients)]
    left: tuple[str, ...] | None = ()
    lost: Lost | None = None
    for part in parts:
        if isinstance(part.verdict, RetryLater):
            left = _both(left, batch.recipients if part.recipients is None else part.recipients)
        elif isinstance(part.verdict, Lost):
            lost = part.verdict
        _report(part, found, batch.digest.count)
    if not work.counted:
        if any(isinstance(part.verdict, Delivered) for part in parts):
            found.outcome = DELIVERED
        elif found.retry is None:
            found.outcome = DEAD_LETTERED if lost is None else DROPPED
            found.reason = "" if lost is None else lost.reason
    if found.retry is not None:
        counted = work.counted or found.outcome == DELIVERED
        found.rest = [replace(work, batch=replace(batch, attempt=batch.attempt + 1, recipients=left), counted=counted)]
    return found


def _report(part: Part, found: Verdicts, count: int | None = None) -> None:
    verdict = part.verdict
    count = len(part.items) if count is None else count
    if isinstance(verdict, RetryLater):
        if found.retry is None or (verdict.circuit and not found.retry.circuit):
            found.retry = verdict
    elif isinstance(verdict, Rejected):
        who = f" for {', '.join(part.recipients)}" if part.recipients else ""
        found.reports.append(("rejected", f"{count} records were refused{who}: {verdict.reason}"))
    elif isinstance(verdict, Lost):
        found.reports.append((verdict.reason, f"{count} records were lost: {verdict.text or verdict.reason}"))


def _rest(work: Work, parts: Sequence[Part], delivered: set[int]) -> list[Work]:
    """Return what is left to be tried: each record once, whatever number of parts speak of it."""
    recipients: dict[int, tuple[str, ...] | None] = {}
    for part in parts:
        if isinstance(part.verdict, RetryLater):
            for item in part.items:
                whom = work.batch.recipients if part.recipients is None else part.recipients
                recipients[id(item)] = _both(recipients.get(id(item), ()), whom)
    groups: dict[tuple[bool, tuple[str, ...] | None], list[Item]] = {}
    for item in work.batch.items:
        if id(item) in recipients:
            counted = work.counted or id(item) in delivered
            groups.setdefault((counted, recipients[id(item)]), []).append(item)
    rest: list[Work] = []
    for (counted, left), items in groups.items():
        batch = replace(work.batch, items=tuple(items), attempt=work.batch.attempt + 1, recipients=left)
        if len(items) < len(work.batch.items):
            # A mail with fewer records is another mail: it may not share a Message-ID.
            batch = replace(batch, id=f"{batch.id}.{batch.attempt}{'a' if counted else 'b'}{len(rest) or ''}")
        rest.append(replace(work, batch=batch, counted=counted))
    return rest


def _both(one: tuple[str, ...] | None, other: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if one is None or other is None:
        return None  # all of them
    return tuple(dict.fromkeys((*one, *other)))


def failed(work: Work, reason: str) -> Verdicts:
    """Return the verdicts on an attempt that ended with an exception."""
    return sort_out(work, whole(work.batch, RetryLater(reason)))
