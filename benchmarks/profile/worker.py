"""What the worker does for a record on its way to a file, and for a mail; each piece timed where it runs."""

from __future__ import annotations

import statistics
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

from asynclog.delivery import intake
from asynclog.delivery.intake import Intake
from asynclog.delivery.lane import Lane
from asynclog.drain import Drain
from asynclog.loop import PollSelector
from asynclog.queue import RecordQueue
from asynclog.render.mail import MailRenderer
from asynclog.render.redact import Redactor
from asynclog.sinks.file_writer import FileWriter
from asynclog.sinks.smtp_line import Line
from benchmarks import to_file, to_mail
from benchmarks.errors import caught, raiser
from benchmarks.mail_server import MailServer
from benchmarks.peers.base import ExcInfo
from benchmarks.profile import pieces
from benchmarks.profile.stopwatch import Clock, Stopwatch
from benchmarks.result import Result, Scale, Table
from benchmarks.rounds import in_turn

_FREED = "freed"

# A piece ends where a function does, so two of the functions below are private: no public one is as narrow.
_LOOP = Clock(PollSelector, "select", "the loop asks the system what has come")

FILE_CLOCKS = (
    Clock(RecordQueue, "pop_run", "popped off the queue"),
    Clock(intake, "run_renderer", "rendered", makes=True),
    Clock(Drain, "run", "the slice round these: lanes looked up, runs put into the lane"),
    Clock(Lane, "next_work", "the batch made"),
    Clock(FileWriter, "write", "encoded and written, on the file's thread"),
    Clock(Lane, "digest", "settled"),
    _LOOP,
)

#: `Redactor.record` calls the other one for each text in the record.
_RECORD = "secrets looked for in the record"
MAIL_CLOCKS = (
    Clock(RecordQueue, "pop_run", "popped off the queue"),
    Clock(Intake, "_text", "the text of the record and its traceback"),
    Clock(Redactor, "record", _RECORD),
    Clock(Redactor, "text", "secrets looked for in the traceback"),
    Clock(Drain, "run", "the slice round these: items made, put into the lane"),
    Clock(Lane, "next_work", "the batch made"),
    Clock(MailRenderer, "render", "the lines of the mail made"),
    Clock(Line, "_say", "the dialogue: sent, the system's part included"),
    Clock(Line, "data_received", "the dialogue: replies read and judged"),
    Clock(Lane, "digest", "settled"),
    _LOOP,
)


def rounds(scale: Scale) -> tuple[int, int]:
    """Return how many rounds files and mails take."""
    return scale.of(16, 2), scale.of(14, 2)


def measure(scale: Scale, folder: Path, tell: Callable[[str], None]) -> Result:
    """Measure both."""
    error = caught(raiser(10, folder))
    info = (type(error), error, error.__traceback__)
    files, mails = rounds(scale)
    parts = [
        _file("plain", None, scale.of(20_000, 2_000), files, folder, tell),
        _file("exception", info, scale.of(6_000, 600), files, folder, tell),
        _mail(info, scale.of(300, 40), mails, tell),
    ]
    return Result(
        [table for table, _ in parts],
        samples={key: value for _, sample in parts for key, value in sample.items()},
    )


def _spread(values: Sequence[float]) -> tuple[float, float]:
    return min(values), statistics.median(values)


def _pieces(
    clocks: Sequence[Clock], watches: Sequence[Stopwatch], records: int, more: Sequence[str] = ()
) -> dict[str, tuple[float, float]]:
    """Return what each piece took for a record, in µs.

    Raises:
        AssertionError: A function was never called: it is not where the work is done any more.
    """
    found = {}
    for piece in [*(one.piece for one in clocks), *more]:
        if not all(watch.calls(piece) for watch in watches):
            raise AssertionError(f"nothing was timed of: {piece}")
        found[piece] = _spread([watch.seconds(piece) / records * 1e6 for watch in watches])
    return found


# -- to a file -------------------------------------------------------------------------------------


class _Freeing:
    """Keeps batches' records until the one after the next is made, so that they are let go of under a clock.

    Where they are freed otherwise no function ends that could get one: a batch is held by the attempt, and
    by the call to the file's thread until there is another.
    """

    def __init__(self, watch: Stopwatch) -> None:
        self._kept: deque[Any] = deque()
        self._free = watch.timed(_FREED, self._let_go)

    def _let_go(self) -> None:
        self._kept.popleft()  # and not returned: it has to end in here

    @contextmanager
    def on(self) -> Iterator[None]:
        """Have the lane's functions, as they are now, do it."""
        next_work, digest = Lane.next_work, Lane.digest

        def keeping(lane: Lane, work: Any, *rest: Any) -> None:
            self._kept.append(work.batch.items)
            digest(lane, work, *rest)

        def freeing(lane: Lane, *rest: Any) -> Any:
            while len(self._kept) > 1:
                self._free()
            return next_work(lane, *rest)

        with patch.object(Lane, "digest", keeping), patch.object(Lane, "next_work", freeing):
            yield
        while self._kept:
            self._free()


def _file(
    kind: str, info: ExcInfo | None, records: int, rounds: int, folder: Path, tell: Callable[[str], None]
) -> tuple[Table, dict[str, Any]]:
    numbers = count()
    watches: list[Stopwatch] = []

    def calls(logger: Any) -> None:
        for number in range(records):
            if info is None:
                logger.error("user %s failed %d", "bob", number)
            else:
                logger.error("order %d failed", number, exc_info=info)

    def as_it_is() -> float:
        return to_file.by_asynclog(folder / f"{kind}_{next(numbers)}.log", calls).working

    def timed() -> float:
        watch = Stopwatch()
        watches.append(watch)
        with watch.on(FILE_CLOCKS), _Freeing(watch).on():
            return as_it_is()

    taken = in_turn(
        {"as it is": as_it_is, "with clocks": timed}, rounds, lambda text: tell(f"a record to a file, {kind}: {text}")
    )
    found = _pieces(FILE_CLOCKS, watches, records, [_FREED])
    each = {name: [one / records * 1e6 for one in some] for name, some in taken.items()}
    words = "A plain record" if info is None else "A record with a repeated exception of 10 frames"
    table = pieces.table(
        f"{words} on its way from the queue to a file: CPU of all threads but the caller's",
        found,
        ("the whole, no clocks", _spread(each["as it is"])),
        unit="µs",
        note=f"Runs of {records:,} records, as in `worker_cost`; each piece by a clock of its thread's CPU round the"
        " function itself, in runs that take turns with those of the whole, which have no clocks."
        " What the clocks took themselves is taken off, but not how they disturb the caches: the pieces are rather too"
        " large than too small. Not explained: turns of the event loop, its tasks and timers, sleeps, the hand-over to"
        " the file's thread and back. With clocks the whole is"
        f" {statistics.median(each['with clocks']):.2f} µs.",
        key=f"profile_file_{kind}",
    )
    return table, {f"file_{kind}_us": {**pieces.sample(each, 1.0), **_sampled(found)}}


def _sampled(found: dict[str, tuple[float, float]]) -> dict[str, dict[str, float]]:
    return {piece: {"best": best, "median": median} for piece, (best, median) in found.items()}


# -- a mail ----------------------------------------------------------------------------------------


def _mail(info: ExcInfo, mails: int, rounds: int, tell: Callable[[str], None]) -> tuple[Table, dict[str, Any]]:
    payload = to_mail.ready_payload("order 1 failed\n" + "".join(traceback.format_exception(*info)))
    watches: list[Stopwatch] = []

    with MailServer() as server:

        def as_it_is() -> float:
            return to_mail.by_asynclog(server, mails, info).working

        def timed() -> float:
            watch = Stopwatch([_RECORD])
            watches.append(watch)
            with watch.on(MAIL_CLOCKS):
                return as_it_is()

        taken = in_turn(
            {
                "as it is": as_it_is,
                "with clocks": timed,
                "bare loop": lambda: to_mail.by_bare_loop(server, mails, payload).cpu,
            },
            rounds,
            lambda text: tell(f"a mail: {text}"),
        )
    found = _pieces(MAIL_CLOCKS, watches, mails + 1)  # with the one that it warms up with
    each = {name: [one / mails * 1e6 for one in some] for name, some in taken.items()}
    table = pieces.table(
        "A mail about an exception of 10 frames, one a record: CPU of the worker's threads",
        found,
        ("the whole, no clocks", _spread(each["as it is"])),
        unit="µs",
        note=f"Runs of {mails} mails to a server with PIPELINING, by the same means. Not explained: turns of the event"
        " loop, its tasks and timers, and replies read from the socket. The bare loop sends bytes that are ready, and"
        f" takes such turns too. With clocks the whole is {statistics.median(each['with clocks']):.0f} µs.",
        key="profile_mail",
        decimals=1,
        beside=[("a bare aiosmtplib loop, for comparison", _spread(each["bare loop"]))],
    )
    return table, {"mail_us": {**pieces.sample(each, 1.0), **_sampled(found)}}
