"""The Quart app that is measured, the same each time but for where its errors go."""

from __future__ import annotations

from typing import Any

from quart import Quart, got_request_exception

from asynclog.trial.plan import PLAIN_PATH, RAISING_PATH
from benchmarks.latency.faults import place_order
from benchmarks.latency.handlers import Attached, attach, put_on
from benchmarks.latency.plan import ASYNCLOG
from benchmarks.latency.witness import Raised, Settings, end_with_the_harness


def create_app() -> Quart:
    """Make the app that this process's settings ask for."""
    end_with_the_harness()
    settings = Settings.of_process()
    app = Quart("shop")
    raised = Raised(settings)

    async def count(*_: Any, **__: Any) -> None:
        raised.add()

    got_request_exception.connect(count, app, weak=False)
    attached = attach(settings)
    put_on(app.logger, attached)
    app.extensions["attached"] = attached
    if settings.kind == ASYNCLOG.key and not settings.exits:
        from asynclog.integrations.quart import drain_at_shutdown

        drain_at_shutdown(app)
    _end_in_order(app, attached)

    @app.get(PLAIN_PATH)
    async def product() -> str:
        return "a teapot"

    @app.get(RAISING_PATH)
    async def checkout() -> dict[str, int]:
        return {"total": place_order()}

    return app


def _end_in_order(app: Quart, attached: Attached) -> None:
    """Drain what is not asynclog's at the end of the lifespan, and leave asynclog's counts as they are then."""
    inner = app.asgi_app

    async def outer(scope: Any, receive: Any, send: Any) -> None:
        async def said(message: Any) -> None:
            if message["type"] == "lifespan.shutdown.complete":
                if attached.drain:
                    attached.drain()
                if attached.stats:
                    attached.stats.write()
            await send(message)

        await inner(scope, receive, said if scope["type"] == "lifespan" else send)

    app.asgi_app = outer  # type: ignore[method-assign]
