"""Numbers as people read them: the same in the terminal and in the report."""

from __future__ import annotations

from asynclog.trial.accounts import FileAccount
from asynclog.trial.measure import Comparison
from asynclog.trial.plan import PATIENCE


def duration(seconds: float) -> str:
    """Write a latency with three digits, or that the client gave up."""
    if seconds >= PATIENCE:
        return f"≥ {PATIENCE:g} s"
    if seconds >= 1:
        return f"{seconds:.2f} s"
    thousandths = seconds * 1000
    return f"{thousandths:.0f} ms" if thousandths >= 100 else f"{thousandths:.1f} ms"


def counted(count: int | None) -> str:
    """Write how many, or that it was not counted."""
    return "not counted" if count is None else f"{count:,}"


def adds_up(account: FileAccount) -> str:
    """Say whether what was written of what was given adds up."""
    return "not counted" if not account.checks else "yes" if account.adds_up else "NO"


def size(count: int) -> str:
    """Write bytes of memory."""
    return f"{count / 2**20:.1f} MiB"


def ratio(times: float) -> str:
    """Write how many times as long."""
    digits = 2 if times < 10 else 1 if times < 100 else 0
    return f"\N{MULTIPLICATION SIGN}\N{NO-BREAK SPACE}{times:,.{digits}f}"


def spread(comparison: Comparison) -> str:
    """Write from where to where an identical app comes."""
    return f"{comparison.low:.2f} to {comparison.high:.2f}"


def verdict(comparison: Comparison) -> str:
    """Say whether asynclog's p99 is where the promise puts it."""
    return "within" if comparison.within else "above"
