"""Exceptions of every kind that a traceback prints differently, each as a function that raises it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

ExcInfo = tuple[Any, Any, Any]


def raised(raiser: Callable[[], Any]) -> BaseException:
    try:
        raiser()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def info_of(raiser: Callable[[], Any]) -> ExcInfo:
    try:
        raiser()
    except BaseException:
        return sys.exc_info()
    raise AssertionError("nothing was raised")


class Outer:
    class Nested(LookupError):
        pass


class Falsy(ValueError):
    def __len__(self) -> int:
        return 0


class Shouting(str):
    def __str__(self) -> str:
        return str.upper(self)


class Unprintable(Exception):
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __str__(self) -> str:
        raise self.error


class SubclassText(Exception):
    def __str__(self) -> str:
        return Shouting("quiet")


class Meta(type):
    pass


class WithMeta(Exception, metaclass=Meta):
    pass


class TwoBases(KeyError, AttributeError):
    pass


class Lookup:
    colour = 1

    def __init__(self) -> None:
        self.first_name = "x"
        self._hidden_thing = 1

    def wrong_attribute(self) -> Any:
        return self.frist_name

    def wrong_private(self) -> Any:
        return self._hidden_thin

    def hidden_on_self(self) -> Any:
        return self.hidden_thing

    def forgot_self(self) -> Any:
        return colour  # noqa: F821


class RaisingDir:
    def __dir__(self) -> Any:
        raise ValueError("no names")


RAISERS: dict[str, Callable[[], Any]] = {}


def case(raiser: Callable[[], Any]) -> Callable[[], Any]:
    RAISERS[raiser.__name__] = raiser
    return raiser


@case
def plain() -> None:
    raise ValueError("a message")


@case
def no_message() -> None:
    raise ValueError


@case
def several_lines() -> None:
    raise ValueError("one\ntwo\r\nthree\x0bfour\u2028five\n")


@case
def key_error() -> None:
    {}["missing"]


@case
def os_error() -> None:
    open("/there/is/no/such/file")


@case
def unicode_error() -> None:
    b"\xff".decode("utf-8")


@case
def surrogates() -> None:
    raise ValueError("\udcff\x00\u202e")


@case
def nested_name() -> None:
    raise Outer.Nested("x")


@case
def local_class() -> None:
    class Here(Exception):
        pass

    raise Here("x")


@case
def odd_module() -> None:
    raise type("Odd", (Exception,), {"__module__": 7})("x")


@case
def main_module() -> None:
    raise type("InMain", (Exception,), {"__module__": "__main__"})("x")


@case
def metaclass() -> None:
    raise WithMeta("x")


@case
def two_bases() -> None:
    raise TwoBases("x")


@case
def two_bases_with_suggestion() -> None:
    raise TwoBases("x") from AttributeError("y", name="pth", obj=sys)


@case
def operators() -> None:
    ä, b = 1, 0
    print("wide 你好", ä + 1 / b * 2)


@case
def several_source_lines() -> None:
    raised(
        lambda: (
            1
            + 2
            + [
                3,
                4,
                5,
                6,
                7,
            ][int("9")]
        )
    )
    (
        lambda: sum(
            [
                1,
                2,
                "3",
                4,
                5,
            ]
        )
    )()


@case
def subscript() -> None:
    deep: dict[str, Any] = {"a": {"b": None}}
    deep["a"]["b"]["c"]


@case
def without_source() -> None:
    exec(compile("\n\ndef f():\n    1/0\nf()", "<made up>", "exec"), {})


@case
def file_that_is_gone() -> None:
    exec(compile("\n\ndef f():\n    1/0\nf()", "/gone/away.py", "exec"), {"__name__": "gone"})


@case
def source_from_a_loader() -> None:
    source = "def f():\n    raise ValueError('from a loader')\nf()\n"

    class Loader:
        def get_source(self, name: str) -> str:
            return source

    exec(compile(source, "from-a-loader.py", "exec"), {"__name__": "loaded", "__loader__": Loader()})


@case
def cause() -> None:
    try:
        key_error()
    except KeyError as error:
        raise ValueError("effect") from error


@case
def context() -> None:
    try:
        cause()
    except ValueError:
        raise TypeError("while handling") from None if False else TypeError("other")


@case
def implicit_context() -> None:
    try:
        cause()
    except ValueError:
        raise TypeError("while handling")


@case
def from_none() -> None:
    try:
        cause()
    except ValueError:
        raise TypeError("hides it") from None


@case
def cause_without_traceback() -> None:
    raise ValueError("x") from KeyError("never raised")


@case
def circle() -> None:
    first, second = raised(plain), raised(key_error)
    first.__cause__, second.__cause__ = second, first
    raise first


@case
def circle_of_contexts() -> None:
    first, second, third = raised(plain), raised(key_error), raised(no_message)
    first.__context__, second.__context__, third.__context__ = second, third, first
    third.__cause__ = second
    third.__suppress_context__ = False
    raise first


@case
def own_context() -> None:
    error = ValueError("bites its tail")
    error.__context__ = error
    raise error


@case
def deep_chain() -> None:
    error: BaseException = ValueError("the first")
    for number in range(200):
        following = raised(plain) if number % 3 else raised(key_error)
        if number % 2:
            following.__cause__ = error
        else:
            following.__context__ = error
        error = following
    raise error


@case
def false_exception() -> None:
    try:
        plain()
    except ValueError as error:
        raise Falsy("its cause is not looked at") from error


@case
def notes() -> None:
    error = ValueError("noted")
    error.add_note("one")
    error.add_note("two\nlines\r\nand\x0bmore\n")
    error.add_note("")
    raise error


def noted(value: Any) -> None:
    error = ValueError("noted")
    error.__notes__ = value
    raise error


class Printed:
    def __str__(self) -> str:
        return "printed note"


@case
def notes_that_are_objects() -> None:
    noted([Printed(), 3, None, Unprintable(ValueError("x")), Shouting("a"), ("t",)])


@case
def notes_in_a_tuple() -> None:
    noted(("a", "b"))


@case
def notes_in_a_string() -> None:
    noted("abc")


@case
def notes_in_bytes() -> None:
    noted(b"ab")


@case
def notes_that_are_a_number() -> None:
    noted(17)


@case
def notes_in_a_dict() -> None:
    noted({"a": 1})


@case
def notes_that_are_none() -> None:
    noted(None)


@case
def notes_that_are_empty() -> None:
    noted([])


@case
def unprintable() -> None:
    raise Unprintable(ValueError("in str"))


@case
def unprintable_base_exception() -> None:
    raise Unprintable(GeneratorExit())


@case
def text_of_a_subclass() -> None:
    raise SubclassText


@case
def base_exception() -> None:
    raise KeyboardInterrupt("from the keyboard")


@case
def system_exit() -> None:
    sys.exit(3)


@case
def recursion() -> None:
    def down(n: int) -> int:
        return down(n - 1)

    down(0)


@case
def mutual_recursion() -> None:
    def tick(n: int) -> int:
        return tock(n - 1)

    def tock(n: int) -> int:
        return tick(n - 1) if n else 1 // n

    tick(41)


@case
def short_recursion() -> None:
    def down(n: int) -> float:
        return down(n - 1) if n else 1 / n

    down(4)


@case
def syntax_error() -> None:
    compile("def f(:\n  pass\n", "given.py", "exec")


@case
def syntax_error_with_tabs() -> None:
    compile("if 1:\n\t  x = = 'ä'  # more\n", "<string>", "exec")


@case
def indentation_error() -> None:
    compile("if 1:\npass", "given.py", "exec")


@case
def syntax_error_over_lines() -> None:
    compile("f(a for a in b,\n  c)\n", "given.py", "exec")


@case
def syntax_error_made_by_hand() -> None:
    raise SyntaxError("made", ("f.py", 3, 5, "   some text here\n", 3, 9))


@case
def syntax_error_without_place() -> None:
    raise SyntaxError("only words")


@case
def syntax_error_without_anything() -> None:
    raise SyntaxError


@case
def syntax_error_with_notes() -> None:
    error = raised(syntax_error)
    error.add_note("a note")
    raise error


@case
def syntax_error_with_file_only() -> None:
    error = SyntaxError("x")
    error.filename = "lone.py"
    raise error


@case
def name_suggestion() -> None:
    some_local = 1
    print(some_locl)  # noqa: F821
    del some_local


@case
def global_suggestion() -> None:
    RAISRES  # noqa: B018, F821


@case
def builtin_suggestion() -> None:
    pritn(1)  # noqa: F821


@case
def forgotten_import() -> None:
    colorsys.rgb_to_hls  # noqa: B018, F821


@case
def forgotten_self() -> None:
    Lookup().forgot_self()


@case
def attribute_suggestion() -> None:
    Lookup().wrong_attribute()


@case
def private_suggestion() -> None:
    Lookup().wrong_private()


@case
def hidden_suggestion() -> None:
    Lookup().hidden_on_self()


@case
def hidden_from_outside() -> None:
    Lookup().hidden_thing


@case
def module_attribute() -> None:
    sys.pth


@case
def attribute_of_none() -> None:
    None.__clas__


@case
def names_that_raise() -> None:
    RaisingDir().anything


@case
def import_suggestion() -> None:
    from logging import Handlr  # noqa: F401


@case
def import_from_a_package() -> None:
    from xml.dom import minido  # noqa: F401


@case
def import_of_nothing() -> None:
    import no_such_module_anywhere  # noqa: F401


@case
def suggestion_in_a_chain() -> None:
    try:
        attribute_suggestion()
    except AttributeError:
        name_suggestion()


@case
def suggestion_with_odd_notes() -> None:
    error = raised(attribute_suggestion)
    error.__notes__ = 17
    raise error


def group_of(*members: BaseException) -> BaseException:
    return BaseExceptionGroup("several\nthings", members)


@case
def group() -> None:
    raise group_of(raised(plain), raised(cause), raised(notes), KeyError("never raised"))


@case
def group_in_groups() -> None:
    inner = raised(group)
    inner.add_note("on the group")
    raise group_of(inner, raised(plain), group_of(raised(group), raised(syntax_error)))


@case
def group_not_raised_in_chain() -> None:
    try:
        group()
    except BaseExceptionGroup as error:
        raise ValueError("from a group") from error


@case
def group_with_cause() -> None:
    try:
        group_not_raised_in_chain()
    except ValueError as error:
        raise group_of(raised(plain)) from error


@case
def wide_group() -> None:
    raise group_of(*[ValueError(str(number)) for number in range(40)])


@case
def group_of_sixteen() -> None:
    raise group_of(*[ValueError(str(number)) for number in range(16)])


@case
def group_of_fifteen() -> None:
    raise group_of(*[raised(group) if number == 14 else ValueError(str(number)) for number in range(15)])


@case
def wide_group_of_groups() -> None:
    raise group_of(*[group_of(ValueError(str(number))) for number in range(18)])


@case
def deep_group() -> None:
    error: BaseException = raised(plain)
    for _ in range(14):
        error = group_of(error, raised(key_error))
    raise error


@case
def group_whose_member_is_its_cause() -> None:
    member = raised(cause)
    made = group_of(member, member)
    made.__cause__ = member
    raise made


@case
def group_with_odd_notes() -> None:
    error = raised(group)
    error.__notes__ = 17
    raise group_of(error, error)


@case
def group_of_a_subclass() -> None:
    class Mine(ExceptionGroup):
        pass

    raise Mine("mine", [ValueError(1)])


@case
def group_that_is_a_value_error() -> None:
    class Mine(ExceptionGroup, ValueError):
        pass

    raise Mine("mine", [ValueError(1)])
