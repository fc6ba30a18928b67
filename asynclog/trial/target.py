"""The reader's own app: found by its name, as gunicorn and uvicorn find it."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import os
import sys
from collections.abc import Callable
from typing import Any, Literal, TypeAlias, cast

Interface: TypeAlias = Literal["wsgi", "asgi"]

_USUAL = ("app", "application")


class TargetError(Exception):
    """The app can't be found or is none; the text names what to change."""


def load(target: str) -> Any:
    """Import the app.

    Args:
        target: ``module:app``, ``module:package.app`` or a factory with literal arguments,
            ``module:create_app()``; a module alone stands for its ``app`` or ``application``. The
            module is looked for in the current directory first.

    Raises:
        TargetError: There is no such module or attribute, or importing it failed.
    """
    module_name, _, expression = target.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    if not module_name or "/" in module_name or module_name.endswith(".py"):
        raise TargetError(f"{target!r} names no module: give module:app, such as shop.web:app, with dots and no .py")
    module = _import(module_name)
    if not expression:
        expression = next((name for name in _USUAL if hasattr(module, name)), _USUAL[0])
    names, arguments = _taken_apart(target, expression)
    found = module
    for name in names:
        try:
            found = getattr(found, name)
        except AttributeError:
            raise TargetError(_no_such_name(module, module_name, expression)) from None
    if arguments is None:
        return found
    if not callable(found):
        raise TargetError(f"{module_name}:{'.'.join(names)} can't be called: leave the parentheses out")
    args, keywords = arguments
    return found(*args, **keywords)


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # the app lacks something of its own: the traceback says what
        raise TargetError(
            f"there is no module {error.name!r} in {os.getcwd()} or installed: check the name before the colon,"
            " or say with --chdir where the app is"
        ) from None


def _taken_apart(target: str, expression: str) -> tuple[list[str], tuple[list[Any], dict[str, Any]] | None]:
    """Return the dotted name, and the arguments of a factory."""
    try:
        node: ast.expr = ast.parse(expression, mode="eval").body
        arguments = None
        if isinstance(node, ast.Call):
            args = [ast.literal_eval(one) for one in node.args]
            keywords = {cast("str", one.arg): ast.literal_eval(one.value) for one in node.keywords}
            arguments = (args, keywords)
            node = node.func
        names = []
        while isinstance(node, ast.Attribute):
            names.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name) or (arguments and None in arguments[1]):
            raise ValueError(expression)
    except (SyntaxError, ValueError):
        raise TargetError(
            f"{target!r}: what is behind the colon must be a name, or a factory with literal arguments:"
            ' module:app, module:create_app(), module:create_app("testing")'
        ) from None
    return [node.id, *reversed(names)], arguments


def _no_such_name(module: Any, name: str, expression: str) -> str:
    there = [one for one, value in vars(module).items() if not one.startswith("_") and _passes_for_app(value)]
    factories = [f"{one}()" for one in ("create_app", "make_app") if callable(getattr(module, one, None))]
    found = ", ".join(f"{name}:{one}" for one in (*there, *factories))
    return f"module {name!r} has no {expression!r}" + (f": did you mean {found}?" if found else ", and no app")


def _passes_for_app(value: Any) -> bool:
    try:
        return _interface(value) is not None
    except Exception:
        return False  # such as Flask's `request`, which can't be looked at outside of one


def interface_of(app: Any, target: str) -> Interface:
    """Return which interface an app has.

    Args:
        app: The app.
        target: As it was named, for the error.

    Raises:
        TargetError: It is no app, or can't be told.
    """
    found = _interface(app)
    if found is not None:
        return found
    if not callable(app):
        raise TargetError(f"{target} is of type {type(app).__name__} and no app: a WSGI or ASGI app can be called")
    if inspect.isfunction(app) and _takes(app, 0) and not _takes(app, 2):
        raise TargetError(f"{target} is a function without arguments and no app: if it makes the app, write {target}()")
    raise TargetError(
        f"{target}, of type {type(app).__name__}, may be a WSGI or an ASGI app, or none: say which with --interface"
    )


def _interface(app: Any) -> Interface | None:
    """Return an app's interface by how it can be called; ``None``: it can't be told, or is no app."""
    if not callable(app) or inspect.isclass(app):
        return None
    function = app
    while isinstance(function, functools.partial):
        function = function.func
    # An instance is called by its class's `__call__`, which is what has to be asked then.
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
        return "asgi" if _takes(app, 3) else None
    if _takes(app, 3) and not _takes(app, 2):
        return "asgi"
    return "wsgi" if _takes(app, 2) and not _takes(app, 3) and _is_wsgi_like(app) else None


def _takes(app: Callable[..., Any], count: int) -> bool:
    try:
        inspect.signature(app).bind(*range(count))
    except (TypeError, ValueError):
        return False
    return True


def _is_wsgi_like(app: Callable[..., Any]) -> bool:
    """Say whether an app with two arguments is meant to be a WSGI app; a function is by its second name.

    Any function of two arguments would pass for one otherwise, in the list of what was meant too.
    """
    if not inspect.isfunction(app):
        return True
    return "start" in list(inspect.signature(app).parameters)[1]
