"""The hot path's numbers as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks import peers
from benchmarks.hot_path import calls, quiet, sustained
from benchmarks.hot_path.figures import (
    CHAINED,
    EXTRA,
    FORTY,
    LONG_PLAIN,
    LONG_TEN,
    MUTABLE,
    PLAIN,
    TEN,
    added,
    added_median,
    instructions_above,
    per_frame,
    share,
)
from benchmarks.peers import FLOOR, OURS, QUEUE_PAIR
from benchmarks.result import Column, Table

if TYPE_CHECKING:
    from benchmarks.hot_path import Measured

_NOT_INSTALLED = "not installed"


def tables(measured: Measured) -> list[Table]:
    """Return the tables in the order of the page."""
    made = [_plain(measured), _others(measured), _long(measured), _single(measured)]
    made += [_quiet(measured), _threads(measured), _sustained(measured), _held(measured)]
    if measured.counted:
        made.append(_counted(measured))
    return [*made, _contenders(measured)]


def _plain(measured: Measured) -> Table:
    pair, pair_median = (of(measured, PLAIN, QUEUE_PAIR) for of in (added, added_median))
    rows: list[tuple[str, list[float | str | None]]] = []
    for name, one in measured.rounds[PLAIN].items():
        best, median = (of(measured, PLAIN, name) for of in (added, added_median))
        values: list[float | str | None] = [one.best, one.median, f"{one.low:.2f} to {one.high:.2f}"]
        values += [best, share(best, pair), median, share(median, pair_median)]
        if measured.counted:
            values.append(instructions_above(measured, PLAIN, name))
        rows.append((name, values))
    columns = [
        Column("best round, µs a call"),
        Column("median"),
        Column("8 in 10 rounds", None),
        Column("added, best"),
        Column("of QueueHandler's, best", 0, percent=True),
        Column("added, median"),
        Column("of QueueHandler's, median", 0, percent=True),
    ]
    if measured.counted:
        columns.append(Column("instructions added", 0))
    return Table(
        "A plain call, two arguments",
        columns,
        [*rows, *_missing(measured, len(columns))],
        note="Rounds of 200 calls, contenders in turn in an order drawn anew each time; 8 in 10 rounds lie in the "
        "span. Added to logging's own: best round less the best of the handler that drops records; and the median, "
        "over all turns, of the round less that handler's round of the same turn. Instructions above that handler's: "
        "they are counted for some. Only for contenders under logging, since an API of its own has another floor.",
        key="plain",
    )


def _others(measured: Measured) -> Table:
    cases = [case for case in (MUTABLE, EXTRA, TEN, FORTY, CHAINED) if case in measured.rounds]
    rows: list[tuple[str, list[float | str | None]]] = []
    for name in measured.contenders:
        values: list[float | str | None] = []
        for case in cases:
            one = measured.rounds[case].get(name)
            values.append(one.best if one else None)
        rows.append((name, [*values, per_frame(measured, name)]))
    return Table(
        "Other calls",
        [*(Column(case, 1 if "frames" in case else 2) for case in cases), Column("each further frame")],
        [*rows, *_missing(measured, len(cases) + 1)],
        note="Best round, µs a call. A dash: it takes no such argument. Functions in four files, with carets to draw. "
        "Who keeps live frames pays little here and pins every local until the worker comes: see the memory below. "
        "Logbook delivers no traceback at all.",
        key="calls",
    )


def _long(measured: Measured) -> Table:
    cases = [case for case in (LONG_PLAIN, LONG_TEN) if measured.rounds.get(case, {}).get(FLOOR)]
    rows: list[tuple[str, list[float | str | None]]] = []
    for name in measured.contenders:
        values: list[float | str | None] = []
        for case in cases:
            one = measured.rounds[case][name]
            values += [one.best, one.median]
        rows.append((name, values))
    columns = [Column(f"{case}{suffix}") for case in cases for suffix in (", best", ", median")]
    return Table(
        "Longer rounds",
        columns,
        rows,
        note="µs a call. Thousands of records lie about before a worker comes, so the garbage collector's walks over "
        "them are in it.",
        key="longer",
    )


def _single(measured: Measured) -> Table:
    rows: list[tuple[str, list[float | str | None]]] = []
    for name in measured.contenders:
        values: list[float | str | None] = []
        for taken in (measured.plain, measured.exception):
            one = calls.Summary.of(taken[name])
            values += [one.p50, one.p99, one.p999, one.worst]
        rows.append((name, values))
    places = ("p50", "p99", "p99.9", "worst")
    return Table(
        "Single calls, the workers running",
        [Column(f"{kind} {place}", 1) for kind in ("plain", "exception") for place in places],
        rows,
        note=f"µs; {len(measured.plain[OURS]):,} calls each of a kind, one by one, 0.3 ms apart, while its worker "
        "is at work on those before. After a pause a call is slower than in a round: caches are cold.",
        key="single",
    )


def _quiet(measured: Measured) -> Table:
    rows: list[tuple[str, list[float | str | None]]] = []
    for name, taken in measured.quiet.items():
        one = quiet.Summary.of(taken)
        rows.append((name, [one.median, one.p90, one.worst]))
    return Table(
        "A single call after two seconds of quiet",
        [Column("median, µs", 1), Column("p90", 1), Column("worst", 1)],
        rows,
        note=f"Plain, two arguments; {len(measured.quiet[OURS])} calls each, the workers running. Contenders call in "
        "turn, in an order drawn anew each time, and each has had no call for 2 s. Caches are cold, for no delivery, "
        "too. A worker that polls sees no difference; asynclog's sleeps after a second without a record, and here "
        "the caller rings it. Queues wake a waiting thread at each call that finds it waiting.",
        key="quiet",
    )


def _threads(measured: Measured) -> Table:
    rows: list[tuple[str, list[float | str | None]]] = []
    for name in measured.contenders:
        values: list[float | str | None] = []
        for taken in measured.threads.values():
            if name in taken:
                one = calls.Summary.of(taken[name])
                values += [one.p50, one.p99, one.p999, one.worst]
            else:
                values += ["hangs", None, None, None]
        rows.append((name, values))
    return Table(
        "Plain calls back to back from several threads",
        [
            Column(f"{crowd} thread{'s' if crowd > 1 else ''}, {place}", 1)
            for crowd in measured.threads
            for place in ("p50", "p99", "p99.9", "worst")
        ],
        rows,
        note="µs of single calls, the workers running. A call that another thread's turn falls into waits for the "
        "interpreter lock, 5 ms for each thread before it.",
        key="threads",
    )


def _sustained(measured: Measured) -> Table:
    names = [one for name in measured.contenders for one in ((name, sustained.BY_DEFAULT) if name == OURS else (name,))]
    rows: list[tuple[str, list[float | str | None]]] = []
    for name in names:
        one = measured.sustained.get(name)
        if one is None:
            rows.append((name, ["hangs", *[None] * 5]))
        else:
            rows.append((name, [one.p50, one.p99, one.worst, one.a_second, one.drained, one.dropped]))
    columns = [Column("p50, µs", 1), Column("p99", 1), Column("worst", 0), Column("calls a second", 0)]
    return Table(
        f"{sustained.THREADS} threads calling back to back for {measured.seconds:g} s",
        [*columns, Column("all delivered after, s"), Column("dropped", 0)],
        rows,
        note="One block each, plain calls of two arguments, the workers running and nothing held; a block ends early "
        f"after {sustained.MOST:,} calls. The second row of asynclog has the room that it comes with, 10,000 "
        f"records and 64 MiB, where a new record costs the oldest: {_dropped(measured)}. All others are "
        "unbounded here, or have room for a million. A dash: it has no queue, or does not say.",
        key="sustained",
    )


def _dropped(measured: Measured) -> str:
    bounded = measured.sustained[sustained.BY_DEFAULT]
    return f"by its own count it dropped {bounded.dropped:,} of {bounded.calls:,}"


def _held(measured: Measured) -> Table:
    rows = [
        (name, [one.megabytes, one.megabytes * 1e3 / measured.records, float(one.requests)])
        for name, one in measured.held.items()
    ]
    return Table(
        f"{measured.records:,} exceptions waiting",
        [Column("MB", 1), Column("KB each", 1), Column("requests kept alive", 0)],
        rows,
        note="Each of 10 frames, raised by a request whose outermost frame holds 10 KB. Python objects as tracemalloc "
        "counts them. Contenders whose records don't wait in this process are left out.",
        key="memory",
    )


def _counted(measured: Measured) -> Table:
    cases = list(dict.fromkeys(case for by_case in measured.counted.values() for case in by_case))
    return Table(
        "Instructions of a call",
        [Column(f"{case}{suffix}", 0) for case in cases for suffix in ("", ", added")],
        [
            (
                name,
                [value for case in cases for value in (by_case.get(case), instructions_above(measured, case, name))],
            )
            for name, by_case in measured.counted.items()
        ],
        note=f"Counted by {measured.counted_by}, with the worker held. Added: above the handler that drops records.",
        key="instructions",
    )


def _contenders(measured: Measured) -> Table:
    rows: list[tuple[str, list[float | str | None]]] = []
    for name, peer in measured.contenders.items():
        facts = peer.facts
        rows.append(
            (
                f"{name} {peers.version(facts)}".strip(),
                [
                    "logging" if facts.under_logging else "its own",
                    facts.formats,
                    "yes" if facts.pins else "no",
                    facts.bounded,
                    facts.words,
                ],
            )
        )
    return Table(
        "What each does, and does not",
        [
            Column("API", None),
            Column("makes text on the", None),
            Column("keeps frames alive", None),
            Column("queue bounded by default", None),
            Column("what else counts", None),
        ],
        [*rows, *_missing(measured, 5)],
        note="A test holds each that is installed to this.",
        key="contenders",
    )


def _missing(measured: Measured, columns: int) -> list[tuple[str, list[float | str | None]]]:
    return [(name, [_NOT_INSTALLED, *[None] * (columns - 1)]) for name in measured.missing]


def lines(measured: Measured) -> list[str]:
    """Return what is to be said in words."""
    made = []
    if measured.missing:
        made.append(f"Not installed, so not measured: {', '.join(measured.missing)}.")
    if measured.counted_by is None:
        made.append("Instructions could not be counted: neither perf nor valgrind works here.")
    elif not measured.counted_by:
        made.append("Instructions are counted in a full run only.")
    return made
