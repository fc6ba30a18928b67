"""What is printed of a captured exception is what the standard library prints of the live one."""

from __future__ import annotations

import linecache
import logging
import sys
import threading
import traceback
import types
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asynclog.capture.exception import capture_exc_info, capture_lone
from asynclog.captured import CapturedException
from asynclog.render import frames as frame_texts
from asynclog.render.standin import exc_info
from asynclog.render.traceback import clear_cache, format_exception_text, with_lone_text
from tests.render.corpus import RAISERS, ExcInfo, info_of, raised

standard = logging.Formatter().formatException


def captured_of(info: ExcInfo) -> CapturedException:
    captured = capture_exc_info(info)
    assert captured is not None
    return captured


def assert_same_text(info: ExcInfo) -> None:
    expected = standard(info)
    captured = captured_of(info)
    assert format_exception_text(captured) == expected
    assert format_exception_text(captured) == expected, "from the cache"
    assert standard(exc_info(captured)) == expected
    lone = capture_lone(info)
    for _ in range(2 if lone else 0):
        assert lone
        assert with_lone_text("the line", lone) == f"the line\n{expected}"
        assert with_lone_text("ends\n", lone) == f"ends\n{expected}"


@pytest.fixture(autouse=True)
def _fresh_cache() -> None:
    clear_cache()


@pytest.mark.parametrize("name", RAISERS)
def test_the_text_is_the_standard_librarys_letter_for_letter(name: str) -> None:
    assert_same_text(info_of(RAISERS[name]))


@pytest.mark.parametrize("name", RAISERS)
def test_the_text_is_the_same_without_a_traceback(name: str) -> None:
    error = raised(RAISERS[name])
    assert_same_text((type(error), error, None))


def test_the_records_traceback_wins_over_the_exceptions_own() -> None:
    error, other = raised(RAISERS["plain"]), raised(RAISERS["key_error"])
    assert_same_text((type(error), error, other.__traceback__))
    _, standin, _ = exc_info(captured_of((type(error), error, other.__traceback__)))
    assert "".join(traceback.format_exception(standin)) == "".join(traceback.format_exception(error))


def test_no_exception_prints_as_there() -> None:
    assert_same_text((None, None, None))
    assert_same_text((None, None, raised(RAISERS["plain"]).__traceback__))


def test_a_traceback_made_by_hand_keeps_its_line() -> None:
    error = raised(RAISERS["plain"])
    assert error.__traceback__ is not None
    made = types.TracebackType(error.__traceback__, error.__traceback__.tb_frame, -1, 7)
    assert_same_text((type(error), error, made))


@pytest.mark.parametrize("limit", [0, 1, 2, -3, 1000])
def test_the_traceback_limit_is_honoured(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    info = info_of(RAISERS["implicit_context"])
    monkeypatch.setattr(sys, "tracebacklimit", limit, raising=False)
    assert_same_text(info)


# ---------------------------------------------------------------- chains and groups of any shape

_SIMPLE = ["plain", "key_error", "notes", "attribute_suggestion", "syntax_error", "short_recursion", "unprintable"]
_links = st.lists(
    st.tuples(st.integers(-1, 9), st.integers(-1, 9), st.booleans(), st.lists(st.integers(0, 9), max_size=4)),
    min_size=1,
    max_size=10,
)


@settings(max_examples=150, deadline=None)
@given(_links, st.data())
def test_chains_and_groups_of_any_shape_print_the_same(links: list[Any], data: st.DataObject) -> None:
    errors: list[BaseException] = []
    for _, _, _, members in links:
        below = [errors[index] for index in members if index < len(errors)]
        error: BaseException
        if below:
            error = BaseExceptionGroup("group", below)
        else:
            error = raised(RAISERS[data.draw(st.sampled_from(_SIMPLE))])
        errors.append(error)
    for error, (cause, context, suppress, _) in zip(errors, links, strict=True):
        if 0 <= cause < len(errors):
            error.__cause__ = errors[cause]
        if 0 <= context < len(errors):
            error.__context__ = errors[context]
        error.__suppress_context__ = suppress
    root = errors[-1]
    assert_same_text((type(root), root, root.__traceback__))


# ---------------------------------------------------------------- what users do with exc_info


class OwnFormatter(logging.Formatter):
    def formatException(self, ei: Any) -> str:
        return "|".join(traceback.format_exception(*ei))


class WalkingFormatter(logging.Formatter):
    def formatException(self, ei: Any) -> str:
        kind, value, tb = ei
        lines = [f"{frame.f_code.co_name}:{line}" for frame, line in traceback.walk_tb(tb)]
        return f"{kind.__name__} {value} {lines} {traceback.extract_tb(tb)}"


class DetailedFormatter(logging.Formatter):
    def formatException(self, ei: Any) -> str:
        return "".join(traceback.TracebackException(*ei).format())


class NoSourceFormatter(logging.Formatter):
    def formatException(self, ei: Any) -> str:
        return "".join(traceback.format_exception_only(ei[1])) + repr(traceback.format_tb(ei[2], limit=1))


@pytest.mark.parametrize("formatter", [OwnFormatter, WalkingFormatter, DetailedFormatter, NoSourceFormatter])
@pytest.mark.parametrize("name", ["implicit_context", "group_in_groups", "attribute_suggestion", "recursion"])
def test_a_users_formatter_is_handed_what_it_can_print(formatter: type[logging.Formatter], name: str) -> None:
    info = info_of(RAISERS[name])
    assert formatter().formatException(exc_info(captured_of(info))) == formatter().formatException(info)


# ---------------------------------------------------------------- the cache


def raise_from(filename: str, source: str) -> ExcInfo:
    return info_of(lambda: exec(compile(source, filename, "exec"), {"__name__": "made"}))


def test_equal_code_of_different_files_is_told_apart(tmp_path: Any) -> None:
    source = "def f():\n    raise ValueError('x')\nf()\n"
    infos = []
    for name in ("one.py", "two.py"):
        (tmp_path / name).write_text(source)
        infos.append(raise_from(str(tmp_path / name), source))
    codes = [info[2].tb_next.tb_next.tb_next.tb_frame.f_code for info in infos]
    assert codes[0] == codes[1]
    assert codes[0] is not codes[1]
    for info in infos:
        assert_same_text(info)


def test_tracebacks_in_turn_and_in_a_row_are_told_apart(tmp_path: Any) -> None:
    source = "def f(x):\n    if x: raise ValueError('x')\n    raise ValueError('x')\nf({})\n"
    infos = []
    for name in ("one.py", "two.py"):
        for value in ("0", "1"):  # the same code but for a constant of the module's
            path = tmp_path / name
            path.write_text(source)
            infos.append(raise_from(str(path), source.format(value)))
    for info in (*infos, *infos, infos[0], infos[0], infos[2], infos[2], infos[0], infos[3]):
        assert_same_text(info)


def test_an_id_that_is_used_again_is_not_taken_for_the_same_code() -> None:
    for number in range(300):
        source = f"def f{number}():\n" + "\n" * (number % 7) + "    1/0\n" + f"f{number}()"
        info = raise_from(f"<made {number}>", source)
        assert format_exception_text(captured_of(info)) == standard(info)


def test_the_cache_is_bounded() -> None:
    kept: frame_texts.Generations[int] = frame_texts.Generations(10)
    for number in range(1000):
        kept.put(number, number)
        assert len(kept) <= 10
        assert kept.get(number) == number
    assert kept.get(0) is None


def test_what_is_used_is_kept_and_what_is_not_goes() -> None:
    kept: frame_texts.Generations[int] = frame_texts.Generations(10)
    kept.put("used", 1)
    for number in range(100):
        kept.put(number, number)
        assert kept.get("used") == 1


def test_a_repeated_traceback_is_not_rendered_again(monkeypatch: pytest.MonkeyPatch) -> None:
    captured = captured_of(info_of(RAISERS["cause"]))
    expected = format_exception_text(captured)

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("rendered again")

    monkeypatch.setattr(traceback, "extract_tb", refuse)
    monkeypatch.setattr(traceback, "TracebackException", refuse)
    assert format_exception_text(captured) == expected


def test_a_source_file_is_looked_at_once_a_second_at_most(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "def f():\n    raise ValueError('x')\nf()\n"
    path = tmp_path / "edited.py"
    path.write_text(source)
    info = raise_from(str(path), source)
    captured = captured_of(info)
    now = [1000.0]
    monkeypatch.setattr(frame_texts, "_now", lambda: now[0])
    looked: list[str] = []
    check = linecache.checkcache
    first = format_exception_text(captured)
    assert "raise ValueError('x')" in first

    def counting(filename: str | None = None) -> None:
        looked.append(str(filename))
        check(filename)

    monkeypatch.setattr(linecache, "checkcache", counting)
    path.write_text("def f():\n    raise ValueError('edited since')\nf()\n")
    now[0] += 0.9
    assert format_exception_text(captured) == first
    assert looked == []
    now[0] += 0.2
    assert format_exception_text(captured) == standard(info)
    assert "edited since" in format_exception_text(captured)
    path.unlink()
    now[0] += 1.1
    assert format_exception_text(captured) == standard(info)
    assert "edited since" not in format_exception_text(captured)
    path.write_text(source)
    now[0] += 1.1
    assert format_exception_text(captured) == first


def test_an_edit_shows_within_a_second_whichever_traceback_looked_at_the_file(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "def f():\n    raise ValueError('x')\ndef g():\n    raise ValueError('y')\n"
    path = tmp_path / "shared.py"
    path.write_text(source)
    one, two = (raise_from(str(path), f"{source}{name}()\n") for name in "fg")
    lone_one, lone_two = capture_lone(one), capture_lone(two)
    assert lone_one
    assert lone_two
    now = [1000.0]
    monkeypatch.setattr(frame_texts, "_now", lambda: now[0])
    before = with_lone_text("", lone_one)
    now[0] += 0.9
    with_lone_text("", lone_two)  # is made now, of a file that was looked at then
    path.write_text(source.replace("raise", "raise  # edited\\\n"))
    for later, edited in ((0.05, False), (0.1, True), (1.5, True)):
        now[0] = 1000.9 + later
        assert ("edited" in with_lone_text("", lone_two)) is edited
        assert (with_lone_text("", lone_one) == before) is not edited
        assert with_lone_text("", lone_one) == with_lone_text("", lone_one)
    now[0] -= 500  # a clock that was set back makes nothing stay for longer
    path.write_text(source)
    assert with_lone_text("", lone_one) == before


def test_a_source_that_no_longer_fits_still_prints(tmp_path: Any) -> None:
    source = "def f():\n    raise ValueError(\n        'x'\n    )\nf()\n"
    path = tmp_path / "shrunk.py"
    path.write_text(source)
    info = raise_from(str(path), source)
    path.write_text("é")
    text = format_exception_text(captured_of(info))
    assert f'File "{path}", line 2, in f' in text
    assert text.endswith("ValueError: x")


def test_a_loader_that_raises_costs_the_source_lines_only() -> None:
    class Loader:
        def get_source(self, name: str) -> str:
            raise RuntimeError("no source from here")

    source = "def f():\n    1/0\nf()"
    info = info_of(
        lambda: exec(compile(source, "raising-loader.py", "exec"), {"__name__": "m", "__loader__": Loader()})
    )
    text = format_exception_text(captured_of(info))
    assert '  File "raising-loader.py", line 2, in f\n' in text
    assert text.endswith("ZeroDivisionError: division by zero")
    linecache.clearcache()


def test_several_threads_may_render_while_another_empties_linecache() -> None:
    infos = [info_of(RAISERS[name]) for name in ("cause", "group", "short_recursion", "operators")]
    expected = [standard(info) for info in infos]
    captured = [captured_of(info) for info in infos]
    wrong: list[str] = []
    done = threading.Event()

    def render() -> None:
        for _ in range(150):
            for want, each in zip(expected, captured, strict=True):
                got = format_exception_text(each)
                if got != want:
                    wrong.append(got)
            clear_cache()

    def empty() -> None:
        while not done.wait(0.0005):
            linecache.clearcache()

    threads = [threading.Thread(target=render) for _ in range(4)]
    emptying = threading.Thread(target=empty)
    emptying.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    done.set()
    emptying.join(60)
    assert wrong == []


def test_a_hint_follows_the_names_and_not_the_module() -> None:
    namespace: dict[str, Any] = {"__name__": "made"}
    code = compile("colourr", "<made>", "exec")
    for name in ("colour", "colours", "unrelated"):
        namespace[name] = 1
        info = info_of(lambda: exec(code, namespace))
        assert_same_text(info)


def test_a_group_of_shared_members_is_bounded() -> None:
    error: BaseException = ValueError("leaf")
    for _ in range(9):
        error = ExceptionGroup("g", [error] * 15)  # type: ignore[list-item]
    text = format_exception_text(captured_of((type(error), error, None)))
    assert "asynclog prints 5,000 exceptions of one record" in text
    assert len(text) < 20_000_000


@pytest.mark.skipif(sys.version_info < (3, 12), reason="before 3.12 the traceback module suggests nothing")
@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("name_suggestion", "Did you mean: 'some_local'?"),
        ("forgotten_self", "Did you mean: 'self.colour'?"),
        ("attribute_suggestion", "Did you mean: 'first_name'?"),
        ("import_suggestion", "Did you mean: 'Handler'?"),
        ("forgotten_import", "Did you forget to import 'colorsys'"),
    ],
)
def test_did_you_mean_is_really_there(name: str, hint: str) -> None:
    assert hint in format_exception_text(captured_of(info_of(RAISERS[name])))
