"""A storm through the product: a million errors of fifty kinds, from eight threads that do nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import storm_control
from benchmarks.mail_server import MailServer
from benchmarks.result import Claim, Column, Picture, Progress, Result, Scale, Table
from benchmarks.rounds import Spread, each_round, in_turn, ratios
from benchmarks.storm_child import PLACES, THREADS

TITLE = "A storm: a million errors at once"
MINUTES = (3, 0.15)

DROPPING, COLD, STARTED, STDLIB = (
    "dropping",
    "asynclog",
    "asynclog, worker running",
    "stdlib queue pair, SMTPHandler",
)
_LOOK_EVERY = 0.05
_GIVE_UP = 240.0


@dataclass(frozen=True, slots=True)
class Storm:
    """What came of one storm.

    Attributes:
        logged: Calls.
        seconds: Until the last call returned.
        cpu: CPU seconds of the process meanwhile.
        memory: Seconds after the first call, and how far the process had grown, MB.
        counts: What the handler says became of them.
        mails: Seconds after the first call, and how many errors the mail announces.
    """

    logged: int
    seconds: float
    cpu: float
    memory: list[tuple[float, float]]
    counts: dict[str, Any]
    mails: list[tuple[float, int]]

    @property
    def growth(self) -> float:
        """The most that the process grew, MB."""
        return max(value for _, value in self.memory)

    @property
    def told(self) -> int:
        """Errors that mails have announced."""
        return sum(count for _, count in self.mails)

    @property
    def missing(self) -> int:
        """Errors that are neither told, dropped and counted as that, nor pending; duplicates count too."""
        return abs(self.logged - self.told - self.dropped - self.counts.get("pending", 0))

    @property
    def dropped(self) -> int:
        """Errors that were dropped and counted as that."""
        return sum(self.counts.get("dropped", {}).values())


def run(scale: Scale, progress: Progress) -> Result:
    """Let it break, in a process of its own for each contender."""
    records, rounds, few = scale.of(1_000_000, 40_000), scale.of(3, 1), scale.of(20_000, 2_000)
    progress.begin(3 * rounds + 1 + storm_control.STEPS[scale.quick])
    with MailServer() as server:
        storms = in_turn(
            {way: lambda way=way: one_storm(way, records, server) for way in (DROPPING, COLD, STARTED)},  # type: ignore[misc]
            rounds,
            lambda text: progress.step(f"{records:,} errors: {text}"),
        )
        progress.step(f"{few:,} errors: {STDLIB}")
        storms[STDLIB] = [one_storm(STDLIB, few, server)]
    alone = storm_control.run(scale, progress.step)
    return Result(
        [_table(storms), *alone.tables],
        [*_claims(storms), *alone.claims],
        [_memory_picture(storms)],
        {**_samples(storms), **alone.samples},
    )


def one_storm(way: str, records: int, server: MailServer) -> Storm:
    """Run one storm in a new process.

    Raises:
        RuntimeError: The process ended before it had said all.
    """
    server.forget()
    arguments = [sys.executable, "-m", "benchmarks.storm_child", way, str(records), str(server.port)]
    home = str(Path(__file__).resolve().parent.parent)
    path = os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH"))))
    process = subprocess.Popen(
        arguments,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
        text=True,
    )
    watchdog = threading.Timer(_GIVE_UP, process.kill)
    watchdog.start()
    memory: list[tuple[float, float]] = []
    looking = threading.Event()
    try:
        _hear(process, "ready")
        watching = threading.Thread(target=_watch, args=(process.pid, looking, memory))
        watching.start()
        _go(process)
        called = _hear(process, "began")
        counts = _hear(process, "counts")["counts"]
        looking.set()
        watching.join()
        began = called["began"]
        mails = [(at - began, count) for at, count in server.mails()]
        _go(process)
        process.wait(30)
    finally:
        looking.set()
        watchdog.cancel()
        process.kill()
        process.communicate()
    start = memory[0][1]
    return Storm(
        called["logged"],
        called["ended"] - began,
        called["cpu"],
        [(at - began, (size - start) / 1e6) for at, size in memory],
        counts,
        mails,
    )


def _go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def _hear(process: subprocess.Popen[str], key: str) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"the storm's process ended with {process.wait(10)} before it said {key!r}")
    said: dict[str, Any] = json.loads(line)
    return said


def _watch(pid: int, stop: threading.Event, memory: list[tuple[float, float]]) -> None:
    # From outside: a thread of the storm's own would be one more that waits for the interpreter.
    while True:
        memory.append((time.monotonic(), resident(pid)))
        if stop.wait(_LOOK_EVERY):
            return


def resident(pid: int) -> float:
    """Return the bytes of memory that a process has."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except FileNotFoundError:
        told = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True)
        return int(told.stdout) * 1024


# -- what came of it -------------------------------------------------------------------------------


def _table(storms: dict[str, list[Storm]]) -> Table:
    rows: list[tuple[str, list[float | str | None]]] = []
    for way, some in storms.items():
        per_call = Spread.of([one.seconds / one.logged * 1e6 for one in some])
        told, drops = way != DROPPING, "accepted" in some[0].counts
        slower = _slower(storms, way)
        rows.append(
            (
                way,
                [
                    some[0].logged,
                    Spread.of([one.seconds for one in some]).middle,
                    per_call.middle,
                    slower.middle,
                    str(slower),
                    max(one.growth for one in some),
                    _first_mail(some) if told else None,
                    each_round([one.told for one in some]) if told else None,
                    each_round([one.dropped for one in some]) if drops else None,
                    _share_dropped(some).middle if drops else None,
                    max(len(one.mails) for one in some) if told else None,
                    max(one.counts["pending"] for one in some) if told else None,
                ],
            )
        )
    return Table(
        f"{THREADS} threads that raise in {PLACES} places and log it, flat out",
        [
            Column("errors", 0),
            Column("seconds"),
            Column("µs a call", 1),
            Column("× dropping"),
            Column("from … to", None),
            Column("memory grew by, MB", 1),
            Column("first mail after, s"),
            Column("told in mails, by round", None),
            Column("dropped, by round", None),
            Column("dropped", 1, percent=True),
            Column("mails", 0),
            Column("pending", 0),
        ],
        rows,
        note="Medians, but memory, first mail, mails and pending the worst; counts after a flush, by round where they"
        " differ. Raising is part of the call. With a default queue, what eight threads log faster than one worker can"
        " count is dropped and counted, and the mails say how many: memory and mails are as small as they are because"
        " most of the storm is. The standard library's pair got fewer errors, since it makes a mail of each; what it"
        " had not sent when the calls were done is pending.",
        key="storm",
    )


def _share_dropped(some: list[Storm]) -> Spread:
    return Spread.of([one.dropped / one.logged for one in some])


def _slower(storms: dict[str, list[Storm]], way: str) -> Spread:
    some, floor = storms[way], storms[DROPPING]
    per_call = [one.seconds / one.logged for one in some]
    return ratios(per_call, [one.seconds / one.logged for one in floor[: len(some)]])


def _first_mail(some: list[Storm]) -> float | None:
    firsts = [min(at for at, _ in one.mails) for one in some if one.mails]
    return max(firsts) if len(firsts) == len(some) else None


def _claims(storms: dict[str, list[Storm]]) -> list[Claim]:
    ours = [*storms[COLD], *storms[STARTED]]
    slowest = max((_slower(storms, way) for way in (COLD, STARTED)), key=lambda one: one.middle)
    growths, mails = [one.growth for one in ours], [len(one.mails) for one in ours]
    share = _share_dropped(ours)
    dropped = f"{_percent(share.low, share.high)} of the errors dropped"
    claims = [
        Claim(
            "The calls of the storm take at most 1.3 × their time with a record-dropping handler, the median of the"
            " rounds' ratios",
            slowest.middle,
            1.3,
            "×",
            why_not="Each call captures its exception, and the worker has a ninth of the interpreter: it counted"
            f" {_percent(1 - share.high, 1 - share.low)} of the errors.",
            span=slowest.span,
            note=dropped,
        ),
        Claim(
            "Memory growth through the storm, the worst",
            max(growths),
            100,
            "MB",
            why_not=f"The queue holds up to 64 MiB by default. {_by_round(storms, lambda one: f'{one.growth:.1f} MB')}",
            span=(min(growths), max(growths)),
            note=dropped,
        ),
        Claim(
            "Errors that are neither told in a mail nor counted as dropped or pending",
            max(one.missing for one in ours),
            0,
            "errors",
            why_not=_by_round(storms, lambda one: f"{one.missing:,} of {one.logged:,}"),
            note=dropped,
        ),
        Claim(
            "Mails about the storm, the most",
            max(mails),
            10,
            "mails",
            why_not=_by_round(storms, lambda one: f"{len(one.mails)} mails in {one.seconds:.0f} s"),
            span=(min(mails), max(mails)),
            note=dropped,
        ),
    ]
    for way, what in ((STARTED, "the worker running already"), (COLD, "a cold worker")):
        firsts = [_first_mail([one]) for one in storms[way]]
        # Without a mail: as long as it was waited for.
        waits = [one.memory[-1][0] if first is None else first for first, one in zip(firsts, storms[way], strict=True)]
        claims.append(
            Claim(
                f"From the first error of the storm to its mail, {what}, the worst",
                max(waits),
                1.0,
                "s",
                why_not=f"In {firsts.count(None)} of {len(firsts)} rounds no mail came. The worker shares the"
                f" interpreter with {THREADS} threads that do nothing but log.",
                span=(min(waits), max(waits)),
            )
        )
    return claims


def _percent(low: float, high: float) -> str:
    shown = [f"{share * 100:.1f}" for share in (low, high)]
    return f"{' to '.join(dict.fromkeys(shown))} %"


def _by_round(storms: dict[str, list[Storm]], say: Callable[[Storm], str]) -> str:
    return "Round by round: " + "; ".join(
        f"{way}: {', '.join(say(one) for one in storms[way])}" for way in (COLD, STARTED)
    )


def _samples(storms: dict[str, list[Storm]]) -> dict[str, Any]:
    return {
        f"storm: {way}": {
            "errors": some[0].logged,
            "seconds": Spread.of([one.seconds for one in some]).sample(),
            "CPU seconds": Spread.of([one.cpu for one in some]).sample(),
            "× dropping": _slower(storms, way).sample(),
            "growth, MB": [one.growth for one in some],
            "first mail, s": [min((at for at, _ in one.mails), default=None) for one in some],
            "mails": [len(one.mails) for one in some],
            "told": [one.told for one in some],
            "dropped": [one.dropped for one in some],
            "counts": [one.counts for one in some],
        }
        for way, some in storms.items()
    }


def _memory_picture(storms: dict[str, list[Storm]]) -> Picture:
    series = {f"{way} ({some[-1].logged:,} errors)": some[-1].memory for way, some in storms.items()}

    def draw(file: Any, dark: bool) -> None:
        from benchmarks import pictures

        pictures.time_series(file, dark, series, x="seconds after the first error", y="memory grew by, MB")

    return Picture(
        "storm_memory",
        "How far the process grows while it breaks. A line goes on after the last call until all mails have left.",
        draw,
    )
