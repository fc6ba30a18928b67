"""A stand-in for a captured exception, for whoever is handed ``record.exc_info``.

It is an instance of a class made on the fly: same name, qualified name and module, on the nearest
builtin base. Never on the user's own classes: a metaclass or ``__init_subclass__`` that keeps a
registry must not see it, and no ``__new__`` of the user's must run. Its ``__class__`` answers the
real class, so ``isinstance`` says what it said before; ``type()`` gives the stand-in's. The
standard `traceback` module prints it letter for letter as the original.

What a stand-in does not have: the attributes that the user's class gave the exception, its
methods, ``split`` and ``subgroup`` of a group, and the local variables of the frames.
"""

from __future__ import annotations

import builtins
import sys
import weakref
from typing import Any

from asynclog.captured import (
    NO_NODE,
    SLOTS_PER_FRAME,
    Candidates,
    CapturedException,
    CapturedNode,
    Frames,
    SyntaxDetails,
)
from asynclog.render.duck import LocalsOfFrame, Unkept, duck_traceback

_CLASSES_KEPT = 1_000
_STATE = "_asynclog_state"
_NONE_TYPE = type(None)

# Read past any metaclass: its properties are the user's code.
_mro = type.__dict__["__mro__"].__get__
_name = type.__dict__["__name__"].__get__
_qualname = type.__dict__["__qualname__"].__get__
_module = type.__dict__["__module__"].__get__

_BUILTINS = frozenset(
    value for value in vars(builtins).values() if isinstance(value, type) and issubclass(value, BaseException)
)
# A real group wants its members at birth, all of them, and none of them again; what makes one to
# every printer is `isinstance`, which asks `__class__`, and `exceptions`.
_GROUPS: dict[type, type[BaseException]] = {ExceptionGroup: Exception, BaseExceptionGroup: BaseException}

# By id, with a weak reference beside it: a weak-key dictionary would run a metaclass's __hash__.
_classes: dict[int, tuple[weakref.ref[type], type[BaseException]]] = {}


class _State:
    """What one stand-in knows."""

    __slots__ = ("real", "text", "traceback", "truth")

    def __init__(self, node: CapturedNode) -> None:
        self.real = node.exc_type
        self.text = node.text
        self.truth = node.truth
        self.traceback: Any = None


def exc_info(captured: CapturedException) -> tuple[Any, Any, Any]:
    """Return the triple for a rebuilt record's ``exc_info``.

    Args:
        captured: What `asynclog.capture.exception.capture_exc_info` took.

    Returns:
        The real class, the stand-in, and a traceback that quacks; ``None`` for the class and the
        stand-in where the record's triple held no exception.
    """
    root = captured.nodes[0]
    if root.exc_type is _NONE_TYPE:
        return (None, None, duck_traceback(captured.frames))
    made = [_instance(node) for node in captured.nodes]
    for (instance, _), node in zip(made, captured.nodes, strict=True):
        _link(instance, node, made)
    instance, innermost = made[0]
    if captured.frames is root.frames:
        return (root.exc_type, instance, instance.__traceback__)
    return (root.exc_type, instance, duck_traceback(captured.frames, innermost))


def lone(node: CapturedNode, text: str) -> BaseException:
    """Make the stand-in of one exception, saying ``text``, without frames, chain and names to suggest."""
    bare = CapturedNode(node.exc_type, text, [], True)
    bare.notes = node.notes
    if isinstance(node.details, SyntaxDetails):
        bare.details = node.details
    return _instance(bare)[0]


def asking(exc_type: type, details: Candidates, frames: Frames) -> tuple[BaseException, Any]:
    """Make a stand-in without text that "Did you mean" can be asked about, and its traceback."""
    if details.kind == "import":
        # Asked about an ImportError, the standard library imports the module. The names to choose
        # from are known, so it is asked about an object that has them.
        exc_type, details = AttributeError, Candidates("attribute", details.name, details.names)
    bare = CapturedNode(exc_type, "", [], True)
    bare.details = details
    instance, innermost = _instance(bare)
    return instance, duck_traceback(frames[-SLOTS_PER_FRAME:], innermost)


def type_line(exc_type: type) -> str:
    """Return the name of an exception's class as a traceback prints it."""
    module = _module_of(exc_type)
    if module in ("__main__", "builtins"):
        return str(_qualname(exc_type))
    return f"{module if isinstance(module, str) else '<unknown>'}.{_qualname(exc_type)}"


def _instance(node: CapturedNode) -> tuple[BaseException, LocalsOfFrame | None]:
    cls = _class_for(node.exc_type)
    instance = cls.__new__(cls, node.text)
    state = _State(node)
    setattr(instance, _STATE, state)
    innermost: LocalsOfFrame | None = None
    details = node.details
    if isinstance(details, SyntaxDetails):
        for name in SyntaxDetails.__slots__:
            setattr(instance, name, getattr(details, name))
    elif details is not None:
        innermost = _add_candidates(instance, details)
    state.traceback = duck_traceback(node.frames, innermost)
    if issubclass(node.exc_type, BaseExceptionGroup):
        instance.exceptions = ()  # type: ignore[attr-defined]
    notes = node.notes
    if notes is not None:
        instance.__notes__ = list(notes) if isinstance(notes, tuple) else notes  # type: ignore[assignment]
    instance.__suppress_context__ = node.suppress
    return instance, innermost


def _add_candidates(instance: Any, candidates: Candidates) -> LocalsOfFrame | None:
    if candidates.kind == "import":
        instance.name = candidates.module
        # Printing imports the module to see its names. It must be there already and done: an import
        # in a worker thread would wait for the import lock of the very thread that logs.
        if candidates.names is not None and _is_loaded(candidates.module or ""):
            instance.name_from = candidates.name
        return None
    instance.name = candidates.name
    if candidates.kind == "attribute":
        instance.obj = obj = Unkept(candidates.names)
        return LocalsOfFrame(candidates, obj)
    return LocalsOfFrame(candidates, None)


def _is_loaded(module: str) -> bool:
    for name in {module, module.partition(".")[0]}:
        found = sys.modules.get(name)
        if found is None or getattr(getattr(found, "__spec__", None), "_initializing", False):
            return False
    return True


def _link(instance: Any, node: CapturedNode, made: list[tuple[BaseException, LocalsOfFrame | None]]) -> None:
    if node.cause != NO_NODE:
        instance.__cause__ = made[node.cause][0]
    if node.context != NO_NODE:
        instance.__context__ = made[node.context][0]
    instance.__suppress_context__ = node.suppress
    if node.members is not None:
        members = [made[index][0] for index in node.members]
        left_out = node.member_count - len(members)
        # One object over and over for those past the bound: printers say how many there are.
        instance.exceptions = (*members, *[Exception("left out by asynclog")] * left_out)
        instance.message = node.text.rpartition(" (")[0] or node.text


def _module_of(exc_type: type) -> Any:
    try:
        return _module(exc_type)
    except AttributeError:
        return None


def _class_for(exc_type: type) -> type[BaseException]:
    known = _classes.get(id(exc_type))
    if known is not None and known[0]() is exc_type:
        return known[1]
    made = _make_class(exc_type)
    if len(_classes) >= _CLASSES_KEPT:
        _classes.clear()
    _classes[id(exc_type)] = (weakref.ref(exc_type), made)
    return made


def _make_class(exc_type: type) -> type[BaseException]:
    bases: list[type] = []
    for cls in _mro(exc_type):
        # By identity: a class may lie about its module, and `in` on a set would ask its metaclass.
        if any(cls is known for known in _BUILTINS) and not any(issubclass(base, cls) for base in bases):
            bases.append(cls)
    bases = [_GROUPS.get(base, base) for base in bases] or [Exception]
    bases = [base for base in bases if not any(issubclass(other, base) for other in bases if other is not base)]
    namespace = {
        **_METHODS,
        "__slots__": (_STATE,),
        "__module__": _module_of(exc_type),
        "__qualname__": _qualname(exc_type),
        "__doc__": None,
    }
    try:
        return type(_name(exc_type), tuple(bases), namespace)
    except TypeError:
        return type(_name(exc_type), (bases[0],), namespace)


def _get_class(self: Any) -> type:
    real: type = self._asynclog_state.real
    return real


def _get_traceback(self: Any) -> Any:
    return self._asynclog_state.traceback


def _set_traceback(self: Any, value: Any) -> None:
    self._asynclog_state.traceback = value


def _with_traceback(self: Any, tb: Any) -> Any:
    self._asynclog_state.traceback = tb
    return self


def _str(self: Any) -> str:
    text: str = self._asynclog_state.text
    return text


def _bool(self: Any) -> bool:
    truth: bool = self._asynclog_state.truth
    return truth


def _repr(self: Any) -> str:
    return f"{_name(type(self))}({self._asynclog_state.text!r})"


def _copy(self: Any, _memo: object = None) -> Any:
    return self


_METHODS: dict[str, Any] = {
    "__class__": property(_get_class),
    "__traceback__": property(_get_traceback, _set_traceback),
    "with_traceback": _with_traceback,
    "__str__": _str,
    "__repr__": _repr,
    "__bool__": _bool,
    "__copy__": _copy,
    "__deepcopy__": _copy,
}
