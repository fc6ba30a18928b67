from __future__ import annotations

import asyncio
import logging

import pytest

import asynclog
from asynclog.integrations.asgi import DrainAtShutdown
from asynclog.values import Delivered, Part
from tests.integrations.lifespans import Lifespan


class Slow(asynclog.Sink):
    """Takes a moment, and waits for company before that."""

    batch_age = 3600.0

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    async def deliver(self, batch):
        await asyncio.sleep(0.05)
        self.texts += [item.text for item in batch.items]
        return [Part(Delivered(), batch.items)]


@pytest.fixture
def slow():
    sink = Slow()
    yield sink
    assert sink.handler.listener.stop(5)


@pytest.fixture
def log(slow):
    logger = logging.Logger("shop")
    slow.handler = asynclog.wrap(slow)
    logger.addHandler(slow.handler)
    return logger


async def with_lifespan(scope, receive, send) -> None:
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return


async def test_all_that_was_logged_is_delivered_before_the_server_hears_of_the_end(slow, log) -> None:
    delivered_by_then: list[int] = []

    class Watched(Lifespan):
        async def _hear(self, message) -> None:
            delivered_by_then.append(len(slow.texts))
            await super()._hear(message)

    lifespan = Watched(DrainAtShutdown(with_lifespan))
    await lifespan.tell("lifespan.startup")
    for number in range(5):
        log.error("failed %d", number)
    await lifespan.tell("lifespan.shutdown")
    await lifespan.task
    assert lifespan.said == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert delivered_by_then == [0, 5]


async def test_the_loop_runs_on_while_it_drains(slow, log) -> None:
    app = DrainAtShutdown(with_lifespan)
    for number in range(5):
        log.error("failed %d", number)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.ensure_future(count())
    assert await app.drain()
    counting.cancel()
    assert turns > 10


async def _raises(scope, receive, send) -> None:
    raise ValueError("what is a lifespan?")


async def _returns(scope, receive, send) -> None:
    return


async def _listens_and_returns(scope, receive, send) -> None:
    await receive()


@pytest.mark.parametrize("app", [_raises, _returns, _listens_and_returns])
async def test_an_app_without_a_lifespan_is_given_one(app, slow, log) -> None:
    lifespan = Lifespan(DrainAtShutdown(app))
    await lifespan.tell("lifespan.startup")
    assert lifespan.said == ["lifespan.startup.complete"]
    log.error("failed")
    log.error("again")
    await lifespan.tell("lifespan.shutdown")
    await lifespan.task
    assert lifespan.said == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert slow.texts == ["failed", "again"]


async def test_a_start_that_fails_is_told_and_what_was_logged_delivered(slow, log) -> None:
    async def app(scope, receive, send) -> None:
        await receive()
        log.error("no database")
        log.error("no cache")
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    lifespan = Lifespan(DrainAtShutdown(app))
    await lifespan.tell("lifespan.startup")
    await lifespan.task
    assert lifespan.said == ["lifespan.startup.failed"]
    assert slow.texts == ["no database", "no cache"]


async def test_an_app_that_raises_in_its_lifespan_goes_on_raising(slow, log) -> None:
    async def app(scope, receive, send) -> None:
        await receive()
        log.error("no database")
        raise OSError("no database")

    lifespan = Lifespan(DrainAtShutdown(app))
    await lifespan.tell("lifespan.startup")
    with pytest.raises(OSError, match="no database"):
        await lifespan.task
    assert lifespan.said == []
    assert slow.texts == ["no database"]


async def test_everything_else_is_passed_through_untouched() -> None:
    seen = []

    async def app(scope, receive, send) -> None:
        seen.append((scope, receive, send))

    given = ({"type": "http"}, object(), object())
    await DrainAtShutdown(app)(*given)
    assert seen[0][0] is given[0]
    assert seen[0][1] is given[1]
    assert seen[0][2] is given[2]


async def test_a_dead_sink_holds_up_the_end_no_longer_than_the_timeout_and_is_told_of(log, slow, capfd) -> None:
    class Dead(asynclog.Sink):
        async def deliver(self, batch):
            raise OSError("nobody there")

    handler = asynclog.wrap(Dead())
    handler.handle(logging.LogRecord("shop", logging.ERROR, "shop.py", 1, "failed", (), None))
    log.error("failed")
    assert not await DrainAtShutdown(with_lifespan, handler.listener, timeout=0.1).drain()
    # Under uvicorn no exit function runs that would say so.
    assert "records not delivered at the app's shutdown" in capfd.readouterr().err
    assert await DrainAtShutdown(with_lifespan, slow.handler.listener, timeout=10).drain()
    handler.listener.stop(0)


def test_wrong_arguments_are_refused_at_once() -> None:
    with pytest.raises(TypeError, match="listeners"):
        DrainAtShutdown(with_lifespan, object())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="timeout"):
        DrainAtShutdown(with_lifespan, timeout=-1)
