"""The bytes of a mail: what the standard library would have sent, and nothing that breaks a header."""

from __future__ import annotations

import email
import email.policy
import email.utils
import logging
import logging.handlers
import re
import smtplib
import sys
from datetime import datetime
from email.message import EmailMessage

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asynclog.errors import OptionTypeError, OptionValueError
from asynclog.render.mail import (
    BODY_LIMIT,
    SEVEN_BIT_POLICY,
    STDLIB_POLICY,
    MailRenderer,
    body_of_many,
    safe_header,
    safe_subject,
)
from asynclog.render.subjects import Subjects, place
from tests.sinks.smtp_kit import item

OURS = ("Message-ID", "Auto-Submitted", "X-Auto-Response-Suppress", "X-Asynclog-Count", "X-Asynclog-App")
EXPECTED = ["From", "To", "Subject", "Date", *OURS[:4], "Content-Type", "Content-Transfer-Encoding", "MIME-Version"]


def renderer(template=None, app=None, environment=None, policy=SEVEN_BIT_POLICY, handler=None):
    subjects = Subjects(template=template, app=app, environment=environment, handler=handler)
    return MailRenderer("a@example.com", "b@example.com,c@example.org", subjects, "example.com", app, policy)


def parsed(mail):
    return email.message_from_bytes(mail.data, policy=email.policy.default)


def subject(template=None, app=None, environment=None, many=1, **fields):
    mail = renderer(template, app, environment).render([item(**fields)] * many, "b")
    return str(parsed(mail)["Subject"])


def by_the_standard_library(handler, record, monkeypatch):
    """Let the handler send, and return what would have gone over the wire."""
    sent = []

    class Smtp(smtplib.SMTP):
        def connect(self, *_):
            return 220, b""

        def ehlo_or_helo_if_needed(self):
            self.esmtp_features = {"smtputf8": ""}

        def sendmail(self, sender, to, data, *_):
            sent.append(data)

        def quit(self):
            self.close()

    def fails(_):
        raise AssertionError from sys.exc_info()[1]

    with monkeypatch.context() as patch:
        patch.setattr(smtplib, "SMTP", Smtp)
        patch.setattr(email.utils, "localtime", lambda: datetime.fromtimestamp(record.created).astimezone())
        patch.setattr(handler, "handleError", fails)
        handler.emit(record)
    return sent[0]


def without_ours(data):
    head, separator, body = data.partition(b"\r\n\r\n")
    kept, skipping = [], False
    for line in head.split(b"\r\n"):
        if line[:1] not in (b" ", b"\t"):
            skipping = line.partition(b":")[0].decode() in OURS
        if not skipping:
            kept.append(line)
    return b"\r\n".join(kept) + separator + body


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "",
        "two\nlines\n",
        "trailing\n\n\n",
        "cr\rlf\r\nmixed",
        "grüße in kurzen Zeilen",
        "naïve " * 40,
        "x" * 2000,
        "ü" * 2000,
        "日本語のメッセージ",
        ".dots\n..at\n.the start",
        "From here\nto there",
        "tab\tvt\x0bff\x0cesc\x1b[31m",
        'Traceback (most recent call last):\n  File "x.py", line 1, in f\nValueError: no\n',
    ],
)
@pytest.mark.parametrize("title", ["YourApplication Failed", "", "Ünïcode ✗ " * 12, "long " * 60, "x" * 300])
def test_a_record_alone_makes_the_standard_librarys_mail_byte_for_byte(text, title, monkeypatch):
    handler = logging.handlers.SMTPHandler("h", "a@example.com", ["b@example.com", "c@example.org"], title)
    one = item(text)
    expected = by_the_standard_library(handler, one.record, monkeypatch)
    mail = renderer(policy=STDLIB_POLICY, handler=handler).render([one], "b")
    assert without_ours(mail.data) == expected


def test_the_added_headers_are_these():
    mail = parsed(renderer(app="shop").render([item()], "b"))
    assert list(mail.keys()) == [*EXPECTED[:8], "X-Asynclog-App", *EXPECTED[8:]]
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["X-Auto-Response-Suppress"] == "OOF, AutoReply, RN, NRN"
    assert mail["X-Asynclog-Count"] == "1"
    assert mail["X-Asynclog-App"] == "shop"


def test_the_date_is_the_records():
    mail = parsed(renderer().render([item(created=1_000_000_000.5)], "b"))
    assert mail["Date"].datetime.timestamp() == 1_000_000_000


@pytest.mark.parametrize("created", [float("nan"), float("inf"), 1e30, None])
def test_a_record_without_a_sensible_time_still_makes_a_mail(created):
    assert b"it broke" in renderer().render([item(created=created)], "b").data


def test_a_retry_is_the_same_mail_and_another_batch_or_part_is_not():
    items = [item(f"record {n}") for n in range(4)]
    make = renderer().render
    assert make(items, "b").data == make(items, "b").data
    ids = {make(items, "b").message_id, make(items, "c").message_id, make(items[:2], "b").message_id}
    ids.add(make(items[2:], "b").message_id)
    assert len(ids) == 4


def test_the_message_id_stays_when_a_mail_is_cut():
    one = item("x" * 100_000)
    assert renderer().render([one], "b").message_id == renderer().render([one], "b", 1000).message_id


def test_the_default_subject_says_what_and_where():
    try:
        raise ValueError("no")
    except ValueError:
        info = sys.exc_info()
    here = f"{__name__}.test_the_default_subject_says_what_and_where"
    assert (
        subject(app="shop", environment="production", exc_info=info) == f"[shop/production] ERROR ValueError in {here}"
    )
    assert subject(app="shop", exc_info=info) == f"[shop] ERROR ValueError in {here}"
    assert subject(environment="production") == "[production] ERROR in checkout.pay"
    assert subject() == "ERROR in checkout.pay"
    assert subject(funcName="<module>") == "ERROR in checkout"
    assert subject(funcName=None, module=None) == "ERROR in shop.cart"
    assert subject(funcName=None, module=None, name="") == "ERROR"


def test_the_place_of_frames_without_globals_is_their_files():
    class Duck:
        tb_next = None

        class tb_frame:
            f_globals = None

            class f_code:
                co_filename, co_name = "/srv/shop/views.py", "cart"

    assert place(item(exc_info=(ValueError, ValueError(), Duck)).record) == "views.cart"


def test_several_records_are_told_by_number_and_the_first():
    assert subject(many=12, app="shop") == "[shop] 12 records, first: ERROR in checkout.pay"
    assert subject("{app} broke", "shop", many=12) == "shop broke (first of 12 records)"
    handler = logging.handlers.SMTPHandler("h", "a@example.com", "b@example.com", "It failed")
    mail = renderer(handler=handler).render([item()] * 1200, "b")
    assert str(parsed(mail)["Subject"]) == "It failed: 1,200 records, first: ERROR in checkout.pay"


def test_a_subject_template_may_name_these_fields():
    template = "{app}|{environment}|{levelname}|{name}|{exc_type}|{place}"
    assert subject(template, "shop", "prod") == "shop|prod|ERROR|shop.cart||checkout.pay"


@pytest.mark.parametrize("template", ["{user}", "{", "{0}", "{app.x}", "two\nlines", ""])
def test_a_subject_template_that_cannot_be_filled_is_refused_when_given(template):
    with pytest.raises(OptionValueError, match="subject"):
        Subjects(template=template)
    with pytest.raises(OptionTypeError, match="subject"):
        Subjects(template=7)


def test_a_get_subject_that_raises_leaves_the_handlers_subject():
    class Mine(logging.handlers.SMTPHandler):
        def getSubject(self, record):
            return f"{record.levelname}: {record.nothing}"

    handler = Mine("h", "a@example.com", "b@example.com", "It failed")
    assert Subjects(handler=handler).of_one(item().record) == "It failed"
    handler.getSubject = lambda record: f"mine: {record.levelname}"
    assert Subjects(handler=handler).of_one(item().record) == "mine: ERROR"


def test_several_records_travel_with_their_count_span_levels_and_texts():
    items = [item("first", created=1000.0), item("second", created=1058.0, levelno=30, levelname="WARNING")]
    mail = parsed(renderer().render(items, "b"))
    body = mail.get_content()
    assert mail["X-Asynclog-Count"] == "2"
    assert body.startswith("2 records in 58 s")
    assert "1 ERROR, 1 WARNING" in body
    assert body.index("first") < body.index("second")


def test_a_mail_of_many_records_is_capped_and_says_how_many_are_not_shown():
    items = [item(f"record {n} " + "x" * 500) for n in range(1000)]
    body = body_of_many(items)
    assert len(body.encode()) <= BODY_LIMIT + 200
    shown = sum(f"record {n} " in body for n in range(1000))
    assert 100 < shown < 1000
    assert f"{1000 - shown:,} more not shown" in body
    assert parsed(renderer().render(items, "b"))["X-Asynclog-Count"] == "1000"


def test_one_huge_record_leaves_room_for_the_others():
    body = body_of_many([item("x" * 5_000_000), *(item(f"record {n}") for n in range(20))])
    assert len(body.encode()) <= BODY_LIMIT + 200
    assert "record 19" in body
    assert "characters cut here" in body


def test_a_cut_text_keeps_its_beginning_and_its_end():
    text = "BEGIN" + "x" * 50_000 + "END"
    content = parsed(renderer().render([item(text)], "b", 1000)).get_content()
    assert content.startswith("BEGIN")
    assert content.rstrip().endswith("END")
    assert len(content) < 1200


@pytest.mark.parametrize("limit", [None, 1000])
def test_what_cannot_stand_in_a_body_is_escaped(limit):
    text = "a\udcffb\x00c\u202ed\u2066e"
    for many in (1, 2):
        content = parsed(renderer().render([item(text)] * many, "b", limit)).get_content()
        assert "a\\udcffb\\x00c\\u202ed\\u2066e" in content


NASTY = st.one_of(
    st.text(st.characters(exclude_categories=())),
    st.lists(
        st.sampled_from(
            [
                "\r\nBcc: evil@example.com",
                "\n\n<html>",
                "\r",
                "\x00",
                "\udcff",
                "\u2028",
                "\x85",
                "\u202e",
                "=?utf-8?q?=0D=0ABcc:_evil?=",
                "=?utf-8?b?DQpCY2M6IGV2aWw=?=",
                "=?",
                "?=",
                "é" * 90,
                "x" * 1200,
                " " * 100,
                '"',
                "<a@b>",
                "\t",
                "日本",
                "x",
                ".",
            ]
        )
    ).map("".join),
)


@settings(max_examples=300, deadline=None)
@given(NASTY, NASTY, NASTY, st.sampled_from([SEVEN_BIT_POLICY, STDLIB_POLICY]), st.integers(1, 3))
def test_nothing_in_a_record_can_add_a_header_or_a_long_line(name, text, level, policy, many):
    handler = logging.handlers.SMTPHandler("h", "a@example.com", ["b@example.com"], text)
    for made in (renderer(policy=policy), renderer("{name} {levelname}", policy=policy), renderer(handler=handler)):
        mail = made.render([item(text, name=name, levelname=level, funcName=name)] * many, "b")
        head, _, body = mail.data.partition(b"\r\n\r\n")
        names = [
            line.partition(b":")[0].decode("ascii") for line in head.split(b"\r\n") if line[:1] not in (b" ", b"\t")
        ]
        assert names == EXPECTED
        assert head.isascii()
        assert not any(byte < 32 and byte not in (9, 10, 13) for byte in head)
        assert all(len(line) <= 998 for line in mail.data.split(b"\r\n"))
        assert b"\n" not in mail.data.replace(b"\r\n", b"")
        assert b"\r" not in mail.data.replace(b"\r\n", b"")
        assert b"\x00" not in body
        message = email.message_from_bytes(mail.data, policy=email.policy.default)
        assert "\n" not in str(message["Subject"])
        message.get_content()


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(st.characters(categories=("L", "N")), min_size=1, max_size=60), max_size=12).map(" ".join))
def test_a_subject_of_words_in_any_script_arrives_as_it_was(text):
    handler = logging.handlers.SMTPHandler("h", "a@example.com", ["b@example.com"], text)
    mail = renderer(handler=handler, policy=STDLIB_POLICY).render([item()], "b")
    arrived = str(email.message_from_bytes(mail.data, policy=email.policy.default)["Subject"])
    # CPython's folding loses a space between some encoded words; its mail is ours, byte for byte.
    assert arrived.replace(" ", "") == text.replace(" ", "")


def test_non_ascii_addresses_make_the_standard_librarys_mail_too(monkeypatch):
    handler = logging.handlers.SMTPHandler("h", "jürgen@example.com", ["ops@bücher.example"], "It failed")
    one = item("From the shop")
    expected = by_the_standard_library(handler, one.record, monkeypatch)
    made = MailRenderer(
        handler.fromaddr, ",".join(handler.toaddrs), Subjects(handler=handler), "example.com", None, STDLIB_POLICY
    )
    assert without_ours(made.render([one], "b").utf8_data) == expected


@pytest.mark.parametrize("text", ["Überlauf im Lager", "日本語の件名" * 20, "emoji 🎉 here", "a = b?"])
def test_a_non_ascii_subject_arrives_as_it_was(text):
    handler = logging.handlers.SMTPHandler("h", "a@example.com", ["b@example.com"], text)
    mail = renderer(handler=handler, policy=STDLIB_POLICY).render([item()], "b")
    assert str(email.message_from_bytes(mail.data, policy=email.policy.default)["Subject"]) == text


# -- folding -------------------------------------------------------------------------------------

FREE_TEXTS = [
    "x" * 72 + " is the first word, which would fit a line of its own",
    "[shop/production] ERROR OperationalError in shop.catalogue.search_products_by_category_and_price and 3 more",
    "[läden/produktion] ERROR OperationalError in shop.catalogue.search_products_by_category_and_price and 3 more",
    "日本語の件名 " * 12,
    "\U0001f4a5" * 80,
    "[shop] ERROR ValueError in " + "module." * 40,
    "two  spaces, one at the end, and a line full of words that goes on for more than seventy-eight characters ",
    "a" * 998,
    "=?utf-8?q?no encoded word?= and " + "words " * 20,
]


@pytest.mark.parametrize("text", FREE_TEXTS)
def test_a_long_subject_begins_on_its_first_line_keeps_to_78_characters_and_arrives_whole(text):
    message = EmailMessage(policy=SEVEN_BIT_POLICY)
    message["Subject"] = safe_subject(text, SEVEN_BIT_POLICY)
    message["X-Asynclog-App"] = safe_header("X-Asynclog-App", text, SEVEN_BIT_POLICY)
    raw = message.as_bytes()
    assert raw.isascii()
    assert all(len(line) <= 78 and line.strip() for line in raw.splitlines()[:-1])
    assert re.match(rb"Subject: \S", raw)
    assert re.search(rb"(?m)^X-Asynclog-App: \S", raw)
    assert b"?==?" not in raw, "RFC 2047 wants a space between encoded words"
    parsed = email.message_from_bytes(raw, policy=email.policy.default)
    assert parsed.keys() == ["Subject", "X-Asynclog-App"]
    assert parsed["Subject"].rstrip() == str(message["Subject"]).rstrip()
    if "=?" not in text:
        assert parsed["Subject"].rstrip() == text.rstrip()


@given(st.text(st.characters(codec="utf-8", exclude_categories=("C",)), max_size=300))
@settings(max_examples=150, deadline=None)
def test_any_subject_is_one_header_of_short_lines(text):
    message = EmailMessage(policy=SEVEN_BIT_POLICY)
    message["Subject"] = safe_subject(text, SEVEN_BIT_POLICY)
    message["To"] = "b@example.com"
    raw = message.as_bytes()
    assert all(len(line) <= 78 for line in raw.splitlines())
    assert email.message_from_bytes(raw, policy=email.policy.default).keys() == ["Subject", "To"]


def test_a_subject_for_smtputf8_stays_readable():
    policy = SEVEN_BIT_POLICY.clone(utf8=True)
    text = "[läden/produktion] ERROR Größenfehler in shop.catalogue.search_products_by_category and 3 more"
    raw = policy.fold_binary("Subject", text).decode()
    assert raw.split("\n")[0].startswith("Subject: [läden/produktion] ERROR")
    assert raw.replace("\n ", " ").strip() == f"Subject: {text}"
