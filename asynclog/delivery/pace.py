"""Which of the mails that could be made goes next. Pure."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from asynclog.delivery.groups import Group
from asynclog.delivery.incident import Incident
from asynclog.delivery.limit import TokenBucket

#: Seconds within which groups that open share a mail.
JOIN: Final = 10.0
#: Tokens that digests leave to new groups and to CRITICAL.
RESERVE: Final = 3


@dataclass(frozen=True, slots=True)
class Candidate:
    """A mail that could be made: groups that open, or an incident.

    Attributes:
        due_at: When it is due.
        may_take_reserve: It may take the bucket's last tokens.
        incident: What it is about; ``None``: the groups that open.
    """

    due_at: float
    may_take_reserve: bool
    incident: Incident | None


def opening_candidates(ready: Sequence[Group], join_until: float) -> Iterator[Candidate]:
    """Return the mail about groups that open: for those that may take the reserve, and for the others.

    It is one mail; but when it is due differs, and what the bucket has to hold.
    """
    for may in (True, False):
        opens = [group.opens_at for group in ready if _may_take_reserve(group) is may]
        if opens:
            yield Candidate(max(min(opens), join_until), may, None)


def incident_candidate(incident: Incident, now: float) -> Candidate | None:
    """Return an incident's next mail, if there is anything to say."""
    due_at = incident.due_at(now)
    if due_at is None:
        return None
    critical = any(group.fresh and group.levelno >= logging.CRITICAL for group in incident.groups)
    return Candidate(due_at, critical, incident)


def choose(due: list[Candidate], bucket: TokenBucket | None, reserve: int, now: float) -> list[Candidate]:
    """Choose one of the mails that are due, or all of them to share one where tokens are scarce."""
    due = sorted(due, key=lambda one: (not one.may_take_reserve, one.incident is not None, one.due_at))
    opening = [one for one in due if one.incident is None]
    due = [one for one in due if one not in opening[1:]]
    if not due or bucket is None:
        return due[:1]
    free = bucket.free(now)
    if free < (1 if due[0].may_take_reserve else 1 + reserve):
        return []
    return due[:1] if len(due) == 1 or free - reserve >= len(due) else due


def _may_take_reserve(group: Group) -> bool:
    return not group.announced or group.levelno >= logging.CRITICAL
