from __future__ import annotations

from logging.handlers import SMTPHandler

import pytest
from flask import Flask

import asynclog
from asynclog.integrations.flask import RequestFormatter
from asynclog.testing.smtpd import running_smtpd

_FORMAT = "%(method)s %(url)s %(path)s %(endpoint)s %(remote_addr)s %(user_agent)s: %(levelname)s"


@pytest.fixture
def smtpd():
    with running_smtpd() as server:
        yield server


@pytest.fixture
def app(smtpd):
    app = Flask("shop")
    mail = SMTPHandler(("127.0.0.1", smtpd.port), "shop@example.com", ["ops@example.com"], "It failed")
    mail.setFormatter(RequestFormatter(_FORMAT))
    handler = asynclog.wrap(mail, digest=False)
    app.logger.handlers[:] = [handler]
    app.logger.propagate = False

    @app.get("/fail/<name>")
    def fail(name: str) -> str:
        raise LookupError(name)

    yield app
    assert handler.listener.stop(5)
    app.logger.handlers.clear()


def test_the_mail_says_which_request_failed(app, smtpd) -> None:
    client = app.test_client()
    for name in ("7", "8"):
        client.get(f"/fail/{name}?q=1", headers={"User-Agent": "browser"})
    assert asynclog.flush(10)
    heads = [mail.message.get_content().splitlines()[0] for mail in smtpd.mails]
    assert heads == [f"GET http://localhost/fail/{n}?q=1 /fail/{n} fail 127.0.0.1 browser: ERROR" for n in ("7", "8")]


def test_outside_of_a_request_the_fields_are_dashes(app, smtpd) -> None:
    app.logger.error("outside")
    assert asynclog.flush(10)
    assert smtpd.mails[0].message.get_content().splitlines() == ["- - - - - -: ERROR"]
