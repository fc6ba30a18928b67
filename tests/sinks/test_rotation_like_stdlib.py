"""What a sink made from a standard handler writes is what the handler would have written."""

from __future__ import annotations

import datetime as dt
import logging
import logging.handlers
import os
import tempfile
import time
import types

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asynclog.sinks.file import FileSink
from tests.sinks.filekit import batch, delivered, files, item

FORMAT = logging.Formatter("%(message)s")
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]
# An hour or two before a change of the clocks, somewhere, and some other days.
STARTS = [
    int(dt.datetime(*when, tzinfo=dt.UTC).timestamp())
    for when in [
        (2024, 3, 30, 22), (2024, 10, 26, 22), (2024, 3, 10, 4), (2024, 11, 3, 3), (2024, 4, 6, 13),
        (2024, 10, 5, 14), (2024, 2, 28, 23), (2023, 12, 31, 20),
    ]
]  # fmt: skip
TEXTS = st.text(st.sampled_from("abcäß€\n😀"), max_size=12)


def record(text, created):
    return logging.makeLogRecord({"msg": "%s", "args": (text,), "created": created})


@pytest.fixture
def zone():
    before = os.environ.get("TZ")

    def choose(name):
        os.environ["TZ"] = name
        time.tzset()

    yield choose
    if before is None:
        os.environ.pop("TZ", None)
    else:
        os.environ["TZ"] = before
    time.tzset()


class ShiftedTime:
    """The time module, as the standard handlers see it, at another now."""

    def __init__(self):
        self.now = 0.0

    def time(self):
        return self.now

    def __getattr__(self, name):
        return getattr(time, name)


@pytest.fixture
def handler_time(monkeypatch):
    shifted = ShiftedTime()
    monkeypatch.setattr(logging.handlers, "time", shifted)
    return shifted


def through_handler(make, records, clock=None):
    """Write records with a standard handler; return the folder's files."""
    with tempfile.TemporaryDirectory() as folder:
        handler = make(os.path.join(folder, "app.log"))
        handler.setFormatter(FORMAT)
        for one in records:
            if clock is not None:
                clock.now = one.created
            handler.handle(one)
        handler.close()
        return files(folder)


def through_sink(make, records, cuts, clock=None):
    """Write the same, in batches, with a sink made from such a handler."""
    with tempfile.TemporaryDirectory() as folder:
        handler = make(os.path.join(folder, "app.log"))
        handler.setFormatter(FORMAT)
        sink = FileSink.from_handler(handler)
        FileSink.release_handler(handler)
        items = [item(FORMAT.format(one), one.created) for one in records]
        edges = [0, *sorted(cut % (len(items) + 1) for cut in cuts), len(items)]
        for start, end in zip(edges, edges[1:], strict=False):
            if start < end:
                assert len(delivered(sink.deliver_blocking(batch(items[start:end])))) == end - start
        sink.close_blocking()
        handler.close()
        return files(folder)


@settings(deadline=None, max_examples=150)
@given(
    st.lists(TEXTS, min_size=1, max_size=60),
    st.integers(0, 120),
    st.integers(0, 4),
    st.sampled_from(["utf-8", "utf-16", "utf-8-sig", "latin-1", None]),
    st.sampled_from(["backslashreplace", "replace", "ignore"]),
    st.lists(st.integers(0, 60), max_size=4),
)
def test_rotation_by_size_splits_where_the_standard_handler_does(texts, most, count, encoding, errors, cuts):
    def make(path):
        return logging.handlers.RotatingFileHandler(
            path, maxBytes=most, backupCount=count, encoding=encoding, errors=errors
        )

    records = [record(text, 1e9) for text in texts]
    assert through_sink(make, records, cuts) == through_handler(make, records)


@settings(deadline=None, max_examples=250, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(ZONES),
    st.sampled_from(STARTS),
    st.lists(st.integers(0, 9000), min_size=1, max_size=40),
    st.sampled_from(["S", "M", "H", "D", "midnight", "W0", "W3", "W6"]),
    st.integers(1, 3),
    st.booleans(),
    st.none() | st.times(min_value=dt.time(0), max_value=dt.time(23, 59)),
    st.integers(0, 3),
    st.lists(st.integers(0, 40), max_size=4),
)
def test_rotation_by_time_splits_where_the_standard_handler_does(
    zone, handler_time, name, start, steps, when, interval, utc, at_time, count, cuts
):
    zone(name)
    handler_time.now = start

    def make(path):
        # Not opened, or the file's own time, which is now, would begin the schedule.
        handler_time.now = start
        return logging.handlers.TimedRotatingFileHandler(
            path, when, interval, count, encoding="utf-8", delay=True, utc=utc, atTime=at_time
        )

    now, records = float(start), []
    for number, step in enumerate(steps):
        now += step + 0.25
        records.append(record(f"line {number}", now))
    assert through_sink(make, records, cuts) == through_handler(make, records, handler_time)


@pytest.mark.parametrize("zone_name", ZONES)
@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("when", ["H", "midnight", "W6"])
def test_a_week_round_a_change_of_the_clocks_is_filed_as_by_the_standard_handler(
    zone, handler_time, zone_name, start, when
):
    zone(zone_name)

    def make(path):
        handler_time.now = start
        return logging.handlers.TimedRotatingFileHandler(path, when, encoding="utf-8", delay=True)

    records = [record(f"line {hour}", start + 1799.5 * hour) for hour in range(0, 340)]
    assert through_sink(make, records, [100, 200]) == through_handler(make, records, handler_time)


@pytest.mark.parametrize("mode", ["a", "w", "w+", "at"])
@pytest.mark.parametrize("delay", [False, True])
@pytest.mark.parametrize("kind", [logging.FileHandler, logging.handlers.WatchedFileHandler])
def test_a_plain_handlers_file_is_the_same_byte_for_byte(tmp_path, mode, delay, kind):
    def make(path):
        with open(path, "w", encoding="utf-8") as file:
            file.write("from an earlier run\n")
        handler = kind(path, mode, encoding="utf-16", delay=delay)
        handler.terminator = "\r\n--\n"
        return handler

    records = [record(text, 1e9) for text in ("one", "twö\nthree", "")]
    # Opened late with "w", the watching handler opens twice and so loses its first line: make it early.
    watched_late = kind is logging.handlers.WatchedFileHandler and delay and mode.startswith("w")

    def make_early(path):
        handler = make(path)
        handler.stream = handler._open()
        handler._statstream()
        return handler

    assert through_sink(make, records, [1]) == through_handler(make_early if watched_late else make, records)


def test_the_locales_encoding_is_kept(monkeypatch, tmp_path):
    handler = logging.FileHandler(tmp_path / "a.log")
    sink = FileSink.from_handler(handler)
    with open(tmp_path / "b.log", "a") as file:
        expected = file.encoding
    assert "".encode(sink._writer._options.encoding) == "".encode(expected)
    handler.close()


class Quiet(logging.FileHandler):
    """Overrides nothing."""

    def __init__(self, *args, **keywords):
        super().__init__(*args, **keywords)

    def helper(self):
        return 1


class Loud(logging.FileHandler):
    def emit(self, record):
        super().emit(record)


class Named(logging.handlers.TimedRotatingFileHandler):
    def getFilesToDelete(self):
        return []


def test_a_subclass_that_overrides_nothing_is_taken(tmp_path):
    assert FileSink.from_handler(Quiet(tmp_path / "a.log", delay=True)) is not None


def changed(handler, **attributes):
    for name, value in attributes.items():
        setattr(handler, name, value)
    return handler


@pytest.mark.parametrize(
    "make",
    [
        lambda path: logging.StreamHandler(),
        lambda path: Loud(path, delay=True),
        lambda path: Named(path, delay=True),
        lambda path: changed(logging.FileHandler(path, delay=True), emit=print),
        lambda path: changed(logging.FileHandler(path, delay=True), handleError=print),
        lambda path: changed(logging.FileHandler(path, delay=True), format=str),
        lambda path: changed(logging.handlers.RotatingFileHandler(path, delay=True), namer=str.upper),
        lambda path: changed(logging.handlers.RotatingFileHandler(path, delay=True), rotator=print),
        lambda path: changed(logging.handlers.RotatingFileHandler(path, delay=True), shouldRollover=lambda _: 0),
        lambda path: changed(logging.FileHandler(path, delay=True), stream=types.SimpleNamespace(name="x")),
        lambda path: logging.FileHandler(path, "ab", delay=True),
        lambda path: logging.FileHandler(path, "x", delay=True),
        lambda path: changed(logging.FileHandler(path, "w", delay=True), _closed=True),
        lambda path: changed(logging.FileHandler(path, delay=True), terminator=7),
        lambda path: changed(logging.handlers.RotatingFileHandler(path, maxBytes=9, delay=True), backupCount=1.5),
        lambda path: changed(logging.handlers.TimedRotatingFileHandler(path, delay=True), when="X"),
        lambda path: logging.FileHandler(path, delay=True, encoding="no-such-encoding"),
    ],
)
def test_a_handler_that_a_sink_cannot_honour_is_left_alone(tmp_path, make):
    handler = make(tmp_path / "a.log")
    assert FileSink.from_handler(handler) is None
    handler.stream = None


def test_a_changed_suffix_is_honoured(tmp_path, handler_time):
    def make(path):
        handler_time.now = 1e9
        handler = logging.handlers.TimedRotatingFileHandler(path, "H", encoding="utf-8", delay=True, utc=True)
        handler.suffix = "%Y.%m.%d at %H"
        return handler

    records = [record(f"line {n}", 1e9 + 3000 * n) for n in range(9)]
    written = through_sink(make, records, [])
    assert written == through_handler(make, records, handler_time)
    assert "app.log.2001.09.09 at 03" in written


def test_level_formatter_and_filters_come_along(tmp_path):
    handler = logging.FileHandler(tmp_path / "a.log", delay=True)
    handler.setLevel(logging.ERROR)
    handler.setFormatter(FORMAT)
    handler.addFilter(kept := logging.Filter("a"))
    sink = FileSink.from_handler(handler)
    assert (sink.level, sink.formatter, sink.filters) == (logging.ERROR, FORMAT, [kept])
    assert sink.name is None


@pytest.mark.parametrize("mode", ["a", "w"])
def test_a_handler_given_back_appends_and_never_truncates(tmp_path, mode):
    path = tmp_path / "a.log"
    handler = logging.FileHandler(path, mode, encoding="utf-8")
    handler.setFormatter(FORMAT)
    handler.handle(record("before", 1e9))
    sink = FileSink.from_handler(handler)
    FileSink.release_handler(handler)
    assert handler.stream is None
    sink.deliver_blocking(batch(["between"]))
    sink.close_blocking()
    FileSink.give_back_handler(handler)
    handler.handle(record("after", 1e9))
    handler.close()
    assert path.read_text() == "before\nbetween\nafter\n"


def test_a_handler_used_while_it_is_wrapped_does_not_empty_the_file(tmp_path):
    handler = logging.FileHandler(tmp_path / "a.log", "w", encoding="utf-8")
    sink = FileSink.from_handler(handler)
    FileSink.release_handler(handler)
    sink.deliver_blocking(batch(["kept"]))
    handler.handle(record("aside", 1e9))
    handler.close()
    assert (tmp_path / "a.log").read_text().splitlines() == ["kept", "aside"]


def test_a_timed_handler_given_back_does_not_roll_over_what_the_sink_has_rolled_over(tmp_path):
    path = tmp_path / "a.log"
    handler = logging.handlers.TimedRotatingFileHandler(path, "H", encoding="utf-8")
    handler.setFormatter(FORMAT)
    handler.rolloverAt = int(time.time()) - 10
    sink = FileSink.from_handler(handler)
    FileSink.release_handler(handler)
    sink.deliver_blocking(batch([item("new", time.time())]))
    sink.close_blocking()
    before = files(tmp_path)
    FileSink.give_back_handler(handler)
    handler.handle(record("newer", time.time()))
    handler.close()
    after = files(tmp_path)
    assert list(after) == list(before)
    assert after["a.log"] == b"new\nnewer\n"


def test_releasing_survives_a_stream_that_cannot_be_closed(tmp_path):
    handler = logging.FileHandler(tmp_path / "a.log")
    os.close(handler.stream.fileno())
    FileSink.release_handler(handler)
    assert handler.stream is None


def test_a_file_to_be_emptied_when_it_is_opened_is_emptied_once(tmp_path):
    (tmp_path / "a.log").write_text("from an earlier run\n")
    sink = FileSink.from_handler(logging.FileHandler(tmp_path / "a.log", "w", encoding="utf-8", delay=True))
    sink.deliver_blocking(batch(["one"]))
    assert (tmp_path / "a.log").read_text() == "one\n"
    os.rename(tmp_path / "a.log", tmp_path / "old")
    (tmp_path / "a.log").write_text("somebody else's\n")
    sink.deliver_blocking(batch(["two"]))
    sink.close_blocking()
    sink.deliver_blocking(batch(["three"]))
    assert (tmp_path / "a.log").read_text() == "somebody else's\ntwo\nthree\n"
