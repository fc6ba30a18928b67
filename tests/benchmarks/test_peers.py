"""Each contender really delivers, and does what is said of it: else the tables would compare unlike things."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import errors, peers
from benchmarks.peers import base
from benchmarks.peers.base import Destination, Peer

INSTALLED = peers.installed()
# What a contender that prints no source lines still says.
NO_SOURCE_LINES = {"logleaf"}
# Lets go of the exception before its worker formats; its words say so.
NO_TRACEBACK = {"Logbook, threaded"}
# Takes values as fields and not into a template.
FIELDS = {"logleaf"}


@pytest.fixture(params=[name for name in INSTALLED if name != peers.FLOOR])
def peer(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Peer]:
    path = tmp_path / "peer.log"
    path.touch()
    made = INSTALLED[request.param](Destination(keep=True, path=str(path)))
    yield made
    made.close()


def delivered(peer: Peer) -> str:
    peer.empty()
    assert peer.destination.kept is not None
    return "\n".join(peer.destination.kept) + Path(peer.destination.path).read_text("utf-8")


def test_the_names_in_the_list_are_those_of_the_adapters():
    assert [kind.facts.name for kind in INSTALLED.values()] == list(INSTALLED)
    assert set(INSTALLED) | set(peers.missing()) == {name for name, _, _ in peers.PEERS}


def test_the_floor_delivers_nothing(tmp_path: Path):
    floor = INSTALLED[peers.FLOOR](Destination(keep=True))
    floor.plain()(1)
    floor.empty()
    assert floor.destination.kept == []


def test_a_plain_call_is_delivered_with_its_values(peer: Peer):
    peer.plain()(4711)
    peer.logged += 1
    text = delivered(peer)
    assert "bob" in text
    assert "4711" in text


def test_mutable_arguments_and_extra_are_taken_or_said_to_be_not(peer: Peer):
    calls = [call for call in (peer.mutable(), peer.extra()) if call is not None]
    assert len(calls) == (1 if peer.facts.name in FIELDS else 2)
    for call in calls:
        call(99)
        peer.logged += 1
    assert delivered(peer).count("99") >= len(calls)


def test_an_exception_is_delivered_with_its_traceback(peer: Peer, tmp_path: Path):
    raising = errors.raiser(10, tmp_path)
    try:
        raise errors.caught(raising)
    except IndexError:
        peer.exception(sys.exc_info())(12)
        peer.logged += 1
    text = delivered(peer)
    if peer.facts.name in NO_TRACEBACK:
        assert "IndexError" not in text
        return
    assert "IndexError" in text
    assert "level_9" in text
    assert ("values[total]" in text) == (peer.facts.name not in NO_SOURCE_LINES)


def test_frames_live_while_a_record_waits_exactly_where_that_is_said(peer: Peer, tmp_path: Path):
    if not peer.holds:
        pytest.skip("its records don't wait")

    class Request:
        """Stands for what a view's frame holds."""

    request = Request()
    alive = weakref.ref(request)
    raising = errors.raiser(3, tmp_path)
    peer.hold()
    try:
        raising(request)
    except IndexError:
        peer.exception(sys.exc_info())(1)
        peer.exception(sys.exc_info())(2)  # the worker may hold the first in its hands
        peer.logged += 2
    del request
    gc.collect()
    pinned = alive() is not None
    peer.empty()
    assert pinned is peer.facts.pins


def test_a_held_contender_goes_on_taking_records_and_delivers_them_all_in_the_end(peer: Peer):
    peer.hold()
    before = peer.destination.count
    call = peer.plain()
    for number in range(2500):
        call(number)
    peer.logged += 2500
    if peer.holds and peer.primes:
        assert peer.destination.count == before
    peer.empty()
    if peer.counts:
        assert peer.destination.count == peer.logged


def test_what_is_said_of_it_is_complete(peer: Peer):
    facts = peer.facts
    assert facts.formats in {"caller", "worker"}
    assert facts.words.endswith(".")
    assert facts.bounded
    if not facts.under_logging:
        assert "PI" in facts.words or "Replaces logging" in facts.words


def test_no_contender_changes_what_the_next_one_is_given(peer: Peer):
    before = (repr(base.EXTRA), repr(base.CART))
    for call in (peer.plain(), peer.mutable(), peer.extra()):
        for number in range(20):
            if call is not None:
                call(number)
                peer.logged += 1
    peer.empty()
    assert (repr(base.EXTRA), repr(base.CART)) == before
