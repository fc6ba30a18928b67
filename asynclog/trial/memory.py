"""The memory that a server's process holds, by the kernel's own count; nothing has to be installed for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_STATUS = Path("/proc/self/status")


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory of a process; bytes.

    Attributes:
        held: At the end (``VmRSS``).
        peak: The most that it ever held (``VmHWM``).
    """

    held: int
    peak: int

    @classmethod
    def of(cls, counts: Mapping[str, Any]) -> Memory | None:
        """Return what an app wrote among its last counts; ``None``: its system doesn't tell."""
        found = counts["memory"]
        return None if found is None else cls(**found)


def memory_of(status: Path = _STATUS) -> dict[str, int] | None:
    """Return a process's memory as `Memory` has it, by default this one's; ``None`` where there is no ``/proc``.

    Not ``resource.getrusage``, which has the peak alone, and on Linux one that an ``exec`` hands on
    from the program before.

    Args:
        status: The kernel's file about the process.
    """
    try:
        lines = status.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    found = dict(line.split(":", 1) for line in lines if ":" in line)
    if not {"VmRSS", "VmHWM"} <= found.keys():
        return None
    held, peak = (int(found[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
    return {"held": held, "peak": peak}
