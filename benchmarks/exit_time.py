"""How long a program takes to end: idle, with a full queue, and with a mail server that is dead."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks.mail_server import MailServer
from benchmarks.result import Claim, Column, Picture, Progress, Result, Scale, Table
from benchmarks.rounds import Spread, each_round, in_turn

TITLE = "How long stopping takes"
MINUTES = (3.6, 0.4)

#: asynclog's default ``exit_timeout``, and what may come on top: closing connections, and Python's own end.
EXIT_TIMEOUT = 5.0
_ON_TOP = 0.75
_GIVE_UP = 90.0
_LEFT = re.compile(r"^asynclog: ([\d,]+) records? left", re.MULTILINE)
_WAYS = {"stdlib": "stdlib queue pair", "asynclog": "asynclog"}


@dataclass(frozen=True, slots=True)
class Case:
    """A program's last moments.

    Attributes:
        title: For people.
        sink: ``"file"`` or ``"mail"``.
        server: The mail server's behaviour.
        records: How many are logged just before the end.
        pause: Seconds between the last record and the end.
        rounds: How often.
    """

    title: str
    sink: str
    server: str
    records: int
    pause: float
    rounds: int

    @property
    def is_dead(self) -> bool:
        """Whether nothing can be delivered."""
        return self.server != "healthy"


@dataclass(frozen=True, slots=True)
class Ended:
    """What came of a program.

    Attributes:
        stop: Seconds that ``stop()`` took, where it was called.
        exit: Seconds from the last line of the program to the end of its process.
        delivered: Lines in the file, or records that mails tell of.
        mails: Mails that the server took.
        left: Records that it said on stderr it could not deliver.
    """

    stop: float
    exit: float
    delivered: int
    mails: int
    left: int


Runs: TypeAlias = dict[str, list[Ended]]


def run(scale: Scale, progress: Progress) -> Result:
    """Measure whole processes."""
    cases = _cases(scale)
    progress.begin(sum(len(_contenders(case)) * case.rounds for case in cases))
    runs = {case: _runs(case, progress) for case in cases}
    return Result([_table(runs)], _claims(runs), [_picture(runs)], _samples(runs))


def _cases(scale: Scale) -> list[Case]:
    busy, few = scale.of(10_000, 1_000), scale.of(3, 1)
    rounds, mail_rounds = scale.of(7, 1), scale.of(2, 1)
    cases = [
        Case("idle, all delivered", "file", "healthy", 1, 0.3, rounds),
        Case(f"{busy:,} just logged, to a file", "file", "healthy", busy, 0.0, rounds),
        Case(f"{busy:,} just logged, to mail", "mail", "healthy", busy, 0.0, mail_rounds),
        Case(f"{few} to a silent mail server", "mail", "silent", few, 0.0, mail_rounds),
    ]
    if not scale.quick:
        cases.append(Case(f"{few} to a refusing mail server", "mail", "refusing", few, 0.0, mail_rounds))
    return cases


def _contenders(case: Case) -> list[tuple[str, str]]:
    # What ends the standard pair at exit is its stop(): the slow cases are measured once.
    by_stdlib = ("exit",) if case.sink == "mail" else ("exit", "stop")
    ends = {"stdlib": by_stdlib, "asynclog": ("exit",) if case.is_dead and case.rounds == 1 else ("exit", "stop")}
    return [(way, end) for way in _WAYS for end in ends[way]]


def _runs(case: Case, progress: Progress) -> Runs:
    with tempfile.TemporaryDirectory() as folder, MailServer(case.server) as server:
        numbers = count()
        return in_turn(
            {
                f"{way}, {end}": partial(one_end, way, end, case, server, Path(folder), numbers)
                for way, end in _contenders(case)
            },
            case.rounds,
            lambda text: progress.step(f"{case.title}: {text}"),
        )


def one_end(way: str, end: str, case: Case, server: MailServer, folder: Path, numbers: Iterator[int]) -> Ended:
    """Run a program to its end.

    Args:
        way: ``"stdlib"`` or ``"asynclog"``.
        end: ``"exit"``: it falls off its end; ``"stop"``: it calls ``stop()`` first.
        case: What it does.
        server: The mail server.
        folder: For its file.
        numbers: Names for files.

    Raises:
        RuntimeError: It failed.
    """
    server.forget()
    path = folder / f"{next(numbers)}.log"
    where = str(path) if case.sink == "file" else str(server.port)
    said, ended, errors = _finished([way, case.sink, where, str(case.records), str(case.pause), end])
    if case.sink == "file":
        mails, delivered = 0, path.read_bytes().count(b"\n") - 1  # the one that warmed up
    else:
        taken = server.mails()
        mails, delivered = len(taken), sum(number for _, number in taken)
    left = sum(int(found.replace(",", "")) for found in _LEFT.findall(errors))
    return Ended(said["stopped"] - said["began"], ended - said["began"], delivered, mails, left)


def _finished(arguments: list[str]) -> tuple[dict[str, float], float, str]:
    home = str(Path(__file__).resolve().parent.parent)
    path = os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH"))))
    with tempfile.TemporaryFile("w+", encoding="utf-8") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.exit_child", *arguments],
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, "PYTHONPATH": path},
            text=True,
        )
        watchdog = threading.Timer(_GIVE_UP, process.kill)
        watchdog.start()
        try:
            # Its standard output is closed when it has ended; nothing is asked in between.
            told = process.stdout.read() if process.stdout is not None else ""
            process.wait()
            ended = time.monotonic()
        finally:
            watchdog.cancel()
            process.kill()
            process.communicate()
        errors.seek(0)
        complaints = errors.read()
    if process.returncode != 0 or not told:
        raise RuntimeError(f"the program ended with {process.returncode}: {complaints[-1000:]}")
    return json.loads(told), ended, complaints


# -- what came of it -------------------------------------------------------------------------------


def _table(runs: dict[Case, Runs]) -> Table:
    rows: list[tuple[str, list[float | str | None]]] = []
    for case, ends in runs.items():
        for way, name in _WAYS.items():
            exits, stops = ends[f"{way}, exit"], ends.get(f"{way}, stop")
            took = Spread.of([one.exit for one in exits])
            stop = Spread.of([one.stop for one in stops]).middle if stops else None
            delivered = each_round([one.delivered for one in exits])
            counts = [
                *((delivered, None) if case.sink == "file" else (None, delivered)),
                None if case.sink == "file" else each_round([one.mails for one in exits]),
                each_round([one.left for one in exits]) if way == "asynclog" else None,
            ]
            rows.append((f"{case.title}: {name}", [took.middle, str(took), stop, *counts]))
    return Table(
        "From a program's last line to the end of its process",
        [
            Column("exit, s"),
            Column("from … to", None),
            Column("stop(), s"),
            Column("lines in the file", None),
            Column("told in mails", None),
            Column("mails", None),
            Column("said to be left", None),
        ],
        rows,
        note="Medians, Python's own end included; a count on which rounds differ is given for each. The two do unlike"
        " work for mail: the standard pair sends one for each record, with its text; asynclog counts records of the"
        " same place in a digest, so told in mails means counted there, with the text of the first ones. The standard"
        " pair ends by the stop() that the app registers for its exit; it goes on until its queue is empty, however"
        " long a dead server takes for each record, and what fails is gone. asynclog ends by itself within its"
        " exit_timeout (5 s) and says on stderr what is left.",
        key="exit_time",
    )


def _claims(runs: dict[Case, Runs]) -> list[Claim]:
    return [claim for case, ends in runs.items() for claim in _case_claims(case, ends["asynclog, exit"])]


def _case_claims(case: Case, ends: list[Ended]) -> list[Claim]:
    took = [one.exit for one in ends]
    told = "told in a mail" if case.sink == "mail" else "written"
    if case.is_dead:
        bound = EXIT_TIMEOUT + _ON_TOP
        text = "the process ends within exit_timeout and what Python itself takes"
        missing = [case.records - one.delivered - one.left for one in ends]
        lost = f"records neither {told} nor counted on stderr as left"
    else:
        bound, text = EXIT_TIMEOUT, "the process ends within exit_timeout"
        missing = [case.records - one.delivered for one in ends]
        lost = f"records not {told} by the end of the process"
    note = f"in {each_round([one.mails for one in ends])} mails" if case.sink == "mail" and not case.is_dead else ""
    return [
        Claim(
            f"{case.title}: {lost}",
            max(abs(number) for number in missing),
            0,
            "records",
            why_not=f"Of {case.records:,} {each_round([one.delivered for one in ends])} were {told};"
            f" {each_round([one.left for one in ends])} were said to be left.",
            note=note,
        ),
        Claim(
            f"{case.title}: {text}, the worst",
            max(took),
            bound,
            "s",
            why_not=f"Of it stopping has {EXIT_TIMEOUT:g} s; {each_round([one.left for one in ends])} records were said"
            " to be left then. The rest is Python's own end.",
            span=(min(took), max(took)),
            note=note,
        ),
    ]


def _samples(runs: dict[Case, Runs]) -> dict[str, Any]:
    return {
        f"exit: {case.title}: {name}": {
            "exit, s": Spread.of([one.exit for one in some]).sample(),
            "stop, s": Spread.of([one.stop for one in some]).sample(),
            "delivered (for mail: told in mails)": [one.delivered for one in some],
            "mails": [one.mails for one in some],
            "said to be left": [one.left for one in some],
        }
        for case, ends in runs.items()
        for name, some in ends.items()
    }


def _picture(runs: dict[Case, Runs]) -> Picture:
    rows = {}
    for case, ends in runs.items():
        for way, name in _WAYS.items():
            took = Spread.of([one.exit for one in ends[f"{way}, exit"]])
            rows[f"{name}: {case.title}"] = (took.middle, took.low, took.high)

    def draw(file: Any, dark: bool) -> None:
        from benchmarks import pictures

        pictures.bars(file, dark, rows, unit="seconds from the last line to the end of the process", log=True)

    return Picture("exit_time", "How long a program takes to end, on a logarithmic scale.", draw)
