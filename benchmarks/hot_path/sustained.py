"""Calls back to back from several threads for seconds on end, the workers running.

In short blocks whoever puts work off never has to do it while callers call. Here its worker takes its
share of the interpreter while they do, queues fill up, and what is left over is timed, too.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from benchmarks.hot_path import calls
from benchmarks.peers import OURS
from benchmarks.peers.base import Destination, Facts, LostError, Peer
from benchmarks.peers.shipped import Asynclog

THREADS = 4
#: Calls of all threads: what bounds an unbounded queue here, at about 1 KB a record.
MOST = 600_000
#: asynclog as it comes, under a name of its own.
BY_DEFAULT = f"{OURS}, its default room"

_SEED = 7
_PATIENCE = 20.0
_POLL = 0.001


class ByDefault(Asynclog):
    """asynclog with room for 10,000 records and 64 MiB, as it comes: what finds none costs an older one."""

    facts: ClassVar[Facts] = Facts(
        BY_DEFAULT, "", True, "worker", False, "10,000 records, 64 MiB; drops the oldest", "Drops, and counts it."
    )
    options: ClassVar[Mapping[str, object]] = {}

    def empty(self) -> None:
        """Wait until nothing is pending: what was dropped is never delivered.

        Raises:
            LostError: Something still is.
        """
        self.flush()
        deadline = time.monotonic() + _PATIENCE
        while waiting := self.pending():
            if time.monotonic() > deadline:
                raise LostError(f"{self.facts.name} still holds {waiting}")
            time.sleep(_POLL)


@dataclass(frozen=True, slots=True)
class Block:
    """What calls for seconds on end came to.

    Attributes:
        p50: The middle call; microseconds.
        p99: One in a hundred took longer.
        worst: The longest.
        calls: How many there were.
        a_second: How many a second, of all threads.
        drained: Seconds until all was delivered after the last call; ``None`` for who doesn't tell.
        dropped: Records not delivered at all; ``None`` for who doesn't tell.
    """

    p50: float
    p99: float
    worst: float
    calls: int
    a_second: float
    drained: float | None
    dropped: int | None


def blocks(
    contenders: Mapping[str, Peer], seconds: float, tell: Callable[[str], None], *, most: int = MOST
) -> dict[str, Block]:
    """Let threads make plain calls for so long, one contender after another in an order that was drawn.

    asynclog has a second row with its default room. Contenders that can't take several threads are left out.

    Args:
        contenders: By name.
        seconds: How long.
        tell: Hears how far it is.
        most: After how many calls a block ends before its time.
    """
    found: dict[str, Block] = {}
    bounded = ByDefault(Destination())
    try:
        taking_part = {name: peer for name, peer in contenders.items() if peer.crowds} | {BY_DEFAULT: bounded}
        order = list(taking_part)
        random.Random(_SEED).shuffle(order)
        for name in order:
            gc.collect()
            found[name] = _block(taking_part[name], seconds, most)
            tell(f"{THREADS} threads for {seconds:g} s, {name}")
    finally:
        bounded.close()
    return {name: found[name] for name in taking_part}


def steps(contenders: Mapping[str, Peer]) -> int:
    """Return how many steps `blocks` tells of."""
    return sum(peer.crowds for peer in contenders.values()) + 1


def _block(peer: Peer, seconds: float, most: int) -> Block:
    before = peer.dropped() if isinstance(peer, Asynclog) else 0
    started = time.perf_counter()
    taken = calls.crowd(peer, THREADS, seconds, most // THREADS)
    ended = time.perf_counter()
    peer.logged += len(taken)
    peer.empty()
    drained = time.perf_counter() - ended if peer.counts else None
    if isinstance(peer, Asynclog):
        dropped: int | None = peer.dropped() - before
    else:
        # `empty` would have raised, had fewer been delivered than were logged.
        dropped = 0 if peer.counts else None
    one = calls.Summary.of(taken)
    return Block(one.p50, one.p99, one.worst, one.calls, one.calls / (ended - started), drained, dropped)
