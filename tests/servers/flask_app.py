"""The Flask app that the server tests serve."""

from __future__ import annotations

import os
import time

from flask import Flask, Response

from tests.servers.kit import PID_HEADER
from tests.servers.logged import log_to_mail_and_file

app = Flask("shop")
log_to_mail_and_file(app.logger)


@app.after_request
def say_who(response: Response) -> Response:
    response.headers[PID_HEADER] = str(os.getpid())
    return response


@app.get("/ok/<name>")
def ok(name: str) -> str:
    time.sleep(0.005)  # so that one worker alone can't answer everything
    return name


@app.get("/fail/<name>")
def fail(name: str) -> str:
    time.sleep(0.005)
    raise LookupError("no such order")
