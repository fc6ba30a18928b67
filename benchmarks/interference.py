"""Who waits for whom: an app that computes, beside a worker that ships; and its calls, beside an app that computes."""

from __future__ import annotations

import logging
import logging.handlers
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks import to_mail
from benchmarks.beside import DROPPING, Shipping, calls_result, dropping, late_result, pair, wrapped
from benchmarks.errors import caught, raiser
from benchmarks.mail_server import MailServer
from benchmarks.measure import percentile
from benchmarks.peers.base import ExcInfo
from benchmarks.result import Claim, Column, Picture, Progress, Result, Scale, Table
from benchmarks.rounds import in_turn
from benchmarks.to_file import file_handler

TITLE = "What the worker does to the app beside it"
MINUTES = (3.5, 0.25)

RATE = 2_000
#: The unit of work, and how many of them a request's would be.
UNIT = 0.001
TOGETHER = 10

_NONE = "nothing is logged"


def run(scale: Scale, progress: Progress) -> Result:
    """Measure all three."""
    rounds, call_rounds, drains = scale.of(4, 1), scale.of(5, 1), scale.of(4, 1)
    progress.begin(6 * rounds + 3 * call_rounds + 2 * drains + 1)
    with tempfile.TemporaryDirectory() as folder, MailServer() as server:
        place, numbers = Path(folder), count()
        error = caught(raiser(10, place))
        info = (type(error), error, error.__traceback__)

        def file() -> logging.Handler:
            return file_handler(place / f"{next(numbers)}.log")

        def mail() -> logging.Handler:
            return logging.handlers.SMTPHandler(
                ("127.0.0.1", server.port), to_mail.SENDER, [to_mail.RECIPIENT], "failed"
            )

        parts = [
            _units(info, file, mail, scale.of(4, 1), rounds, progress),
            calls_result(info, file, scale.of(300, 60), call_rounds, progress),
            late_result(file, scale.of(100_000, 20_000), drains, progress),
        ]
    return Result(
        [table for part in parts for table in part.tables],
        [claim for part in parts for claim in part.claims],
        [picture for part in parts for picture in part.pictures],
        {name: value for part in parts for name, value in part.samples.items()},
    )


# -- a thread that computes, beside 2,000 exceptions a second ----------------------------------------


def _units(
    info: ExcInfo,
    file: Callable[[], logging.Handler],
    mail: Callable[[], logging.Handler],
    seconds: float,
    rounds: int,
    progress: Progress,
) -> Result:
    work = calibrated(UNIT)
    ways: dict[str, Callable[[], Shipping | None]] = {
        _NONE: lambda: None,
        DROPPING: dropping,
        "asynclog, file": lambda: wrapped(file),
        "asynclog, mail": lambda: wrapped(mail),
        "stdlib queue pair, file": lambda: pair(file),
        "stdlib queue pair, mail": lambda: pair(mail),
    }
    runs = in_turn(
        {name: lambda way=way: computed_beside(way(), info, work, seconds) for name, way in ways.items()},  # type: ignore[misc]
        rounds,
        lambda text: progress.step(f"computing beside {RATE:,} exceptions a second: {text}"),
    )
    short = {name: [unit for one in some for unit in one.units] for name, some in runs.items()}
    long = {name: [unit for one in some for unit in one.together()] for name, some in runs.items()}
    rows: list[tuple[str, list[float | str | None]]] = []
    samples: dict[str, Any] = {}
    for name, some in runs.items():
        logged = sum(one.logged for one in some) / sum(one.seconds for one in some)
        cells: list[float | str | None] = [logged]
        for units in (short, long):
            value, base = percentile(units[name], 50), percentile(units[_NONE], 50)
            cells += [value * 1e3, value / base]
            value, base = (_p99(runs[one], TOGETHER if units is long else 1) for one in (name, _NONE))
            cells += [value * 1e3, value / base]
        rows.append((name, cells))
        samples[f"computing beside: {name}"] = {
            "logged/s": logged,
            **{
                f"{what}, p{percent}, ms": percentile(units[name], percent) * 1e3
                for what, units in (("unit", short), (f"{TOGETHER} units", long))
                for percent in (50, 90, 99, 99.9)
            },
            f"{TOGETHER} units, p99 of each round, ms": [percentile(one.together(), 99) * 1e3 for one in some],
        }
    claims = [
        Claim(
            f"A thread that computes for {UNIT * together * 1e3:g} ms beside {RATE:,} exceptions a second to {where}:"
            " p99 at most 1.3 × of none",
            _p99(runs[f"asynclog, {where}"], together) / _p99(runs[_NONE], together),
            1.3,
            "×",
            why_not="Beside the handler that only drops the record it is"
            f" {_p99(runs[DROPPING], together) / _p99(runs[_NONE], together):.2f} ×: the thread that logs takes its"
            " turns as well. Every 10 ms the worker takes one to render what has gathered, and its file's thread or"
            " the mail server's answer another.",
        )
        for together in (TOGETHER, 1)
        for where in ("file", "mail")
    ]
    table = Table(
        f"A thread that computes, beside {RATE:,} exceptions a second",
        [
            Column("logged/s", 0),
            *[
                column
                for unit in (UNIT * 1e3, UNIT * TOGETHER * 1e3)
                for column in (
                    Column(f"{unit:g} ms: p50, ms"),
                    Column("× none"),
                    Column("p99, ms"),
                    Column("× none"),
                )
            ],
        ],
        rows,
        note="p99 is the median of the rounds'. Another thread logs exceptions of 10 frames, each at its time; what it"
        " can't because the interpreter is"
        " busy it logs as soon as it gets it. Units of 1 ms show every turn that is taken away; ten of them are a"
        " small request's work. The standard pair formats on the logging thread, and sends a mail a record: most of"
        " what it was given still waits at the end and is thrown away.",
        key="interference",
    )

    def draw(to: Any, dark: bool) -> None:
        from benchmarks import pictures

        series = {name: [unit * 1e3 for unit in units] for name, units in long.items()}
        pictures.percentile_curves(to, dark, series, unit="ms", log=True)

    caption = f"How long {UNIT * TOGETHER * 1e3:g} ms of computing take beside {RATE:,} exceptions a second."
    return Result([table], claims, [Picture("interference", caption, draw)], samples)


def _p99(runs: list[Computed], together: int) -> float:
    # The median of the rounds', so that one disturbed round is not the result.
    return statistics.median(percentile(one.units if together == 1 else one.together(), 99) for one in runs)


@dataclass(slots=True)
class Computed:
    """What a thread that computes got done.

    Attributes:
        units: Seconds of each unit of work.
        seconds: Of all of it.
        logged: Records that were logged meanwhile.
    """

    units: list[float] = field(default_factory=list)
    seconds: float = 0.0
    logged: int = 0

    def together(self) -> list[float]:
        """Return the seconds of each ten units."""
        return [sum(self.units[at : at + TOGETHER]) for at in range(0, len(self.units) - TOGETHER + 1, TOGETHER)]


def calibrated(seconds: float) -> Callable[[], object]:
    """Return work in Python code that takes so many seconds undisturbed."""

    def loop(turns: int) -> int:
        total = 0
        for number in range(turns):
            total += number % 7
        return total

    turns = 1_000
    best = min(_seconds_of(lambda: loop(turns)) for _ in range(200))
    wanted = max(1, int(turns * seconds / best))
    return lambda: loop(wanted)


def _seconds_of(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def computed_beside(shipping: Shipping | None, info: ExcInfo, work: Callable[[], object], seconds: float) -> Computed:
    """Compute in this thread while another one logs exceptions at `RATE`.

    Args:
        shipping: Where to; ``None``: nothing is logged.
        info: The exception.
        work: One unit.
        seconds: How long.
    """
    done = Computed()
    if shipping is None:
        _compute(done, work, seconds)
        return done
    with shipping as handler:
        logger = logging.Logger("benchmarks.interference")
        logger.addHandler(handler)
        logger.error("warming up", exc_info=info)
        time.sleep(0.5)  # imports and a first connection are not the question here
        ends = threading.Event()

        def log() -> None:
            began, number = time.perf_counter(), 0
            while not ends.is_set():
                late = time.perf_counter() - began - number / RATE
                if late < 0:
                    time.sleep(-late)
                    continue
                logger.error("order %d failed", number, exc_info=info)
                number += 1
            done.logged = number

        thread = threading.Thread(target=log)
        thread.start()
        _compute(done, work, seconds)
        ends.set()
        thread.join()
    return done


def _compute(done: Computed, work: Callable[[], object], seconds: float) -> None:
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        done.units.append(_seconds_of(work))
    done.seconds = time.perf_counter() - began
