"""The accounts of a run: where every error that was raised has gone, to the last one.

Three witnesses that know nothing of one another: the app counts what it raised, the mail server
keeps what it took, and asynclog says what became of its records.
"""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any

_LEFT = re.compile(r"^asynclog: ([\d,]+) records? left", re.MULTILINE)
_FAILED = "--- Logging error ---"


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail as the server took it.

    Attributes:
        at: When, in seconds after the start of the load; negative while warming up.
        sender: The envelope's.
        recipients: The envelope's.
        content: Its bytes.
        box: Number of the mail server's port that took it.
    """

    at: float
    sender: str
    recipients: tuple[str, ...]
    content: bytes
    box: int = 0

    def parsed(self) -> EmailMessage:
        """Return headers and body."""
        return email.message_from_bytes(self.content, policy=email.policy.default)

    @property
    def count(self) -> int:
        """Errors that it announces for the first time: 1 without asynclog's header."""
        return int(self.parsed().get("X-Asynclog-Count", "1"))


def owner_by_sender(mail: Mail) -> str:
    """Return the key of the app that sent a mail, where each app has a sender of its own."""
    return mail.sender.partition("@")[0]


def mails_of(app: str, mails: Iterable[Mail], owner: Callable[[Mail], str] = owner_by_sender) -> tuple[Mail, ...]:
    """Return the mails that one app sent, a mail that came twice once."""
    distinct: dict[object, Mail] = {}
    for number, mail in enumerate(mails):
        if owner(mail) == app:
            # The standard handler's mails have no id: each is one of its own.
            distinct.setdefault(mail.parsed().get("Message-ID") or number, mail)
    return tuple(distinct.values())


@dataclass(frozen=True, slots=True)
class FileAccount:
    """Where the records have gone that an app's file handlers were given.

    Attributes:
        given: Records that got past the handlers' levels and filters.
        written: As the handlers or asynclog say; ``None``: not counted.
        on_disk: Records found in the files; ``None``: not counted.
        rest: What became of the others, in words, to how many.
        checks: Every equation that has to hold, in words, to its two sides; none: nothing was counted twice.
    """

    given: int
    written: int | None
    on_disk: int | None
    rest: Mapping[str, int]
    checks: Mapping[str, tuple[int, int]]

    @property
    def adds_up(self) -> bool:
        """Whether every equation holds."""
        return all(left == right for left, right in self.checks.values())


@dataclass(frozen=True, slots=True)
class Account:
    """Where the errors of one app have gone.

    Attributes:
        raised: Errors that the app counted.
        mails: Mails that arrived.
        announced: Errors that these mails tell of.
        rest: What became of the others, in words, to how many.
        checks: Every equation that has to hold, in words, to its two sides.
        files: What became of the records for files; ``None``: there are none.
    """

    raised: int
    mails: int
    announced: int
    rest: Mapping[str, int]
    checks: Mapping[str, tuple[int, int]]
    files: FileAccount | None = None

    @property
    def adds_up(self) -> bool:
        """Whether every equation holds."""
        return all(left == right for left, right in self.checks.values())


def nowhere_account(raised: int, mails: Sequence[Mail]) -> Account:
    """Account for an app whose errors are logged nowhere."""
    return Account(raised, len(mails), 0, {"logged nowhere": raised}, {"no mail came": (len(mails), 0)})


def stdlib_account(raised: int, mails: Sequence[Mail], stderr: str) -> Account:
    """Account for the standard handler: what it could not send it printed on stderr."""
    lost = stderr.count(_FAILED)
    return Account(
        raised,
        len(mails),
        len(mails),
        {"lost (“--- Logging error ---” on stderr)": lost},
        {"raised = mails + logging errors on stderr": (raised, len(mails) + lost)},
    )


def asynclog_account(raised: int, mails: Sequence[Mail], stats: Mapping[str, Any], stderr: str) -> Account:
    """Account for asynclog.

    Args:
        raised: Errors that the app counted.
        mails: The distinct mails that arrived.
        stats: What `asynclog.stats` said when the process ended.
        stderr: What the process printed.
    """
    announced = sum(mail.count for mail in mails)
    found = _LEFT.search(stderr)
    left = int(found[1].replace(",", "")) if found else 0
    rest = {
        "dropped": _total(stats["dropped"]),
        "dead-lettered": _total(stats["dead_lettered"]),
        "spooled": _total(stats["spooled"]),
        "left at exit": left,
    }
    outcomes = _total(stats["delivered"]) + sum(
        _total(stats[name]) for name in ("dropped", "dead_lettered", "spooled", "pending")
    )
    checks = {
        "raised = counts in the mails + dropped + dead-lettered + spooled + left": (
            raised,
            announced + sum(rest.values()),
        ),
        "raised = accepted by asynclog": (raised, stats["accepted"]),
        "accepted = delivered + dropped + dead-lettered + spooled + pending": (stats["accepted"], outcomes),
        "delivered, says asynclog = counts in the mails": (_total(stats["delivered"]), announced),
        "pending, says asynclog = left at exit, says stderr": (stats["pending"], left),
    }
    return Account(raised, len(mails), announced, rest, checks)


def own_account(counts: Mapping[str, Any], mails: Sequence[Mail], stderr: str) -> Account:
    """Account for the mail and the files of the reader's own app, wrapped or not.

    Args:
        counts: What `asynclog.trial.hosted.Hosted.last_counts` said when the process ended.
        mails: The distinct mails that arrived.
        stderr: What the process printed.
    """
    given, lanes = counts["given"], counts["mail_lanes"]
    announced = sum(mail.count for mail in mails)
    found = _LEFT.search(stderr)
    rest = _own_rest(counts["failed"], lanes)
    checks = {}
    if lanes:
        left = int(found[1].replace(",", "")) if found else 0
        checks["pending, says asynclog = left at exit, says stderr"] = (counts["stats"]["pending"], left)
    # A handler with an `emit` of its own may send what it likes for a record.
    if counts["exact"]:
        parts = " + ".join(("counts in the mails", *rest))
        checks[f"given to the mail handlers = {parts}"] = (given, announced + sum(rest.values()))
    return Account(given, len(mails), announced, rest, checks, _file_account(counts["files"]))


def _file_account(counts: Mapping[str, Any]) -> FileAccount | None:
    if not counts["handlers"]:
        return None
    given, written, on_disk = counts["given"], counts["written"], counts["on_disk"]
    rest = _own_rest(counts["failed"], counts["lanes"])
    parts = " + ".join(("", *rest))
    checks = {}
    # Without asynclog, what a handler wrote is but what it was given and did not fail at: no second witness.
    if counts["lanes"] and written is not None:
        checks[f"given to the file handlers = written{parts}"] = (given, written + sum(rest.values()))
    if on_disk is not None:
        checks[f"given to the file handlers = found in the files{parts}"] = (given, on_disk + sum(rest.values()))
    return FileAccount(given, written, on_disk, rest, checks)


def _own_rest(failed: int, lanes: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return what became of records that did not arrive, in words, to how many."""
    rest = {"lost (the handler failed)": failed} if failed or not lanes else {}
    if lanes:
        rest |= {
            "dropped": sum(_total(lane["dropped"]) for lane in lanes),
            "dead-lettered": sum(lane["dead_lettered"] for lane in lanes),
            "spooled": sum(lane["spooled"] for lane in lanes),
            "left at exit": sum(lane["pending"] for lane in lanes),
        }
    return rest


def _total(outcome: Any) -> int:
    """Return a count, or the sum of counts by reason."""
    return sum(map(_total, outcome.values())) if isinstance(outcome, Mapping) else int(outcome)
