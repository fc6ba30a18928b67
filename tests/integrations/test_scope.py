"""What a request is told by: the framework's own request, else the running task."""

from __future__ import annotations

import asyncio
import sys
import types

import flask
import flask.globals
import pytest
import quart

from asynclog.capture.scope import current_request, request_scope, task_scope


def test_outside_of_any_request_there_is_none():
    assert request_scope() is None


async def test_without_a_request_it_is_the_task():
    assert request_scope() is task_scope() is asyncio.current_task()


def test_it_is_flasks_request_the_innermost():
    app = flask.Flask(__name__)
    with app.test_request_context("/one"):
        first = flask.request._get_current_object()
        assert request_scope() is current_request() is first
        with app.test_request_context("/two"):
            assert request_scope() is flask.request._get_current_object() is not first
        assert request_scope() is first
    assert request_scope() is None


async def test_it_is_quarts_request():
    async with quart.Quart(__name__).test_request_context("/one"):
        assert request_scope() is current_request() is quart.request._get_current_object()


def refusing():
    """Return a variable that is not what it was."""
    return types.SimpleNamespace(get=lambda _: 1 / 0)


@pytest.mark.parametrize("variable", [None, refusing(), types.SimpleNamespace(get=lambda _: object())])
def test_a_framework_that_keeps_it_elsewhere_is_asked_itself(monkeypatch, variable):
    app = flask.Flask(__name__)
    with app.test_request_context("/one"):
        inside = types.ModuleType("flask.globals")
        if variable is not None:
            inside._cv_request = variable
        monkeypatch.setitem(sys.modules, "flask.globals", inside)
        assert request_scope() is flask.request._get_current_object()
    assert request_scope() is None


async def test_a_framework_that_is_half_imported_is_passed_by(monkeypatch):
    monkeypatch.setitem(sys.modules, "flask", types.ModuleType("flask"))
    monkeypatch.setitem(sys.modules, "flask.globals", types.ModuleType("flask.globals"))
    assert request_scope() is asyncio.current_task()
    async with quart.Quart(__name__).test_request_context("/one"):
        assert request_scope() is quart.request._get_current_object()
