"""A digest as the templates see it: every word of a mail, in order, redacted and cut to length.

The text part and the HTML part are laid out from the same view, so that one says what the other says.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence

from asynclog.digest import Digest, GroupReport
from asynclog.render import words
from asynclog.render.carried import lead_up_of
from asynclog.render.frames_view import Place, Run, folded, innermost, runs
from asynclog.render.group_facts import GroupFacts, group_facts
from asynclog.render.mail import clean_body
from asynclog.render.mail_view import Around, Fact, GroupView, HeldUp, LeadUpView, Limits, MailView, RecordView
from asynclog.render.phrases import Phrases
from asynclog.render.redact import Redactor
from asynclog.turns import breathe
from asynclog.values import Item

# The module path before an exception's name, at the beginning of a line.
_MODULE = re.compile(r"\A(?:\w+\.)+(?=\w+:)")
# Exception and message, the count and the host fit the first 200 pixels of a phone's screen; the
# record's text has them whole.
_HEADLINE_TEXT = 96
_HEADLINE_ALONE = 120
_HEADLINE_BESIDE = 50
# Characters of an exception's message that are kept, however long its type is; and of a type.
_MESSAGE_START = 40
_LONGEST_TYPE = 80
_LEAD_UP_LINE = 300


class ViewMaker:
    """Make the view of one digest.

    Args:
        digest: What the mail says.
        subject: Its subject.
        around: What is known of the process.
        redactor: Hides secrets; ``None``: nothing is hidden.
        now: Wall time of sending, which "2 s ago" is counted to.
        held_up: Why the mail comes late; ``None``: it doesn't.
    """

    def __init__(
        self,
        digest: Digest,
        subject: str,
        around: Around,
        redactor: Redactor | None,
        now: float,
        held_up: HeldUp | None,
    ) -> None:
        self._digest = digest
        self._subject = subject
        self._around = around
        self._redactor = redactor
        self._now = now
        self._held_up = held_up
        self._phrases = Phrases(digest, now)
        self._clean: dict[str, str] = {}

    def make(self, limits: Limits) -> MailView:
        """Return the view, as large as the limits allow."""
        digest = self._digest
        several = len(digest.groups) > 1
        shown = digest.groups[: limits.groups]
        rows = digest.groups[: limits.rows] if several else ()
        whole = [self._group(number, group, limits, shown=True) for number, group in enumerate(shown, 1)]
        listed = whole + [
            self._group(number, group, limits, shown=False)
            for number, group in enumerate(rows[len(shown) :], len(shown) + 1)
        ]
        first = whole[0]
        return MailView(
            subject=self._subject,
            headline=self._phrases.headline() if several else first.headline,
            state="over" if digest.is_over else "on",
            facts=self._shared_facts() if several else (),
            rows=tuple(listed[: len(rows)]),
            groups=tuple(whole),
            notes=tuple(self._notes(len(rows), len(shown))),
        )

    # -- the mail ----------------------------------------------------------------------------

    def _shared_facts(self) -> tuple[Fact, ...]:
        groups = self._digest.groups
        hosts = list(dict.fromkeys(host for group in groups for host in group.hosts))
        processes = list(dict.fromkeys(process for group in groups for process in group.processes))
        return (*self._where(hosts, processes), *self._phrases.next_of_all())

    def _where(self, hosts: Sequence[str], processes: Sequence[int], release: str = "") -> list[Fact]:
        """Return all that says where as one row: five would push the rest off the screen."""
        around = self._around
        app = around.app
        if around.environment:
            app = f"{app} ({around.environment})" if app else around.environment
        parts = [app] if app else []
        if hosts:
            parts.append(f"host{'s' * (len(hosts) > 1)} {words.listed(hosts)}")
        if processes:
            names = words.listed([str(one) for one in processes], 3)
            parts.append(f"process{'es' * (len(processes) > 1)} {names}")
        if release or around.release:
            parts.append(f"release {release or around.release}")
        return [Fact("from", self._line(", ".join(parts), 300))] if parts else []

    def _delay(self) -> list[Fact]:
        held = self._held_up
        return [] if held is None else [self._phrases.held_up(held, self._line(held.reason, 200))]

    def _notes(self, rows: int, shown: int) -> list[str]:
        notes = []
        groups = self._digest.groups
        if len(groups) > 1 and rows < len(groups):
            left = groups[rows:]
            records = sum(group.count for group in left)
            notes.append(
                f"{len(left):,} more problems with {records:,} records are not listed: the mail would be too long."
            )
        if shown < len(groups):
            notes.append(f"The first {shown:,} of {len(groups):,} problems are shown in full.")
        notes.append(
            f"This mail announces {self._digest.count:,} record{'s' * (self._digest.count != 1)} for the first time. "
            f"It counts what this {self._digest.scope} logged, and no other."
        )
        return notes

    # -- a group -----------------------------------------------------------------------------

    def _group(self, number: int, group: GroupReport, limits: Limits, *, shown: bool) -> GroupView:
        breathe()
        items = group.items
        first = items[0] if items else None
        facts = group_facts(group, first, self._redactor)
        place = innermost(self._redacted(first.text)) if first is not None else None
        return GroupView(
            number=number,
            state="over" if group.is_over else "on",
            headline=self._phrases.of_group(group),
            count=group.count,
            short_state=self._phrases.short_state(group),
            what=self._line(facts.what, 200),
            exception=self._headed_exception(facts.exception, _HEADLINE_TEXT if facts.message else _HEADLINE_ALONE),
            message=_shortened(self._one_line(facts.message), _HEADLINE_BESIDE if facts.exception else _HEADLINE_ALONE),
            hosts=self._line(f"host{'s' * (len(group.hosts) > 1)} {words.listed(group.hosts)}", 200)
            if group.hosts
            else "",
            facts=tuple(self._facts(group, facts, place)) if shown else (),
            more=tuple(self._more(group, facts))[: limits.facts] if shown else (),
            records=self._records(group, limits) if shown else (),
            note="" if items or not shown else _why_empty(group),
        )

    def _facts(self, group: GroupReport, facts: GroupFacts, place: Place | None) -> list[Fact]:
        found = self._where(group.hosts, group.processes, facts.release)
        if facts.route:
            found.append(Fact("route", self._line(facts.route, 300)))
        if place is not None:
            found.append(Fact("in", self._line(str(place), 300)))
            if place.source:
                found.append(Fact("line", self._line(place.source, 300)))
        elif group.place:
            found.append(Fact("in", self._line(group.place, 300)))
        found += self._phrases.next_mail(group)
        # Not above an overview: what broke would no longer be seen at first sight.
        return found + self._delay()

    def _more(self, group: GroupReport, facts: GroupFacts) -> list[Fact]:
        found = [
            Fact("announced so far", f"{words.number(group.total)}×"),
            Fact("first seen", words.stamp(group.first_seen)),
            Fact("last seen", words.stamp(group.last_seen)),
        ]
        if group.count > 1:
            found.append(Fact("rate", words.rate(group.rate)))
        if group.processes:
            found.append(Fact("processes", self._line(words.listed([str(one) for one in group.processes], 20), 300)))
        if group.root_type and group.root_type != group.exc_type:
            found.append(Fact("began with", self._line(group.root_type, 200)))
        if group.logger:
            found.append(Fact("logger", self._line(group.logger, 200)))
        found += [Fact(self._line(label, 60), self._line(value, 400)) for label, value in facts.request]
        found.append(Fact("group", self._line(group.id, 64)))
        return found

    # -- records -----------------------------------------------------------------------------

    def _records(self, group: GroupReport, limits: Limits) -> tuple[RecordView, ...]:
        items = group.items
        firsts = len(group.first_items)
        found: list[RecordView] = []
        seen: set[str] = set()
        for index, item in enumerate(items):
            which = "The record" if group.count <= 1 else ("One of the first" if index < firsts else "One of the last")
            # The first says most; the others show what changed.
            limit = limits.text if index == 0 else limits.text // 3
            found.append(
                self._record(which, self._once(self._text(item), seen), item, limit, limits, in_full=index == 0)
            )
        return tuple(found)

    @staticmethod
    def _once(text: str, seen: set[str]) -> str:
        """Return a text without a traceback that was shown already."""
        head, mark, traceback = text.partition("Traceback (most recent call last):\n")
        if not mark:
            return text
        if traceback in seen:
            return f"{head}… the same traceback as above"
        seen.add(traceback)
        return text

    def _record(self, which: str, text: str, item: Item, limit: int, limits: Limits, *, in_full: bool) -> RecordView:
        breathe()
        short = folded(text)
        full = runs(text) if in_full and any(run.kind == "folded" for run in short) else ()
        record = item.record
        thread = f", thread {self._line(str(record.threadName), 60)}" if record.threadName else ""
        return RecordView(
            title=f"{which}: {words.precise(record.created)}, process {record.process}{thread}",
            short=_cut_runs(short, limit),
            lead_up=self._lead_up(item, limits.lead_up),
            full=_cut_runs(full, limit),
        )

    def _lead_up(self, item: Item, most: int) -> tuple[LeadUpView, ...]:
        found = lead_up_of(item.record)
        return tuple(
            LeadUpView(
                words.precise(one.created),
                self._line(str(one.levelname), 20),
                self._line(str(one.name), 80),
                self._line(one.text(), _LEAD_UP_LINE),
            )
            for one in (found[-most:] if most else ())
        )

    # -- texts -------------------------------------------------------------------------------

    def _text(self, item: Item) -> str:
        text = item.text or item.record.getMessage()
        return clean_body(self._redacted(text).replace("\r\n", "\n").replace("\r", "\n")).rstrip("\n")

    def _redacted(self, text: str) -> str:
        """Redact a text, once for each: several views of a mail may be made until one fits."""
        if self._redactor is None:
            return text
        known = self._clean.get(text)
        if known is None:
            known = self._clean[text] = self._redactor.text(text)
        return known

    def _headed_exception(self, text: str, limit: int) -> str:
        """Return an exception for the head of the mail: its type whole, and the start of its message."""
        line = self._one_line(text)
        if len(line) <= limit:
            return line
        # The module goes first, where that is enough: the traceback names it, and the text says what broke.
        short = _MODULE.sub("", line)
        kind = line.partition(": ")[0]
        if len(short) <= limit:
            return short
        if len(kind) > _LONGEST_TYPE:
            line, kind = short, short.partition(": ")[0]
        return _shortened(line, max(limit, min(len(kind), _LONGEST_TYPE) + 2 + _MESSAGE_START))

    def _one_line(self, text: str) -> str:
        return clean_body(" ".join(self._redacted(text).split()))

    def _line(self, text: str, limit: int) -> str:
        """Return a text as one line without secrets, cut in the middle."""
        return words.cut_line(self._one_line(text), limit)


def _shortened(line: str, limit: int) -> str:
    """Cut a line's end off, between two words where one ends near."""
    if len(line) <= limit:
        return line
    head = line[:limit]
    words_of_it, _, rest = head.rpartition(" ")
    return f"{words_of_it if words_of_it and len(rest) <= 25 else head} …"


def _why_empty(group: GroupReport) -> str:
    if group.is_other:
        return "These are of problems that found no room of their own; only their number is kept."
    if group.count == 0:
        return "Nothing new came since the last mail about it."
    return "No record of these is kept whole: there was no room in memory."


def _cut_runs(found: tuple[Run, ...], limit: int) -> tuple[Run, ...]:
    """Cut the middle out of runs that are longer than ``limit`` characters together, and say so."""
    total = sum(len(run.text) + 1 for run in found)
    if total <= limit:
        return found
    head, tail = limit // 3, limit - limit // 3
    first, first_cut = _taken(found, head)
    last, last_cut = _taken(found[::-1], tail, from_end=True)
    missing = max(total - first_cut - last_cut, 0)
    note = Run("folded", f"[… {missing:,} characters cut here: the mail would be too long …]")
    return (*first, note, *last[::-1])


def _taken(found: Sequence[Run], room: int, *, from_end: bool = False) -> tuple[list[Run], int]:
    taken: list[Run] = []
    used = 0
    for run in found:
        left = room - used
        if left <= 0:
            break
        text = run.text if len(run.text) < left else (run.text[-left:] if from_end else run.text[:left])
        taken.append(Run(run.kind, text))
        used += len(text) + 1
    return taken, used


def level_name(group: GroupReport) -> str:
    """Return the name of a group's level, as its records have it where one is kept."""
    for item in group.items:
        if item.record.levelno == group.levelno:
            return str(item.record.levelname)
    return logging.getLevelName(group.levelno)
