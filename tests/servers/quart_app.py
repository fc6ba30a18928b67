"""The Quart app that the server tests serve: plain, with the integration, and as bare ASGI in the wrapper."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from quart import Quart, Response

from asynclog.integrations.asgi import DrainAtShutdown
from asynclog.integrations.quart import drain_at_shutdown
from tests.servers.kit import PID_HEADER
from tests.servers.logged import log_to_mail_and_file


def create_app() -> Quart:
    app = Quart("shop")
    log_to_mail_and_file(app.logger)

    @app.after_request
    async def say_who(response: Response) -> Response:
        response.headers[PID_HEADER] = str(os.getpid())
        return response

    @app.get("/ok/<name>")
    async def ok(name: str) -> str:
        await asyncio.sleep(0.005)
        return name

    @app.get("/fail/<name>")
    async def fail(name: str) -> str:
        await asyncio.sleep(0.005)
        raise LookupError("no such order")

    @app.after_serving
    async def say_goodbye() -> None:
        # The integration drains after this, though it was told first.
        app.logger.error("ended: id-end-%d", os.getpid())

    return app


def create_drained_app() -> Quart:
    app = create_app()
    drain_at_shutdown(app)
    return app


def create_app_without_lifespan() -> Any:
    """An app that knows nothing of lifespans, in the wrapper."""
    inner = create_app()

    async def http_only(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise ValueError(f"what is {scope['type']}?")
        await inner(scope, receive, send)

    return DrainAtShutdown(http_only)
