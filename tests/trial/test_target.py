"""The reader's own app is found by its name, and what it is by looking at it."""

import functools

import pytest

from asynclog.trial.target import TargetError, interface_of, load


@pytest.fixture
def module(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "some_own_shop.py").write_text(
        "class Made:\n"
        "    def __init__(self, *args, **keywords):\n"
        "        self.given = args, keywords\n"
        "    def __call__(self, environ, start_response): ...\n"
        "    def method(self): ...\n"
        "application = Made()\n"
        "def create_app(*args, **keywords):\n"
        "    return Made(*args, **keywords)\n"
        "class holder:\n"
        "    inner = application\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return "some_own_shop"


def test_an_attribute_a_dotted_one_and_a_module_alone_are_found(module):
    found = load(f"{module}:application")
    assert load(f"{module}:holder.inner") is load(module) is found


def test_a_factory_gets_its_literal_arguments(module):
    assert load(f"{module}:create_app()").given == ((), {})
    assert load(f"{module}:create_app('test', [1, 2], debug=False)").given == (("test", [1, 2]), {"debug": False})


@pytest.mark.parametrize("expression", ["a b", "create_app(x)", "create_app(**x)", "[0]", "a[0]", "lambda: 0", "f()()"])
def test_anything_else_behind_the_colon_is_refused(module, expression):
    with pytest.raises(TargetError, match="literal arguments"):
        load(f"{module}:{expression}")


def test_what_is_not_there_is_named_with_what_is(module):
    with pytest.raises(TargetError, match=r"some_own_shop:application, some_own_shop:create_app\(\)"):
        load(f"{module}:app")


async def asgi(scope, receive, send): ...


def wsgi(environ, start_response): ...


class AsyncCall:
    async def __call__(self, scope, receive, send): ...


class Returning:
    def __call__(self, scope, receive, send): ...


class Wsgi:
    def __call__(self, environ, respond): ...


@pytest.mark.parametrize(
    ("app", "interface"),
    [
        (asgi, "asgi"),
        (AsyncCall(), "asgi"),
        (Returning(), "asgi"),
        (functools.partial(asgi), "asgi"),
        (wsgi, "wsgi"),
        (Wsgi(), "wsgi"),
        (functools.partial(wsgi), "wsgi"),
    ],
)
def test_the_interface_is_told_by_how_the_app_is_called(app, interface):
    assert interface_of(app, "shop:app") == interface


def test_flask_and_quart_are_told_apart():
    import flask
    import quart

    assert interface_of(flask.Flask("a"), "shop:app") == "wsgi"
    assert interface_of(quart.Quart("a"), "shop:app") == "asgi"


@pytest.mark.parametrize("app", [lambda *anything: None, lambda one, two: None, Wsgi, lambda one: None])
def test_what_could_be_either_has_to_be_said(app):
    with pytest.raises(TargetError, match="--interface"):
        interface_of(app, "shop:app")


def test_a_factory_without_parentheses_and_what_is_no_app_are_told(module):
    def make(): ...

    with pytest.raises(TargetError, match=r"write shop:make\(\)"):
        interface_of(make, "shop:make")
    with pytest.raises(TargetError, match="no app"):
        interface_of(5, "shop:app")
