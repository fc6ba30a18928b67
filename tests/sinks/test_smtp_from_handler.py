"""A standard SMTPHandler as a sink: same server, same TLS, same envelope, same bytes."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime
from email import utils
from logging.handlers import SMTPHandler

import pytest

from asynclog.errors import OptionValueError
from asynclog.sinks.smtp import SMTPSink
from asynclog.testing.smtpd import running_smtpd
from tests.render.test_mail import without_ours
from tests.sinks.smtp_kit import CERTIFICATES, batch, is_deferred, is_delivered, item

FLASK = """
Message type:       %(levelname)s
Location:           %(pathname)s:%(lineno)d
Module:             %(module)s
Function:           %(funcName)s
Time:               %(asctime)s

Message:

%(message)s
"""


def deliver(sink, what):
    async def run():
        try:
            return (await sink.deliver(what))[0].verdict
        finally:
            await sink.aclose()

    return asyncio.run(run())


@pytest.mark.parametrize("fmt", [None, FLASK, "%(asctime)s %(levelname)s: %(message)s [in %(pathname)s:%(lineno)d]"])
@pytest.mark.parametrize("message", ["it broke", "Überlauf bei %s", "x" * 3000, "two\nlines\n", "From the shop"])
@pytest.mark.parametrize("to", [["b@example.com"], ["b@example.com", "Ops <c@example.org>"], "a@x.org, b@x.org"])
def test_a_real_server_receives_the_same_bytes_and_the_same_envelope(fmt, message, to, monkeypatch):
    with running_smtpd() as server:
        handler = SMTPHandler((server.host, server.port), "server-error@example.com", to, "YourApplication Failed")
        handler.setFormatter(logging.Formatter(fmt))
        one = item(message, pathname="/srv/app.py", lineno=7)
        monkeypatch.setattr(utils, "localtime", lambda: datetime.fromtimestamp(one.record.created).astimezone())
        handler.emit(one.record)
        one.text = handler.format(one.record)
        assert is_delivered(deliver(SMTPSink.from_handler(handler), batch(one)))
        theirs, ours = server.mails
        assert without_ours(ours.data) == theirs.data
        assert (ours.sender, ours.recipients) == (theirs.sender, theirs.recipients)


def test_level_formatter_and_filters_are_the_handlers():
    handler = SMTPHandler("localhost", "a@example.com", "b@example.com", "s")
    handler.setLevel(logging.ERROR)
    handler.setFormatter(logging.Formatter("%(message)s"))
    handler.addFilter(lambda record: True)
    handler.set_name("mail")
    sink = SMTPSink.from_handler(handler)
    assert (sink.level, sink.formatter, sink.filters) == (handler.level, handler.formatter, handler.filters)
    assert logging._handlers["mail"] is handler
    assert sink.label == "mail:localhost"


@pytest.mark.parametrize(
    ("options", "security", "note"),
    [
        ({}, "none", "plain text, as the handler had it"),
        ({"secure": ()}, "none", "plain text, as the handler had it (its secure= counts only with credentials)"),
        ({"credentials": ("u", "p")}, "none", "plain text, password included, as the handler had it"),
        (
            {"credentials": ("u", "p"), "secure": ()},
            "starttls",
            "STARTTLS without certificate check, as the handler had it",
        ),
    ],
)
def test_the_handlers_tls_is_kept_and_told(options, security, note):
    sink = SMTPSink.from_handler(SMTPHandler("mail.example.com", "a@example.com", "b@example.com", "s", **options))
    (server,) = sink._how.servers
    assert (server.host, server.port, server.security) == ("mail.example.com", 25, security)
    assert sink.tls_note == note


def test_plain_text_to_this_host_needs_no_note():
    assert SMTPSink.from_handler(SMTPHandler("127.0.0.1", "a@example.com", "b@example.com", "s")).tls_note is None


def test_starttls_happens_with_credentials_and_without_a_certificate_check():
    with running_smtpd(
        tls_context=CERTIFICATES.server("other.example.com"), credentials={"u": "p"}, requires_login=True
    ) as server:
        address = (server.host, server.port)
        handler = SMTPHandler(address, "a@example.com", "b@example.com", "s", credentials=("u", "p"), secure=())
        assert is_delivered(deliver(SMTPSink.from_handler(handler), batch()))
        assert server.mails[0].tls
        assert server.mails[0].username == "u"


def test_a_client_certificate_is_shown(tmp_path):
    import trustme

    certificate = trustme.CA().issue_cert("client.example.com")
    key, chain = tmp_path / "key.pem", tmp_path / "chain.pem"
    certificate.private_key_pem.write_to_path(key)
    certificate.cert_chain_pems[0].write_to_path(chain)
    options = {"credentials": ("u", "p"), "secure": (str(key), str(chain))}
    handler = SMTPHandler("mail.example.com", "a@example.com", "b@example.com", "s", **options)
    assert SMTPSink.from_handler(handler)._how.tls_context is not None


def test_the_handlers_timeout_is_for_each_reply():
    from asynclog.testing import faults

    sink = SMTPSink.from_handler(SMTPHandler("localhost", "a@example.com", "b@example.com", "s", timeout=2.5))
    assert (sink._how.reply_timeout, sink._how.timeout) == (2.5, 60.0)
    with running_smtpd(faults.stops_after("EHLO")) as server:
        handler = SMTPHandler((server.host, server.port), "a@example.com", "b@example.com", "s", timeout=0.3)
        assert is_deferred(deliver(SMTPSink.from_handler(handler), batch()))


def test_an_overridden_subject_is_honoured():
    class Mine(SMTPHandler):
        def getSubject(self, record):
            return f"{self.subject}: {record.levelname}"

    with running_smtpd() as server:
        handler = Mine((server.host, server.port), "a@example.com", "b@example.com", "It failed")
        sink = SMTPSink.from_handler(handler)
        assert is_delivered(deliver(sink, batch()))
        assert is_delivered(deliver(sink, batch(item(), item())))
        assert [str(mail.message["Subject"]) for mail in server.mails] == [
            "It failed: ERROR",
            "It failed: ERROR: 2 records, first: ERROR in checkout.pay",
        ]


def test_mail_options_may_be_given_with_it():
    handler = SMTPHandler("localhost", "a@example.com", "b@example.com", "s")
    sink = SMTPSink.from_handler(handler, rate=None, burst=3, digest=False, app="shop")
    assert (sink.rate, sink.burst, sink.digest) == (None, 3, False)
    with pytest.raises(OptionValueError):
        SMTPSink.from_handler(handler, subject="{nothing}")


@pytest.mark.parametrize("hook", ["emit", "handle", "handleError", "format", "flush", "close", "acquire", "release"])
def test_what_overrides_a_hook_has_to_run_as_it_is(hook):
    plain = SMTPHandler("localhost", "a@example.com", "b@example.com", "s")
    mine = type("Mine", (SMTPHandler,), {hook: lambda self, *args: None})
    handler = mine("localhost", "a@example.com", "b@example.com", "s")
    assert SMTPSink.from_handler(handler) is None
    setattr(plain, hook, lambda *args: None)
    assert SMTPSink.from_handler(plain) is None
    vars(plain).pop(hook)
    assert SMTPSink.from_handler(plain) is not None


@pytest.mark.parametrize(
    "arguments",
    [
        ("", "a@example.com", "b@example.com", "s"),
        (("localhost", "smtp"), "a@example.com", "b@example.com", "s"),
        ("local host", "a@example.com", "b@example.com", "s"),
        ("localhost", None, "b@example.com", "s"),
        ("localhost", "a@example.com\nBcc: x@y", "b@example.com", "s"),
        ("localhost", "a@example.com", [], "s"),
        ("localhost", "a@example.com", [None], "s"),
        ("localhost", "a@example.com", "b@example.com", "s", ("u", "p"), True),
        ("localhost", "a@example.com", "b@example.com", "s", ("u", "p"), ("/no/such/key",)),
        ("localhost", "a@example.com", "b@example.com", "s", ("u", "p"), ("/no/such/key", "/no/such/cert")),
    ],
)
def test_a_handler_that_could_never_send_goes_on_failing_by_itself(arguments):
    assert SMTPSink.from_handler(SMTPHandler(*arguments)) is None


def test_another_handler_is_none_of_its_business():
    assert SMTPSink.from_handler(logging.NullHandler()) is None
