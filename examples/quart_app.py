"""A Quart app that mails its errors and keeps its warnings in a file, without the loop ever waiting.

    pip install '.[quart]' uvicorn
    MAIL_SERVER=127.0.0.1 uvicorn --app-dir examples --workers 2 quart_app:app

`drain_at_shutdown` is for uvicorn, which runs no exit functions when it is told to end.
"""

from __future__ import annotations

import os

from quart import Quart

import asynclog
from asynclog.integrations.quart import RequestFormatter, drain_at_shutdown


def create_app() -> Quart:
    """Make the app."""
    app = Quart(__name__)
    log_errors(app)
    drain_at_shutdown(app)

    @app.get("/checkout/<int:items>")
    async def checkout(items: int) -> dict[str, float]:
        if items > 100:
            app.logger.warning("a cart of %d items", items)
        return {"postage": 9.90 / items}

    return app


def log_errors(app: Quart) -> None:
    """Have errors mailed, and warnings too written to a file of JSON lines."""
    mail = asynclog.SMTPSink(
        "smtp://" + os.environ.get("MAIL_SERVER", "127.0.0.1"),
        sender="server-error@example.com",
        recipients="yourname@example.com",
        app="shop",
        environment="production",
        level="ERROR",
        formatter=RequestFormatter("%(asctime)s %(remote_addr)s asked for %(method)s %(url)s\n%(message)s"),
    )
    file = asynclog.FileSink(
        os.environ.get("LOG_FILE", "app.log"),
        max_bytes=10_000_000,
        backup_count=5,
        level="WARNING",
        formatter=asynclog.JSONFormatter(),
    )
    app.logger.addHandler(asynclog.wrap(mail, file))


app = create_app()
