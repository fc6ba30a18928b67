"""A Flask app with the handlers that people have; nothing here knows of asynclog."""

import logging
import socket
from logging.handlers import RotatingFileHandler, SMTPHandler, SysLogHandler

from flask import Flask, has_request_context, request


class RequestFormatter(logging.Formatter):
    def format(self, record):
        record.url = request.path if has_request_context() else "no request"
        return super().format(record)


class Chat(logging.Handler):
    def emit(self, record):
        socket.create_connection(("203.0.113.9", 443), 1)


def create_app(subject="Shop failed"):
    app = Flask("shop")
    app.logger.setLevel(logging.INFO)
    file = RotatingFileHandler("shop.log", mode="w", maxBytes=100_000, backupCount=1)
    mail = SMTPHandler(
        ("mail.example.com", 587),
        "shop@example.com",
        "ops@example.com",
        subject,
        credentials=("shop", "secret"),
        secure=(),
    )
    mail.setLevel(logging.ERROR)
    mail.setFormatter(RequestFormatter("on %(url)s: %(message)s"))
    for handler in (file, mail, SysLogHandler(("192.0.2.7", 514)), Chat()):
        app.logger.addHandler(handler)

    @app.get("/checkout")
    def checkout():
        app.logger.info("checking out")
        return {"total": 3}

    @app.get("/pay")
    def pay():
        socket.create_connection(("192.0.2.8", 443), 1)

    return app


app = create_app()
nothing = 5
