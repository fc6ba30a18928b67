"""The examples, served as their docstrings say."""

from __future__ import annotations

import http.client
import re
from pathlib import Path

import pytest

from asynclog.testing.smtpd import running_smtpd
from tests.servers.kit import ROOT, Server

COMMANDS = {
    "flask_app": ["-c", "python:tests.servers.gunicorn_conf", "--bind", "fd://{fd}"],
    "quart_app": ["--fd", "{fd}"],
}


def command_in_docstring(name: str) -> list[str]:
    """Return the command that an example names, bound to the test's socket."""
    text = (ROOT / "examples" / f"{name}.py").read_text(encoding="utf-8")
    found = re.search(r"^ +MAIL_SERVER=\S+ (.+)$", text, re.MULTILINE)
    assert found is not None
    program, *rest = found[1].split()
    return ["-m", program, *COMMANDS[name], *rest]


def status(server: Server, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("GET", path, headers={"Connection": "close"})
    return connection.getresponse().status


@pytest.mark.parametrize("name", COMMANDS)
def test_an_example_mails_its_errors_and_writes_its_warnings(name: str, tmp_path: Path) -> None:
    with running_smtpd() as smtpd:
        settings = {"MAIL_SERVER": f"127.0.0.1:{smtpd.port}", "LOG_FILE": str(tmp_path / "app.log")}
        server = Server(command_in_docstring(name), tmp_path, smtpd.port, **settings)
        try:
            assert status(server, "/checkout/2") == 200
            assert status(server, "/checkout/200") == 200
            assert [status(server, "/checkout/0") for _ in range(10)] == [500] * 10
            server.end()
        finally:
            server.kill()
        assert sum(mail.count for mail in smtpd.mails) == 10, server.stderr()
        body = smtpd.mails[0].message.get_body(("plain",))
        assert body is not None
        assert "asked for GET http://127.0.0.1" in body.get_content()
        text = (tmp_path / "app.log").read_text()
        assert text.count("a cart of 200 items") == 1
        assert text.count("ZeroDivisionError: ") == 10
