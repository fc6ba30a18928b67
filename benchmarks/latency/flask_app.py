"""The Flask app that is measured, the same each time but for where its errors go.

Flask's own ``app.logger`` logs an exception that no view handled; nothing here calls it by hand.
"""

from __future__ import annotations

import atexit
from typing import Any

from flask import Flask, got_request_exception

from asynclog.trial.plan import PLAIN_PATH, RAISING_PATH
from benchmarks.latency.faults import place_order
from benchmarks.latency.handlers import attach, put_on
from benchmarks.latency.witness import Raised, Settings


def create_app() -> Flask:
    """Make the app that this process's settings ask for."""
    settings = Settings.of_process()
    app = Flask("shop")
    raised = Raised(settings)

    def count(*_: Any, **__: Any) -> None:
        raised.add()

    got_request_exception.connect(count, app, weak=False)
    attached = attach(settings)
    put_on(app.logger, attached)
    # `logging` holds its handlers weakly.
    app.extensions["attached"] = attached
    if attached.drain:
        atexit.register(attached.drain)

    @app.get(PLAIN_PATH)
    def product() -> str:
        return "a teapot"

    @app.get(RAISING_PATH)
    def checkout() -> dict[str, int]:
        return {"total": place_order()}

    return app
