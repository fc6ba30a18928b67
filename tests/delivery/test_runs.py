"""Records that a lane takes a run at a time fare as those that it takes one by one."""

from __future__ import annotations

import asyncio
import copy
import logging
import tempfile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asynclog.captured import LONE_SIZE
from asynclog.drain import _LONGEST_RUN
from asynclog.handler import QueueHandler
from asynclog.listener import QueueListener
from asynclog.plain import RECORD_SIZE
from asynclog.queue import RecordQueue
from asynclog.sinks.file import FileSink
from asynclog.testing import MemorySink
from asynclog.values import Batch, Delivered, Item, LazyItems, Part, SharedOutcome, in_full, item_of, unpack
from tests.delivery.kit import Stepped
from tests.render.test_run import made, queued
from tests.sinks.filekit import START, FaultySystem, files

_FORMAT = "%(asctime)s %(levelname)s %(message)s"
_RECORDS = st.lists(
    st.tuples(
        st.one_of(
            st.tuples(st.text(max_size=30), st.just(())),
            st.tuples(st.just("user %s\x1b failed\n%d"), st.tuples(st.text(max_size=5), st.integers(0, 9))),
            st.tuples(st.just("wrong %s %s"), st.tuples(st.integers())),
            st.tuples(st.just("long " * 300), st.just(())),
        ),
        st.floats(START, START + 20),
        st.one_of(st.none(), st.text(max_size=5)),
        st.sampled_from([logging.INFO, logging.ERROR]),
        st.sampled_from([None, None, None, "from another handler"]),
    ),
    max_size=30,
)


def _queued(records: list[Any]) -> list[dict[str, Any]]:
    run = []
    for message, created, error, levelno, exc_text in records:
        record = made(message, created, error)
        record.levelno, record.levelname, record.exc_text = levelno, logging.getLevelName(levelno), exc_text
        fields = queued(record)
        if fields["stack_info"] is None and len(record.msg) > 256:
            fields["stack_info"] = RECORD_SIZE + len(record.msg)
        run.append(fields)
    return run


def _one_by_one(one: Stepped, run: list[dict[str, Any]]) -> None:
    for entry in run:
        fields, _, size, exception = unpack(entry)
        one.lane.take(fields, in_full(exception), size, None)


def _written(run: list[dict[str, Any]], options: dict[str, Any], batch_records: int, fail_at: int, by_run: bool):
    with tempfile.TemporaryDirectory() as folder:
        system = FaultySystem(fail_at, only=("write",))
        sink = FileSink(f"{folder}/a.log", formatter=logging.Formatter(_FORMAT), system=system, **options)
        one = Stepped(sink, batch_records=batch_records)
        one.total.accepted += len(run)
        if by_run:
            one.lane.take_run(run)
        else:
            _one_by_one(one, run)
        memory = one.lane.buffer.memory
        one.settle_all()
        asyncio.run(sink.aclose())
        one.check()
        assert one.lane.buffer.memory == one.lane.buffer._uneven == 0
        return files(folder), memory, one.total.snapshot(), [alarm.kind for alarm in one.alarms]


@settings(max_examples=60, deadline=None)
@given(
    _RECORDS,
    st.sampled_from(
        [
            {},
            {"max_bytes": 300, "backup_count": 100},
            {"when": "S", "interval": 2, "utc": True, "backup_count": 100},
            {"escape_control": True},
            {"encoding": "ascii", "errors": "strict"},
            {"encoding": "utf-16"},
        ]
    ),
    st.integers(1, 12),
    st.integers(0, 3),
)
def test_a_file_gets_the_same_bytes_and_the_counts_are_the_same(records, options, batch_records, fail_at):
    given_one_by_one, given_as_run = _queued(copy.deepcopy(records)), _queued(records)
    for mine, other in zip(given_as_run, given_one_by_one, strict=True):
        if type(mine["stack_info"]) is list:  # one exception: two would have a traceback each
            other["stack_info"] = list(mine["stack_info"])
    expected = _written(given_one_by_one, options, batch_records, fail_at, by_run=False)
    assert _written(given_as_run, options, batch_records, fail_at, by_run=True) == expected


@given(_RECORDS)
@settings(max_examples=50, deadline=None)
def test_a_sink_that_reads_records_gets_the_same_items(records):
    given_one_by_one, given_as_run = _queued(records), _queued(records)
    shown = []
    for run, take in ((given_one_by_one, _one_by_one), (given_as_run, lambda one, run: one.lane.take_run(run))):
        sink = MemorySink(formatter=logging.Formatter("%(levelname)s %(message)s"))
        one = Stepped(sink)
        one.total.accepted += len(run)
        take(one, run)
        one.settle_all()
        assert one.check()["delivered"] == len(run)
        assert all(type(batch.items) is tuple for batch in sink.batches)
        shown.append(
            [
                (
                    item.text if item.record.exc_info is None else item.text.splitlines()[0],
                    item.size if item.record.exc_info is None else 0,
                    item.record.getMessage(),
                    item.record.exc_text,
                    item.record.stack_info,
                    item.record.exc_info and item.record.exc_info[0],
                )
                for batch in sink.batches
                for item in batch.items
            ]
        )
    assert shown[0] == shown[1]


@pytest.mark.parametrize("error", [MemoryError, SystemExit, ValueError])
def test_a_record_that_cannot_be_rendered_either_way_costs_itself_and_no_other(monkeypatch, error):
    one = Stepped(MemorySink(formatter=logging.Formatter("%(message)s")))
    run = [queued(made((text, ()), START, None)) for text in ("a", "b", "c")]
    one.lane.intake.takes_runs()
    render, take = one.lane.intake._render_run, one.lane.intake.take

    def failing_render(run, room):
        assert render is not None
        if run[0]["msg"] == "b":
            raise error
        return render(run[:1], room)

    def failing_take(fields, *args):
        if fields["msg"] == "b":
            raise error
        take(fields, *args)

    monkeypatch.setattr(one.lane.intake, "_render_run", failing_render)
    monkeypatch.setattr(one.lane.intake, "take", failing_take)
    one.total.accepted += 3
    one.lane.take_run(run)
    one.settle_all()
    assert one.sink.messages == ["a", "c"]
    counts = one.check()
    assert counts["dropped"] == {"lane_error": 1}
    assert counts["dropped_levels"] == {"ERROR": 1}


_MEMORY = 8 << 20


@pytest.mark.parametrize("plain_between", [0, 40])
@pytest.mark.parametrize(
    ("message", "error"),
    [(("x" * 1_000_000, ()), None), (("m", ()), "x" * 1_000_000), (("odd %d %d" + "x" * 1_000_000, (1,)), None)],
    ids=["long message", "long exception", "one that can't be merged"],
)
@pytest.mark.parametrize("level", [logging.INFO, logging.ERROR])
def test_heavy_records_of_one_run_stay_within_the_lane_s_memory(message, error, level, plain_between):
    def of_one_run() -> list[dict[str, Any]]:
        light = [(("m", ()), START, None, level, None)] * plain_between
        run = _queued([*light, *[(message, START, error, level, None)] * 16, *light])
        for fields in run:
            if type(fields["stack_info"]) is list:
                fields["stack_info"][LONE_SIZE] = RECORD_SIZE + len(error or "")
        return run

    kept = []
    for take in (_one_by_one, lambda one, run: one.lane.take_run(run)):
        one = Stepped(FileSink("unused", formatter=logging.Formatter("%(message)s")), bounds={"max_memory": _MEMORY})
        run = of_one_run()
        one.total.accepted += len(run)
        take(one, run)
        heaviest = 2_100_000
        assert one.lane.buffer.memory <= _MEMORY + heaviest
        counts = one.total.snapshot()
        assert counts["dropped"]["lane_full"] > 0
        assert counts["pending"] == len(one.lane.buffer) == one.lane.remaining()
        kept.append([item_of(rendered).text for rendered in one.lane.buffer.items])
    assert kept[0] == kept[1]


# -- items that are made when they are asked for -----------------------------------------------------------


def rendered(text: str = "m", **attributes: Any) -> dict[str, Any]:
    return {**queued(made((text, ()), START, None)), "exc_text": f"text of {text}", **attributes}


def test_an_item_is_made_once_and_its_record_is_as_it_was():
    plain, long, ready = rendered("a"), rendered("b", stack_info=5000, exc_info=4), item_of(rendered("c"))
    items = LazyItems([plain, long, ready])
    assert items.texts() == ["text of a", "text of b", "text of c"]
    assert items.created(0) == items.created(2) == START
    assert len(items) == 3
    assert items[0] is items[0] is next(iter(items)) is items[:1][0]
    assert items[2] is ready
    assert [(item.text, item.size) for item in items] == [
        ("text of a", RECORD_SIZE),
        ("text of b", 5000),
        ("text of c", RECORD_SIZE),
    ]
    for item in items:
        record = item.record
        assert record.exc_text is record.exc_info is record.stack_info is item.shared is None
    assert items.texts() == ["text of a", "text of b", "text of c"]
    assert items.created(1) == START
    assert items[-1] is ready
    with pytest.raises(IndexError):
        _ = items[3]


def test_what_several_lanes_settle_is_told_from_the_rest():
    ready = Item(made(("m", ()), START, None), "t", 1, SharedOutcome(2))
    items = LazyItems([rendered(), ready, rendered()])
    _ = items[0]
    assert items.shared() == [ready]


def test_a_part_of_a_lazy_batch_that_is_refused_is_tried_again_and_the_rest_counted():
    class Half(FileSink):
        def deliver_blocking(self, batch: Batch) -> Any:
            seen.append([item.text for item in batch.items])
            return [Part(Delivered(), batch.items[:1])]

    seen: list[list[str]] = []
    one = Stepped(Half("unused", formatter=logging.Formatter("%(message)s")))
    one.total.accepted += 3
    one.lane.take_run([queued(made((text, ()), START, None)) for text in "abc"])
    one.settle_all()
    asyncio.run(one.sink.aclose())
    assert seen == [["a", "b", "c"], ["b", "c"], ["c"]]
    assert one.check()["delivered"] == 3


# -- how long a run is ---------------------------------------------------------------------------------------


class _Clock:
    def __init__(self, cost: float) -> None:
        self.now, self.cost = 0.0, cost

    def perf_counter(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


@pytest.mark.parametrize(("cost", "last"), [(0.05e-6, _LONGEST_RUN), (2e-6, 32), (60e-6, 1), (200e-6, 1), (1.0, 1)])
def test_a_run_takes_about_as_long_whatever_a_record_costs(monkeypatch, cost, last):
    queue = RecordQueue()
    sink = MemorySink()
    listener = QueueListener(queue, sink)
    queue.on_wake = None  # nobody but this test drains it
    logger = logging.Logger("runs")
    logger.addHandler(QueueHandler(queue))
    for number in range(4000):
        logger.error("%d", number)
    clock = _Clock(cost)
    lengths: list[int] = []
    pop_run = queue.pop_run

    def pop(most: int) -> Any:
        run = pop_run(most)
        lengths.append(most)
        clock.now += len(run) * cost
        return run

    monkeypatch.setattr(queue, "pop_run", pop)
    monkeypatch.setattr("asynclog.drain.time", clock)
    while listener._drain.run(0.0005):
        pass
    assert lengths[-1] == last
    lane = listener.lanes[0]
    assert [item_of(one).record.args for one in lane.buffer.items] == [(number,) for number in range(4000)]
    lane.buffer.clear()
    listener.inner.ledger.reset()
    lane.ledger.reset()
