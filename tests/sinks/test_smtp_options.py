"""What an SMTPSink is told: checked when it is given, and no secret is ever quoted."""

from __future__ import annotations

import logging
import ssl
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynclog.errors import AsynclogError, OptionTypeError, OptionValueError
from asynclog.sinks.smtp import SMTPSink
from asynclog.sinks.smtp_options import Server, address, addresses, connecting, is_loopback, shown_url

GOOD = {"sender": "app@example.com", "recipients": "ops@example.com"}


def server(url, **options):
    return connecting(url, **options).servers[0]


@pytest.mark.parametrize(
    ("url", "options", "expected"),
    [
        ("smtps://mail.example.com", {}, Server("mail.example.com", 465, "tls")),
        ("smtp://mail.example.com", {}, Server("mail.example.com", 587, "starttls")),
        ("smtp://mail.example.com", {"security": "none"}, Server("mail.example.com", 25, "none")),
        ("smtp://mail.example.com:2525/", {"security": "starttls"}, Server("mail.example.com", 2525, "starttls")),
        ("smtp://localhost", {}, Server("localhost", 25, "none")),
        ("smtp://127.8.9.1:1025", {}, Server("127.8.9.1", 1025, "none")),
        ("smtp://[::1]:1025", {}, Server("::1", 1025, "none")),
        ("smtp://localhost", {"security": "starttls"}, Server("localhost", 25, "starttls")),
        ("smtps://u:p%40ss@m.example.com", {}, Server("m.example.com", 465, "tls", "u", "p@ss")),
        ("smtps://u@m.example.com", {"password": "p"}, Server("m.example.com", 465, "tls", "u", "p")),
        ("smtps://u:p@m.example.com", {"username": "u"}, Server("m.example.com", 465, "tls", "u", "p")),
    ],
)
def test_a_url_says_where_and_how_securely(url, options, expected):
    assert server(url, **options) == expected


def test_several_urls_are_several_servers_in_order():
    how = connecting(["smtps://a.example.com", "smtps://b.example.com:4650"], username="u", password="p")
    assert [(one.host, one.port, one.username) for one in how.servers] == [
        ("a.example.com", 465, "u"),
        ("b.example.com", 4650, "u"),
    ]


def test_tls_is_checked_by_default_and_no_context_is_made_for_plain_text():
    context = connecting("smtps://mail.example.com").tls_context
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    assert connecting("smtp://localhost").tls_context is None


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("smtps://mail.example.com", {"security": "none"}),
        ("smtps://mail.example.com", {"security": "starttls"}),
        ("smtp://mail.example.com", {"security": "tls"}),
        ("smtp://mail.example.com", {"security": "maybe"}),
        ("http://mail.example.com", {}),
        ("mail.example.com", {}),
        ("smtp://", {}),
        ("smtp://mail.example.com:0", {}),
        ("smtp://mail.example.com:70000", {}),
        ("smtp://mail.example.com:port", {}),
        ("smtp://mail.example.com/inbox", {}),
        ("smtp://mail.example.com?x=1", {}),
        ("smtp://mail.example.com#x", {}),
        ("smtp://ma il.example.com", {}),
        ("smtp://mail.example.com\r\n", {}),
        ("smtp://[::1", {}),
        ([], {}),
        ("smtps://u:p@mail.example.com", {"username": "v"}),
        ("smtps://u:p@mail.example.com", {"password": "q"}),
        ("smtps://u:p@mail.example.com", {"token_provider": str}),
        ("smtps://mail.example.com", {"username": "u"}),
        ("smtps://mail.example.com", {"username": ""}),
        ("smtps://mail.example.com", {"password": "p"}),
        ("smtps://mail.example.com", {"token_provider": str}),
        ("smtps://mail.example.com", {"username": "u\udcff", "password": "p"}),
        ("smtp://localhost", {"tls_context": ssl.create_default_context()}),
        ("smtp://localhost", {"timeout": 0}),
        ("smtp://localhost", {"timeout": float("nan")}),
    ],
)
def test_what_cannot_work_is_refused_when_it_is_given(url, options):
    with pytest.raises(OptionValueError):
        connecting(url, **options)


@pytest.mark.parametrize(
    ("url", "options"),
    [
        (7, {}),
        (b"smtp://localhost", {}),
        ([7], {}),
        ("smtp://localhost", {"security": 1}),
        ("smtp://localhost", {"timeout": "5"}),
        ("smtp://localhost", {"timeout": True}),
        ("smtp://localhost", {"tls_context": True}),
        ("smtp://localhost", {"username": b"u"}),
        ("smtp://localhost", {"token_provider": "token"}),
    ],
)
def test_what_is_of_the_wrong_type_is_refused_when_it_is_given(url, options):
    with pytest.raises(OptionTypeError):
        connecting(url, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"sender": "nobody"},
        {"sender": "a@b\r\nBcc: x@y"},
        {"sender": "a@example.com, b@example.com"},
        {"sender": ""},
        {"sender": "a b@example.com"},
        {"sender": "a@exa_mple..com"},
        {"sender": "a@-x.com"},
        {"recipients": []},
        {"recipients": [""]},
        {"recipients": "a@"},
        {"recipients": ["ok@example.com", "@example.com"]},
        {"recipients": "Name\x1f <a@b.org>"},
        {"rate": "often"},
        {"burst": 0},
        {"subject": "{nothing}"},
        {"app": ""},
        {"environment": "a\nb"},
        {"level": "LOUD"},
    ],
)
def test_a_sinks_options_are_checked_when_they_are_given(options):
    with pytest.raises(OptionValueError):
        SMTPSink("smtp://localhost", **GOOD | options)


@pytest.mark.parametrize(
    "options", [{"sender": None}, {"recipients": 3}, {"recipients": [3]}, {"digest": 1}, {"rate": 3}, {"app": 3}]
)
def test_a_sinks_options_have_types(options):
    with pytest.raises(OptionTypeError):
        SMTPSink("smtp://localhost", **GOOD | options)


def test_an_unknown_option_is_refused():
    with pytest.raises(TypeError):
        SMTPSink("smtp://localhost", **GOOD, template="x")


SECRET = "hunter2-s3cret"


@pytest.mark.parametrize(
    "url",
    [
        f"smtp://u:{SECRET}@mail.example.com:port",
        f"smtp://u:{SECRET}@mail.example.com/x",
        f"smtp://u:{SECRET}",
        f"smtp://u:{SECRET}@",
        f"smtp:u:{SECRET}@mail.example.com",
        f"smtp://u:{SECRET}/x@mail.example.com",
        f"smtp://u:{SECRET}#x@mail.example.com",
        f"smtp://u:x@{SECRET}@mail example.com",
        f"{SECRET}",
        f"http://u:{SECRET}@mail.example.com",
        f"smtp://u:{SECRET}%ff@mail.example.com",
        f"smtp://[u:{SECRET}@mail.example.com",
        f"smtps://u:{SECRET}@mail.example.com?{SECRET}",
    ],
)
def test_an_error_never_quotes_a_password(url):
    for options in ({}, {"security": "none", "username": "other"}):
        with pytest.raises(AsynclogError) as caught:
            connecting(url, **options)
        shown: BaseException | None = caught.value
        assert "url" in str(shown) or "password" in str(shown) or "username" in str(shown)
        while shown is not None:
            assert SECRET not in repr(shown)
            assert SECRET not in str(shown)
            shown = None if shown.__suppress_context__ else shown.__cause__ or shown.__context__


@given(st.text(min_size=1))
def test_a_shown_url_has_nothing_before_the_host(secret):
    assert shown_url(f"smtps://user:{secret}@mail.example.com").endswith(("://***@mail.example.com", "…"))


def test_a_sinks_repr_has_no_password():
    sink = SMTPSink(f"smtps://u:{SECRET}@mail.example.com", **GOOD)
    assert SECRET not in repr(sink)
    assert SECRET not in repr(sink._how)
    assert sink.label == "mail:mail.example.com"


def test_limits_are_what_the_lane_reads():
    assert (SMTPSink("smtp://localhost", **GOOD).rate, SMTPSink("smtp://localhost", **GOOD).burst) == ((30, 3600.0), 10)
    assert SMTPSink("smtp://localhost", **GOOD, rate=None).rate is None
    assert SMTPSink("smtp://localhost", **GOOD, digest=False).rate is None
    assert SMTPSink("smtp://localhost", **GOOD, digest=False, rate="5 per minute").rate == (5, 60.0)


def test_one_mail_a_record_is_one_record_a_batch():
    sink = SMTPSink("smtp://localhost", **GOOD, digest=False)
    assert (sink.batch_records, sink.batch_age) == (1, 0.0)
    sink = SMTPSink("smtp://localhost", **GOOD)
    assert (sink.batch_records, sink.batch_age) == (1000, 10.0)


def test_it_is_a_logging_handler():
    sink = SMTPSink("smtp://localhost", **GOOD, level="ERROR", formatter=logging.Formatter("%(message)s"))
    assert isinstance(sink, logging.Handler)
    assert sink.level == logging.ERROR


@pytest.mark.parametrize(
    ("given_", "mailbox"),
    [
        ("a@example.com", "a@example.com"),
        ("Ops Team <ops@example.com>", "ops@example.com"),
        ('"Ops, Team" <ops@example.com>', "ops@example.com"),
        ("jürgen@bücher.example", "jürgen@bücher.example"),
        ("root@localhost", "root@localhost"),
        ("a@[192.0.2.1]", "a@[192.0.2.1]"),
        ("o'neil+tag@example.com", "o'neil+tag@example.com"),
    ],
)
def test_an_address_may_have_a_name(given_, mailbox):
    assert address("sender", given_).mailbox == mailbox


def test_an_address_that_stands_twice_counts_once():
    found = addresses("recipients", ["a@example.com", "A <a@example.com>", "b@example.com"])
    assert [one.mailbox for one in found] == ["a@example.com", "b@example.com"]


@pytest.mark.parametrize(
    ("host", "expected"),
    [("localhost", True), ("LOCALHOST.", True), ("mail.localhost", True), ("::1", True), ("127.1.2.3", True)]
    + [("10.0.0.1", False), ("localhost.example.com", False), ("example.com", False)],
)
def test_loopback_is_this_host_only(host, expected):
    assert is_loopback(host) is expected


def test_the_mail_library_is_loaded_late():
    code = "import sys, asynclog.sinks.smtp; sys.exit('aiosmtplib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
