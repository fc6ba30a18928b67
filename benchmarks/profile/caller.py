"""What a logging call is made of: a plain one, one in a storm, and each further frame of an exception."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import asynclog
from asynclog.capture.exception import capture_lone
from asynclog.handler import QueueHandler
from benchmarks.errors import caught, raiser
from benchmarks.failing import failing_places
from benchmarks.peers.base import Destination, ExcInfo
from benchmarks.peers.standard import Dropping
from benchmarks.profile import pieces
from benchmarks.profile.variants import cut_short, without
from benchmarks.result import Result, Scale, Table

#: Calls in a round, as in the benchmark of the call itself.
CALLS = 200
PLACES = 50
# The default queue's.
_FULL = 10_000
_SHORT, _LONG = 10, 40

_DROPPED, _CUT_NOWHERE, _ITSELF = "dropped", "cut nowhere", "asynclog"

#: Where `QueueHandler.handle` is cut short for each piece: the first line that is left out.
PLAIN_CUTS = (
    ("the call itself, the queue and its gate found", "if record.levelno < face.level:"),
    ("the gate: level, filters, formatter, process, thread, kind of record", "size = len(msg)"),
    ("the arguments: each of a kind that can't change, its size", "exc_info = record.exc_info"),
    ("`record.__dict__` made and copied", "if len(fields) != _N_FIELDS:"),
)
STORM_CUTS = (
    ("the call itself, the gate, the arguments", "exc_info = record.exc_info"),
    ("`record.__dict__` made and copied", "if len(fields) != _N_FIELDS:"),
    ("questions about its size and the room", "carried = capture_lone(exc_info)"),
    ("the exception captured, 2 frames", "size += len(carried) * _SLOT_SIZE + len(carried[1])"),
)

#: The lines of the loop in `capture_lone` that each piece adds; the last one ends a frame.
FRAME_LINES = (
    ("`tb.tb_frame`", ("frame = tb.tb_frame",)),
    ("`frame.f_code`, appended", ("out.append(frame.f_code)",)),
    (
        "`tb.tb_lasti`, appended",
        ("lasti = tb.tb_lasti", "out.append(lasti if lasti >= 0 else encode_line(tb.tb_lineno))"),
    ),
    ("`frame.f_globals`, appended", ("out.append(frame.f_globals)",)),
)
_WALK = "`tb.tb_next`, and the loop itself"

_Handle = Callable[..., Any]


def rounds(scale: Scale) -> tuple[int, int, int]:
    """Return how many rounds the three tables take."""
    return scale.of(2_000, 30), scale.of(500, 8), scale.of(1_500, 30)


def measure(scale: Scale, folder: Path, tell: Callable[[str], None]) -> Result:
    """Measure the three."""
    plain, storm, frames = rounds(scale)
    parts = [_plain(plain, tell), _storm(storm, folder, tell), _frames(frames, folder, tell)]
    return Result(
        [table for table, _ in parts],
        samples={key: value for _, sample in parts for key, value in sample.items()},
    )


# -- handlers that do a part of it -----------------------------------------------------------------


@contextmanager
def queue_without_worker(*handlers: logging.Handler, **options: Any) -> Iterator[Any]:
    """Give a wrapped handler on whose queue records wait: nobody is ever woken.

    Args:
        handlers: What is wrapped; a file's by default.
        options: For `asynclog.wrap`.
    """
    handler = asynclog.wrap(*(handlers or (logging.FileHandler(os.devnull),)), **options)
    try:
        handler.queue.on_wake = None  # the listener's, which would start its worker
        handler.queue.sleeping = False
        yield handler
    finally:
        handler.queue.clear()
        handler.queue.ledger.reset()  # what was thrown away is told of as lost otherwise
        handler.listener.stop()


def variants(cuts: Sequence[tuple[str, str]]) -> dict[str, _Handle]:
    """Return `QueueHandler.handle` cut short at each place, and compiled anew but whole."""
    made = {piece: cut_short(QueueHandler.handle, line, "return record") for piece, line in cuts}
    made[_CUT_NOWHERE] = without(QueueHandler.handle, ())
    return made


def handlers(cuts: Sequence[tuple[str, str]], queue: Any) -> dict[str, logging.Handler]:
    """Return the handler that drops, one for each variant, and asynclog's own, all on one queue."""
    made = {_DROPPED: Dropping(Destination()).handler}
    for name, handle in variants(cuts).items():
        made[name] = type("Variant", (QueueHandler,), {"handle": handle})(queue)
    made[_ITSELF] = QueueHandler(queue)
    return made


def _checked(name: str, queue: Any, before: int) -> None:
    # A call that left the fast path would be timed as if it were a piece.
    expected = before + (CALLS if name in (_CUT_NOWHERE, _ITSELF) else 0)
    if len(queue.entries) != expected:
        raise AssertionError(f"{name}: {len(queue.entries)} of {expected} records in the queue")


# -- a plain call ----------------------------------------------------------------------------------


def _plain(rounds: int, tell: Callable[[str], None]) -> tuple[Table, dict[str, Any]]:
    logger = logging.Logger("benchmarks.profile")
    with queue_without_worker() as wrapped:
        queue = wrapped.queue

        def one(name: str, handler: logging.Handler) -> Callable[[], float]:
            def turn() -> float:
                logger.handlers[:] = [handler]
                call = logger.error
                began = time.perf_counter()
                for number in range(CALLS):
                    call("user %s failed %d", "bob", number)
                seconds = time.perf_counter() - began
                _checked(name, queue, 0)
                queue.clear()
                return seconds

            return turn

        contenders = {name: one(name, handler) for name, handler in handlers(PLAIN_CUTS, queue).items()}
        taken = pieces.rounds_of(contenders, rounds, lambda: tell("a plain call"))
    steps = [("", _DROPPED), *((piece, piece) for piece, _ in PLAIN_CUTS), ("room, account, append", _CUT_NOWHERE)]
    scale = 1e6 / CALLS
    table = pieces.table(
        "A plain call, two arguments: what it adds to that of the handler that drops the record",
        pieces.differences(taken, steps, scale),
        ("all that asynclog adds", pieces.above(taken[_ITSELF], taken[_DROPPED], scale)),
        unit="µs",
        note=f"`QueueHandler.handle`'s own source, cut short at each line where a piece ends, in {rounds:,} rounds of"
        f" {CALLS} calls with no worker and no garbage collection; a piece is the difference of two cuts. The last"
        " piece includes what it costs to keep a record: the copy that is not kept is free to be used again.",
        key="profile_plain",
    )
    return table, {"plain_us": pieces.sample(taken, scale)}


# -- a call in a storm -----------------------------------------------------------------------------


def _storm(rounds: int, folder: Path, tell: Callable[[str], None]) -> tuple[Table, dict[str, Any]]:
    logger = logging.Logger("benchmarks.profile")
    places = failing_places(PLACES, folder)
    full, whole = "into a full queue", "asynclog, full queue"

    def calls() -> float:
        began = time.perf_counter()
        for number, place in zip(range(CALLS), cycle(places), strict=False):
            place(logger, number)
        return time.perf_counter() - began

    with queue_without_worker() as empty, queue_without_worker() as filled:
        queue = empty.queue
        wrapped = handlers(STORM_CUTS, queue)
        del wrapped[_ITSELF]

        def with_room(name: str) -> Callable[[], float]:
            def turn() -> float:
                logger.handlers[:] = [wrapped[name]]
                seconds = calls()
                _checked(name, queue, 0)
                queue.clear()
                return seconds

            return turn

        def without_room(handler: logging.Handler) -> Callable[[], float]:
            def turn() -> float:
                logger.handlers[:] = [handler]
                before = filled.queue.ledger.snapshot()["dropped"].get("queue_full", 0)
                seconds = calls()
                given_up = filled.queue.ledger.snapshot()["dropped"].get("queue_full", 0) - before
                # They go in runs of 64.
                if abs(given_up - CALLS) > 64:
                    raise AssertionError(f"{given_up} records were given up for {CALLS}")
                return seconds

            return turn

        logger.handlers[:] = [filled]
        for number in range(_FULL + CALLS):
            places[number % PLACES](logger, number)
        contenders = {name: with_room(name) for name in wrapped}
        copied = type("Variant", (QueueHandler,), {"handle": without(QueueHandler.handle, ())})(filled.queue)
        contenders[full] = without_room(copied)
        contenders[whole] = without_room(filled)
        taken = pieces.rounds_of(contenders, rounds, lambda: tell("a call in a storm"))
    steps = [
        ("", _DROPPED),
        *((piece, piece) for piece, _ in STORM_CUTS),
        ("put, where there is room", _CUT_NOWHERE),
        ("no room: the oldest given up, in runs, and freed", full),
    ]
    scale = 1e6 / CALLS
    table = pieces.table(
        "A call in a storm, which raises and logs while the queue is full: what it adds to the same with the handler"
        " that drops the record",
        pieces.differences(taken, steps, scale),
        ("all that asynclog adds", pieces.above(taken[whole], taken[_DROPPED], scale)),
        unit="µs",
        note=f"By the same means, {PLACES} places in turn on one thread; the storm itself has eight, and a worker that"
        " takes its share of the interpreter.",
        key="profile_storm",
    )
    return table, {"storm_us": pieces.sample(taken, scale)}


# -- each further frame ----------------------------------------------------------------------------


def walks() -> dict[str, Callable[..., Any]]:
    """Return `capture_lone` with more and more of its loop."""
    made = {}
    for taken in range(len(FRAME_LINES) + 1):
        left_out = [line for _, lines in FRAME_LINES[taken:] for line in lines]
        made[FRAME_LINES[taken - 1][0] if taken else _WALK] = without(capture_lone, left_out)
    return made


def _frames(rounds: int, folder: Path, tell: Callable[[str], None]) -> tuple[Table, dict[str, Any]]:
    infos: dict[int, ExcInfo] = {}
    for frames in (_SHORT, _LONG):
        error = caught(raiser(frames, folder))
        infos[frames] = (type(error), error, error.__traceback__)
    calls = 50
    logger = logging.Logger("benchmarks.profile")

    def walk(capture: Callable[..., Any], info: ExcInfo) -> Callable[[], float]:
        def turn() -> float:
            began = time.perf_counter()
            kept = [capture(info) for _ in range(calls)]  # as records that wait keep theirs
            seconds = time.perf_counter() - began
            kept.clear()
            return seconds

        return turn

    def logged(handler: logging.Handler, info: ExcInfo, queue: Any = None) -> Callable[[], float]:
        def turn() -> float:
            logger.handlers[:] = [handler]
            began = time.perf_counter()
            for number in range(calls):
                logger.error("order %d failed", number, exc_info=info)
            seconds = time.perf_counter() - began
            if queue is not None:
                if len(queue.entries) != calls:
                    raise AssertionError(f"{len(queue.entries)} of {calls} records in the queue")
                queue.clear()
            return seconds

        return turn

    with queue_without_worker() as wrapped:
        contenders: dict[str, Callable[[], float]] = {}
        dropping = Dropping(Destination()).handler
        for frames, info in infos.items():
            for name, capture in walks().items():
                contenders[f"{name}, {frames}"] = walk(capture, info)
            contenders[f"{_DROPPED}, {frames}"] = logged(dropping, info)
            contenders[f"{_ITSELF}, {frames}"] = logged(wrapped, info, wrapped.queue)
        taken = pieces.rounds_of(contenders, rounds, lambda: tell("each further frame"))

    def growth(name: str) -> list[float]:
        return [long - short for long, short in zip(taken[f"{name}, {_LONG}"], taken[f"{name}, {_SHORT}"], strict=True)]

    scale = 1e9 / calls / (_LONG - _SHORT)
    best = {name: min(taken[f"{name}, {_LONG}"]) - min(taken[f"{name}, {_SHORT}"]) for name in (*walks(), _DROPPED)}
    best[_ITSELF] = min(taken[f"{_ITSELF}, {_LONG}"]) - min(taken[f"{_ITSELF}, {_SHORT}"])

    def grown(name: str, less: str | None) -> tuple[float, float]:
        other = growth(less) if less else [0.0] * rounds
        median = sorted(one - two for one, two in zip(growth(name), other, strict=True))[rounds // 2]
        return (best[name] - (best[less] if less else 0.0)) * scale, median * scale

    names = list(walks())
    found = {name: grown(name, names[at - 1] if at else None) for at, name in enumerate(names)}
    table = pieces.table(
        "Each further frame of an exception, on the caller",
        found,
        ("all that asynclog's call grows by", grown(_ITSELF, _DROPPED)),
        unit="ns",
        note=f"`capture_lone`'s own loop with more and more of its lines, and whole calls beside it, with {_LONG}"
        f" frames less with {_SHORT}, by frame; {rounds:,} rounds of {calls}.",
        key="profile_frames",
        decimals=1,
    )
    return table, {"frames_ns_a_call": pieces.sample(taken, 1e9 / calls)}
