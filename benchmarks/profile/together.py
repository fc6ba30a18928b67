"""What a call costs where several handlers are wrapped together, as a Flask app's file and mail are."""

from __future__ import annotations

import logging
import logging.handlers
import os
import queue
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.errors import caught, raiser
from benchmarks.peers.base import Destination, ExcInfo
from benchmarks.peers.standard import Dropping
from benchmarks.profile import pieces
from benchmarks.profile.caller import CALLS, queue_without_worker
from benchmarks.result import Column, Result, Scale, Table

_DROPPED, _STDLIB = "dropped", "stdlib QueueHandler, for comparison"
_FRAMES = 10
# A call with an exception takes the standard handler a fifth of a millisecond.
_FEWER = 20
KEY = "profile_together"


def rounds(scale: Scale) -> int:
    """Return how many rounds each of its two runs takes."""
    return scale.of(500, 8)


def measure(scale: Scale, folder: Path, tell: Callable[[str], None]) -> Result:
    """Measure a plain call and one with an exception."""
    error = caught(raiser(_FRAMES, folder))
    info = (type(error), error, error.__traceback__)
    number = rounds(scale)
    plain = _taken(None, CALLS, number, lambda: tell("handlers wrapped together"))
    exceptions = _taken(info, _FEWER, number, lambda: tell("handlers wrapped together, exceptions"))
    rows: list[tuple[str, list[float | str | None]]] = []
    for name in plain:
        if name == _DROPPED:
            continue
        values: list[float | str | None] = []
        for taken, calls in ((plain, CALLS), (exceptions, _FEWER)):
            added, others = (pieces.above(taken[one], taken[_DROPPED], 1e6 / calls) for one in (name, _STDLIB))
            values += [*added, added[0] / others[0]]
        rows.append((name, values))
    columns = [
        Column(title, decimals, percent=percent)
        for what in ("plain", f"exception, {_FRAMES} frames")
        for title, decimals, percent in (
            (f"{what}: best, µs", 2, False),
            ("median, µs", 2, False),
            ("of QueueHandler's best", 0, True),
        )
    ]
    table = Table(
        "Handlers wrapped together: what a call adds to that of the handler that drops the record",
        columns,
        rows,
        note=f"{number:,} rounds of {CALLS} calls at INFO, which the mail handler does not take, and of {_FEWER} at"
        " ERROR with an exception; no worker, no garbage collection. With what led up (`lead_up`, the default where a"
        " mail handler is wrapped together with others), each record is kept for the errors after it, and each error"
        " here takes up to 20 before it along.",
        key=KEY,
    )
    samples = {
        "together_us": pieces.sample(plain, 1e6 / CALLS),
        "together_exception_us": pieces.sample(exceptions, 1e6 / _FEWER),
    }
    return Result([table], samples=samples)


def _file() -> logging.Handler:
    return logging.FileHandler(os.devnull)


def _mail() -> logging.Handler:
    handler = logging.handlers.SMTPHandler(("127.0.0.1", 9), "app@example.com", ["ops@example.com"], "failed")
    handler.setLevel(logging.ERROR)
    return handler


def _taken(info: ExcInfo | None, calls: int, rounds: int, tell: Callable[[], None]) -> dict[str, list[float]]:
    logger = logging.Logger("benchmarks.together")
    level = logging.INFO if info is None else logging.ERROR

    def turn(handler: logging.Handler, waiting: Callable[[], int], clear: Callable[[], Any]) -> Callable[[], float]:
        def one() -> float:
            logger.handlers[:] = [handler]
            began = time.perf_counter()
            for number in range(calls):
                logger.log(level, "user %s failed %d", "bob", number, exc_info=info)
            seconds = time.perf_counter() - began
            if waiting() != calls:
                raise AssertionError(f"{waiting()} of {calls} records in the queue of {handler}")
            clear()
            return seconds

        return one

    simple: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def empty() -> None:
        while not simple.empty():
            simple.get()

    with ExitStack() as stack:
        contenders = {
            _DROPPED: turn(Dropping(Destination()).handler, lambda: calls, lambda: None),
            _STDLIB: turn(logging.handlers.QueueHandler(simple), simple.qsize, empty),
        }
        for name, handlers, options in (
            ("asynclog, a file", [_file()], {}),
            ("asynclog, two files", [_file(), _file()], {}),
            ("asynclog, a file and mail, lead_up=0", [_file(), _mail()], {"lead_up": 0}),
            ("asynclog, a file and mail, with what led up", [_file(), _mail()], {}),
        ):
            wrapped = stack.enter_context(queue_without_worker(*handlers, **options))
            contenders[name] = turn(wrapped, wrapped.queue.entries.__len__, wrapped.queue.clear)
        return pieces.rounds_of(contenders, rounds, tell)
