"""Single calls while the contenders' workers run and deliver: percentiles, alone and from several threads."""

from __future__ import annotations

import gc
import math
import random
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.measure import percentile
from benchmarks.peers.base import Call, Peer

#: Microseconds of every single call of each contender.
Calls = dict[str, list[float]]

_SEED = 7
#: A request logs one error and goes on; the worker has caught up before the next one does.
_PAUSE = 0.0003


@dataclass(frozen=True, slots=True)
class Summary:
    """What single calls came to; microseconds.

    Attributes:
        p50: The middle one.
        p99: One in a hundred took longer.
        p999: One in a thousand did; not a number where there were fewer calls.
        worst: The longest.
        calls: How many there were.
    """

    p50: float
    p99: float
    p999: float
    worst: float
    calls: int

    @classmethod
    def of(cls, taken: list[float]) -> Summary:
        """Sum up calls."""
        p50, p99 = (percentile(taken, share) for share in (50, 99))
        # Of fewer than a thousand calls it would be the worst one under another name.
        p999 = percentile(taken, 99.9) if len(taken) >= 1000 else math.nan
        return cls(p50, p99, p999, max(taken), len(taken))


def one_by_one(
    contenders: Mapping[str, Peer],
    blocks: int,
    size: int,
    error: BaseException | None,
    tell: Callable[[str], None],
) -> Calls:
    """Time calls that come one by one, in blocks of one contender, the blocks in an order drawn anew.

    Args:
        contenders: By name.
        blocks: Of each contender.
        size: Calls in a block.
        error: What is raised, and being handled, while the calls are made; ``None`` for plain calls.
        tell: Hears how far it is.
    """
    chance = random.Random(_SEED)
    taken: Calls = {name: [] for name in contenders}
    for block in range(blocks):
        order = list(contenders)
        chance.shuffle(order)
        for name in order:
            peer = contenders[name]
            gc.collect()
            taken[name] += _spaced(peer, size, error)
            peer.logged += size
            peer.empty()
        tell(f"{'plain' if error is None else 'exception'}, one by one, block {block + 1} of {blocks}")
    return taken


def _spaced(peer: Peer, size: int, error: BaseException | None) -> list[float]:
    if error is None:
        return _time_spaced(peer.plain(), size)
    inner = error.__traceback__
    try:
        raise error
    except type(error):
        return _time_spaced(peer.exception(sys.exc_info()), size)  # type: ignore[arg-type]
    finally:
        error.__traceback__ = inner


def _time_spaced(call: Call, size: int) -> list[float]:
    clock, taken = time.perf_counter_ns, []
    for number in range(size):
        time.sleep(_PAUSE)
        started = clock()
        call(number)
        taken.append((clock() - started) / 1e3)
    return taken


def from_threads(
    contenders: Mapping[str, Peer],
    threads: int,
    blocks: int,
    seconds: float,
    tell: Callable[[str], None],
) -> Calls:
    """Time plain calls that several threads make back to back; contenders that can't take it are left out.

    A block lasts for a time and not for a number of calls: else the slowest contender would take
    most of the run.
    """
    chance = random.Random(_SEED)
    taken: Calls = {name: [] for name, peer in contenders.items() if peer.crowds or threads == 1}
    for block in range(blocks):
        order = list(taken)
        chance.shuffle(order)
        for name in order:
            gc.collect()
            new = crowd(contenders[name], threads, seconds)
            taken[name] += new
            contenders[name].logged += len(new)
            contenders[name].empty()
        tell(f"{threads} thread{'s' if threads > 1 else ''}, block {block + 1} of {blocks}")
    return taken


def crowd(peer: Peer, threads: int, seconds: float, most: int = sys.maxsize) -> list[float]:
    """Time plain calls that so many threads make back to back for so long; each ends early after `most` calls."""
    call, taken = peer.plain(), [[] for _ in range(threads)]  # type: tuple[Call, list[list[float]]]
    start = threading.Barrier(threads)

    def work(own: list[float]) -> None:
        clock = time.perf_counter_ns
        start.wait()
        end = clock() + int(seconds * 1e9)
        while True:
            started = clock()
            call(1)
            ended = clock()
            own.append((ended - started) / 1e3)
            if ended >= end or len(own) >= most:
                return

    workers = [threading.Thread(target=work, args=(own,), daemon=True) for own in taken]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return [one for own in taken for one in own]
