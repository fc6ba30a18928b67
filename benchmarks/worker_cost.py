"""What a record costs once the caller has gone on: its traceback, its line in a file, its mail."""

from __future__ import annotations

import statistics
import tempfile
import timeit
import traceback
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from asynclog.capture.exception import capture_exc_info
from asynclog.render.standin import exc_info
from asynclog.render.traceback import clear_cache, format_exception_text
from benchmarks import to_file, to_mail
from benchmarks.errors import caught, raiser
from benchmarks.mail_server import ONE_BY_ONE, MailServer
from benchmarks.peers.base import ExcInfo
from benchmarks.result import Claim, Column, Picture, Progress, Result, Scale, Table
from benchmarks.rounds import Spread, in_turn, ratios
from benchmarks.to_file import Written
from benchmarks.to_mail import Sent

TITLE = "What a record costs in the worker"
MINUTES = (2.7, 0.2)

_STDLIB, _ASYNCLOG = "stdlib queue pair", "asynclog"
_STANDARD = "traceback.format_exception"
_FIRST, _REPEATED = "asynclog: text, first time", "asynclog: text, repeated"
_BARE = "bare aiosmtplib loop, bytes ready"
#: What is added to a row's name where the server takes a command at a time.
_ONE_BY_ONE = ", a server without PIPELINING"


def run(scale: Scale, progress: Progress) -> Result:
    """Measure tracebacks, the way to a file and the way to a mail server."""
    rounds = scale.of(25, 5)
    file_rounds = scale.of(7, 2)
    mail_rounds = scale.of(7, 2)
    progress.begin(2 * 5 * rounds + 2 * 2 * file_rounds + 6 * mail_rounds)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        errors = {frames: caught(raiser(frames, place)) for frames in (10, 40)}
        infos = {frames: (type(error), error, error.__traceback__) for frames, error in errors.items()}
        parts = [
            _tracebacks(infos, rounds, progress),
            _files(infos[10], place, scale, file_rounds, progress),
            _mails(infos[10], scale, mail_rounds, progress),
        ]
    return Result(
        tables=[table for part in parts for table in part.tables],
        claims=[claim for part in parts for claim in part.claims],
        pictures=[picture for part in parts for picture in part.pictures],
        samples={name: value for part in parts for name, value in part.samples.items()},
    )


# -- tracebacks ----------------------------------------------------------------------------------


def _tracebacks(infos: dict[int, ExcInfo], rounds: int, progress: Progress) -> Result:
    rows: dict[str, list[float]] = {}
    claims, samples = [], {}
    for frames, info in infos.items():
        taken = in_turn(_ways_to_text(info), rounds, lambda text: progress.step(f"tracebacks: {text}"))
        standard = taken[_STANDARD]
        for name, values in taken.items():
            rows.setdefault(name, []).extend((min(values), min(values) / min(standard)))
            samples[f"traceback, {frames} frames: {name}, µs"] = Spread.of(values).sample()
        for name, what, bound in ((_REPEATED, "repeated", 0.05), (_FIRST, "met for the first time", 1.2)):
            claims.append(
                Claim(
                    f"A traceback of {frames} frames that is {what} takes at most {bound * 100:.0f} % of"
                    " traceback.format_exception's time, the best round of each",
                    min(taken[name]) / min(standard),
                    bound,
                    "%",
                    why_not=f"It takes {min(taken[name]):.1f} µs, traceback.format_exception {min(standard):.1f}; the"
                    f" median of the rounds' ratios is {ratios(taken[name], standard).middle * 100:.1f} %.",
                    span=ratios(taken[name], standard).span,
                )
            )
    columns = [
        column
        for frames in infos
        for column in (Column(f"{frames} frames, µs", 1), Column("of the standard's", 1, percent=True))
    ]
    table = Table(
        "The text of a traceback",
        columns,
        list(rows.items()),
        note="Best round. The capture is what the caller pays; the rest is the worker's. All texts are equal,"
        " letter for letter. A traceback is printed once, and looked up as long as it repeats.",
        key="worker_tracebacks",
    )
    return Result([table], claims, samples=samples)


def _ways_to_text(info: ExcInfo) -> dict[str, Callable[[], float]]:
    captured = capture_exc_info(info)
    assert captured is not None
    if format_exception_text(captured) != "".join(traceback.format_exception(*info))[:-1]:
        raise AssertionError("not the standard library's text")

    def first() -> str:
        clear_cache()
        return format_exception_text(captured)

    ways: dict[str, tuple[Callable[[], Any], int]] = {
        _STANDARD: (lambda: traceback.format_exception(*info), 10),
        "asynclog: capture, on the caller": (lambda: capture_exc_info(info), 500),
        _FIRST: (first, 10),
        _REPEATED: (lambda: format_exception_text(captured), 500),
        "asynclog: stand-in for a formatter of the app's": (lambda: exc_info(captured), 500),
    }
    return {name: partial(_microseconds, way, number) for name, (way, number) in ways.items()}


def _microseconds(way: Callable[[], Any], number: int) -> float:
    return timeit.timeit(way, number=number) / number * 1e6


# -- files ---------------------------------------------------------------------------------------

_KINDS = (("plain", 1.8), ("exception of 10 frames, repeated", 15.0))


def _files(info: ExcInfo, folder: Path, scale: Scale, rounds: int, progress: Progress) -> Result:
    rows: list[tuple[str, list[float | str | None]]] = []
    claims, samples = [], {}
    rates: dict[str, tuple[float, float, float]] = {}
    for (kind, bound), records in zip(_KINDS, (scale.of(100_000, 10_000), scale.of(20_000, 2_000)), strict=True):
        runs = _file_runs(folder, _calls(records, info if bound > 2 else None), rounds, f"files, {kind}", progress)
        faster = ratios([one.seconds for one in runs[_STDLIB]], [one.seconds for one in runs[_ASYNCLOG]])
        work = {name: Spread.of([one.working / records * 1e6 for one in taken]) for name, taken in runs.items()}
        for name, taken in runs.items():
            rate = Spread.of([records / one.seconds for one in taken])
            calling = Spread.of([one.calling / records * 1e6 for one in taken])
            factor = faster.middle if name == _ASYNCLOG else 1.0
            rows.append((f"{kind}: {name}", [rate.middle, str(rate), factor, calling.middle, work[name].middle]))
            rates[f"{name}, {kind.split(',')[0]}"] = (rate.middle, rate.low, rate.high)
            samples[f"file, {kind}: {name}"] = {
                "records/s": rate.sample(),
                "caller's CPU, µs": calling.sample(),
                "worker's CPU, µs": work[name].sample(),
            }
        samples[f"file, {kind}: ratio of the rates"] = faster.sample()
        ours = runs[_ASYNCLOG]
        whole = statistics.median(one.seconds for one in ours) / records * 1e6
        why_not = (
            f"Of the {whole:.1f} µs that a record takes the caller's own CPU is"
            f" {statistics.median(one.calling for one in ours) / records * 1e6:.1f}, making the call's record included;"
            f" all other threads use {work[_ASYNCLOG].middle:.1f}, the pair's {work[_STDLIB].middle:.1f}."
        )
        claims.append(
            Claim(
                f"Records a second from call to disk, {kind}: at least {bound:g} × the stdlib pair's, the median of"
                " the rounds' ratios",
                faster.middle,
                bound,
                "×",
                at_least=True,
                why_not=why_not,
                span=faster.span,
            )
        )
        if bound < 2:
            share = ratios([one.working for one in ours], [one.working for one in runs[_STDLIB]])
            claims.append(
                Claim(
                    "The worker's own CPU for a plain record on its way to a file: at most a third of the stdlib"
                    " listener's, the median of the rounds' ratios",
                    share.middle,
                    1 / 3,
                    "%",
                    why_not=why_not,
                    span=share.span,
                )
            )
    table = Table(
        "From the call to the disk",
        [
            Column("records/s", 0),
            Column("from … to", None),
            Column("× the pair's"),
            Column("CPU of the caller, µs"),
            Column("CPU of all other threads, µs"),
        ],
        rows,
        note="Medians; the ratio is that of each round's two runs. The same bytes, which is checked. Calls and worker"
        " share one interpreter, so the calls themselves are most of both rates.",
        key="worker_files",
    )
    return Result([table], claims, [_picture("worker_files", rates, "records/s")], samples)


def _file_runs(
    folder: Path, calls: to_file.Calls, rounds: int, what: str, progress: Progress
) -> dict[str, list[Written]]:
    numbers = count()

    def fresh() -> Path:
        return folder / f"{next(numbers)}.log"

    runs = in_turn(
        {_STDLIB: lambda: to_file.by_stdlib(fresh(), calls), _ASYNCLOG: lambda: to_file.by_asynclog(fresh(), calls)},
        rounds,
        lambda text: progress.step(f"{what}: {text}"),
    )
    lines = runs[_STDLIB][0].lines
    if any(one.lines != lines for taken in runs.values() for one in taken):
        raise AssertionError(f"{what}: not the same lines")
    return runs


def _calls(records: int, info: ExcInfo | None) -> to_file.Calls:
    def plain(logger: Any) -> None:
        for number in range(records):
            logger.error("user %s failed %d", "bob", number)

    def exceptions(logger: Any) -> None:
        for number in range(records):
            logger.error("order %d failed", number, exc_info=info)

    return plain if info is None else exceptions


# -- mails ---------------------------------------------------------------------------------------


def _mails(info: ExcInfo, scale: Scale, rounds: int, progress: Progress) -> Result:
    mails = scale.of(1_000, 150)
    body = "order 1 failed\n" + "".join(traceback.format_exception(*info))
    payload = to_mail.ready_payload(body)
    with MailServer() as server, MailServer(ONE_BY_ONE) as plain_server:
        runs = in_turn(
            {
                _BARE: lambda: to_mail.by_bare_loop(server, mails, payload),
                _BARE + _ONE_BY_ONE: lambda: to_mail.by_bare_loop(plain_server, mails, payload),
                "aiosmtplib loop, an EmailMessage each": lambda: to_mail.by_message_loop(server, mails, body),
                "smtplib, a connection each, as SMTPHandler": lambda: to_mail.by_smtplib(server, mails, body),
                _ASYNCLOG: lambda: to_mail.by_asynclog(server, mails, info),
                _ASYNCLOG + _ONE_BY_ONE: lambda: to_mail.by_asynclog(plain_server, mails, info),
            },
            rounds,
            lambda text: progress.step(f"mails: {text}"),
        )
        taken = len(server.mails()) + len(plain_server.mails())
    expected = rounds * (6 * mails + 2)  # asynclog sends one more each time, to warm up
    if taken != expected:
        raise AssertionError(f"{taken} of {expected} mails arrived")
    return mails_result(runs, mails)


def mails_result(runs: dict[str, list[Sent]], mails: int) -> Result:
    """Return what comes of so many mails a run: each way is compared with the bare loop on a server of its kind."""
    rows: list[tuple[str, list[float | str | None]]] = []
    samples, rates, cpu, relative = {}, {}, {}, {}
    for name, some in runs.items():
        bare = runs[_BARE + _ONE_BY_ONE if name.endswith(_ONE_BY_ONE) else _BARE]
        rate = Spread.of([mails / one.seconds for one in some])
        cpu[name] = Spread.of([one.cpu / mails * 1e6 for one in some])
        faster = relative[name] = ratios([one.seconds for one in bare], [one.seconds for one in some])
        rows.append((name, [rate.middle, str(rate), faster.middle, str(faster), cpu[name].middle]))
        rates[name] = (rate.middle, rate.low, rate.high)
        samples[f"mail: {name}"] = {
            "mails/s": rate.sample(),
            "CPU, µs": cpu[name].sample(),
            "× bare": faster.sample(),
        }
    table = Table(
        "Mails a second, one a record",
        [
            Column("mails/s", 0),
            Column("from … to", None),
            Column("× the bare loop's"),
            Column("from … to", None),
            Column("CPU, µs"),
        ],
        rows,
        note="Medians; the ratio is that of each round's runs, to the bare loop on a server of the same kind. The"
        " servers are processes of their own. asynclog captures the exception, prints it, makes the mail and counts its"
        " outcome; the bare loop sends the same bytes over and over. Servers announce PIPELINING unless the row says"
        " otherwise: asynclog sends a mail's commands together there, which aiosmtplib and smtplib never do. What it"
        " saves by that pays for the work that the bare loop doesn't have; without it that work shows.",
        key="worker_mails",
    )
    claims = [
        Claim(
            f"Mails a second, one a record, to a server {what} PIPELINING: at least 0.9 × a bare loop over one"
            " aiosmtplib connection to such a server, the median of the rounds' ratios",
            relative[_ASYNCLOG + suffix].middle,
            0.9,
            "×",
            at_least=True,
            why_not=f"A mail takes {cpu[_ASYNCLOG + suffix].middle:.0f} µs of CPU, the bare loop's"
            f" {cpu[_BARE + suffix].middle:.0f}: the bare loop has its bytes ready, and asynclog makes them of a"
            f" record, a traceback included. {waits}",
            span=relative[_ASYNCLOG + suffix].span,
        )
        for suffix, what, waits in (
            ("", "with", "Its commands leave together, so it waits for fewer answers."),
            (_ONE_BY_ONE, "without", "Both wait for every answer, so nothing makes up for that."),
        )
    ]
    return Result([table], claims, [_picture("worker_mails", rates, "mails/s")], samples)


def _picture(name: str, rows: dict[str, tuple[float, float, float]], unit: str) -> Picture:
    def draw(file: Any, dark: bool) -> None:
        from benchmarks import pictures

        pictures.bars(file, dark, rows, unit=unit)

    captions = {
        "worker_files": "Records a second from the call to the disk, with the spread of the rounds.",
        "worker_mails": "Mails a second over loopback, one a record, with the spread of the rounds.",
    }
    return Picture(name, captions[name], draw)
