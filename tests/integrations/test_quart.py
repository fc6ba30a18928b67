from __future__ import annotations

import logging

import pytest
from quart import Quart

import asynclog
from asynclog.integrations.quart import RequestFormatter, drain_at_shutdown


@pytest.fixture
def app(tmp_path):
    app = Quart("shop")
    handler = asynclog.wrap(asynclog.FileSink(tmp_path / "app.log"), batch_age=3600)
    app.logger.handlers[:] = [handler]
    app.logger.propagate = False

    @app.get("/fail/<name>")
    async def fail(name: str) -> str:
        raise LookupError(name)

    yield app
    assert handler.listener.stop(5)
    app.logger.handlers.clear()


async def test_what_the_app_logs_last_of_all_is_delivered_when_it_has_shut_down(app, tmp_path) -> None:
    drain_at_shutdown(app)

    @app.while_serving
    async def serving():
        yield
        app.logger.error("generator ended")

    @app.after_serving
    async def after() -> None:
        app.logger.error("function ran")

    async with app.test_app() as running:
        answer = await running.test_client().get("/fail/7")
        assert answer.status_code == 500
    text = (tmp_path / "app.log").read_text()
    assert "LookupError: 7" in text
    assert text.endswith("generator ended\nfunction ran\n")


async def test_the_formatter_sees_the_request_that_failed(app, tmp_path) -> None:
    text = "%(method)s %(url)s %(path)s %(endpoint)s %(remote_addr)s %(user_agent)s: %(levelname)s"
    app.logger.handlers[0].setFormatter(RequestFormatter(text))
    await app.test_client().get("/fail/7?q=1", headers={"User-Agent": "browser"})
    app.logger.error("outside")
    assert asynclog.flush(5)
    lines = (tmp_path / "app.log").read_text().splitlines()
    assert lines[0] == "GET http://localhost/fail/7?q=1 /fail/7 fail <local> browser: ERROR"
    assert lines[-1] == "- - - - - -: ERROR"


def test_wrong_arguments_are_refused_at_once(app) -> None:
    with pytest.raises(TypeError, match="listeners"):
        drain_at_shutdown(app, logging.NullHandler())  # type: ignore[arg-type]
