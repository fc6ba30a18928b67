"""A whole and its pieces as a table, whose last row is what the pieces don't explain."""

from __future__ import annotations

import gc
import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from benchmarks.result import Column, Table

NOT_EXPLAINED = "not explained"

#: What a contender took in each round, in order; seconds.
Taken = Mapping[str, Sequence[float]]

_SEED = 7


def rounds_of(
    contenders: Mapping[str, Callable[[], float]], rounds: int, tell: Callable[[], None]
) -> dict[str, list[float]]:
    """Let each contender take its turn in each round, in an order drawn anew.

    Args:
        contenders: Each runs once and returns what it took.
        rounds: How many; one before them is not counted.
        tell: Called after each.
    """
    chance = random.Random(_SEED)
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    order = list(contenders)
    for one in contenders.values():
        one()
    gc.collect()
    # A collection would fall into whichever piece is at work when it is due, by chance.
    gc.disable()
    try:
        for _ in range(rounds):
            chance.shuffle(order)
            for name in order:
                taken[name].append(contenders[name]())
            tell()
    finally:
        gc.enable()
    return taken


def differences(taken: Taken, steps: Sequence[tuple[str, str]], scale: float) -> dict[str, tuple[float, float]]:
    """Return for each step what it costs above the one before it: best less best, and the rounds' median difference.

    Args:
        taken: By contender.
        steps: What a piece is called, and up to where it goes; the first is where all begin.
        scale: Makes of a round's seconds what a table shows.
    """
    found = {}
    for (_, before), (piece, name) in pairwise(steps):
        found[piece] = above(taken[name], taken[before], scale)
    return found


def above(more: Sequence[float], less: Sequence[float], scale: float) -> tuple[float, float]:
    """Return how much one contender takes above another: best less best, and the rounds' median difference."""
    each = [one - other for one, other in zip(more, less, strict=True)]
    return (min(more) - min(less)) * scale, statistics.median(each) * scale


def table(
    title: str,
    pieces: Mapping[str, tuple[float, float]],
    whole: tuple[str, tuple[float, float]],
    *,
    unit: str,
    note: str,
    key: str,
    decimals: int = 3,
    beside: Sequence[tuple[str, tuple[float, float]]] = (),
) -> Table:
    """Return a whole's pieces as a table.

    Args:
        title: What the whole is.
        pieces: Best and median of each.
        whole: What it is called, and its best and median; its own measurement and no sum.
        unit: Of all.
        note: How to read it.
        key: How a page asks for it.
        decimals: Digits after the point.
        beside: What stands below for comparison and is no piece.
    """
    name, (best, median) = whole
    rest = (best - sum(one for one, _ in pieces.values()), median - sum(one for _, one in pieces.values()))

    def row(called: str, values: tuple[float, float]) -> tuple[str, list[float | str | None]]:
        # A share of a whole that came out at nothing, in a rough run, is none.
        share = values[1] / median if median > 0 else None
        return called, [*values, share]

    rows = [row(piece, values) for piece, values in pieces.items()]
    others: list[tuple[str, list[float | str | None]]] = [(called, [*values, None]) for called, values in beside]
    return Table(
        title,
        [
            Column(f"best, {unit}", decimals),
            Column(f"median, {unit}", decimals),
            Column("of the whole", 0, percent=True),
        ],
        [*others, row(name, whole[1]), *rows, row(NOT_EXPLAINED, rest)],
        note=note,
        key=key,
    )


def sample(taken: Taken, scale: float) -> dict[str, dict[str, float]]:
    """Return what contenders took for ``results.json``, in what a table shows."""
    return {
        name: {
            "best": min(seconds) * scale,
            "median": statistics.median(seconds) * scale,
            "worst": max(seconds) * scale,
            "rounds": len(seconds),
        }
        for name, seconds in taken.items()
    }
