"""A single call after seconds of quiet: a worker that sleeps by then has to be woken, or comes by itself later.

While calls come in quick succession a worker is awake anyway; the lone call of an app that seldom logs is
the one that finds it asleep, and the caller's caches cold.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.hot_path.calls import Calls
from benchmarks.measure import percentile
from benchmarks.peers.base import Peer

_SEED = 7
#: Seconds that each contender has had no call for: asynclog's worker sleeps after one.
QUIET = 2.0
#: Seconds between two contenders' calls: a worker that comes at once has delivered by then.
_APART = 0.0125


@dataclass(frozen=True, slots=True)
class Summary:
    """What calls after quiet came to; microseconds.

    Attributes:
        median: The middle one.
        p90: One in ten took longer.
        worst: The longest.
        calls: How many there were.
    """

    median: float
    p90: float
    worst: float
    calls: int

    @classmethod
    def of(cls, taken: list[float]) -> Summary:
        """Sum up calls."""
        return cls(percentile(taken, 50), percentile(taken, 90), max(taken), len(taken))


def after_quiet(
    contenders: Mapping[str, Peer], turns: int, tell: Callable[[str], None], *, quiet: float = QUIET
) -> Calls:
    """Time one plain call of each contender in each turn, the workers running; the order is drawn anew for each turn.

    Between the last call of a turn and the first of the next nobody calls, so whatever the orders,
    each contender was quiet for so long.

    Args:
        contenders: By name.
        turns: How many.
        tell: Hears how far it is.
        quiet: Seconds before each turn.
    """
    chance = random.Random(_SEED)
    made = {name: peer.plain() for name, peer in contenders.items()}
    taken: Calls = {name: [] for name in contenders}
    clock = time.perf_counter_ns
    for turn in range(turns):
        order = list(made)
        chance.shuffle(order)
        gc.collect()
        time.sleep(quiet)
        for name in order:
            call = made[name]
            time.sleep(_APART)
            started = clock()
            call(turn)
            taken[name].append((clock() - started) / 1e3)
            contenders[name].logged += 1
        tell(f"after {quiet:g} s of quiet, turn {turn + 1} of {turns}")
    for peer in contenders.values():
        peer.empty()
    return taken
