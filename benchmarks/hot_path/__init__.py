"""What a logging call costs its caller, over the same call with a handler that drops the record.

In rounds with every contender's worker held at a shut gate, so that the call alone is measured; then
single calls while the workers run and deliver to nowhere, alone, after quiet and from several threads; then
what waiting records hold, and instructions counted.
"""

from __future__ import annotations

import dataclasses
import gc
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import errors, peers
from benchmarks.hot_path import (
    calls,
    drawn,
    figures,
    instructions,
    memory,
    promises,
    quiet,
    rounds,
    show,
    sustained,
)
from benchmarks.hot_path.rounds import Case
from benchmarks.peers.base import Destination, Peer
from benchmarks.result import Progress, Result, Scale

TITLE = "What a logging call costs its caller"
MINUTES = (14.0, 0.88)

#: How many threads call at once.
CROWDS = (1, 4, 16)


@dataclass(slots=True)
class Measured:
    """Everything that was measured.

    Attributes:
        contenders: Their adapters, by name.
        missing: Names of those that are not installed.
        rounds: By case, of each contender.
        turns: By case, every round of each contender, in the order of the turns.
        plain: Single plain calls of each contender, microseconds.
        exception: Single calls with an exception of 10 frames.
        quiet: Single plain calls after two seconds without one.
        threads: By number of threads, single plain calls.
        seconds: How long threads called on end.
        sustained: What that came to.
        held: What waiting exceptions hold.
        records: How many waited.
        counted_by: What counted instructions; ``None``: nothing could, ``""``: it was left out.
        counted: Instructions by contender and case.
    """

    contenders: dict[str, Peer]
    missing: list[str]
    rounds: dict[str, dict[str, rounds.Summary]] = field(default_factory=dict)
    turns: dict[str, rounds.Rounds] = field(default_factory=dict)
    plain: calls.Calls = field(default_factory=dict)
    exception: calls.Calls = field(default_factory=dict)
    quiet: calls.Calls = field(default_factory=dict)
    threads: dict[int, calls.Calls] = field(default_factory=dict)
    seconds: float = 0.0
    sustained: dict[str, sustained.Block] = field(default_factory=dict)
    held: dict[str, memory.Held] = field(default_factory=dict)
    records: int = 0
    counted_by: str | None = ""
    counted: dict[str, dict[str, float]] = field(default_factory=dict)


def run(scale: Scale, progress: Progress) -> Result:
    """Measure."""
    with tempfile.TemporaryDirectory() as folder, _contenders() as contenders:
        measured = Measured(contenders, peers.missing())
        cases = [case for case in _cases(Path(folder)) if scale.of(case.rounds, case.quick)]
        one_by_one = (scale.of(20, 4), scale.of(250, 100))
        crowds = [crowd for crowd in CROWDS if crowd < 16 or not scale.quick]
        blocks = scale.of(8, 2)
        turns = scale.of(40, 2)
        measured.seconds = scale.of(20, 2) / 10
        holding = [name for name, peer in contenders.items() if peer.holds]
        measured.records = scale.of(10_000, 1_000)
        counted = 0 if scale.quick else instructions.steps()
        progress.begin(
            sum(scale.of(case.rounds, case.quick) for case in cases)
            + 2 * one_by_one[0]
            + turns
            + len(crowds) * blocks
            + sustained.steps(contenders)
            + len(holding)
            + counted
        )
        _freeze()
        bare = {one.facts.name: one(Destination()) for one in (rounds.Nothing, rounds.Bare)}
        for case in cases:
            taking_part = contenders if case.error else {**contenders, **bare}
            taken = rounds.interleave(case, taking_part, scale.of(case.rounds, case.quick), progress.step)
            measured.turns[case.name] = taken
            measured.rounds[case.name] = {name: rounds.Summary.of(seconds) for name, seconds in taken.items()}
        measured.plain = calls.one_by_one(contenders, *one_by_one, None, progress.step)
        error = errors.caught(errors.raiser(9, Path(folder)))
        measured.exception = calls.one_by_one(contenders, *one_by_one, error, progress.step)
        measured.quiet = quiet.after_quiet(contenders, turns, progress.step)
        for crowd in crowds:
            measured.threads[crowd] = calls.from_threads(contenders, crowd, blocks, 0.05, progress.step)
        measured.sustained = sustained.blocks(contenders, measured.seconds, progress.step)
        raising = errors.raiser(9, Path(folder))
        measured.held = memory.held(contenders, raising, measured.records, progress.step)
        if not scale.quick:
            measured.counted_by = instructions.counter()
            if measured.counted_by is not None:
                measured.counted = instructions.count(measured.counted_by, progress.step)
    return Result(
        tables=show.tables(measured),
        claims=promises.claims(measured),
        pictures=drawn.pictures(measured),
        samples=_samples(measured),
        lines=show.lines(measured),
    )


@contextmanager
def _contenders() -> Iterator[dict[str, Peer]]:
    made: dict[str, Peer] = {}
    try:
        for name, kind in peers.installed().items():
            made[name] = kind(Destination())
        yield made
    finally:
        for peer in made.values():
            peer.close()


def _freeze() -> None:
    # What is imported by now is not walked again by each collection between rounds.
    gc.collect()
    gc.freeze()


def _cases(folder: Path) -> list[Case]:
    # The function that catches is a frame, too.
    ten, forty = (errors.caught(errors.raiser(frames - 1, folder)) for frames in (10, 40))
    chain = errors.chained(errors.raiser(10, folder), errors.raiser(9, folder))
    return [
        Case(figures.PLAIN, 200, 300, 20, lambda peer: peer.plain()),
        Case(figures.MUTABLE, 200, 60, 4, lambda peer: peer.mutable()),
        Case(figures.EXTRA, 200, 60, 4, lambda peer: peer.extra()),
        Case(figures.TEN, 100, 80, 5, error=ten, traceback=ten.__traceback__),
        Case(figures.FORTY, 50, 40, 4, error=forty, traceback=forty.__traceback__),
        Case(figures.CHAINED, 50, 40, 4, error=chain, traceback=chain.__traceback__),
        Case(figures.LONG_PLAIN, 2000, 15, 1, lambda peer: peer.plain()),
        Case(figures.LONG_TEN, 1000, 8, 0, error=ten, traceback=ten.__traceback__),
    ]


def _samples(measured: Measured) -> dict[str, object]:
    def single(taken: calls.Calls) -> dict[str, object]:
        return {name: dataclasses.asdict(calls.Summary.of(own)) for name, own in taken.items()}

    return {
        "rounds_us": {
            case: {name: dataclasses.asdict(one) for name, one in by_name.items()}
            for case, by_name in measured.rounds.items()
        },
        "one_by_one_us": {"plain": single(measured.plain), "exception": single(measured.exception)},
        "after_quiet_us": {name: dataclasses.asdict(quiet.Summary.of(own)) for name, own in measured.quiet.items()},
        "threads_us": {str(crowd): single(taken) for crowd, taken in measured.threads.items()},
        "sustained": {name: dataclasses.asdict(one) for name, one in measured.sustained.items()},
        "held": {name: dataclasses.asdict(one) for name, one in measured.held.items()},
        "held_records": measured.records,
        "instructions": {"by": measured.counted_by, "per_call": measured.counted},
    }
