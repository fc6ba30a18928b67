"""Processor time and memory, read from Linux's ``/proc``; elsewhere nothing is known."""

from __future__ import annotations

import os
from pathlib import Path

from asynclog.trial.memory import memory_of

_TICKS = os.sysconf("SC_CLK_TCK")
_IDLE = (3, 4)  # idle and waiting for a disk


def machine() -> tuple[int, int] | None:
    """Return the ticks that all processors have worked, and those that passed."""
    try:
        first = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0]
    except OSError:
        return None
    # Without the last two: a guest's time is in the user's already.
    ticks = [int(one) for one in first.split()[1:9]]
    return sum(ticks) - sum(ticks[number] for number in _IDLE), sum(ticks)


def busy_between(before: tuple[int, int] | None, after: tuple[int, int] | None) -> float | None:
    """Return the share of the processors' time that was used between two readings of `machine`."""
    if before is None or after is None or after[1] == before[1]:
        return None
    return (after[0] - before[0]) / (after[1] - before[1])


def cpu(pid: int) -> float:
    """Return the seconds of processor time that a process has used; 0 where nothing is known."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def memory(pid: int) -> tuple[int, int] | None:
    """Return the bytes of memory that a process holds, and the most that it ever held."""
    found = memory_of(Path(f"/proc/{pid}/status"))
    return None if found is None else (found["held"], found["peak"])
