"""What a logging call costs its caller, over the same call with a handler that drops the record.

The queue is emptied between rounds and never drained in one: the worker's share is measured apart.
"""

from __future__ import annotations

import logging
import logging.handlers
import queue
import time
from collections.abc import Callable

import asynclog
from benchmarks.measure import Round, best_of
from benchmarks.result import Claim, Column, Progress, Result, Scale, Table

TITLE = "What a logging call costs its caller"
MINUTES = (0.5, 0.2)

# A round is as long as a worker leaves records lying about: with thousands waiting, the garbage
# collector's walks over them would be measured and not the calls.
_CALLS = 200


class Dropping(logging.Handler):
    """The floor: what `logging` itself costs."""

    def handle(self, record: logging.LogRecord) -> bool:
        return False


class Nowhere(asynclog.Sink):
    """A sink that is never asked."""

    async def deliver(self, batch):  # type: ignore[no-untyped-def]
        raise AssertionError("nothing is delivered in this benchmark")


def asynclog_handler() -> tuple[logging.Handler, Callable[[], None]]:
    own = asynclog.RecordQueue(maxsize=10 * _CALLS)
    listener = asynclog.QueueListener(own, Nowhere(formatter=logging.Formatter("%(asctime)s %(message)s")))
    handler = asynclog.QueueHandler(own)
    handler.keeps_alive = listener  # type: ignore[attr-defined]

    def empty() -> None:
        own.clear()
        own.ledger.reset()
        own.sleeping = False  # nobody is woken: the ring is measured by the latency benchmarks

    empty()
    return handler, empty


def stdlib_handler() -> tuple[logging.Handler, Callable[[], None]]:
    simple: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()

    def empty() -> None:
        while not simple.empty():
            simple.get_nowait()

    return logging.handlers.QueueHandler(simple), empty  # type: ignore[arg-type]


def error_with_frames(frames: int) -> BaseException:
    """Return an exception whose traceback has so many frames."""

    def down(left: int) -> None:
        if left <= 1:
            raise ValueError("no such order")
        down(left - 1)

    try:
        down(frames - 1)
    except ValueError as error:
        return error
    raise AssertionError


def plain(logger: logging.Logger, empty: Callable[[], None]) -> Round:
    def run(calls: int) -> float:
        name = "bob"
        started = time.perf_counter()
        for number in range(calls):
            logger.error("user %s failed %d", name, number)
        taken = time.perf_counter() - started
        empty()
        return taken

    return run


def exception(logger: logging.Logger, empty: Callable[[], None], error: BaseException) -> Round:
    info = (type(error), error, error.__traceback__)

    def run(calls: int) -> float:
        started = time.perf_counter()
        for number in range(calls):
            logger.error("order %d failed", number, exc_info=info)
        taken = time.perf_counter() - started
        empty()
        return taken

    return run


def run(scale: Scale, progress: Progress) -> Result:
    """Measure."""
    contenders = {"dropping": (Dropping(), lambda: None), "stdlib": stdlib_handler(), "asynclog": asynclog_handler()}
    loggers = {}
    for name, (handler, _) in contenders.items():
        logger = loggers[name] = logging.getLogger(f"benchmarks.hot_path.{name}")
        logger.propagate = False
        logger.addHandler(handler)
    rows, samples, ratios = [], {}, {}
    cases = (("plain", _CALLS, 1000, 0), ("exception, 10 frames", 200, 80, 10), ("exception, 40 frames", 100, 40, 40))
    progress.begin(len(cases))
    for case, calls, rounds, frames in cases:
        if frames:
            error = error_with_frames(frames)
            runs = {name: exception(loggers[name], empty, error) for name, (_, empty) in contenders.items()}
        else:
            runs = {name: plain(loggers[name], empty) for name, (_, empty) in contenders.items()}
        best = best_of(runs, calls, scale.of(rounds, rounds // 4))
        added = {name: (seconds - best["dropping"]) * 1e6 for name, seconds in best.items()}
        ratios[case] = added["asynclog"] / added["stdlib"]
        rows.append((case, [best["dropping"] * 1e6, added["stdlib"], added["asynclog"], ratios[case]]))
        samples[case] = best
        progress.step(case)
    columns = [
        Column("the call, dropped, µs"),
        Column("added by the stdlib's QueueHandler, µs"),
        Column("added by asynclog, µs"),
        Column("asynclog's share", 1, percent=True),
    ]
    return Result(
        tables=[Table("Cost on the caller's thread", columns, rows, key="hot_path")],
        claims=[Claim("Plain call, of what the stdlib's QueueHandler adds", ratios["plain"], 0.2, "%")],
        samples=samples,
    )
