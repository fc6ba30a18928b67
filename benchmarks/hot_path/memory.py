"""What waits for a worker holds memory: exceptions of 10 frames, each raised by a request of its own.

Each request's outermost frame holds 10 KB, as a view holds what it was sent. A contender that
queues live frames keeps that until its worker comes to the record; how many requests are alive is counted.
"""

from __future__ import annotations

import gc
import sys
import tracemalloc
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.errors import Raise
from benchmarks.peers.base import Peer

_REQUEST = 10_000


class Request:
    """Stands for what a view's frame holds."""

    def __init__(self) -> None:
        self.body = bytearray(_REQUEST)


@dataclass(frozen=True, slots=True)
class Held:
    """What a contender holds.

    Attributes:
        megabytes: Of Python objects, above what there was before.
        requests: How many of the requests live.
    """

    megabytes: float
    requests: int


def held(contenders: Mapping[str, Peer], raising: Raise, records: int, tell: Callable[[str], None]) -> dict[str, Held]:
    """Queue so many exceptions with each contender whose worker can be held, and weigh what they hold."""
    found = {}
    for name, peer in contenders.items():
        if peer.holds:
            found[name] = _held(peer, raising, records)
            tell(f"memory of {records:,} queued exceptions, {name}")
    return found


def _held(peer: Peer, raising: Raise, records: int) -> Held:
    alive: weakref.WeakSet[Request] = weakref.WeakSet()
    peer.hold()
    for number in range(10):  # what is made once, caches and all, is no record's
        _one(peer, raising, number)
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(records):
            alive.add(_one(peer, raising, number))
        gc.collect()
        requests = len(alive)
        del alive  # it has a weight of its own
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    peer.empty()
    return Held((after - before) / 1e6, requests)


def _one(peer: Peer, raising: Raise, number: int) -> Request:
    request = Request()
    try:
        raising(request)
    except IndexError:
        peer.exception(sys.exc_info())(number)  # type: ignore[arg-type]
        peer.logged += 1
    return request
