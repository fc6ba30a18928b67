"""Records rendered a run at a time have the text that `logging.Formatter` gives each."""

from __future__ import annotations

import copy
import io
import logging
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import asynclog
from asynclog.capture.exception import capture_lone
from asynclog.captured import LONE_SIZE
from asynclog.plain import RECORD_SIZE
from asynclog.render.line import MAX_TEXT
from asynclog.render.run import run_renderer
from asynclog.testing import MemorySink
from asynclog.values import item_of
from tests.conftest import PATIENCE

_PIECES = ["%(message)s", "%(asctime)s", "%(asctime)-30s", "%(asctime).10s", "%(asctime)r", "%(levelname)-8s"]
_PIECES += ["%(levelname)s", "%(name)s", "%(lineno)05d", "%(msecs)03d", "%(created)f", "%(funcName)s", "%(user)s"]
_PIECES += ["%%", "\n", "{", "}", "{x!r}", '"', "'", "\\", "ä🎉", "\ud800", "%(message)r", "%(message).3s"]
_VALUES = st.one_of(st.text(max_size=8), st.integers(), st.floats(), st.none(), st.booleans())
_MESSAGES = st.one_of(
    st.tuples(st.text(st.characters(exclude_characters="%"), max_size=20), st.just(())),
    st.tuples(st.just("%s and %r {braces}"), st.tuples(_VALUES, _VALUES)),
    st.tuples(st.just("one %d too few"), st.tuples(_VALUES)),
    st.tuples(st.just("a line\n%s\n"), st.tuples(_VALUES)),
    st.tuples(st.just("wrong %s %s"), st.tuples(_VALUES)),
)
_MSEC_FORMATS = st.sampled_from(["%s,%03d", "%s.%03d", "%s {%03d", None, "", "%s %f", "<%s> %03d", "%s,%03d ms"])


def _raised(text: str) -> BaseException:
    try:
        raise ValueError(text)
    except ValueError as error:
        return error


def queued(record: logging.LogRecord) -> dict[str, Any]:
    """Return a record as the fast path puts it on the queue."""
    fields = copy.copy(record.__dict__)
    exc_info = fields["exc_info"]
    if exc_info:
        fields["stack_info"] = capture_lone(exc_info)
        fields["stack_info"][LONE_SIZE] = RECORD_SIZE
        fields["exc_info"] = None
    return fields


def made(message: tuple[str, tuple[Any, ...]], created: float, error: str | None, user: object = "ada") -> Any:
    info: Any = None
    if error is not None:
        raised = _raised(error)
        info = (ValueError, raised, raised.__traceback__)
    record = logging.LogRecord("shop", logging.ERROR, "/app/shop.py", 12, *message, info, "view")
    record.created = created
    record.msecs = int((created - int(created)) * 1000) + 0.0
    record.user = user
    return record


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.sampled_from(_PIECES), min_size=1, max_size=6),
    st.sampled_from([None, "%H:%M:%S", "", "%d {%m} %%"]),
    _MSEC_FORMATS,
    st.lists(
        st.tuples(_MESSAGES, st.floats(0, 4e9), st.one_of(st.none(), st.text(max_size=5))), min_size=1, max_size=6
    ),
)
def test_a_run_has_the_texts_that_the_formatter_makes_one_by_one(pieces, datefmt, msec_format, records):
    formatter = logging.Formatter("".join(pieces), datefmt, validate=False)
    formatter.default_msec_format = msec_format
    render = run_renderer(MemorySink(formatter=formatter), lone=True)
    if render is None:
        assert not any(piece.startswith("%(") for piece in pieces)
        return
    originals = [made(*record) for record in records]
    run = [queued(record) for record in originals]
    untouched = copy.deepcopy([(fields["exc_text"], fields["exc_info"]) for fields in run])
    done, size = render(run)
    for record, fields in zip(originals[:done], run, strict=False):
        text = formatter.format(copy.copy(record))
        item = item_of(fields)
        assert item.text == text
        assert item.size == RECORD_SIZE + (len(text) if record.exc_info else 0)
        size -= item.size
        assert item.record.exc_text is item.record.exc_info is item.record.stack_info is None
        assert item.record.getMessage() == record.getMessage()
    assert size == 0
    for fields, was in zip(run[done:], untouched[done:], strict=True):
        assert (fields["exc_text"], fields["exc_info"]) == was
    if done < len(run):  # it stops at one that the formatter itself refuses, or whose milliseconds are out of reach
        with pytest.raises((TypeError, ValueError, KeyError, OverflowError)):
            formatter.format(copy.copy(originals[done]))


@pytest.mark.parametrize(
    "odd",
    [
        {"exc_text": "made by another handler"},
        {"msg": "x" * (MAX_TEXT + 1)},
        {"msecs": 12.5},
        {"msecs": -3.0},
        {"created": float("inf")},
        {"created": float("nan")},
        {"created": "noon"},
        {"args": (1, 2, 3)},
    ],
    ids=lambda odd: "-".join(odd),
)
def test_a_run_stops_at_a_record_that_is_not_so_plain(odd):
    render = run_renderer(MemorySink(formatter=logging.Formatter("%(asctime)s %(message)s")), lone=True)
    assert render is not None
    run = [queued(made(("m", ()), 10.0, None)) for _ in range(4)]
    run[2] |= odd
    assert render(run) == (2, 2 * RECORD_SIZE)
    assert [fields["exc_text"] is not None for fields in run] == [True, True, "exc_text" in odd, False]


def test_a_run_for_a_sink_that_reads_more_than_texts_stops_at_an_exception():
    render = run_renderer(MemorySink(formatter=logging.Formatter("%(message)s")), lone=False)
    assert render is not None
    run = [queued(made(("m", ()), 1.0, None)), queued(made(("m", ()), 1.0, "no"))]
    carried = run[1]["stack_info"]
    assert render(run)[0] == 1
    assert run[1]["stack_info"] is carried


def test_a_time_format_that_is_changed_later_takes_effect():
    formatter = logging.Formatter("%(asctime)s %(message)s")
    render = run_renderer(MemorySink(formatter=formatter), lone=True)
    assert render is not None

    def text() -> str:
        record = made(("m", ()), 1_700_000_000.25, None)
        run = [queued(record)]
        assert render(run)[0] == 1
        assert run[0]["exc_text"] == formatter.format(record)
        return str(run[0]["exc_text"])

    texts = [text()]
    formatter.default_msec_format = "%s.%03d"
    texts.append(text())
    formatter.datefmt = "%Y"
    texts.append(text())
    assert len(set(texts)) == 3


def test_records_of_several_seconds_have_a_time_each():
    formatter = logging.Formatter("%(asctime)s %(message)s")
    render = run_renderer(MemorySink(formatter=formatter), lone=True)
    assert render is not None
    records = [made(("m", ()), created, None) for created in (5.999, 6.0, 6.999, 7.0, 5.0, 0.0, 7.5)]
    run = [queued(record) for record in records]
    assert render(run)[0] == len(run)
    assert [fields["exc_text"] for fields in run] == [formatter.format(record) for record in records]


def test_a_text_with_its_exception_is_cut_as_any_other():
    render = run_renderer(MemorySink(formatter=logging.Formatter("%(message)s")), lone=True)
    assert render is not None
    run = [queued(made(("m" * MAX_TEXT, ()), 1.0, "the end"))]
    assert render(run) == (1, RECORD_SIZE + len(run[0]["exc_text"]))
    assert "asynclog cut" in run[0]["exc_text"]
    assert run[0]["exc_text"].endswith("ValueError: the end")


@pytest.mark.parametrize(
    "formatter", [logging.Formatter("{message}", style="{"), logging.Formatter("no name", validate=False)]
)
def test_other_formats_are_left_to_the_formatter(formatter):
    assert run_renderer(MemorySink(formatter=formatter), lone=True) is None


SECRET_OF_THE_APP = "hunter2"  # a module's global, as the frames of an exception can reach it
_BORROWED = ("exc_info", "exc_text", "stack_info")
_NAMES = sorted({*vars(made(("m", ()), 1.0, None)), "message", "asctime"})


@pytest.mark.parametrize("name", _BORROWED)
def test_a_format_that_names_what_the_queue_borrows_is_left_to_the_formatter(name):
    formatter = logging.Formatter(f"%(message)s %({name})-5s")
    assert run_renderer(MemorySink(formatter=formatter), lone=True) is None


def log_some(logger: logging.Logger) -> None:
    for text in ("short %d", "long %d " + "x" * 400):
        for number in range(2):
            logger.info(text, number, extra={"user": "ada"})
            try:
                raise ValueError(text)
            except ValueError:
                logger.exception(text, number, extra={"user": "ada"})


def without_addresses(text: str) -> str:
    return re.sub("0x[0-9a-f]+", "0x…", text)


@pytest.mark.parametrize("style", ["%", "{"])
@pytest.mark.parametrize("lane", [0, 1])
@pytest.mark.parametrize("name", _NAMES)
def test_whatever_attribute_a_format_names_the_file_has_logging_s_own_bytes(tmp_path, logger, name, lane, style):
    fmt = f"[%({name})s] %(message)s" if style == "%" else f"[{{{name}}}] {{message}}"
    formatter = logging.Formatter(fmt, style=style)  # type: ignore[arg-type]
    own, other = logging.StreamHandler(io.StringIO()), tmp_path / "other.log"
    own.setFormatter(formatter)
    sinks = [asynclog.FileSink(tmp_path / "it.log", formatter=formatter, encoding="utf-8")]
    sinks[1 - lane : 1 - lane] = [asynclog.FileSink(other, level=100)]
    listener = asynclog.QueueListener(asynclog.RecordQueue(), *sinks)
    handler = asynclog.QueueHandler(listener.queue)
    handler.door = listener.gate_for([listener.lanes[lane]])
    logger.addHandler(handler)
    logger.addHandler(own)  # behind: a traceback that it leaves on the record is for no one else
    for _ in range(3):  # the first run finds the lane as it was set up, and may go another way
        log_some(logger)
        assert listener.flush(PATIENCE)
    written = (tmp_path / "it.log").read_text(encoding="utf-8")
    assert SECRET_OF_THE_APP not in written
    assert without_addresses(written) == without_addresses(own.stream.getvalue())


@pytest.mark.parametrize("lane", [0, 1])
def test_a_json_file_has_nothing_of_the_queue_s_own(tmp_path, logger, lane):
    files = [tmp_path / "0.log", tmp_path / "1.log"]
    listener = asynclog.QueueListener(
        asynclog.RecordQueue(), *[asynclog.FileSink(file, formatter=asynclog.JSONFormatter()) for file in files]
    )
    handler = asynclog.QueueHandler(listener.queue)
    handler.door = listener.gate_for([listener.lanes[lane]])
    logger.addHandler(handler)
    own = logging.StreamHandler(io.StringIO())
    own.setFormatter(asynclog.JSONFormatter())
    logger.addHandler(own)
    for _ in range(2):
        log_some(logger)
        assert listener.flush(PATIENCE)
    written = files[lane].read_text(encoding="utf-8")
    assert SECRET_OF_THE_APP not in written
    assert written == own.stream.getvalue()
