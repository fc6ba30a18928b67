"""The mail about a digest: parsed back, it says what it should, in both parts, and nothing else."""

from __future__ import annotations

import dataclasses
import email
import email.message
import email.policy
import html.parser
import logging
import logging.handlers
import re
import subprocess
import sys
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asynclog.errors import OptionTypeError, OptionValueError
from asynclog.render import digest_mail, words
from asynclog.render.carried import FACTS, LEAD_UP, LeadUp
from asynclog.render.digest_mail import SIZE_LIMIT
from asynclog.render.frames_view import folded, innermost, runs
from asynclog.render.mail import STDLIB_POLICY
from asynclog.render.mail_view import HeldUp
from asynclog.render.templates_env import NAMES, Templates
from tests.render.mail_samples import NOW, digest, failure, group, held_up, item, outage, renderer, samples

HEADERS = [
    *("From", "To", "Subject", "Message-ID", "In-Reply-To", "References", "Auto-Submitted", "X-Auto-Response-Suppress"),
    *("X-Asynclog-Count", "X-Asynclog-Group", "X-Asynclog-App", "Date", "MIME-Version", "Content-Type"),
]


def made(what=None, *, now=NOW, late=None, batch="batch-1", limit=None, **options):
    return renderer(**options).render(what or digest(), batch, now=now, held_up=late, limit=limit)


def parsed(mail):
    return email.message_from_bytes(mail.data, policy=email.policy.default)


def parts(mail):
    message = parsed(mail)
    return message.get_body(("plain",)).get_content(), message.get_body(("html",)).get_content()


def text_of(mail):
    return parsed(mail).get_body(("plain",)).get_content()


class _Texts(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.texts, self.tags, self.attributes, self._hidden = [], [], [], False

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self._hidden = tag in ("style", "title")

    def handle_endtag(self, tag):
        self._hidden = False

    def handle_data(self, data):
        if data.strip() and not self._hidden:
            self.texts.append(data)


def read(source):
    reader = _Texts()
    reader.feed(source)
    reader.close()
    return reader


def clock(ahead):
    return words.clock(NOW + ahead, NOW, seconds=True)


def squeezed(text):
    return " ".join(text.split())


def assert_sound(mail):
    """Whatever was in it: a mail that every server takes and every parser reads in one way."""
    assert len(mail.data) <= SIZE_LIMIT
    assert all(len(line) <= 998 for line in mail.data.split(b"\r\n"))
    assert b"\n" not in mail.data.replace(b"\r\n", b"")
    assert b"\r" not in mail.data.replace(b"\r\n", b"")
    message = parsed(mail)
    assert set(message.keys()) <= set(HEADERS)
    assert len(message.keys()) == len(set(message.keys()))
    assert message.defects == []
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    for part in message.iter_parts():
        assert part.defects == []
        assert part.get_content_charset() in ("utf-8", "us-ascii")
        assert part["Content-Transfer-Encoding"] in ("7bit", "quoted-printable", "base64")
        part.get_payload(decode=True).decode(part.get_content_charset())
    text, source = parts(mail)
    for said in read(source).texts:
        assert squeezed(said) in squeezed(text)


# -- what it says --------------------------------------------------------------------------------


def test_it_says_first_what_one_wants_first_and_in_this_order():
    text = text_of(made(late=held_up()))
    wanted = [
        "4,312× more in 58 s (4,313× in all), still happening (last one 2 s ago)",
        "payments.ProviderError: the provider answered 503 Service Unavailable",
        "payment of cart 17 failed",
        "from: shop (production), host web-1, processes 4711 and 4712, release 2.4.1",
        "route: POST /checkout",
        "in: /srv/shop/shop/checkout.py:7 in pay",
        f"next mail: in 4 min, not before {clock(240)} (at once if it comes 10× as often as now); and an all-clear",
        f"delayed: 47 min: the mail server refused it from {words.clock(NOW - 2820, NOW)} to {words.clock(NOW, NOW)} (421 too many",
        "Traceback (most recent call last)",
        "… 2 library frames: payments",
        "cart 17 has 3 items",
        "site-packages/payments/client.py",
    ]
    places = [text.index(one) for one in wanted]
    assert places == sorted(places)


@pytest.mark.parametrize("name", samples())
def test_the_text_says_what_the_html_says(name):
    what, late = samples()[name]
    mail = made(what, late=late)
    assert_sound(mail)
    text, source = parts(mail)
    shown = squeezed(" ".join(read(source).texts))
    for line in text.splitlines():
        for piece in line.lstrip("- =").split(": ", 1) if not line.startswith(" ") else [line]:
            assert squeezed(piece) in shown or not set(piece) - set("-= ")


@pytest.mark.parametrize(
    ("fields", "headline"),
    [
        ({"kind": "first", "count": 1, "total": 1, "last_seen": NOW - 0.1}, "1×, new (just now)"),
        ({"kind": "first", "count": 3, "total": 3}, "3× in 58 s, new, still happening (last one 2 s ago)"),
        (
            {"kind": "again", "count": 3},
            "3× more in 58 s (4,313× in all), back after quiet, still happening (last one 2 s ago)",
        ),
        (
            {"kind": "news", "count": 9999, "total": 12000},
            "9,999× more in 58 s (12,000× in all), 10× as often, still happening (last one 2 s ago)",
        ),
        (
            {"last_seen": NOW - 2400, "since": NOW - 2460},
            "4,312× more in 60 s (4,313× in all), last seen %s (40 min ago)",
        ),
        (
            {"kind": "over", "over_since": NOW - 2400, "last_seen": NOW - 2400, "since": NOW - 2500},
            "over since %s (40 min ago): 4,312× more in 100 s (4,313× in all)",
        ),
        ({"kind": "over", "over_since": NOW - 2400, "count": 0, "total": 88}, "over since %s (40 min ago): 88× in all"),
    ],
)
def test_the_headline_says_how_often_and_whether_it_is_over(fields, headline):
    when = fields.get("over_since") or fields.get("last_seen") or NOW
    text = text_of(made(digest(group(**fields))))
    assert text.splitlines()[0] == headline.replace("%s", words.clock(when, NOW))


@pytest.mark.parametrize(("ago", "is_near"), [(90.0, True), (599.0, True), (600.0, False)])
def test_a_time_that_is_near_is_said_to_the_second(ago, is_near):
    over = group(kind="over", over_since=NOW - ago, last_seen=NOW - ago, next_mail=None)
    coming = group(next_mail=NOW + ago)
    assert f"over since {words.clock(NOW - ago, NOW, seconds=is_near)} (" in text_of(made(digest(over)))
    assert f"not before {words.clock(NOW + ago, NOW, seconds=is_near)} (at once" in text_of(made(digest(coming)))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"kind": "first", "count": 1, "total": 1, "next_mail": NOW + 60},
            "none unless it happens again; then the count, in 60 s, not before %s, and an all-clear when it is over",
        ),
        (
            {"kind": "again", "next_mail": NOW + 60},
            "none unless it goes on; then the count, in 60 s, not before %s, and an all-clear when it is over",
        ),
        (
            {"kind": "digest", "next_mail": NOW + 120},
            "in 2 min, not before %s (at once if it comes 10× as often as now); and an all-clear when it is over",
        ),
        ({"kind": "news", "next_mail": NOW + 120}, "in 2 min, not before %s; and an all-clear when it is over"),
        (
            {"kind": "first", "next_mail": NOW - 500},
            "none unless it goes on; then the count, at once, and an all-clear when it is over",
        ),
        ({"kind": "over", "over_since": NOW - 60, "next_mail": None}, "only if it comes back"),
    ],
)
def test_a_mail_says_what_follows_it(fields, said):
    text = text_of(made(digest(group(**fields))))
    assert (
        f"next mail: {said.replace('%s', words.clock(fields['next_mail'] or 0, NOW, seconds=True))}"
        in text.splitlines()
    )


def test_a_mail_about_several_groups_says_what_follows_it_at_its_top():
    overview = text_of(made(outage())).partition("1. ")[0]
    assert f"next mail: if it goes on: in 4 min, not before {words.near(NOW + 240, NOW)}" in overview
    assert "host web-1, processes 4711 and 4712" in overview


def test_a_mail_made_after_the_server_refused_others_says_so():
    late = HeldUp(NOW - 200, NOW - 80, "connection refused", is_past=True)
    start, end = (words.clock(NOW - ago, NOW, seconds=True) for ago in (200, 80))
    text = text_of(made(late=late))
    assert f"mail server: refused mail for 2 min, from {start} to {end} (connection refused)" in text
    assert "delayed:" not in text


@pytest.mark.parametrize(
    ("kind", "text", "shown"),
    [
        (
            "sqlalchemy.exc.OperationalError",
            "(psycopg2.OperationalError) connection to server at db-1 (10.0.0.5), port 5432 failed: Connection refused",
            "sqlalchemy.exc.OperationalError: (psycopg2.OperationalError) connection to server at db-1 …",
        ),
        ("shop.errors.CartIsEmpty", "no more than sixty characters are in this message", "shop.errors.CartIsEmpty: no more than sixty characters are in this message"),
        ("shop." + "E" * 60, "the message begins here and goes on " + "for long " * 20, "the message begins here and goes on"),
        ("shop.catalogue.errors.NotFound", "y" * 20 + " " + "x" * 50, "NotFound: yyyyyyyyyyyyyyyyyyyy " + "x" * 50),
        ("a.b." + "T" * 200, "m " * 300, "T" * 79),
    ],
)  # fmt: skip
def test_a_headline_keeps_the_exceptions_type_and_the_start_of_its_message(kind, text, shown):
    error = ValueError(text)
    it = item(exc_info=(ValueError, error, None))
    lines = text_of(made(digest(group(exc_type=kind, first_items=(it,), last_items=())))).splitlines()
    assert shown in lines[1]
    assert len(lines[1]) <= 130


def test_several_groups_begin_with_an_overview_whose_numbers_add_up():
    what = outage()
    text = text_of(made(what))
    overview = text.partition("=" * 70)[0]
    assert overview.splitlines()[0] == (
        "4 problems, 1,313× more (1,401× in all), 3 of them still happening (last one 2 s ago)"
    )
    counts = [int(found.replace(",", "")) for found in re.findall(r"(?m)^\d+\. ([\d,]+)×", overview)]
    assert counts == [one.count for one in what.groups]
    assert sum(counts) == what.count == int(parsed(made(what))["X-Asynclog-Count"])


def test_groups_beyond_the_room_are_counted_exactly():
    groups = [group(id=f"{number:016x}", count=number, place=f"shop.p{number}") for number in range(1, 1001)]
    mail = made(digest(*groups, thread=""))
    assert_sound(mail)
    text = text_of(mail)
    overview = text.partition("=" * 70)[0]
    listed = sum(int(found.replace(",", "")) for found in re.findall(r"(?m)^\d+\. ([\d,]+)×", overview))
    left = re.search(r"([\d,]+) more problems with ([\d,]+) records are not listed", text)
    assert listed + int(left[2].replace(",", "")) == sum(range(1, 1001))


def test_the_group_of_the_rest_says_why_it_has_no_record():
    other = group(id="other", place="", exc_type="", root_type="", logger="", first_items=(), last_items=(), count=7)
    text = text_of(made(digest(group(), other)))
    assert "7×" in text
    assert "no room of their own" in text


def test_a_traceback_that_was_shown_is_not_shown_again():
    text = text_of(made())
    assert text.count("raise ProviderError(text)") == 1
    assert "the same traceback as above" in text


def test_secrets_are_hidden_everywhere():
    bad = "password=hunter2"
    it = item(
        f"failed with {bad}",
        exc_info=failure(f"token hunter2 {bad}".replace("token hunter2", "x")),
        secret="hunter2",
        **{FACTS: {"query": "a=1&token=hunter2", "cookie": "hunter2"}, LEAD_UP: (LeadUp(NOW, 20, "INFO", "a", bad),)},
    )
    mail = made(digest(group(first_items=(it,), last_items=())), subject="{exc_type} password=hunter2")
    text, source = parts(mail)
    assert "hunter2" not in text + source + str(parsed(mail)["Subject"])
    assert "[redacted]" in text
    assert "hunter2" in text_of(made(digest(group(first_items=(it,))), redact=False))


def test_extras_and_request_facts_are_shown():
    it = item(order_id=77, nested={"a": [1, 2]}, **{FACTS: {"user": {"id": 5}, "release": "9.9"}})
    text = text_of(made(digest(group(first_items=(it,)))))
    assert "extra order id: 77" in text
    assert "extra nested: {'a': [1, 2]}" in text
    assert "user id: 5" in text
    assert "release 9.9" in text


# -- headers -------------------------------------------------------------------------------------


def test_the_headers_are_these_and_thread_a_group():
    first, second = made(batch="one"), made(digest(count=9, serial=2), batch="two")
    message = parsed(first)
    assert message.keys() == HEADERS
    assert message["Subject"] == "[shop/production] ERROR ProviderError in shop.checkout.pay"
    assert message["X-Asynclog-Count"] == "4312"
    assert message["X-Asynclog-Group"] == "3f9a1c0b7d2e4855"
    assert message["X-Asynclog-App"] == "shop"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["X-Auto-Response-Suppress"] == "OOF, AutoReply, RN, NRN"
    assert message["Date"].datetime == datetime.fromtimestamp(NOW).astimezone()
    assert parsed(second)["Subject"] == message["Subject"]
    assert parsed(second)["References"] == message["References"] == message["In-Reply-To"]
    assert first.message_id != second.message_id
    assert first.count == 4312


def test_a_retry_is_the_same_mail_to_the_byte():
    assert made().data == made().data
    assert made(now=NOW + 60).message_id == made().message_id


def test_unrelated_groups_begin_no_thread():
    message = parsed(made(outage()))
    assert message["References"] is None
    assert message["Subject"] == "[shop/production] ERROR ProviderError in shop.checkout.pay and 3 more"


def test_a_wrapped_handlers_subject_stays_in_front():
    handler = logging.handlers.SMTPHandler("127.0.0.1", "a@x.org", ["b@x.org"], "YourApplication Failed")
    message = parsed(made(handler=handler))
    assert message["Subject"] == "YourApplication Failed: ERROR ProviderError in shop.checkout.pay"
    empty = digest(group(first_items=(), last_items=(), kind="over", over_since=NOW, count=0))
    assert parsed(made(empty, handler=handler))["Subject"] == message["Subject"]


def test_a_template_of_the_subject_is_filled():
    assert parsed(made(subject="{app} {levelname} {name} {exc_type} {place}"))["Subject"] == (
        "shop ERROR shop.checkout ProviderError shop.checkout.pay"
    )


EVIL = "x\r\nBcc: evil@example.com\r\n\r\n<script>alert(1)</script>=?utf-8?q?=0D=0ABcc:_e?=\x00\u2028Bcc: z\u202e\udcff"


@pytest.mark.parametrize(
    "what",
    [
        digest(group(first_items=(item(EVIL),))),
        digest(group(first_items=(item(name=EVIL),), logger=EVIL)),
        digest(group(first_items=(item(exc_info=failure(EVIL)),))),
        digest(group(first_items=(item(order=EVIL, **{FACTS: {EVIL: EVIL, "route": EVIL}}),))),
        digest(group(hosts=(EVIL, EVIL))),
        digest(group(place=EVIL, exc_type=EVIL, root_type=EVIL)),
        digest(group(id=EVIL), thread=EVIL, scope=EVIL),
        digest(group(first_items=(item(levelname=EVIL, threadName=EVIL, levelno=41),), levelno=41)),
        digest(group(first_items=(item(**{LEAD_UP: (LeadUp(NOW, 20, EVIL, EVIL, EVIL),)}),))),
    ],
    ids=["message", "logger", "exception", "extra", "host", "place", "id", "level", "lead-up"],
)
@pytest.mark.parametrize("redact", [True, False])
def test_nothing_in_a_record_adds_a_header_or_markup(what, redact):
    mail = made(what, redact=redact)
    assert_sound(mail)
    _, source = parts(mail)
    assert "script" not in read(source).tags
    assert "\u202e" not in source
    assert "\x00" not in source


def test_a_users_subject_adds_no_header():
    handler = logging.handlers.SMTPHandler("127.0.0.1", "a@x.org", ["b@x.org"], EVIL)
    assert_sound(made(handler=handler))


def test_odd_times_and_numbers_make_a_mail():
    odd = group(last_seen=float("nan"), first_seen=1e300, since=-1e300, rate=0.0, next_mail=float("inf"))
    assert_sound(made(digest(odd)))


@given(st.text(max_size=400), st.text(max_size=60), st.sampled_from([None, STDLIB_POLICY]))
@settings(max_examples=60, deadline=None)
def test_any_text_makes_a_sound_mail(text, name, policy):
    what = digest(group(first_items=(item(text, name=name, exc_info=None),), logger=name, hosts=(name,)))
    assert_sound(made(what, **({"policy": policy} if policy else {})))


@pytest.mark.parametrize(
    "text", ["x" * 1_000_000, "日本語の本文 " * 100_000, "<&\"'" * 250_000, "line\n" * 200_000, "\U0001f4a5" * 300_000]
)
def test_long_content_is_cut_in_the_middle_with_a_note(text):
    it = item(text + "END", exc_info=None)
    mail = made(digest(group(first_items=(it,), last_items=())))
    assert_sound(mail)
    assert re.search(r"\[… [\d,]+ characters cut here", text_of(mail))
    assert "END" in text_of(mail)


def test_many_long_groups_stay_under_the_limit():
    groups = [group(id=f"{n:016x}", first_items=(item(f"{n} " + "é" * 30_000),), place=f"p{n}") for n in range(100)]
    assert_sound(made(digest(*groups)))


def test_what_is_too_long_is_laid_out_anew_only_where_less_is_said(monkeypatch):
    # 16 records in 4 groups, each far shorter than one record's text may be.
    groups = [
        group(id=f"{n:016x}", first_items=tuple(item(f"{n}{k} " + "word " * 100) for k in range(4)), place=f"p{n}")
        for n in range(4)
    ]
    laid_out = []
    render = Templates.render

    def spied(self, view):
        laid_out.append(render(self, view))
        return laid_out[-1]

    monkeypatch.setattr(Templates, "render", spied)
    assert_sound(made(digest(*groups), limit=50_000))
    assert len(laid_out) > 1
    assert len(set(laid_out)) == len(laid_out)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("short, in ASCII", "7bit"),
        ("one word = another, " * 3_000 + "\n" + "trailing space \n.\nFrom me\n" + "é", "quoted-printable"),
        ("日本語の本文\n" * 2_000, "base64"),
    ],
)
def test_a_part_is_encoded_as_what_is_in_it_wants(text, encoding):
    part = email.message.EmailMessage(policy=email.policy.SMTP)
    part.set_content("")
    digest_mail._fill(part, text)
    parsed_back = email.message_from_bytes(part.as_bytes(), policy=email.policy.default)
    assert parsed_back["Content-Transfer-Encoding"] == encoding
    assert parsed_back.get_content().replace("\r\n", "\n") == (text if text.endswith("\n") else text + "\n")
    assert all(len(line) <= 78 for line in part.as_bytes().split(b"\r\n"))
    assert digest_mail._least_size(text) <= len(part.as_bytes())


def test_a_server_that_wants_less_gets_less():
    it = item("x\n" * 50_000)
    for limit in (50_000, 20_000, 8_000):
        assert len(made(digest(group(first_items=(it,))), limit=limit).data) <= limit


def test_addresses_that_are_not_ascii_have_a_form_for_smtputf8():
    mail = made(sender="Büro <a@example.com>", recipients="jörg@example.com", app="Läden")
    assert_sound(mail)
    assert "jörg@example.com".encode() in mail.utf8_data
    assert parsed(mail)["X-Asynclog-App"] == "Läden"
    assert made().utf8_data is None


# -- markup --------------------------------------------------------------------------------------


def test_the_html_is_what_gmail_and_outlook_show():
    _, source = parts(made(outage(), late=held_up()))
    reader = read(source)
    assert not {"script", "img", "link", "iframe", "form", "svg", "video", "object", "base"} & set(reader.tags)
    assert not [name for name, _ in reader.attributes if name in ("src", "href", "background") or name.startswith("on")]
    assert not re.search(r"url\(|@import|flex|grid|position:|float:|https?://", source)
    assert "max-width:600px" in source
    assert '<meta name="color-scheme" content="light dark">' in source
    assert "prefers-color-scheme:dark" in source


# -- templates -----------------------------------------------------------------------------------


def test_a_users_template_takes_the_place_of_ours(tmp_path):
    (tmp_path / "digest.txt.j2").write_text("MINE {{ mail.headline }}")
    text, source = parts(made(templates=tmp_path))
    assert text.startswith("MINE 4,312×")
    assert "payments.ProviderError" in source


def test_a_users_html_is_escaped(tmp_path):
    (tmp_path / "digest.html.j2").write_text("<p>{{ mail.groups[0].exception }}</p>")
    what = digest(group(first_items=(item(exc_info=failure("<b>")),)))
    assert "&lt;b&gt;" in parts(made(what, templates=tmp_path))[1]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{% if %}", "digest.txt.j2, line 1"),
        ("ok\n{{ mail.nothing }}", "digest.txt.j2, line 2"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{% include 'absent.j2' %}", "absent.j2"),
    ],
)
def test_a_bad_template_is_refused_when_it_is_given(tmp_path, source, said):
    (tmp_path / "digest.txt.j2").write_text(source)
    with pytest.raises(OptionValueError, match="templates=") as caught:
        Templates(tmp_path)
    assert said in str(caught.value)


def test_a_directory_without_templates_is_refused(tmp_path):
    with pytest.raises(OptionValueError, match=re.escape(NAMES[0])):
        Templates(tmp_path)
    with pytest.raises(OptionValueError, match="No such file"):
        Templates(tmp_path / "absent")
    with pytest.raises(OptionTypeError, match="templates"):
        Templates(7)


def test_a_template_that_fails_later_is_counted_and_the_mail_goes_plain(tmp_path):
    (tmp_path / "digest.html.j2").write_text("{% if mail.groups[0].count == 4311 %}{{ 1 / 0 }}{% endif %}")
    told = []
    one = renderer(templates=tmp_path, on_failure=told.append)
    mail = one.render(digest(group(count=4311)), "b", now=NOW)
    message = parsed(mail)
    assert message.get_content_type() == "text/plain"
    for wanted in ("4,311×", "ProviderError", "web-1", "raise ProviderError(text)", "cart 17 has 3 items"):
        assert wanted in message.get_content()
    assert one.failures == len(told) == 1
    assert "ZeroDivisionError" in told[0]


def test_a_mail_that_cannot_be_laid_out_at_all_goes_with_its_numbers_and_texts(monkeypatch):
    from asynclog.render.digest_view import ViewMaker

    monkeypatch.setattr(ViewMaker, "make", lambda self, limits: 1 / 0)
    told = []
    one = renderer(on_failure=told.append)
    it = item("token=hunter2 " + "x" * 1_000_000)
    message = parsed(one.render(digest(group(first_items=(it,))), "b", now=NOW))
    assert message["X-Asynclog-Count"] == "4312"
    said = "4,312× (4,313× in all) payments.ProviderError in shop.checkout.pay, host web-1"
    assert said in message.get_content()
    assert "token=[redacted]" in message.get_content()
    assert "hunter2" not in message.get_content()
    assert one.failures == len(told) == 1


def test_a_template_that_says_too_much_is_cut(tmp_path):
    (tmp_path / "digest.txt.j2").write_text("{{ 'x' * 1000000 }}")
    mail = made(templates=tmp_path)
    assert len(mail.data) <= SIZE_LIMIT
    assert "4,312×" in text_of(mail)


# -- frames --------------------------------------------------------------------------------------


def test_frames_of_the_app_are_told_apart_and_nothing_is_lost():
    text = item().text
    assert "\n".join(run.text for run in runs(text)) == text
    assert [run.kind for run in runs(text)] == ["text", "app", "library", "text"]
    assert [run.kind for run in folded(text)] == ["text", "app", "folded", "text"]
    place = innermost(text)
    assert (place.file, place.line, place.function) == ("/srv/shop/shop/checkout.py", 7, "pay")
    assert place.source == "return client.charge(amount, currency)"


def test_groups_of_exceptions_and_chains_are_told_apart_too():
    try:
        try:
            failure("inner").real  # an attribute that isn't there
        except AttributeError as error:
            raise ExceptionGroup("several", [error, ValueError("b")]) from None
    except ExceptionGroup:
        text = logging.Formatter("%(message)s").format(
            logging.makeLogRecord({"msg": "m", "exc_info": True and __import__("sys").exc_info()})
        )
    assert "\n".join(run.text for run in runs(text)) == text
    assert sum(run.kind == "app" for run in runs(text)) == 2


@given(
    st.lists(
        st.sampled_from(
            [
                '  File "/a.py", line 1, in f',
                '  File "/x/site-packages/p/m.py", line 2, in g',
                "    code",
                "",
                "  | ",
                "x",
                "    ^^^",
                "  [Previous line repeated 3 more times]",
            ]
        )
    ).map("\n".join)
)
def test_any_text_is_kept_whole(text):
    assert "\n".join(run.text for run in runs(text)) == text
    folded(text), innermost(text)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (-5, "0 s"),
        (58.4, "58 s"),
        (119, "119 s"),
        (120, "2 min"),
        (2820, "47 min"),
        (12_000, "3 h 20 min"),
        (172_800, "2 days"),
    ],
)
def test_spans_read_like_a_person_says_them(seconds, said):
    assert words.span(seconds) == said


@pytest.mark.parametrize(
    ("rate", "said"),
    [(74.3, "74 a second"), (2.5, "2.5 a second"), (0.5, "30 a minute"), (0.001, "3.6 an hour"), (0, "0.0 an hour")],
)
def test_rates_read_like_a_person_says_them(rate, said):
    assert words.rate(rate) == said


def test_the_values_of_a_mail_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        held_up().reason = "x"


def test_jinja2_is_loaded_with_the_first_renderer_and_not_before():
    code = "import asynclog, asynclog.render.digest_mail, sys; sys.exit('jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
