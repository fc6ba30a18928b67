"""The values that the templates lay out, and what goes into them."""

from __future__ import annotations

from dataclasses import dataclass

from asynclog.render import words
from asynclog.render.frames_view import Run


@dataclass(frozen=True, slots=True)
class Around:
    """What a mail says of the process it comes from.

    Attributes:
        app: The application's name; empty: unknown.
        environment: Such as ``"production"``; empty: unknown.
        release: The version that runs; empty: unknown.
    """

    app: str = ""
    environment: str = ""
    release: str = ""


@dataclass(frozen=True, slots=True)
class HeldUp:
    """When the mail server took no mail, and why.

    Attributes:
        since: Wall time since when.
        until: Wall time when it took them again; now, where it was this mail that it refused.
        reason: What it said, in a few words; without secrets.
        is_past: It was over when this mail was made: others were refused.
    """

    since: float
    until: float
    reason: str = ""
    is_past: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of everything a mail has room for.

    Attributes:
        groups: Groups that are shown in full.
        rows: Rows of the overview.
        text: Characters of one record's text.
        lead_up: Lead-up records of one record.
        facts: Rows of one group's facts.
    """

    groups: int = 12
    rows: int = 60
    text: int = 16_000
    lead_up: int = 20
    facts: int = 30

    def smaller(self) -> Limits:
        """Return limits for about half of it."""
        return Limits(
            max(self.groups * 2 // 3, 1),
            max(self.rows * 2 // 3, 10),
            max(self.text // 2, 300),
            self.lead_up * 2 // 3,
            max(self.facts * 2 // 3, 6),
        )


@dataclass(frozen=True, slots=True)
class Fact:
    """A row with a label, such as ``host`` and ``web-1``."""

    label: str
    value: str


@dataclass(frozen=True, slots=True)
class LeadUpView:
    """A record that led up to one: time, level, logger and message, each a text."""

    time: str
    level: str
    logger: str
    text: str


@dataclass(frozen=True, slots=True)
class RecordView:
    """A record that was kept whole.

    Attributes:
        title: Which one it is: "First of these, 03:02:11.123, process 4711".
        short: Its text with library frames folded.
        lead_up: The records that led up to it, oldest first.
        full: Its text whole, where ``short`` left something out; else empty.
    """

    title: str
    short: tuple[Run, ...]
    lead_up: tuple[LeadUpView, ...] = ()
    full: tuple[Run, ...] = ()


@dataclass(frozen=True, slots=True)
class GroupView:
    """One group.

    Attributes:
        number: 1, 2, …, its place in the mail.
        state: ``"over"`` or ``"on"``, for the colour.
        headline: "4,312× more in 58 s (4,313× in all), still happening (last one 2 s ago)".
        count: Records that this mail announces for the first time, as a number.
        short_state: "still happening (last one 2 s ago), 4,313× in all", for the overview.
        what: "ValueError in shop.checkout".
        exception: "ValueError: not a number", or empty.
        message: The record's message, or empty where it says nothing new.
        hosts: Where it comes from.
        facts: The rows that a reader wants first: app, environment, host, process, release, route,
            place, next mail, delay.
        more: The rows that can wait: counts, times, all processes, request facts.
        records: Records kept whole.
        note: Said in place of records where there are none, or empty.
    """

    number: int
    state: str
    headline: str
    count: int
    short_state: str
    what: str
    exception: str
    message: str
    hosts: str
    facts: tuple[Fact, ...]
    more: tuple[Fact, ...]
    records: tuple[RecordView, ...]
    note: str = ""

    @property
    def count_text(self) -> str:
        """The number as it is shown: "4,312×"."""
        return f"{words.number(self.count)}×"


@dataclass(frozen=True, slots=True)
class MailView:
    """A mail.

    Attributes:
        subject: Its subject.
        headline: Of a mail about several groups: what it is about in all; else the group's.
        state: ``"over"`` or ``"on"``.
        facts: Of a mail about several groups: app, environment, host, process, release, next mail.
        rows: All groups, for the overview; empty where there is one.
        groups: The groups that are shown in full.
        notes: What was left out, and over what the counts go.
    """

    subject: str
    headline: str
    state: str
    facts: tuple[Fact, ...]
    rows: tuple[GroupView, ...]
    groups: tuple[GroupView, ...]
    notes: tuple[str, ...]
