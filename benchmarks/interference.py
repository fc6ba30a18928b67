"""Who waits for whom: an app that computes, beside a worker that ships; and its calls, beside an app that computes."""

from __future__ import annotations

import logging
import logging.handlers
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
from benchmarks.rounds import Spread, in_turn, ratios
from benchmarks.to_file import file_handler

TITLE = "What the worker does to the app beside it"
MINUTES = (5.3, 0.3)

RATE = 2_000
#: The unit of work, and how many of them a request's would be.
UNIT = 0.001
TOGETHER = 10
_SIZES = (1, TOGETHER)

#: For so long the unit is calibrated before each round. A virtual processor may run at two speeds, by what the host's
#: other guests do, and keep to one for a quarter of a second: a shorter look took the slow one for the only one.
_CALIBRATE = 0.3
#: A baseline whose p99 is more than so many times its own p50 is said to be disturbed.
_STEADY = 1.3

_NONE, _AGAIN = "nothing is logged", "nothing is logged, again"


def run(scale: Scale, progress: Progress) -> Result:
    """Measure all three."""
    rounds, call_rounds, drains = scale.of(7, 1), scale.of(5, 1), scale.of(5, 1)
    progress.begin(7 * rounds + 3 * call_rounds + 3 * drains)
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
    work: Callable[[], object]

    def recalibrate() -> None:
        nonlocal work
        work = calibrated(UNIT, _CALIBRATE)

    ways: dict[str, Callable[[], Shipping | None]] = {
        _NONE: lambda: None,
        _AGAIN: lambda: None,
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
        before_each_round=recalibrate,
    )
    return units_result(runs)


def units_result(runs: dict[str, list[Computed]]) -> Result:
    """Return what comes of units of work, by what was logged beside them; `_NONE` is what they are compared with."""
    base = {together: _Units.of(runs[_NONE], together) for together in _SIZES}
    rows: list[tuple[str, list[float | str | None]]] = []
    samples: dict[str, Any] = {}
    ratio: dict[tuple[str, int], Spread] = {}
    for name, some in runs.items():
        logged = sum(one.logged for one in some) / sum(one.seconds for one in some)
        cells: list[float | str | None] = [logged]
        sample: dict[str, Any] = {"logged/s": logged}
        for together in _SIZES:
            units = _Units.of(some, together)
            half = ratios(units.p50, base[together].p50)
            p99 = ratio[name, together] = ratios(units.p99, base[together].p99)
            cells += [_median(units.p50), half.middle, _median(units.p99), p99.middle, str(p99)]
            sample[_label(together)] = {
                "p50, ms": Spread.of(units.p50).sample(),
                "p99, ms": Spread.of(units.p99).sample(),
                "p50, × none": half.sample(),
                "p99, × none": p99.sample(),
                **{f"all rounds, p{percent}, ms": percentile(units.every, percent) for percent in (50, 90, 99, 99.9)},
            }
        rows.append((name, cells))
        samples[f"computing beside: {name}"] = sample
    steady = _steadiness(base)
    claims = [
        Claim(
            f"A thread that computes in units of {_label(together)} beside {RATE:,} exceptions a second to {where}: p99"
            " at most 1.3 × of none, the median of the rounds' ratios",
            ratio[f"asynclog, {where}", together].middle,
            1.3,
            "×",
            why_not=f"Beside the handler that only drops the record it is {ratio[DROPPING, together].middle:.2f} ×"
            f" ({ratio[DROPPING, together]}): the thread that logs takes its turns as well. Every 10 ms the worker"
            " takes one to render what has gathered, and its file's thread or the mail server's answer another.",
            span=ratio[f"asynclog, {where}", together].span,
            note=f"nothing logged: {base[together]}, {ratio[_AGAIN, together].middle:.2f} × of itself"
            f" ({ratio[_AGAIN, together]})",
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
                for together in _SIZES
                for column in (
                    Column(f"{_label(together)}: p50, ms"),
                    Column("× none"),
                    Column("p99, ms"),
                    Column("× none"),
                    Column("from … to", None),
                )
            ],
        ],
        rows,
        note="p50 and p99 are the medians of the rounds'; × none is the median of each round's ratio to nothing logged,"
        " and from … to the least and the most of those of p99. The second row measures nothing logged once more in"
        " each round: what its ratios are off 1 is the machine. A unit is calibrated anew before each round, by the"
        " best of many tries. Another thread logs exceptions of 10 frames, each at its time; what it can't because the"
        " interpreter is busy it logs as soon as it gets it. Units of 1 ms show every turn that is taken away; ten of"
        " them are a small request's work. The standard pair formats on the logging thread, and sends a mail a record:"
        f" most of what it was given still waits at the end and is thrown away.{steady}",
        key="interference",
    )
    series = {name: _Units.of(some, TOGETHER).every for name, some in runs.items()}

    def draw(to: Any, dark: bool) -> None:
        from benchmarks import pictures

        pictures.percentile_curves(to, dark, series, unit="ms", log=True)

    caption = f"How long {_label(TOGETHER)} of computing take beside {RATE:,} exceptions a second, all rounds."
    return Result([table], claims, [Picture("interference", caption, draw)], samples)


def _label(together: int) -> str:
    return f"{UNIT * together * 1e3:g} ms"


def _median(values: list[float]) -> float:
    return Spread.of(values).middle


def _steadiness(base: dict[int, _Units]) -> str:
    """Return a sentence with the numbers where nothing logged has itself a p99 far above its p50, else nothing."""
    off = [f"{units} in units of {_label(size)}" for size, units in base.items() if units.is_uneven]
    if not off:
        return ""
    return (
        " Uneven in this run is what nothing logged takes itself, with no other thread in its process:"
        f" {'; '.join(off)}. That is the machine, and a ratio of p99s hides what is small beside it."
    )


@dataclass(frozen=True, slots=True)
class _Units:
    """Milliseconds of units, so many together.

    Attributes:
        every: Of all rounds.
        p50: Of each round.
        p99: Of each round.
    """

    every: list[float]
    p50: list[float]
    p99: list[float]

    @classmethod
    def of(cls, runs: list[Computed], together: int) -> _Units:
        rounds = [[seconds * 1e3 for seconds in one.in_groups(together)] for one in runs]
        return cls(
            [unit for one in rounds for unit in one],
            [percentile(one, 50) for one in rounds],
            [percentile(one, 99) for one in rounds],
        )

    @property
    def is_uneven(self) -> bool:
        """Whether p99 is far above p50."""
        return _median(self.p99) > _STEADY * _median(self.p50)

    def __str__(self) -> str:
        return f"p50 {_median(self.p50):.2f} and p99 {_median(self.p99):.2f} ms"


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

    def in_groups(self, size: int) -> list[float]:
        """Return the seconds of each so many units in succession."""
        return [sum(self.units[at : at + size]) for at in range(0, len(self.units) - size + 1, size)]


def calibrated(seconds: float, tries: float) -> Callable[[], object]:
    """Return work in Python code that takes so many seconds undisturbed.

    Args:
        seconds: Of the work.
        tries: For how many seconds to look for the best of it.
    """

    def loop(turns: int) -> int:
        total = 0
        for number in range(turns):
            total += number % 7
        return total

    turns = 1_000
    ends = time.perf_counter() + tries
    best = _seconds_of(lambda: loop(turns))
    while time.perf_counter() < ends:
        best = min(best, _seconds_of(lambda: loop(turns)))
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
