"""A Flask app that mails its errors and keeps its warnings in a file, without a request ever waiting.

    pip install '.[flask]' gunicorn
    MAIL_SERVER=127.0.0.1 gunicorn --chdir examples --workers 2 --threads 4 flask_app:app

Then ask for /checkout/2 (fine), /checkout/0 (an error: one mail, at once) and /checkout/0 a hundred
times more (counted, in a mail that follows). Nothing else is needed under gunicorn: what is left is
delivered when it ends.
"""

from __future__ import annotations

import logging
import os
from logging.handlers import SMTPHandler

from flask import Flask

import asynclog
from asynclog.integrations.flask import RequestFormatter


def create_app() -> Flask:
    """Make the app."""
    app = Flask(__name__)
    if not app.debug:
        log_errors(app)

    @app.get("/checkout/<int:items>")
    def checkout(items: int) -> dict[str, float]:
        if items > 100:
            app.logger.warning("a cart of %d items", items)
        return {"postage": 9.90 / items}

    return app


def log_errors(app: Flask) -> None:
    """Have errors mailed, and warnings too written to a file."""
    host, _, port = os.environ.get("MAIL_SERVER", "127.0.0.1").partition(":")
    mail = SMTPHandler(
        (host, int(port or 25)), "server-error@example.com", ["yourname@example.com"], "YourApplication Failed"
    )
    mail.setLevel(logging.ERROR)
    mail.setFormatter(
        RequestFormatter("%(asctime)s %(remote_addr)s asked for %(method)s %(url)s\n%(levelname)s: %(message)s")
    )
    file = logging.FileHandler(os.environ.get("LOG_FILE", "app.log"), delay=True)
    file.setLevel(logging.WARNING)
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s: %(message)s [in %(pathname)s:%(lineno)d]"))
    app.logger.addHandler(asynclog.wrap(mail, file))


app = create_app()
