"""The Flask app that the demo serves, the same each time but for where its errors are logged.

Flask's own `app.logger` logs an exception that no view handled; nothing here calls it by hand.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from logging.handlers import SMTPHandler
from pathlib import Path
from typing import Any

from flask import Flask, got_request_exception, render_template
from flask.logging import default_handler

from asynclog.trial import shop
from asynclog.trial.ending import CountsAtExit
from asynclog.trial.memory import memory_of
from asynclog.trial.plan import AGAIN, ASYNCLOG, NOWHERE, RAISING_PATH, STATS_PATH, STDLIB

_PRODUCT_PAGE = """<!doctype html>
<title>{{ product.name }}</title>
<h1>{{ product.name }}</h1>
<p>{{ "%.2f"|format(product.price / 100) }} €</p>
<ul>{% for other in others %}<li><a href="/product/{{ other.number }}">{{ other.name }}</a></li>{% endfor %}</ul>
"""

# The default's first digest comes after a minute, when the demo is over.
STORM_OPTIONS: Mapping[str, Any] = {"digest_interval": (10, 60), "rich": True}


class _Errors:
    """Counts the exceptions that no view handled: what each accounting starts from."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.raised = 0

    def add(self, *_: object, **__: object) -> None:
        with self._lock:
            self.raised += 1


def create_app(kind: str, mail_port: int, exit_file: str, outage_file: str | None = None) -> Flask:
    """Make the app.

    Args:
        kind: Where errors go: ``nowhere`` or ``again``, ``stdlib`` or ``asynclog``.
        mail_port: The mail server's, on 127.0.0.1.
        exit_file: Where the final counts are written when the process ends.
        outage_file: Where it will be written when the shop's database is down, see `shop.Database`;
            ``None``: it is never down, and asynclog has its defaults.
    """
    app = Flask("asynclog.trial")
    errors = _Errors()
    got_request_exception.connect(errors.add, app, weak=False)

    def counts() -> dict[str, Any]:
        return {"raised": errors.raised, "stats": _asynclog_stats() if kind == ASYNCLOG.key else None}

    # Held by the app, because `logging` holds its handlers weakly.
    app.extensions["counts-at-exit"] = CountsAtExit(exit_file, lambda: {**counts(), "memory": memory_of()})
    # Flask's own handler prints each traceback on stderr, also in the app that logs nowhere.
    app.logger.removeHandler(default_handler)
    app.logger.propagate = False
    app.logger.addHandler(error_handler(kind, mail_port, storm=outage_file is not None))
    _add_pages(app, counts, shop.Database(None if outage_file is None else Path(outage_file)))
    return app


def error_handler(kind: str, mail_port: int, *, storm: bool = False) -> logging.Handler:
    """Make the handler that an app's errors go to.

    Args:
        kind: As `create_app` takes it.
        mail_port: The mail server's, on 127.0.0.1.
        storm: Whether asynclog sends HTML too, and digests at a pace that fits into the demo's minute.
    """
    if kind in {NOWHERE.key, AGAIN.key}:
        return logging.NullHandler()
    handler = SMTPHandler(
        ("127.0.0.1", mail_port), f"{kind}@shop.example", ["admin@shop.example"], "YourApplication Failed"
    )
    handler.setLevel(logging.ERROR)
    handler.setFormatter(logging.Formatter("[%(asctime)s] %(levelname)s in %(module)s: %(message)s"))
    if kind == STDLIB.key:
        return handler
    import asynclog

    return asynclog.wrap(handler, **(STORM_OPTIONS if storm else {}))


def _add_pages(app: Flask, counts: Callable[[], dict[str, Any]], database: shop.Database) -> None:
    product_page = app.jinja_env.from_string(_PRODUCT_PAGE)

    @app.get("/product/<int:number>")
    def product(number: int) -> str:
        others = [other for other in shop.PRODUCTS.values() if other.number != number]
        return render_template(product_page, product=shop.PRODUCTS[number], others=others)

    @app.get(RAISING_PATH)
    def checkout() -> dict[str, int]:
        return {"total": shop.checkout({8: 1, 7: 1}, database)}

    @app.get(STATS_PATH)
    def stats() -> dict[str, Any]:
        return counts()


def _asynclog_stats() -> Any:
    import asynclog

    return asynclog.stats()
