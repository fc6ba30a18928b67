"""Where every error of a cell has gone, by witnesses that know nothing of one another.

The app counts what it raises, the mail server keeps what it took, the process's stderr says what
was reported, and asynclog says what became of its records.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from asynclog.trial import accounts as trial
from asynclog.trial.accounts import Mail
from benchmarks.latency.plan import AGAIN, ASYNCLOG, DIRECT, NOWHERE, PAIR, Contender

# What `logging` prints where a handler's emit raised.
_FAILED = "--- Logging error ---"
# What `threading` prints where a thread's function raised.
_DIED = "Exception in thread "


@dataclass(frozen=True, slots=True)
class Account:
    """Where one contender's errors have gone.

    Attributes:
        raised: Errors that the app counted.
        mails: Mails that arrived.
        told: Errors that these mails tell of.
        reported: Errors that did not arrive and of which stderr or asynclog's counts say so.
        broken: Equations that have to hold for asynclog and do not, in words, with both sides.
        written: Errors that its file tells of.
    """

    raised: int
    mails: int
    told: int
    reported: int
    broken: Mapping[str, tuple[int, int]]
    written: int = 0

    @property
    def silent(self) -> int:
        """Errors of which no mail came, and nobody said so."""
        return self.raised - self.told - self.reported


def account(
    contender: Contender,
    raised: int,
    mails: Sequence[Mail],
    stderr: str,
    stats: Mapping[str, Any] | None,
    *,
    exits: bool,
    written: int = 0,
) -> Account:
    """Account for a contender.

    Args:
        contender: Which.
        raised: Errors that its app counted.
        mails: Its distinct mails.
        stderr: What its process printed.
        stats: What `asynclog.stats` said last; ``None`` for the others, or if it was killed before.
        exits: Whether exit functions ran in its process. asynclog says what is left in one of them;
            else its last counts are all that is known.
        written: Errors that its file tells of.
    """
    if contender is ASYNCLOG:
        ours = _asynclog(raised, mails, stderr, stats, exits=exits)
        broken = dict(ours.broken)
        if written != raised:
            broken["raised = errors in the file"] = (raised, written)
        return replace(ours, broken=broken, written=written)
    if contender in {NOWHERE, AGAIN}:
        return Account(raised, len(mails), 0, 0, {"no mail came": (len(mails), 0)} if mails else {})
    # Logbook's thread dies of the first failed mail: what is printed of that is about one error, and nothing tells of
    # those behind it.
    reported = stderr.count(_FAILED if contender in {DIRECT, PAIR} else _DIED)
    return Account(raised, len(mails), len(mails), min(reported, raised - len(mails)), {}, written)


def _asynclog(
    raised: int, mails: Sequence[Mail], stderr: str, stats: Mapping[str, Any] | None, *, exits: bool
) -> Account:
    if stats is None:
        told = sum(mail.count for mail in mails)
        return Account(
            raised, len(mails), told, 0, {"raised = told; it was killed before it could count": (raised, told)}
        )
    # What is left is written in a line on stderr by an exit function.
    said = stderr if exits or not stats["pending"] else f"asynclog: {stats['pending']} records left"
    known = trial.asynclog_account(raised, mails, stats, said)
    broken = {text: sides for text, sides in known.checks.items() if sides[0] != sides[1]}
    return Account(raised, known.mails, known.announced, sum(known.rest.values()), broken)
