"""Where the time goes: what a call, a record on its way to a file and a mail are made of, piece by piece.

Each table ends with what its pieces don't explain of the whole, which is measured by itself in the same
run: a profile that adds up by construction would hide what it has not found.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.profile import caller, together, worker
from benchmarks.result import Progress, Result, Scale

TITLE = "Where the time goes"
MINUTES = (1.5, 0.05)


def run(scale: Scale, progress: Progress) -> Result:
    """Measure the pieces on the caller, several handlers there, then the pieces in the worker."""
    files, mails = worker.rounds(scale)
    progress.begin(sum(caller.rounds(scale)) + 2 * together.rounds(scale) + 2 * 2 * files + 3 * mails)
    with tempfile.TemporaryDirectory() as folder:
        parts = [module.measure(scale, Path(folder), progress.step) for module in (caller, together, worker)]
    return Result(
        [table for part in parts for table in part.tables],
        samples={key: value for part in parts for key, value in part.samples.items()},
    )
