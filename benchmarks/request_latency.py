"""What a request waits for when it logs an exception, by the state of the mail server.

An open-loop load from another process asks the same app, served by each of four servers, for a page
that raises; each contender has the exception mailed in its own way, and the time counts from when
the request was due.

All contenders' apps are up at once and requests alternate between them, in evenly spaced slots whose
order is drawn anew each round. Rounds of one contender after another would be the other way to share
two cores; but then what the machine does in somebody's round is his alone, and a contender's mails,
still sent in the next one's round, would be the next one's burden in a fixed order. So each slot's
request finds nobody else's at work as long as all answer, what the rest does in the background hits
all alike, and a contender that stalls holds up none but its own clients: it waits, and uses no
processor. The same app without logging runs twice, to show how far apart two runs of one thing are.
Each cell, a server in one state, has processes of its own, so that none inherits another's backlog.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from asynclog.trial.run import enough_descriptors
from benchmarks.latency import cell, drawn
from benchmarks.latency.plan import FULL, QUICK, SERVERS, STATES, contenders
from benchmarks.latency.tables import Numbers
from benchmarks.result import Progress, Result, Scale

TITLE = "Request latency while the mail server is healthy, slow, refusing and silent"
MINUTES = (15, 0.7)


def run(scale: Scale, progress: Progress) -> Result:
    """Measure every server in every state; quickly, the first server.

    Raises:
        DemoError: A process could not be started, or ended on its own.
    """
    installed = [server for server in SERVERS if server.installed]
    servers = installed[: scale.of(len(SERVERS), 1)]
    timing = QUICK if scale.quick else FULL
    todo = [(server, state) for server in servers for state in STATES]
    progress.begin(len(todo))
    cells = []
    with enough_descriptors(), _terminated():
        for number, (server, state) in enumerate(todo):
            cells.append(cell.run(server, state, contenders(), timing, seed=number))
            following = todo[number + 1 :]
            progress.step(f"{following[0][0].label}, mail server {following[0][1].label}" if following else "done")
    numbers = Numbers(cells)
    lines = [f"Not installed, and so not measured: {server.label}" for server in SERVERS if not server.installed]
    return Result(numbers.tables(), numbers.claims(), drawn.pictures(cells), numbers.samples(), lines)


@contextlib.contextmanager
def _terminated() -> Iterator[None]:
    """Turn SIGTERM into an exception, so that every process and folder is gone on the way out."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(signum: int, _: FrameType | None) -> None:
        raise SystemExit(128 + signum)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)
