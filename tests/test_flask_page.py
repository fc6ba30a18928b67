"""Flask's page on application errors: every handler and every format of it, byte for byte.

What a wrapped handler writes is compared with what the same handler writes by itself, for the same
records: the lines of a file, and a mail as the server got it but for the headers that asynclog adds.
"""

from __future__ import annotations

import contextlib
import logging
import logging.handlers
import re
import socket
import sys

import pytest

import asynclog
from asynclog.testing.smtpd import running_smtpd
from tests.wrapkit import Remembering, fresh_logger

flask = pytest.importorskip("flask")

ADMINS = ["yourname@example.com"]

MAIL_FORMAT = """
Message type:       %(levelname)s
Location:           %(pathname)s:%(lineno)d
Module:             %(module)s
Function:           %(funcName)s
Time:               %(asctime)s

Message:

%(message)s
"""
FILE_FORMAT = "%(asctime)s %(levelname)s: %(message)s [in %(pathname)s:%(lineno)d]"
VARIABLES = ["levelname", "pathname", "filename", "module", "funcName", "lineno", "asctime", "message"]


class Loud(logging.Formatter):
    def format(self, record):
        return super().format(record).upper()


class Dated(logging.Formatter):
    def formatTime(self, record, datefmt=None):
        return f"@{record.created:.3f}"


class Traced(logging.Formatter):
    def formatException(self, exc_info):
        return f"{exc_info[0].__name__} of {exc_info[0].__module__}: {exc_info[1]}"


FORMATTERS = {
    "none": None,
    "mail": logging.Formatter(MAIL_FORMAT),
    "file": logging.Formatter(FILE_FORMAT),
    "every variable": logging.Formatter("|".join(f"%({name})s" for name in VARIABLES)),
    "with a date format": logging.Formatter("%(asctime)s %(message)s", "%d.%m.%y %H:%M"),
    "braces": logging.Formatter("{levelname:>10} {message}", style="{"),
    "dollars": logging.Formatter("$levelname: $message", style="$"),
    "own format()": Loud(FILE_FORMAT),
    "own formatTime()": Dated("%(asctime)s %(message)s"),
    "own formatException()": Traced("%(message)s"),
}


class NotFoundInStockError(Exception):
    """Of the shop's own."""


def shop(logger):
    """Log what a web application logs."""
    logger.warning("the cart of %s is odd", "Ann")
    logger.error("plain")
    logger.error("two\nlines, a tab\t, %d %%, a dict: %s", 7, {"a": [1]})
    logger.critical("ünïcödé – €, 漢字")
    logger.error("From the start of a line\nFrom here\n.\n..dots")
    logger.error("a long line " + "x" * 2000)
    logger.error("a stack", stack_info=True)
    try:
        try:
            {}["sku"]
        except KeyError as error:
            raise NotFoundInStockError("no more of it\non two lines") from error
    except NotFoundInStockError as error:
        error.add_note("a note")
        logger.exception("Exception on %s [%s]", "/checkout", "POST")
    with contextlib.suppress(ZeroDivisionError):
        try:
            1 / 0
        except ZeroDivisionError:
            logger.log(logging.ERROR, "and again", exc_info=sys.exc_info())
            raise


def records_of_the_shop():
    logger, memory = fresh_logger("flaskpage"), Remembering()
    logger.addHandler(memory)
    shop(logger)
    return memory.records


def feed(handler, records):
    """Hand over copies: a formatter leaves its traces in a record."""
    for record in records:
        copy = logging.makeLogRecord(record.__dict__)
        if copy.levelno >= handler.level:
            handler.handle(copy)


# -- files ---------------------------------------------------------------------------------------------

FILE_HANDLERS = {
    "FileHandler": lambda path: logging.FileHandler(path),
    "in Latin-1": lambda path: logging.FileHandler(path, encoding="latin-1", errors="replace"),
    "RotatingFileHandler": lambda path: logging.handlers.RotatingFileHandler(path, maxBytes=1500, backupCount=20),
    "TimedRotatingFileHandler": lambda path: logging.handlers.TimedRotatingFileHandler(path, when="midnight"),
    "WatchedFileHandler": lambda path: logging.handlers.WatchedFileHandler(path),
}


@pytest.mark.parametrize("formatter", FORMATTERS.values(), ids=FORMATTERS)
@pytest.mark.parametrize("make", FILE_HANDLERS.values(), ids=FILE_HANDLERS)
def test_a_wrapped_file_handler_writes_the_same_bytes(tmp_path, make, formatter):
    records = records_of_the_shop()
    for name in ("by itself", "wrapped"):
        (tmp_path / name).mkdir()
        handler = make(tmp_path / name / "app.log")
        handler.setLevel(logging.WARNING)
        handler.setFormatter(formatter)
        if name == "wrapped":
            wrapper = asynclog.wrap(handler)
            assert type(wrapper.listener.lanes[0].sink) is asynclog.FileSink
            feed(wrapper, records)
            assert wrapper.listener.stop(20)
        else:
            feed(handler, records)
            handler.close()

    def written(name):
        files = (tmp_path / name).iterdir()
        return {file.name: file.read_bytes() for file in files if not file.name.endswith(".lock")}

    assert written("wrapped") == written("by itself")
    assert len(b"".join(written("wrapped").values())) > 1000


# -- mail ----------------------------------------------------------------------------------------------

ADDED = {"message-id", "auto-submitted", "x-auto-response-suppress", "x-asynclog-count", "x-asynclog-app"}


def without_added_headers(data):
    head, body = data.split(b"\r\n\r\n", 1)
    fields = re.split(rb"\r\n(?![ \t])", head)
    kept = [field for field in fields if field.split(b":")[0].decode().lower() not in ADDED]
    added = len(fields) - len(kept)
    # A record's own time, where the standard handler has the time of the sending.
    kept = [re.sub(rb"^(Date: .*) \d\d:\d\d:\d\d ", rb"\1 hh:mm:ss ", field) for field in kept]
    return kept, body, added


class OwnSubject(logging.handlers.SMTPHandler):
    def getSubject(self, record):
        return f"{record.levelname} in {record.name.split('.')[0]}"


@pytest.mark.parametrize("formatter", FORMATTERS.values(), ids=FORMATTERS)
@pytest.mark.parametrize("kind", [logging.handlers.SMTPHandler, OwnSubject])
def test_a_wrapped_mail_handler_sends_the_same_mails_apart_from_added_headers(kind, formatter):
    records = [record for record in records_of_the_shop() if record.levelno >= logging.ERROR]
    with running_smtpd() as server:

        def sent(*, wrapped):
            server.mails.clear()
            mail_handler = kind(
                ("127.0.0.1", server.port), "server-error@example.com", ADMINS, "YourApplication Failed"
            )
            mail_handler.setLevel(logging.ERROR)
            mail_handler.setFormatter(formatter)
            if wrapped:
                handler = asynclog.wrap(mail_handler, digest=False, batch_age=0)
                assert type(handler.listener.lanes[0].sink) is asynclog.SMTPSink
                feed(handler, records)
                assert handler.listener.stop(30)
            else:
                feed(mail_handler, records)
            return [(mail.sender, mail.recipients, *without_added_headers(mail.data)) for mail in server.mails]

        plain, wrapped = sent(wrapped=False), sent(wrapped=True)
    assert len(plain) == len(records)
    for one, other in zip(plain, wrapped, strict=True):
        assert other[:4] == one[:4]
    assert {mail[4] for mail in plain} == {0}
    assert all(mail[4] >= 3 for mail in wrapped)


# -- the page's own set-up -----------------------------------------------------------------------------


@pytest.fixture
def app():
    app = flask.Flask(f"tests_flask_page_{id(object())}")
    app.logger.propagate = False
    app.logger.setLevel(logging.DEBUG)
    app.config["PROPAGATE_EXCEPTIONS"] = False

    @app.route("/checkout")
    def checkout():
        raise NotFoundInStockError("sold out")

    yield app
    for handler in app.logger.handlers[:]:
        app.logger.removeHandler(handler)
        if isinstance(handler, asynclog.QueueHandler):
            handler.listener.stop(5)


def test_the_page_as_it_stands_mails_an_exception_and_keeps_warnings_in_a_file(app, tmp_path):
    other = fresh_logger("otherlibrary")
    with running_smtpd() as server:
        mail_handler = logging.handlers.SMTPHandler(
            ("127.0.0.1", server.port), "server-error@example.com", ADMINS, "YourApplication Failed"
        )
        mail_handler.setLevel(logging.ERROR)
        mail_handler.setFormatter(logging.Formatter(MAIL_FORMAT))
        file_handler = logging.FileHandler(tmp_path / "app.log")
        file_handler.setLevel(logging.WARNING)
        file_handler.setFormatter(logging.Formatter(FILE_FORMAT))
        wrapper = asynclog.wrap(mail_handler, file_handler)
        for logger in (app.logger, other):
            logger.addHandler(wrapper)
        assert app.test_client().get("/checkout").status_code == 500
        other.warning("just so you know")
        assert wrapper.listener.flush(20)
        (mail,) = server.mails
    text = mail.data.decode()
    assert "\r\nSubject: YourApplication Failed\r\n" in text
    assert "Exception on /checkout [GET]" in text
    assert "NotFoundInStockError: sold out" in text
    assert "Message type:       ERROR" in text
    lines = (tmp_path / "app.log").read_text()
    assert "ERROR: Exception on /checkout [GET] [in " in lines
    assert "WARNING: just so you know [in " in lines


class RequestFormatter(logging.Formatter):
    """The one that Flask's documentation shows."""

    def format(self, record):
        if flask.has_request_context():
            record.url = flask.request.url
            record.remote_addr = flask.request.remote_addr
        else:
            record.url = None
            record.remote_addr = None
        return super().format(record)


@pytest.mark.parametrize("door", ["wrap", "install"])
@pytest.mark.parametrize("kind", ["file", "third party"])
def test_the_documented_request_formatter_sees_the_request_in_the_worker(app, tmp_path, kind, door):
    handler = logging.FileHandler(tmp_path / "app.log") if kind == "file" else Remembering()
    handler.setFormatter(RequestFormatter("[%(remote_addr)s] %(url)s %(levelname)s: %(message)s"))
    if door == "wrap":
        app.logger.addHandler(asynclog.wrap(handler))
    else:
        app.logger.addHandler(handler)
        asynclog.install(app.logger)
    try:
        assert app.test_client().get("/checkout?sku=7").status_code == 500
        app.logger.error("outside")
        assert asynclog.flush(20)
    finally:
        asynclog.uninstall()
    text = (tmp_path / "app.log").read_text() if kind == "file" else "\n".join(handler.lines)
    assert "[127.0.0.1] http://localhost/checkout?sku=7 ERROR: Exception on /checkout [GET]\nTraceback" in text
    assert "[None] None ERROR: outside" in text


def test_install_leaves_flasks_own_stream_handler_alone_and_takes_the_rest(app, tmp_path):
    default = flask.logging.default_handler
    app.logger.handlers = [default, logging.FileHandler(tmp_path / "app.log")]
    listener = asynclog.install(app.logger)
    try:
        assert app.logger.handlers[0] is default
        assert [(type(row.handler).__name__, row.wrapped) for row in listener.report] == [
            ("StreamHandler", False),
            ("FileHandler", True),
        ]
        assert listener.report[0].note == "its stream follows the request"
        app.test_client().get("/checkout")
        assert listener.flush(20)
    finally:
        asynclog.uninstall()
    assert "sold out" in (tmp_path / "app.log").read_text()
    app.logger.handlers[1].close()


# -- the page's other handlers ---------------------------------------------------------------------------


def test_a_wrapped_syslog_handler_sends_the_same_datagrams():
    records = records_of_the_shop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(20)

        def sent(wrap):
            handler = logging.handlers.SysLogHandler(server.getsockname())
            handler.setFormatter(logging.Formatter(FILE_FORMAT))
            wrapped = asynclog.wrap(handler) if wrap else handler
            feed(wrapped, records)
            if wrap:
                assert wrapped.listener.stop(20)
            found = [server.recv(65536) for _ in records]
            handler.close()
            return found

        assert sent(wrap=True) == sent(wrap=False)


@pytest.mark.skipif(sys.platform != "win32", reason="the event log is Windows's")
def test_a_wrapped_event_log_handler_runs_as_it_is():
    handler = logging.handlers.NTEventLogHandler("asynclog tests")
    wrapper = asynclog.wrap(handler)
    feed(wrapper, records_of_the_shop())
    assert wrapper.listener.stop(20)
    assert wrapper.listener.stats()["dropped"] == {}
