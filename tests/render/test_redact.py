"""Redaction: what must not leave, leaves not; what may, stays readable."""

from __future__ import annotations

import logging
import re
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asynclog.capture.exception import capture_exc_info
from asynclog.errors import OptionTypeError, OptionValueError
from asynclog.render.carried import FACTS, LEAD_UP, LeadUp
from asynclog.render.redact import MASK, Redactor, redactor
from asynclog.render.traceback import format_exception_text

redact = Redactor()
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEAsecret\nabcdefghijklmnopqrst\n-----END RSA PRIVATE KEY-----"

HIDDEN = [
    ("login failed: password=hunter2 user=joe", "login failed: password=[redacted] user=joe"),
    ("PASSWORD = hunter2", "PASSWORD = [redacted]"),
    ("db_password: hunter2, host: db", "db_password: [redacted], host: db"),
    ("dbpassword=hunter2", "dbpassword=[redacted]"),
    ('password="two words" x', 'password="[redacted]" x'),
    ("/cb?token=abc&next=/a", "/cb?token=[redacted]&next=/a"),
    ("next=%2F%3Ftoken%3Dabc&x=1", "next=%2F%3Ftoken%3D[redacted]&x=1"),
    ('{"user": "joe", "password": "a\\"b", "n": 1}', '{"user": "joe", "password": "[redacted]", "n": 1}'),
    ('{"pin": 1, "secret": 42}', '{"pin": 1, "secret": [redacted]}'),
    ('{\\"token\\": \\"abc\\", \\"n\\": 1}', '{\\"token\\": \\"[redacted]\\", \\"n\\": 1}'),
    ("{'apiKey': b'abc', 'n': 1}", "{'apiKey': b'[redacted]', 'n': 1}"),
    ("session={'a': {'b': ']'}} after", "session=[redacted] after"),
    ("secrets=['a', 'b'] after", "secrets=[redacted] after"),
    ("Authorization: Bearer abc.def123 after", "Authorization: [redacted] after"),
    ("authorization: Digest username=x, response=y\nnext", "authorization: [redacted]\nnext"),
    ("Cookie: a=b; c=d\nnext", "Cookie: [redacted]\nnext"),
    ("set-cookie: id=1; HttpOnly", "set-cookie: [redacted]"),
    ("[(b'cookie', b'a=b'), (b'host', b'x')]", "[(b'cookie', b'[redacted]'), (b'host', b'x')]"),
    ('[["cookie", "a=b"], ["host", "x"]]', '[["cookie", "[redacted]"], ["host", "x"]]'),
    ("X-Api-Key: k123", "X-Api-Key: [redacted]"),
    ("the api key: k123", "the api key: [redacted]"),
    ("csrf_token=abc;x=1", "csrf_token=[redacted];x=1"),
    ("f(private_key=abc)", "f(private_key=[redacted])"),
    ("sent Bearer abcdef0123456789", "sent Bearer [redacted]"),
    ("sent basic am9lOmh1bnRlcjI=", "sent basic [redacted]"),
    ("postgres://joe:hunter2@db:5432/shop", "postgres://joe:[redacted]@db:5432/shop"),
    ("redis://:hun@ter2@cache/0", "redis://:[redacted]@cache/0"),
    (f"key {PEM} after", "key [redacted] after"),
    ("cut -----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG\nnot base64!", "cut [redacted]\nnot base64!"),
    (f"jwt {JWT} after", "jwt [redacted] after"),
    ("AKIAIOSFODNN7EXAMPLE.", "[redacted]."),
    ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "[redacted]"),
    ("card 4111 1111 1111 1111 declined", "card [redacted] declined"),
    ("card 5500-0000-0000-0004", "card [redacted]"),
    ("card 378282246310005,", "card [redacted],"),
    ("card 3782 822463 10005", "card [redacted]"),
]


@pytest.mark.parametrize(("text", "expected"), HIDDEN)
def test_a_secret_is_hidden_and_what_is_around_it_stays(text, expected):
    assert redact.text(text) == expected
    assert redact.text(expected) == expected


@pytest.mark.parametrize(
    "text",
    [
        "the request took 4.2 s",
        "author=joe, max_tokens=512, token_count=3, password_length=8",
        "token: null",
        '{"token": null, "password": "", "secret": false}',
        "Basic authentication failed for the bearer credentials",
        "order 1234567812345670 and 4111111111111112 and 9999 8888 7777 6666",
        "at 1700000000000000 us, 4111-1111 1111-1111, 4111111111111111.5, id-4111111111111111-x",
        "http://host:8080/users/@me and ssh://git@host/x",
        "if token == other: x := 1",
        "http://example.com/a?b=c",
        "missing: ['password', 'email']",
    ],
)
def test_what_is_no_secret_stays(text):
    assert redact.text(text) == text


@pytest.mark.parametrize("prefix", ["AKIA", "ASIA", "AGPA", "AIDA", "AROA", "ANPA", "ANVA"])
def test_every_kind_of_aws_id_is_found_by_itself(prefix):
    assert redact.text(f"denied to {prefix}IOSFODNN7EXAMPLE") == "denied to [redacted]"


@pytest.mark.parametrize("before", ["", "0,", "\u0664\u0661", "\udcff", "\U0001f600 1,234 in 2026: "])
def test_a_card_is_found_beside_any_characters(before):
    assert redact.text(f"{before} 4111111111111111") == f"{before} [redacted]"


def test_a_long_text_without_a_secret_is_known_again_and_one_with_a_secret_is_not():
    own, asked = Redactor(), []
    own.hides = lambda key: asked.append(key) or False
    clean, other = "a key: " + "x" * 300, "a key: [redacted], sent Bearer abcdef0123456789 " + "x" * 300
    for _ in range(3):
        assert own.text(clean) == clean
    assert asked == ["key"]
    for _ in range(3):
        assert "abcdef" not in own.text(other)
    assert asked == ["key"] * 4
    for number in range(1_000):
        assert own.text(f"{number} {clean}") == f"{number} {clean}"
    kept = [value for value in vars(own).values() if isinstance(value, set)]
    assert 0 < max(map(len, kept)) <= 64
    assert not any("Bearer" in text for texts in kept for text in texts)


def test_a_function_is_asked_about_each_text_each_time():
    given = []
    own = Redactor(function=lambda text: given.append(text) or text)
    for _ in range(3):
        own.text("x" * 300)
    assert len(given) == 3


def test_code_in_a_traceback_stays_and_strings_in_it_do_not():
    text = (
        'Traceback (most recent call last):\n  File "a.py", line 3, in f\n    password = form.password\n'
        '  File "a.py", line 4, in g\n    connect(password="hunter2", dsn="host=x password=hunter2")\n'
    )
    found = redact.text(text)
    assert "password = form.password" in found
    assert "hunter2" not in found


def test_names_are_hidden_in_mappings_at_any_depth():
    found = redact.mapping(
        {
            "user": "joe",
            "Password": "x",
            "nested": {"api-key": ["a"], "n": 1, "url": "http://u:p@h/"},
            "headers": [["Cookie", "a=b"], ["Host", "x"]],
            "fields": ["password", "email"],
            "max_tokens": 512,
            "token": None,
        }
    )
    assert found == {
        "user": "joe",
        "Password": MASK,
        "nested": {"api-key": MASK, "n": 1, "url": f"http://u:{MASK}@h/"},
        "headers": [["Cookie", MASK], ["Host", "x"]],
        "fields": ["password", "email"],
        "max_tokens": 512,
        "token": None,
    }
    assert redact.mapping(found) == found


def test_a_record_is_copied_without_secrets_and_the_original_stays():
    texts = ("password=hunter2", "token=abc1")
    try:
        raise ValueError(texts[0]) from KeyError(texts[1])
    except ValueError:
        info = sys.exc_info()
    record = logging.makeLogRecord({"msg": "login %s", "args": ("pwd=abc2",), "exc_info": info, "secret": "abc3"})
    setattr(record, FACTS, {"query": "token=abc4"})
    setattr(record, LEAD_UP, (LeadUp(1.0, 20, "INFO", "a", "token=%s", ("abc5",)),))
    captured = capture_exc_info(info)
    for copy in (redact.record(record, captured), redact.record(record)):
        shown = f"{copy.__dict__} {logging.Formatter().formatException(copy.exc_info)}"
        assert copy.getMessage() == f"login pwd={MASK}"
        for secret in ("hunter2", "abc1", "abc2", "abc3", "abc4", "abc5"):
            assert secret not in shown
        assert str(copy.exc_info[1]) == f"password={MASK}"
    assert record.secret == "abc3"
    assert record.getMessage() == "login pwd=abc2"
    assert "abc1" not in format_exception_text(redact.exception(captured))


def test_a_record_that_cannot_be_merged_is_redacted_all_the_same():
    copy = redact.record(logging.makeLogRecord({"msg": "password=hunter2 %d", "args": ("x",)}))
    assert "hunter2" not in copy.getMessage()


def test_the_option_takes_what_it_says():
    assert redactor("redact", None) is redactor("redact", False) is None
    assert redactor("redact", True).text("token=a") == f"token={MASK}"
    assert redactor("redact", redact) is redact
    own = redactor("redact", ["iban", "customer-id"])
    assert own.text("iban=DE1 customerId=7 token=a n=1") == f"iban={MASK} customerId={MASK} token={MASK} n=1"
    function = redactor("redact", lambda text: text.replace("joe", "J"))
    assert function.text("joe token=a") == f"J token={MASK}"
    patterned = Redactor(patterns=[r"ORD-\d+", re.compile("x+")], defaults=False)
    assert patterned.text("ORD-12 xx token=a") == f"{MASK} {MASK} token=a"


@pytest.mark.parametrize("value", [1, "password", b"x", {"a": 1}, [1], object()])
def test_another_option_is_refused(value):
    with pytest.raises(OptionTypeError, match="redact"):
        redactor("redact", value)


def test_an_empty_name_and_a_broken_pattern_are_refused():
    with pytest.raises(OptionValueError, match="names"):
        Redactor(names=["--"])
    with pytest.raises(OptionValueError, match=r"patterns.*\("):
        Redactor(patterns=["("])
    with pytest.raises(OptionTypeError):
        Redactor(patterns="abc")


@pytest.mark.parametrize("function", [lambda text: 1 / 0, lambda text: None])
def test_a_function_that_fails_costs_the_text_and_not_the_secret(function):
    found = Redactor(function=function).text("my own secret words")
    assert "words" not in found
    assert found


WORDS = st.sampled_from(
    [
        *("password", "token=", "Cookie: ", '"secret": ', "'", '"', "\\", "{", "}", "[", "]", "(", ",", ";", "&", "\n"),
        *("://", "a:b@", "Bearer ", "Basic ", "eyJabcdef", ".", "abc123", "4111 1111 1111 1111", "-----BEGIN PRIVATE KEY-----"),
        *("-----END PRIVATE KEY-----", '  File "a", line 1', "    ", "%3D", "=", ":", MASK, "AKIAIOSFODNN7EXAMPLE", "key "),
        *("null", "api ", "é", "\udcff", "\x00", "=>", "auth", "tokens", "12", "b'"),
    ]
)  # fmt: skip


@given(st.lists(WORDS | st.text(max_size=6), max_size=30).map("".join))
@settings(max_examples=600, deadline=None)
def test_any_text_is_redacted_without_raising_and_twice_is_as_once(text):
    once = redact.text(text)
    assert redact.text(once) == once


@given(
    st.from_regex(r"[A-Za-z0-9]{8,20}", fullmatch=True),
    st.sampled_from(["password", "api_key", "Set-Cookie", "X-Auth-Token"]),
)
def test_a_named_value_never_stays(value, name):
    secret = f"q9{value}"
    for text in (
        f"{name}={secret}",
        f"{name}: {secret}",
        f'{{"{name}": "{secret}"}}',
        f"{{'{name}': '{secret}'}}",
        f"?a=b&{name}={secret}",
    ):
        assert secret not in redact.text(f"before {text} after")


HOSTILE = [
    *("token=", 'password="', "token=[", "://a:", "eyJ", "-----BEGIN PRIVATE KEY-----", "a.", "Bearer ", "4111-"),
    *("411", 'token="\\', "('cookie', '", '"password: \\"', "://u:p", "ghp_a", "api key", "key: ", "password\t", "("),
    *(
        "x" * 64 + "=",
        f"://{'a' * 200}:{'b' * 400}",
        '  File "a", line 1\n    token=[',
        "token={'",
        "[[[[token=",
        "\\",
        " ",
    ),
    *("cookie: ", "-----BEGIN ", "a" * 300, "token=" + "\\" * 60 + '"'),
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_a_megabyte_made_to_hurt_takes_linear_time(piece):
    # Quadratic time would be hours here: the wide margin is against hanging only.
    text = (piece * (1_000_000 // len(piece) + 1))[:1_000_000]
    began = time.perf_counter()
    redact.text(text)
    assert time.perf_counter() - began < 30
