"""A Quart app whose handlers are made when it starts, after everything was imported."""

import logging
from logging.handlers import SMTPHandler

from quart import Quart, has_request_context, request

app = Quart("late")


class Path(logging.Filter):
    def filter(self, record):
        record.path = request.path if has_request_context() else "no request"
        return True


@app.before_serving
async def set_up():
    mail = SMTPHandler("mail.example.com", "late@example.com", "ops@example.com", "Late failed")
    mail.addFilter(Path())
    mail.setFormatter(logging.Formatter("on %(path)s: %(message)s"))
    mail.setLevel(logging.ERROR)
    app.logger.addHandler(mail)


@app.get("/")
async def index():
    return "hello"
