"""Capturing an exception keeps nothing alive, raises nothing and is bounded."""

from __future__ import annotations

import gc
import logging
import os
import sys
import traceback
import weakref
from typing import Any

import pytest

from asynclog.capture import exception as capture_module
from asynclog.capture.exception import capture_exc_info
from asynclog.captured import CapturedException, each_frame
from asynclog.render.standin import exc_info
from asynclog.render.traceback import format_exception_text
from tests.render.corpus import RAISERS, Unprintable, info_of, raised

standard = logging.Formatter().formatException


class Thing:
    pass


def captured_of(error: Any) -> CapturedException:
    captured = capture_exc_info((type(error), error, getattr(error, "__traceback__", None)))
    assert captured is not None
    return captured


def test_no_frame_exception_argument_or_note_is_kept_alive() -> None:
    watched: list[weakref.ref[Any]] = []

    class Held(Exception):
        pass

    def fail() -> None:
        local, argument, note, obj = Thing(), Thing(), Thing(), Lookup()
        watched.extend(map(weakref.ref, (local, argument, note, obj)))
        try:
            try:
                obj.wrong_nam  # type: ignore[attr-defined]
            except AttributeError:
                undefined_local_name  # type: ignore[name-defined]  # noqa: F821
        except NameError as cause:
            error = Held(argument)
            error.__notes__ = [note]
            watched.append(weakref.ref(error))
            raise ExceptionGroup("g", [error]) from cause

    class Lookup:
        wrong_name = 1

    def capture() -> CapturedException:
        try:
            fail()
        except ExceptionGroup as error:
            return captured_of(error)
        raise AssertionError

    captured = capture()
    triple = exc_info(captured)
    text = format_exception_text(captured)
    gc.collect()
    assert len(watched) == 5
    assert [ref() for ref in watched] == [None] * 5
    assert text == standard(triple)


@pytest.mark.parametrize("name", RAISERS)
def test_nothing_captured_is_a_frame_a_traceback_or_an_exception(name: str) -> None:
    captured = capture_exc_info(info_of(RAISERS[name]))
    seen: set[int] = set()
    todo: list[Any] = [captured]
    while todo:
        value = todo.pop()
        if id(value) in seen or isinstance(value, (type, dict)):
            continue
        seen.add(id(value))
        assert not isinstance(value, BaseException)
        assert type(value).__name__ not in ("frame", "traceback")
        if type(value).__name__ not in ("code", "function"):
            todo += gc.get_referents(value)


@pytest.mark.parametrize("nothing", [None, False, (), 0, (1, 2), 17, "text"])
def test_what_holds_no_exception_gives_none(nothing: Any) -> None:
    assert capture_exc_info(nothing) is None


@pytest.mark.parametrize("value", ["text", 17, object(), type, Exception])
def test_a_value_that_is_no_exception_does_not_raise(value: Any) -> None:
    captured = capture_exc_info((ValueError, value, None))
    assert captured is not None
    assert format_exception_text(captured)
    standard(exc_info(captured))


class Raises:
    """Raises from whatever is asked of it."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __get__(self, instance: Any, owner: Any) -> Any:
        if instance is None:
            return self
        raise self.error


@pytest.mark.parametrize("error", [ValueError("x"), GeneratorExit(), RecursionError(), MemoryError()])
@pytest.mark.parametrize(
    "name", ["__cause__", "__context__", "__suppress_context__", "__traceback__", "__notes__", "exceptions", "name"]
)
@pytest.mark.parametrize("base", [ValueError, ExceptionGroup, AttributeError, NameError, SyntaxError])
def test_attributes_that_raise_are_survived(name: str, base: type[Any], error: BaseException) -> None:
    cls = type("Spiky", (base,), {name: Raises(error)})
    made = cls("message", [ValueError("inner")]) if base is ExceptionGroup else cls("message")
    made.__context__ = KeyError("before")
    captured = capture_exc_info((cls, made, None))
    assert captured is not None
    assert "Spiky" in format_exception_text(captured)
    assert "Spiky" in standard(exc_info(captured))
    chained = ValueError("outer")
    chained.__cause__ = made
    text = format_exception_text(captured_of(chained))
    assert "Spiky" in text
    assert text.endswith("ValueError: outer")


def test_getting_notes_that_raises_says_so() -> None:
    cls = type("Spiky", (ValueError,), {"__notes__": Raises(ZeroDivisionError("oops"))})
    text = format_exception_text(captured_of(cls("message")))
    assert "Ignored error getting __notes__: ZeroDivisionError('oops')" in text
    assert "Spiky: message" in text


@pytest.mark.parametrize("signal", [KeyboardInterrupt, SystemExit])
def test_what_may_be_a_signal_passes(signal: type[BaseException]) -> None:
    with pytest.raises(signal):
        captured_of(Unprintable(signal()))
    noted = ValueError("x")
    noted.__notes__ = [Unprintable(signal())]
    with pytest.raises(signal):
        captured_of(noted)


def test_a_str_that_recurses_is_survived() -> None:
    class Endless(Exception):
        def __str__(self) -> str:
            return str(self)

    assert format_exception_text(captured_of(Endless())).endswith("Endless: <exception str() failed>")


def test_no_file_is_opened_or_looked_at_and_nothing_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    infos = [info_of(raiser) for raiser in RAISERS.values()]
    calls: list[str] = []
    recording = False

    def audit(event: str, args: Any) -> None:
        if recording and event.split(".")[0] in {"open", "os", "import", "socket", "compile", "subprocess"}:
            calls.append(event)

    sys.addaudithook(audit)
    # os.stat has no audit event.
    monkeypatch.setattr(os, "stat", lambda *args, **kwargs: calls.append("stat"))
    recording = True
    for info in infos:
        capture_exc_info(info)
    recording = False
    monkeypatch.undo()
    assert calls == []


# ---------------------------------------------------------------- bounds


def deep_error(depth: int) -> BaseException:
    def tick(n: int) -> float:
        return tock(n - 1) if n else 1 / n

    def tock(n: int) -> float:
        return tick(n - 1) if n else 1 / n

    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(depth + 1_000)
    try:
        return raised(lambda: tick(depth))
    finally:
        sys.setrecursionlimit(limit)


def test_a_recursion_error_at_the_default_limit_is_kept_whole() -> None:
    error = raised(RAISERS["recursion"])
    captured = captured_of(error)
    assert captured.frame_count == len(traceback.extract_tb(error.__traceback__))
    assert format_exception_text(captured) == standard((type(error), error, error.__traceback__))


def test_ten_thousand_frames_are_cut_in_the_middle_and_say_so() -> None:
    error = deep_error(10_000)
    total = sum(1 for _ in traceback.walk_tb(error.__traceback__))
    captured = captured_of(error)
    assert captured.frame_count == 2_001
    text = format_exception_text(captured)
    assert f'  File "<asynclog>", line 0, in [{total - 2_000:,} frames left out]\n' in text
    whole = "".join(traceback.format_tb(error.__traceback__))
    before, _, after = text.partition('  File "<asynclog>"')
    assert whole.startswith(before.removeprefix("Traceback (most recent call last):\n"))
    assert whole.endswith(after.partition("left out]\n")[2].removesuffix("ZeroDivisionError: division by zero"))
    assert standard(exc_info(captured)) == text


def test_the_frames_of_a_long_chain_are_bounded_together() -> None:
    error: BaseException = ValueError("first")
    tb = deep_error(1_500).__traceback__
    for _ in range(50):
        following = ValueError("next").with_traceback(tb)
        following.__cause__ = error
        error = following
    captured = captured_of(error)
    assert captured.frame_count < 25_000
    assert len(captured.nodes) == 51
    assert captured.nodes[40].frames


def test_a_chain_past_the_bound_says_so() -> None:
    error: BaseException = ValueError("first")
    for number in range(3_000):
        following = ValueError(str(number))
        following.__cause__ = error
        error = following
    captured = captured_of(error)
    assert len(captured.nodes) == 1_001
    text = format_exception_text(captured)
    assert text.startswith("asynclog.captured.ExceptionsLeftOut: asynclog keeps 1,000 exceptions")
    assert text.endswith("ValueError: 2999")
    assert standard(exc_info(captured)) == text


def test_a_group_of_a_million_keeps_a_few_and_prints_the_count() -> None:
    leaf = ValueError("leaf")
    error = ExceptionGroup("many", [leaf] * 20 + [ValueError(str(n)) for n in range(50_000)])
    captured = captured_of(error)
    assert len(captured.nodes) < 50
    text = format_exception_text(captured)
    assert "and 50005 more exceptions" in text
    assert text == standard((type(error), error, None))


def test_a_long_message_is_cut_and_says_by_how_much() -> None:
    captured = captured_of(ValueError("x" * 50_000_000))
    assert captured.text_size < 1_100_000
    text = format_exception_text(captured)
    assert text.endswith("… [asynclog left out 48,951,424 characters]")
    assert standard(exc_info(captured)) == text


def test_long_messages_and_notes_are_bounded_together() -> None:
    error: BaseException = ValueError("x" * 2_000_000)
    for _ in range(100):
        following = ValueError("y" * 2_000_000)
        following.__notes__ = ["z" * 2_000_000] * 10
        following.__cause__ = error
        error = following
    captured = captured_of(error)
    assert captured.text_size < 10_000_000
    assert "asynclog left out" in format_exception_text(captured)


def test_a_million_notes_are_cut() -> None:
    error = ValueError("x")
    error.__notes__ = ["note"] * 1_000_000
    text = format_exception_text(captured_of(error))
    assert text.count("note\n") == 1_000
    assert text.endswith("… [asynclog left out 999,000 notes]")


def test_the_counts_are_those_of_the_whole_chain() -> None:
    error = raised(RAISERS["cause"])
    captured = captured_of(error)
    assert error.__cause__ is not None
    frames = sum(1 for _ in traceback.walk_tb(error.__traceback__))
    frames += sum(1 for _ in traceback.walk_tb(error.__cause__.__traceback__))
    assert captured.frame_count == frames
    assert captured.text_size == len("effect") + len("'missing'")
    assert captured.exc_type is ValueError
    assert captured.text == "effect"
    assert captured.root_cause().exc_type is KeyError
    names = [code.co_name for code, _, _ in each_frame(captured.frames)]
    assert names == ["raised", "cause"]


def test_the_root_cause_of_a_circle_is_found() -> None:
    assert captured_of(raised(RAISERS["circle"])).root_cause().exc_type is KeyError
    assert captured_of(raised(RAISERS["own_context"])).root_cause().exc_type is ValueError
    assert captured_of(raised(RAISERS["from_none"])).root_cause().exc_type is TypeError


def test_the_line_table_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    class Traceback:
        """Quacks like a traceback whose line nobody may ask for."""

        def __init__(self, frame: Any) -> None:
            self.tb_frame, self.tb_lasti, self.tb_next = frame, 4, None

        @property
        def tb_lineno(self) -> int:
            raise AssertionError("read")

    error = ValueError("x")
    captured = capture_exc_info((ValueError, error, Traceback(sys._getframe())))
    assert captured is not None
    assert captured.frame_count == 1
    assert capture_module.MAX_FRAMES == 2_000
