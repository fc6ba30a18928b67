"""What is promised of the caller's path, and what was measured of it.

What a call adds is judged twice, since a ratio of best rounds and that of median rounds can differ by a third:
each claim names the one that it goes by.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from benchmarks.hot_path import calls
from benchmarks.hot_path.figures import (
    BARE,
    FORTY,
    NOTHING,
    PLAIN,
    TEN,
    above,
    added,
    added_by_turn,
    added_median,
    instructions_above,
    per_frame,
    share,
    span,
)
from benchmarks.peers import FLOOR, OURS, QUEUE_PAIR
from benchmarks.result import Claim

if TYPE_CHECKING:
    from benchmarks.hot_path import Measured

_BEST, _MEDIAN = "best rounds", "median round"

#: What is read of each frame.
_ATTRIBUTES = "tb_frame, tb_lasti, tb_next, f_code and f_globals"


def claims(measured: Measured) -> list[Claim]:
    """Return what is promised of the caller's path."""
    return [
        *_cheapest(measured),
        *_of_pair(measured, PLAIN, "A plain call adds at most 20 % of what the standard QueueHandler adds", 0.20),
        *_of_bare(measured),
        *_of_pair(
            measured,
            TEN,
            "A call with an exception of 10 frames adds at most"
            f" {_exception_bound() * 100:.0f} % of what the standard QueueHandler adds",
            _exception_bound(),
        ),
        _further_frame(measured),
        _crowd(measured),
    ]


def _cheapest(measured: Measured) -> list[Claim]:
    text = "A plain call adds no more than the cheapest other contender under logging adds"
    best, median = _number(added(measured, PLAIN, OURS)), _number(added_median(measured, PLAIN, OURS))
    least, by = _least(measured, added)
    least_median, by_median = _least(measured, added_median)
    return [
        Claim(
            f"{text}, {_BEST}",
            best / least,
            1.0,
            "×",
            why_not=f"{by} adds {least:.2f} µs, asynclog {best:.2f} µs.{_counted(measured, PLAIN, by)}"
            f" {_what(measured, by)}",
        ),
        Claim(
            f"{text}, {_MEDIAN}",
            median / least_median,
            1.0,
            "×",
            why_not=f"{by_median} adds {least_median:.2f} µs, asynclog {median:.2f} µs. {_what(measured, by_median)}",
            span=span(_turns(measured, PLAIN, OURS), _turns(measured, PLAIN, by_median)),
        ),
    ]


def _of_pair(measured: Measured, case: str, text: str, bound: float) -> list[Claim]:
    made = []
    for estimate, of in ((_BEST, added), (_MEDIAN, added_median)):
        ours, pair = (_number(of(measured, case, name)) for name in (OURS, QUEUE_PAIR))
        made.append(
            Claim(
                f"{text}, {estimate}",
                ours / pair,
                bound,
                "%",
                why_not=f"asynclog adds {ours:.2f} µs, QueueHandler {pair:.2f} µs."
                f"{_counted(measured, case, QUEUE_PAIR)}{_all_of(measured, case, of, bound * pair)}",
                span=None
                if estimate == _BEST
                else span(_turns(measured, case, OURS), _turns(measured, case, QUEUE_PAIR)),
            )
        )
    return made


def _of_bare(measured: Measured) -> list[Claim]:
    text = "A plain call adds at most 4 times a bare deque.append and a dict copy"
    plain = measured.rounds[PLAIN]
    best, bare = _number(added(measured, PLAIN, OURS)), plain[BARE].best - plain[NOTHING].best
    by_turn, bare_by_turn = _turns(measured, PLAIN, OURS), above(measured.turns[PLAIN], BARE, NOTHING)
    median, bare_median = statistics.median(by_turn), statistics.median(bare_by_turn)

    def why_not(ours: float, least: float) -> str:
        return (
            f"asynclog adds {ours:.2f} µs, the bare pair takes {least:.2f} µs: 4 times that leaves "
            f"{3 * least:.2f} µs for a handler called by logging, its look at each argument, and its account of them."
        )

    return [
        Claim(f"{text}, {_BEST}", best / bare, 4.0, "×", why_not=why_not(best, bare)),
        Claim(
            f"{text}, {_MEDIAN}",
            median / bare_median,
            4.0,
            "×",
            why_not=why_not(median, bare_median),
            span=span(by_turn, bare_by_turn),
        ),
    ]


def _further_frame(measured: Measured) -> Claim:
    ten, forty = measured.rounds[TEN][OURS].best, measured.rounds[FORTY][OURS].best
    return Claim(
        f"Each further frame adds less than 0.2 µs, {_BEST}",
        per_frame(measured, OURS),
        0.2,
        "µs",
        why_not=f"{ten:.1f} µs with 10 frames, {forty:.1f} µs with 40. Of each frame five attributes are read, "
        f"{_ATTRIBUTES}, by CPython's general path; the benchmark `profile` says what that takes.",
    )


def _crowd(measured: Measured) -> Claim:
    floor, ours = (calls.Summary.of(measured.threads[4][name]) for name in (FLOOR, OURS))
    return Claim(
        "With four threads calling at once, p99 of a call is at most 4 times that of the dropping handler",
        ours.p99 / floor.p99,
        4.0,
        "×",
        why_not=f"asynclog {ours.p99:.1f} µs, the dropping handler {floor.p99:.1f} µs; p50 {ours.p50:.1f} and "
        f"{floor.p50:.1f} µs. asynclog's worker is a thread more that takes its turn at the interpreter lock.",
    )


def _exception_bound() -> float:
    # The standard library draws more carets, and takes twice as long for them, from 3.13 on.
    return 0.01 if sys.version_info >= (3, 13) else 0.02


def _least(measured: Measured, of: Callable[[Measured, str, str], float | None]) -> tuple[float, str]:
    others = {
        name: value for name in measured.contenders if name != OURS and (value := of(measured, PLAIN, name)) is not None
    }
    by = min(others, key=lambda name: others[name])
    return others[by], by


def _counted(measured: Measured, case: str, other: str) -> str:
    ours, others = (instructions_above(measured, case, name) for name in (OURS, other))
    ratio = share(ours, others)
    return "" if ratio is None else f" By instructions it is {ratio:.3g} times as much ({ours:,.0f} to {others:,.0f})."


def _all_of(measured: Measured, case: str, of: Callable[[Measured, str, str], float | None], room: float) -> str:
    """Say what the bound would leave, and what the cheapest other contender takes of it."""
    least = min(
        (value, name)
        for name in measured.contenders
        if name != OURS and (value := of(measured, case, name)) is not None
    )
    return f" The bound leaves {room:.2f} µs; the cheapest other, {least[1]}, adds {least[0]:.2f} µs."


def _what(measured: Measured, name: str) -> str:
    facts = measured.contenders[name].facts
    if facts.pins:
        return "It queues the record itself: arguments can change before they are written, and frames stay alive."
    return facts.words


def _turns(measured: Measured, case: str, name: str) -> list[float]:
    by_turn = added_by_turn(measured, case, name)
    assert by_turn is not None
    return by_turn


def _number(value: float | None) -> float:
    assert value is not None
    return value
