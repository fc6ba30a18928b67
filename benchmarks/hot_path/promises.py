"""What is promised of the caller's path, and what was measured of it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks.hot_path import calls
from benchmarks.hot_path.show import BARE, NOTHING, PLAIN, TEN, added, per_frame
from benchmarks.peers import FLOOR, OURS, QUEUE_PAIR
from benchmarks.result import Claim

if TYPE_CHECKING:
    from benchmarks.hot_path import Measured


def claims(measured: Measured) -> list[Claim]:
    """Return what is promised of the caller's path."""
    ours, pair = added(measured, PLAIN, OURS), added(measured, PLAIN, QUEUE_PAIR)
    assert ours is not None
    assert pair is not None
    plain = measured.rounds[PLAIN]
    bare = plain[BARE].best - plain[NOTHING].best
    ten, ten_pair = added(measured, TEN, OURS), added(measured, TEN, QUEUE_PAIR)
    assert ten is not None
    assert ten_pair is not None
    crowd = {name: calls.Summary.of(measured.threads[4][name]) for name in (FLOOR, OURS)}
    least, by = _least(measured)
    return [
        Claim(
            "A plain call adds no more than the cheapest other contender under logging adds",
            ours / least,
            1.0,
            "×",
            why_not=f"{by} adds {least:.2f} µs, asynclog {ours:.2f} µs. {_what(measured, by)}",
        ),
        Claim(
            "A plain call adds at most 20 % of what the standard QueueHandler adds",
            ours / pair,
            0.20,
            "%",
            why_not=f"asynclog adds {ours:.2f} µs, QueueHandler {pair:.2f} µs.",
        ),
        Claim(
            "A plain call adds at most 4 times a bare deque.append and a dict copy",
            ours / bare,
            4.0,
            "×",
            why_not=f"asynclog adds {ours:.2f} µs; the bare pair takes {bare:.2f} µs.",
        ),
        Claim(
            "A call with an exception of 10 frames adds at most"
            f" {_exception_bound() * 100:.0f} % of what the standard QueueHandler adds",
            ten / ten_pair,
            _exception_bound(),
            "%",
            why_not=f"asynclog adds {ten:.1f} µs, QueueHandler {ten_pair:.1f} µs.",
        ),
        Claim("Each further frame adds less than 0.2 µs", per_frame(measured, OURS), 0.2, "µs"),
        Claim(
            "With four threads calling at once, p99 of a call is at most 4 times that of the dropping handler",
            crowd[OURS].p99 / crowd[FLOOR].p99,
            4.0,
            "×",
            why_not=f"{crowd[OURS].p99:.1f} µs and {crowd[FLOOR].p99:.1f} µs.",
        ),
    ]


def _exception_bound() -> float:
    # The standard library draws more carets, and takes twice as long for them, from 3.13 on.
    return 0.01 if sys.version_info >= (3, 13) else 0.02


def _least(measured: Measured) -> tuple[float, str]:
    others = {
        name: value
        for name in measured.contenders
        if name != OURS and (value := added(measured, PLAIN, name)) is not None
    }
    by = min(others, key=lambda name: others[name])
    return others[by], by


def _what(measured: Measured, name: str) -> str:
    facts = measured.contenders[name].facts
    if facts.pins:
        return "It queues the record itself: arguments can change before they are written, and frames stay alive."
    return facts.words
