"""The redirection: what an app's handlers would send or write goes elsewhere, whenever they are made."""

import subprocess
import sys

import pytest

SET_UP = """
import logging, logging.handlers, os, pathlib, sys
from asynclog.trial.redirect import Redirection
home, folder = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
redirection = Redirection(2525, folder)
redirection.start()
log = logging.getLogger("shop")
log.propagate = False
def where(path):
    return folder / path.relative_to("/")
"""


@pytest.fixture
def runs(tmp_path):
    """Run a script in a process of its own: what is redirected stays so."""
    (tmp_path / "home").mkdir()
    (tmp_path / "folder").mkdir()

    def run(code):
        arguments = [sys.executable, "-c", SET_UP + code, str(tmp_path / "home"), str(tmp_path / "folder")]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")

    return run


def test_a_mail_handler_is_pointed_at_the_trials_server_without_its_password(runs):
    runs("""
class Mine(logging.handlers.SMTPHandler):
    def __init__(self):
        super().__init__(("first.example.com", 587), "a@b.c", ["d@e.f"], "s", credentials=("u", "secret"), secure=())
        self.mailhost = "second.example.com"
handler = Mine()
assert (handler.mailhost, handler.mailport, handler.username, handler.secure) == ("127.0.0.1", 2525, None, None)
said = "\\n".join(redirection.lines)
assert "first.example.com:587" in said and "second.example.com:587" in said and "Mine" in said
assert "secret" not in said
""")


def test_a_redirected_mail_handler_still_becomes_a_mail_sink(runs):
    runs("""
from asynclog.sinks.smtp import SMTPSink
handler = logging.handlers.SMTPHandler("mail.example.com", "a@b.c", ["d@e.f"], "s", ("u", "p"), ())
server = SMTPSink.from_handler(handler)._how.servers[0]
assert (server.host, server.port, server.security, server.username) == ("127.0.0.1", 2525, "none", None)
sink = SMTPSink("smtps://u:p@mail.example.com", sender="a@b.c", recipients="d@e.f")
server = sink._how.servers[0]
assert (server.host, server.port, server.security, server.username) == ("127.0.0.1", 2525, "none", None)
assert any(line.startswith("SMTPSink: mail for mail.example.com:465") for line in redirection.lines)
""")


def test_a_file_handler_writes_elsewhere_and_its_own_file_is_not_even_opened(runs):
    runs("""
own = home / "app.log"
own.write_text("yesterday")
for handler in (
    logging.FileHandler(own, mode="w"),
    logging.handlers.RotatingFileHandler(str(own)),
    logging.handlers.TimedRotatingFileHandler(home / "none" / "timed.log"),
    logging.handlers.WatchedFileHandler(home / "watched.log", delay=True),
):
    log.addHandler(handler)
log.error("today")
assert own.read_text() == "yesterday"
assert [path.name for path in home.iterdir()] == ["app.log"]
assert where(own).read_text() == "today\\ntoday\\n"
assert where(home / "none" / "timed.log").read_text() == where(home / "watched.log").read_text() == "today\\n"
assert sum(str(own) in line for line in redirection.lines) == 2
""")


def test_a_redirected_file_handler_still_becomes_a_file_sink(runs):
    runs("""
import asynclog
from asynclog.sinks.file import FileSink
handler = logging.FileHandler(home / "app.log")
assert isinstance(FileSink.from_handler(handler), FileSink)
log.addHandler(asynclog.wrap(handler, FileSink(home / "sink.log")))
log.error("today")
assert asynclog.flush(20)
assert list(home.iterdir()) == []
assert where(home / "app.log").read_text() == where(home / "sink.log").read_text() == "today\\n"
""")


def test_what_reaches_out_or_is_unknown_drops_its_records_and_the_console_does_not(runs):
    runs("""
import io
class Unknown(logging.Handler):
    def handle(self, record):
        raise SystemExit("called")
    emit = handle
class Queued(logging.handlers.QueueHandler):
    pass
for handler in (
    logging.handlers.SysLogHandler(("192.0.2.1", 514)),
    logging.handlers.SocketHandler("192.0.2.1", 9020),
    logging.handlers.DatagramHandler("192.0.2.1", 9020),
    logging.handlers.HTTPHandler("192.0.2.1", "/log"),
    Unknown(),
):
    log.addHandler(handler)
console = io.StringIO()
log.addHandler(logging.StreamHandler(console))
log.error("today")
assert console.getvalue() == "today\\n"
assert len(redirection.lines) == 5, redirection.lines
assert all("dropped" in line for line in redirection.lines)
""")
