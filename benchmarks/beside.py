"""Handlers and their ways out; a call beside a thread that computes, and a thread beside a worker that drains."""

from __future__ import annotations

import gc
import logging
import logging.handlers
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import asynclog
from benchmarks.measure import percentile
from benchmarks.peers.base import Destination, ExcInfo
from benchmarks.peers.standard import Dropping
from benchmarks.result import Claim, Column, Progress, Result, Table
from benchmarks.rounds import Spread, in_turn, ratios

DROPPING = "record-dropping handler"
_ASYNCLOG, _PAIR, _NOTHING = "asynclog", "stdlib queue pair", "nothing is drained"

#: Wake-ups beside nothing, in each round.
_WAKES = 300


class Shipping:
    """A handler and its way out, as a context manager: what is still queued at the end is thrown away.

    Args:
        make: Makes the handler, and what ends it.
    """

    def __init__(self, make: Callable[[], tuple[logging.Handler, Callable[[], object]]]) -> None:
        self._make = make

    def __enter__(self) -> logging.Handler:
        handler, self._end = self._make()
        return handler

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()


def dropping() -> Shipping:
    return Shipping(lambda: (Dropping(Destination()).handler, lambda: None))


def wrapped(target: Callable[[], logging.Handler], **options: Any) -> Shipping:
    def make() -> tuple[logging.Handler, Callable[[], object]]:
        handler = asynclog.wrap(target(), **options)
        return handler, lambda: handler.listener.stop(30)

    return Shipping(make)


def pair(target: Callable[[], logging.Handler]) -> Shipping:
    def make() -> tuple[logging.Handler, Callable[[], object]]:
        waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
        listener = logging.handlers.QueueListener(waiting, target())  # type: ignore[arg-type]
        listener.start()

        def end() -> None:
            while not waiting.empty():  # a mail each would take minutes
                waiting.get_nowait()
            listener.stop()
            listener.handlers[0].close()

        return logging.handlers.QueueHandler(waiting), end  # type: ignore[arg-type]

    return Shipping(make)


# -- a call beside a thread that computes ------------------------------------------------------------


def calls_result(
    info: ExcInfo, file: Callable[[], logging.Handler], calls: int, rounds: int, progress: Progress
) -> Result:
    ways = {DROPPING: dropping(), _ASYNCLOG: wrapped(file), _PAIR: pair(file)}
    taken = in_turn(
        {name: lambda way=way: calls_beside_a_busy_thread(way, info, calls) for name, way in ways.items()},  # type: ignore[misc]
        rounds,
        lambda text: progress.step(f"calls beside a busy thread: {text}"),
    )
    rows: list[tuple[str, list[float | str | None]]] = []
    samples = {}
    p99s = {name: [percentile(one, 99) * 1e6 for one in some] for name, some in taken.items()}
    for name, some in taken.items():
        all_calls = [one for calls in some for one in calls]
        p99, ratio = Spread.of(p99s[name]), ratios(p99s[name], p99s[DROPPING])
        micro = {f"p{percent:g}": percentile(all_calls, percent) * 1e6 for percent in (50, 90)}
        micro["worst"] = max(all_calls) * 1e6
        rows.append((name, [micro["p50"], micro["p90"], p99.middle, str(p99), ratio.middle, micro["worst"]]))
        samples[f"call beside a busy thread: {name}, µs"] = {
            **micro,
            "p99": p99.sample(),
            "p99, × dropping": ratio.sample(),
        }
    table = Table(
        "A call that logs an exception, beside a thread that computes",
        [
            Column("p50, µs", 0),
            Column("p90, µs", 0),
            Column("p99, µs", 0),
            Column("from … to", None),
            Column("× dropping"),
            Column("worst, µs", 0),
        ],
        rows,
        note="One call every 10 ms; p99 and its ratio are medians of the rounds'. Whoever lets go of the interpreter in"
        " the middle of the call, to look at a source file for instance, waits 5 ms or more to get it back. The first"
        " call after 10 ms of somebody else's work finds nothing of its own in the processor's caches: that is most of"
        " what the handler costs that only drops the record.",
        key="interference_calls",
    )
    ours, floor = Spread.of(p99s[_ASYNCLOG]), Spread.of(p99s[DROPPING])
    half = samples[f"call beside a busy thread: {_ASYNCLOG}, µs"]["p50"]
    claim = Claim(
        "A call that logs an exception beside a thread that computes: p99, the median of the rounds",
        ours.middle,
        250,
        "µs",
        why_not=f"Half of the calls take up to {half:.0f} µs. The handler that only drops the record has a p99 of"
        f" {floor.middle:.0f} µs ({floor}) at the same place, behind 10 ms of somebody else's work; what asynclog adds"
        " runs once every 10 ms and as cold.",
        span=ours.span,
    )
    return Result([table], [claim], samples=samples)


def calls_beside_a_busy_thread(way: Shipping, info: ExcInfo, calls: int) -> list[float]:
    """Return the seconds of each call."""
    stop = threading.Event()

    def burn() -> None:
        while not stop.is_set():
            sum(range(1000))

    taken = []
    with way as handler:
        logger = logging.Logger("benchmarks.interference")
        logger.addHandler(handler)
        logger.error("warming up", exc_info=info)
        time.sleep(0.5)
        busy = threading.Thread(target=burn)
        busy.start()
        for number in range(calls):
            time.sleep(0.01)
            began = time.perf_counter()
            logger.error("order %d failed", number, exc_info=info)
            taken.append(time.perf_counter() - began)
        stop.set()
        busy.join()
    return taken


# -- a thread that wakes while a backlog is drained ----------------------------------------------------


@dataclass(slots=True)
class Late:
    """How late a thread was that wakes every millisecond.

    Attributes:
        late: Seconds of each time.
        collections: Full garbage collections meanwhile.
        collecting: Seconds that they took.
    """

    late: list[float] = field(default_factory=list)
    collections: int = 0
    collecting: float = 0.0


def late_result(file: Callable[[], logging.Handler], records: int, drains: int, progress: Progress) -> Result:
    runs = in_turn(
        {
            _ASYNCLOG: lambda: late_beside_asynclog(file, records),
            _PAIR: lambda: late_beside_the_pair(file, records),
            _NOTHING: late_beside_nothing,
        },
        drains,
        lambda text: progress.step(f"waking beside a drain: {text}"),
    )
    rows: list[tuple[str, list[float | str | None]]] = []
    samples = {}
    for name, some in runs.items():
        late = [value * 1e3 for one in some for value in one.late]
        p99 = Spread.of([percentile(one.late, 99) * 1e3 for one in some])
        full = sum(one.collections for one in some)
        each = sum(one.collecting for one in some) * 1e3 / max(1, full)
        rows.append((name, [len(late), percentile(late, 50), p99.middle, str(p99), max(late), full, each]))
        samples[f"late beside: {name}"] = {
            "wake-ups": len(late),
            "p50, ms": percentile(late, 50),
            "p99, ms": p99.sample(),
            "worst, ms": max(late),
            "full collections": full,
        }
    table = Table(
        f"A thread that wakes every millisecond while {records:,} records are drained to a file",
        [
            Column("wake-ups", 0),
            Column("p50 late, ms"),
            Column("p99 late, ms"),
            Column("from … to", None),
            Column("worst, ms"),
            Column("full collections", 0),
            Column("each, ms", 1),
        ],
        rows,
        note="p99 is the median of the drains'. A full garbage collection of a backlog that size holds everything up,"
        " whichever thread makes it; so they are counted beside.",
        key="interference_drain",
    )
    ours, pairs, nothing = (
        Spread.of([percentile(one.late, 99) * 1e3 for one in runs[name]]) for name in (_ASYNCLOG, _PAIR, _NOTHING)
    )
    claim = Claim(
        f"A thread that wakes every millisecond while {records:,} records are drained: p99 late, the median of the"
        " drains",
        ours.middle,
        2.0,
        "ms",
        why_not=f"Where nothing is drained it is {nothing.middle:.2f} ms ({nothing}), beside the standard pair's"
        f" drain {pairs.middle:.2f} ({pairs}). A slice of the worker's lasts half a millisecond, and"
        f" {sum(one.collections for one in runs[_ASYNCLOG])} full garbage collections fell into its drains.",
        span=ours.span,
    )
    return Result([table], [claim], samples=samples)


def late_beside_nothing() -> Late:
    """Wake for a while, and nothing else."""
    waits = iter(range(_WAKES))
    return _late_while(lambda: next(waits, None) is not None)


def late_beside_asynclog(file: Callable[[], logging.Handler], records: int) -> Late:
    """Log so many records for a stopped listener, then wake while it drains them."""
    handler = asynclog.wrap(file(), maxsize=1_000_000, max_memory=4 << 30)
    listener = handler.listener
    listener.stop()  # what is logged now waits
    _backlog(handler, records)
    listener.start()
    late = _late_while(lambda: bool(listener.pending()))
    listener.stop()
    return late


def late_beside_the_pair(file: Callable[[], logging.Handler], records: int) -> Late:
    """Do the same with the standard library's pair."""
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    _backlog(logging.handlers.QueueHandler(waiting), records)  # type: ignore[arg-type]
    target = file()
    listener = logging.handlers.QueueListener(waiting, target)  # type: ignore[arg-type]
    listener.start()
    late = _late_while(lambda: not waiting.empty())
    listener.stop()
    target.close()
    return late


def _backlog(handler: logging.Handler, records: int) -> None:
    logger = logging.Logger("benchmarks.interference")
    logger.addHandler(handler)
    for number in range(records):
        logger.error("user %s failed %d", "bob", number)


def _late_while(goes_on: Callable[[], bool]) -> Late:
    found = Late()
    began = 0.0

    def watch(phase: str, info: dict[str, int]) -> None:
        nonlocal began
        if info["generation"] < 2:
            return
        if phase == "start":
            began = time.perf_counter()
        else:
            found.collections += 1
            found.collecting += time.perf_counter() - began

    gc.callbacks.append(watch)
    try:
        while goes_on() or not found.late:
            due = time.perf_counter() + 0.001
            time.sleep(0.001)
            found.late.append(time.perf_counter() - due)
    finally:
        gc.callbacks.remove(watch)
    return found
