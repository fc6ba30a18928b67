"""The stand-in quacks, and building it runs nothing of the user's."""

from __future__ import annotations

import copy
import gc
import logging
import sys
import traceback
import types
import weakref
from typing import Any

import pytest

from asynclog.capture.exception import capture_exc_info
from asynclog.render import standin as standin_module
from asynclog.render.standin import exc_info
from asynclog.render.traceback import clear_cache, format_exception_text
from tests.render.corpus import RAISERS, info_of, raised


def standin_of(error: BaseException) -> Any:
    captured = capture_exc_info((type(error), error, error.__traceback__))
    assert captured is not None
    return exc_info(captured)[1]


def test_no_metaclass_init_subclass_or_constructor_of_the_users_runs() -> None:
    seen: list[str] = []

    class Registry(type):
        def __new__(mcls, name: str, bases: Any, namespace: Any) -> Any:
            seen.append(f"new {name}")
            return super().__new__(mcls, name, bases, namespace)

        def __init__(cls, name: str, bases: Any, namespace: Any) -> None:
            seen.append(f"init {name}")

        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            seen.append("call")
            return super().__call__(*args, **kwargs)

        def __instancecheck__(cls, instance: Any) -> bool:
            seen.append("instancecheck")
            return False

        def __subclasscheck__(cls, subclass: Any) -> bool:
            seen.append("subclasscheck")
            return False

        def __hash__(cls) -> int:
            seen.append("hash")
            return 1

        def __eq__(cls, other: object) -> bool:
            seen.append("eq")
            return True

    class Base(ValueError, metaclass=Registry):
        def __init_subclass__(cls) -> None:
            seen.append("init_subclass")

        def __new__(cls, *args: Any) -> Any:
            seen.append("__new__")
            return super().__new__(cls, *args)

        def __init__(self, *args: Any) -> None:
            seen.append("__init__")

        def __getattribute__(self, name: str) -> Any:
            if name not in ("__class__", "__notes__"):
                seen.append(name)
            return super().__getattribute__(name)

    class Leaf(Base):
        pass

    def fail() -> None:
        raise Leaf("x")

    info = info_of(fail)
    captured = capture_exc_info(info)
    assert captured is not None
    seen.clear()
    triple = exc_info(captured)
    text = logging.Formatter().formatException(triple)
    assert format_exception_text(captured) == text
    assert seen == []
    assert Base.__subclasses__() == [Leaf]
    assert text == logging.Formatter().formatException(info)


def test_class_and_isinstance_answer_the_real_class() -> None:
    error = raised(RAISERS["local_class"])
    standin = standin_of(error)
    assert standin.__class__ is type(error)
    assert isinstance(standin, type(error))
    assert isinstance(standin, BaseException)
    assert type(standin).__name__ == type(error).__name__
    assert type(standin).__qualname__ == type(error).__qualname__
    assert type(standin).__module__ == type(error).__module__
    assert str(standin) == str(error)


@pytest.mark.parametrize("name", RAISERS)
def test_every_stand_in_is_an_instance_of_the_real_class(name: str) -> None:
    info = info_of(RAISERS[name])
    captured = capture_exc_info(info)
    assert captured is not None
    kind, standin, _ = exc_info(captured)
    assert kind is info[0]
    assert isinstance(standin, info[0])
    repr(standin)


def test_what_hangs_on_it_can_be_followed() -> None:
    error = raised(RAISERS["implicit_context"])
    standin = standin_of(error)
    assert standin.__cause__ is None
    assert isinstance(standin.__context__, ValueError)
    assert isinstance(standin.__context__.__cause__, KeyError)
    assert standin.__context__.__suppress_context__ is True
    group = standin_of(raised(RAISERS["wide_group"]))
    assert isinstance(group, BaseExceptionGroup)
    assert len(group.exceptions) == 40
    assert group.message == "several\nthings"
    noted = standin_of(raised(RAISERS["notes"]))
    assert noted.__notes__[0] == "one"
    noted.add_note("another")
    assert noted.__notes__[-1] == "another"


def test_the_frames_have_no_local_variables() -> None:
    standin = standin_of(raised(RAISERS["attribute_suggestion"]))
    tb = standin.__traceback__
    while tb is not None:
        assert not tb.tb_frame.f_locals
        assert dict(tb.tb_frame.f_locals) == {}
        assert list(tb.tb_frame.f_locals.items()) == []
        assert tb.tb_frame.f_back is None
        assert tb.tb_frame.f_lineno == tb.tb_lineno
        tb = tb.tb_next
    shown = traceback.TracebackException(type(standin), standin, standin.__traceback__, capture_locals=True)
    assert all(frame.locals is None for frame in shown.stack)


def test_a_stand_in_can_be_raised_copied_and_captured_again() -> None:
    error = raised(RAISERS["implicit_context"])
    info = (type(error), error, error.__traceback__)
    captured = capture_exc_info(info)
    assert captured is not None
    again = capture_exc_info(exc_info(captured))
    assert again is not None
    assert format_exception_text(again) == logging.Formatter().formatException(info)
    standin = standin_of(error)
    assert copy.deepcopy(standin) is standin
    with pytest.raises(TypeError):
        raise standin
    standin.__traceback__ = None
    assert standin.__traceback__ is None


def test_classes_are_kept_per_type_and_do_not_keep_the_type() -> None:
    def make() -> Any:
        cls = type("Passing", (ValueError,), {})
        first, second = standin_of(cls("a")), standin_of(cls("b"))
        assert type(first) is type(second)
        return weakref.ref(cls)

    gone = make()
    gc.collect()
    assert gone() is None
    for _ in range(1_100):
        standin_of(type("Passing", (ValueError,), {})("x"))
    assert len(standin_module._classes) <= 1_000


def test_a_module_that_is_still_being_imported_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("half_done")
    module.__spec__ = types.SimpleNamespace(_initializing=True)  # type: ignore[assignment]
    module.Handler = 1  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "half_done", module)
    error = raised(lambda: exec("from half_done import Handlr"))
    expected = logging.Formatter().formatException((type(error), error, error.__traceback__))
    captured = capture_exc_info((type(error), error, error.__traceback__))
    assert captured is not None
    monkeypatch.setitem(sys.modules, "half_done", None)
    clear_cache()
    assert format_exception_text(captured) == expected
    assert "half_done" in logging.Formatter().formatException(exc_info(captured))
