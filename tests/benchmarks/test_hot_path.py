"""The instrument for the caller's path: it counts what it says it counts, and its claims follow from its numbers."""

from __future__ import annotations

import itertools
import math
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import ClassVar

import pytest

from benchmarks import errors, hot_path, peers
from benchmarks.hot_path import calls, drawn, figures, instructions, memory, promises, quiet, rounds, show, sustained
from benchmarks.peers.base import Call, Destination, ExcInfo, Facts, Peer


class Fake(Peer):
    """Notes what it is asked, and pins what it is told to."""

    facts = Facts("fake", "", True, "caller", False, "unbounded", "A fake.")

    def __init__(self, name: str = "fake", told: list[str] | None = None) -> None:
        super().__init__(Destination())
        self.name, self.told = name, told if told is not None else []
        self.depths: list[int] = []
        self.pinned: list[object] = []
        self.pins = False

    def plain(self) -> Call:
        return lambda number: self.told.append(self.name)

    def exception(self, info: ExcInfo) -> Call:
        def call(number: int) -> None:
            assert sys.exc_info()[1] is info[1], "it is being handled"
            self.depths.append(len(traceback.extract_tb(info[2])))
            if self.pins:
                self.pinned.append(info)

        return call

    def hold(self) -> None:
        self.told.append(f"hold {self.name}")

    def empty(self) -> None:
        self.told.append(f"empty {self.name}")

    def close(self) -> None:
        pass


def no_progress(text: str) -> None:
    pass


def error(frames: int, folder: Path) -> BaseException:
    return errors.caught(errors.raiser(frames - 1, folder))


def test_contenders_take_turns_and_each_round_is_held_before_and_emptied_after():
    told: list[str] = []
    case = rounds.Case("plain", 10, 3, 1, lambda peer: peer.plain())
    taken = rounds.interleave(case, {"a": Fake("a", told), "b": Fake("b", told)}, 3, no_progress)
    assert {name: len(own) for name, own in taken.items()} == {"a": 3, "b": 3}
    after_warming = told[2 * 3 :]  # one call each, held and emptied
    for start in range(0, len(after_warming), 12):
        (name,) = set(after_warming[start + 1 : start + 11])
        assert after_warming[start] == f"hold {name}"
        assert after_warming[start + 11] == f"empty {name}"
    first_of_each_round = [after_warming[start + 1] for start in range(0, 72, 24)]
    assert set(first_of_each_round) <= {"a", "b"}


def test_a_contender_that_cannot_make_such_a_call_is_left_out():
    case = rounds.Case("extra", 10, 2, 1, lambda peer: peer.extra())
    assert rounds.interleave(case, {"fake": Fake()}, 2, no_progress) == {}


@pytest.mark.parametrize("frames", [10, 40])
def test_an_exception_has_as_many_frames_as_said_in_every_round(frames: int, tmp_path: Path):
    raised = error(frames, tmp_path)
    fake = Fake()
    case = rounds.Case("exception", 5, 3, 1, error=raised, traceback=raised.__traceback__)
    rounds.interleave(case, {"fake": fake}, 3, no_progress)
    assert set(fake.depths) == {frames}


def test_each_frame_is_of_a_function_of_its_own_and_they_are_in_four_files(tmp_path: Path):
    frames = traceback.extract_tb(error(10, tmp_path).__traceback__)
    assert len({frame.name for frame in frames}) == 9
    assert len({frame.filename for frame in frames}) == errors.FILES
    assert "repeated" not in "".join(traceback.format_exception(error(40, tmp_path)))


def test_a_chained_exception_has_both_tracebacks_whole(tmp_path: Path):
    chain = errors.chained(errors.raiser(10, tmp_path), errors.raiser(9, tmp_path))
    text = "".join(traceback.format_exception(chain))
    assert text.count('  File "') == 19
    assert "direct cause" in text


def test_single_calls_are_all_kept(tmp_path: Path):
    plain = calls.one_by_one({"a": Fake("a"), "b": Fake("b")}, 2, 5, None, no_progress)
    assert {name: len(own) for name, own in plain.items()} == {"a": 10, "b": 10}
    fake = Fake()
    calls.one_by_one({"fake": fake}, 2, 5, error(10, tmp_path), no_progress)
    assert len(fake.depths) == 10
    assert len(set(fake.depths)) == 1


def test_calls_of_all_threads_are_kept_and_counted():
    fake = Fake()
    taken = calls.from_threads({"fake": fake}, 4, 2, 0.005, no_progress)
    assert len(taken["fake"]) == fake.logged == fake.told.count("fake")
    assert len(taken["fake"]) >= 8


def test_who_hangs_with_several_threads_is_left_out_of_them_only():
    fake = Fake()
    fake.crowds = False  # type: ignore[misc]
    assert calls.from_threads({"fake": fake}, 4, 1, 0.001, no_progress) == {}
    assert list(calls.from_threads({"fake": fake}, 1, 1, 0.001, no_progress)) == ["fake"]


def test_a_call_after_quiet_is_timed_once_for_each_contender_in_each_turn():
    told: list[str] = []
    steps: list[str] = []
    fakes = {name: Fake(name, told) for name in "abcd"}
    taken = quiet.after_quiet(fakes, 3, steps.append, quiet=0.001)
    assert {name: len(own) for name, own in taken.items()} == dict.fromkeys("abcd", 3)
    assert [sorted(told[start : start + 4]) for start in (0, 4, 8)] == [list("abcd")] * 3
    assert told[12:] == [f"empty {name}" for name in "abcd"], "nothing is held, and it is emptied at the end"
    assert {fake.logged for fake in fakes.values()} == {3}
    assert len(steps) == 3
    assert quiet.Summary.of([1.0, 5.0, 9.0]) == quiet.Summary(5.0, 9.0, 9.0, 3)


def test_each_contender_has_had_quiet_before_its_call_whatever_the_orders():
    moments: dict[str, list[float]] = {name: [] for name in "abc"}

    class Noting(Fake):
        def plain(self) -> Call:
            return lambda number: moments[self.name].append(time.monotonic())

    quiet.after_quiet({name: Noting(name) for name in "abc"}, 4, no_progress, quiet=0.05)
    for own in moments.values():
        assert all(later - earlier >= 0.05 for earlier, later in itertools.pairwise(own))


def test_a_sustained_block_ends_early_after_so_many_calls_and_is_drained():
    fake, steps = Fake(), []  # type: tuple[Fake, list[str]]
    found = sustained.blocks({"fake": fake}, 20.0, steps.append, most=40)
    assert list(found) == ["fake", sustained.BY_DEFAULT]
    assert found["fake"].calls == fake.logged == fake.told.count("fake") == 40
    assert fake.told[-1] == "empty fake"
    assert found["fake"].dropped == found[sustained.BY_DEFAULT].dropped == 0
    assert found["fake"].a_second > 0
    assert len(steps) == sustained.steps({"fake": fake}) == 2


def test_what_asynclog_drops_in_a_sustained_block_is_what_it_counts():
    class Tight(sustained.ByDefault):
        options: ClassVar[dict[str, object]] = {"maxsize": 10}

    destination = Destination(keep=True)
    tight = Tight(destination)
    try:
        destination.shut()  # its worker waits there, so that later records must push earlier ones out
        threading.Timer(0.3, destination.open).start()
        block = sustained._block(tight, 20.0, 400)
    finally:
        tight.close()
    assert destination.kept is not None
    delivered = sum("user bob failed" in text for text in destination.kept)  # and not its word of what it dropped
    assert block.calls == 400
    assert block.dropped == 400 - delivered > 0


def test_who_hangs_with_several_threads_has_a_row_that_says_so(measured: hot_path.Measured):
    table = next(one for one in show.tables(measured) if one.key == "sustained")
    assert table.title == "4 threads calling back to back for 2 s"
    assert "it dropped 3 of 20" in table.note
    rows = dict(table.rows)
    assert list(rows[peers.OURS]) == [1.0, 2.0, 30.0, 10.0, 0.5, 3]
    assert list(rows[peers.QUEUE_PAIR]) == ["hangs", *[None] * 5]
    assert list(rows)[1:3] == [peers.OURS, sustained.BY_DEFAULT], "the two rows of asynclog stand together"


def test_every_row_is_as_wide_as_its_table(measured: hot_path.Measured):
    for table in show.tables(measured):
        assert {len(values) for _, values in table.rows} == {len(table.columns)}, table.title


def test_pinned_requests_are_counted_and_weighed(tmp_path: Path):
    free, pinning = Fake("free"), Fake("pinning")
    pinning.pins = True
    held = memory.held({"free": free, "pinning": pinning}, errors.raiser(9, tmp_path), 50, no_progress)
    assert held["free"].requests <= 1  # the last one's frame may not be gone yet
    assert held["pinning"].requests == 50
    assert held["pinning"].megabytes > 0.5 > held["free"].megabytes


def test_percentiles_are_of_single_calls():
    one = calls.Summary.of([float(number) for number in range(1, 1001)])
    assert one.p50 == pytest.approx(500, abs=1)
    assert one.p99 == pytest.approx(990, abs=1)
    assert one.worst == 1000
    assert one.p999 == pytest.approx(999, abs=1)
    assert math.isnan(calls.Summary.of([1.0, 2.0]).p999)


def summary(best: float) -> rounds.Summary:
    return rounds.Summary(best, best * 1.1, best, best * 1.5, 10)


@pytest.fixture
def measured(tmp_path: Path):
    kinds = peers.installed()
    contenders = {name: kinds[name](Destination()) for name in (peers.FLOOR, peers.OURS, peers.QUEUE_PAIR)}
    unprepared = "stdlib QueueHandler, prepare() off"
    contenders[unprepared] = kinds[unprepared](Destination())
    made = hot_path.Measured(contenders, ["loguru"])
    by_case = {
        figures.PLAIN: (4.0, 4.5, 8.0, 4.4),
        figures.MUTABLE: (4.0, 6.0, 9.0, 5.0),
        figures.EXTRA: (4.0, 6.0, 9.0, 5.0),
        figures.TEN: (5.0, 8.0, 205.0, 6.0),
        figures.FORTY: (5.0, 11.0, 805.0, 6.0),
        figures.CHAINED: (5.0, 11.0, 405.0, 6.0),
    }
    made.rounds = {case: dict(zip(contenders, map(summary, values), strict=True)) for case, values in by_case.items()}
    made.rounds[figures.PLAIN] |= {figures.NOTHING: summary(0.05), figures.BARE: summary(0.15)}
    # The machine was slower in each turn than in the one before, for all alike; the last turn disturbed who came last.
    names = [*contenders, figures.NOTHING, figures.BARE]
    plain = zip(names, (4.0, 4.8, 8.0, 4.4, 0.05, 0.15), strict=True)
    made.turns[figures.PLAIN] = {name: [(value + slow) / 1e6 for slow in (0, 1, 7)] for name, value in plain}
    made.turns[figures.TEN] = {
        name: [value / 1e6, value / 1e6, 3 * value / 1e6]
        for name, value in zip(contenders, (5.0, 11.0, 205.0, 6.0), strict=True)
    }
    made.plain = made.exception = {name: [1.0, 2.0] for name in contenders}
    made.threads = {4: {name: [1.0] * 99 + [10.0 if name == peers.FLOOR else 50.0] * 2 for name in contenders}}
    made.quiet = {name: [1.0, 2.0, 30.0] for name in contenders}
    made.seconds = 2.0
    made.sustained = {peers.OURS: sustained.Block(1.0, 2.0, 30.0, 20, 10.0, 0.5, 3)}
    made.sustained[sustained.BY_DEFAULT] = made.sustained[peers.OURS]
    made.held = {peers.OURS: memory.Held(1.0, 0)}
    made.records = 1000
    yield made
    for peer in contenders.values():
        peer.close()


def test_claims_follow_from_the_numbers(measured: hot_path.Measured):
    least, least_median, share, share_median, bare, bare_median, ten, ten_median, frame, crowd = promises.claims(
        measured
    )
    assert least.measured == pytest.approx(0.5 / 0.4)
    assert not least.holds
    assert "prepare() off adds 0.40 µs, asynclog 0.50 µs" in least.why_not
    assert least_median.measured == pytest.approx(0.8 / 0.4)
    assert share.measured == pytest.approx(0.125)
    assert share_median.measured == pytest.approx(0.2)
    assert bare.measured == pytest.approx(5.0)
    assert bare_median.measured == pytest.approx(8.0)
    assert not bare.holds
    assert ten.measured == pytest.approx(0.015)
    assert ten.holds is (sys.version_info < (3, 13))
    assert ten_median.measured == pytest.approx(0.03)
    assert frame.measured == pytest.approx(0.1)
    assert crowd.measured == pytest.approx(5.0)
    assert not crowd.holds


def test_every_claim_says_which_estimate_it_goes_by_and_why_it_might_not_hold(measured: hot_path.Measured):
    *estimated, crowd = promises.claims(measured)
    for claim in estimated:
        assert claim.text.endswith((", best rounds", ", median round"))
        assert claim.span is None  # of so few turns
    for claim in (*estimated, crowd):
        assert "µs" in claim.why_not


def test_the_median_is_of_differences_within_a_turn_so_that_a_machine_slowing_down_is_not_in_it(
    measured: hot_path.Measured,
):
    assert figures.added_median(measured, figures.PLAIN, peers.OURS) == pytest.approx(0.8)
    assert figures.added_median(measured, figures.PLAIN, peers.FLOOR) is None


def test_a_turn_in_which_the_other_was_disturbed_has_no_ratio():
    assert figures.span([1.0] * 90 + [3.0] * 10, [2.0] * 100) == (0.5, 1.5)
    assert figures.span([1.0, -50.0, 1.0, 1.0, 1.0] * 20, [2.0, 0.001, 2.0, 2.0, 2.0] * 20) == (0.5, 0.5)
    assert figures.span([1.0] * 100, [2.0] * 90 + [0.0] * 10) is None
    assert figures.span([1.0] * 99, [2.0] * 99) is None


def test_instructions_stand_in_the_plain_table_for_whom_they_were_counted(measured: hot_path.Measured):
    assert "instructions added" not in [column.title for column in show.tables(measured)[0].columns]
    measured.counted_by = "perf"
    measured.counted = {
        peers.FLOOR: {figures.PLAIN: 100.0},
        peers.OURS: {figures.PLAIN: 110.0},
        peers.QUEUE_PAIR: {figures.PLAIN: 140.0},
    }
    plain = show.tables(measured)[0]
    assert plain.columns[-1].title == "instructions added"
    added = {name: values[-1] for name, values in plain.rows}
    assert added[peers.OURS] == 10
    assert added[peers.FLOOR] is added["loguru"] is added[figures.BARE] is None
    assert "0.25 times as much (10 to 40)" in promises.claims(measured)[2].why_not


def test_who_is_not_installed_has_a_row_that_says_so(measured: hot_path.Measured):
    (plain, *_) = show.tables(measured)
    assert ("loguru", ["not installed", *[None] * 6]) in list(plain.rows)
    assert any("loguru" in line for line in show.lines(measured))


def test_nothing_is_added_by_the_floor_nor_by_those_with_an_api_of_their_own(measured: hot_path.Measured):
    assert figures.added(measured, figures.PLAIN, peers.FLOOR) is None
    assert figures.added(measured, figures.PLAIN, peers.QUEUE_PAIR) == pytest.approx(4.0)


def test_every_picture_can_be_drawn_light_and_dark(measured: hot_path.Measured):
    pytest.importorskip("matplotlib")
    from benchmarks import outcome

    for one in outcome.draw(drawn.pictures(measured)):
        assert one.light.startswith(b"<?xml")
        assert one.light != one.dark
        assert one.suffix == ".svg"


def test_the_same_picture_is_the_same_bytes(measured: hot_path.Measured):
    pytest.importorskip("matplotlib")
    from benchmarks import outcome

    first, second = (outcome.draw(drawn.pictures(measured)[:1])[0].light for _ in range(2))
    assert first == second


def test_instructions_are_counted_where_something_can():
    by = instructions.counter()
    if by is None:
        pytest.skip("neither perf nor valgrind works here")
    run = instructions._by_perf if by == "perf" else instructions._by_cachegrind
    few, more = (run([sys.executable, "-c", f"for _ in range({count}): pass"]) for count in (10, 200_000))
    assert few is not None
    assert more is not None
    assert more - few > 200_000
