"""Headers that are kept: byte for byte what `email` makes of the whole message."""

from __future__ import annotations

from email.message import EmailMessage

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asynclog.render.mail import SEVEN_BIT_POLICY, STDLIB_POLICY, clean_body, safe_subject
from asynclog.render.mail_bytes import flattened, header_with_token, mail_bytes

POLICIES = pytest.mark.parametrize("policy", [SEVEN_BIT_POLICY, STDLIB_POLICY], ids=["7bit", "stdlib"])
BODIES = st.one_of(
    st.text(max_size=300),
    st.text("ab From.>=\n\r\t\x0b\x0c\x1c", max_size=300),
    st.lists(st.sampled_from(["From here", "", ".", "x" * 78, "x" * 79, "é", "\u2028", "\r", "a\rb"])).map("\n".join),
)


def by_email(headers, body, policy, *, utf8):
    message = EmailMessage(policy=policy)
    for name, value in headers:
        message[name] = value
    message.set_content(body)
    return flattened(message, policy, utf8=utf8)


@POLICIES
@pytest.mark.parametrize("utf8", [False, True])
@settings(max_examples=150, deadline=None)
@given(subject=st.text(max_size=200), body=BODIES)
@example(subject="From a", body="From a\nFrom b")
@example(subject="x" * 300, body="\n")
@example(subject="", body="")
def test_the_bytes_are_those_of_the_whole_message(policy, utf8, subject, body):
    headers = [("From", "Bö <bö@example.com>"), ("To", "a@example.com, b@example.com")]
    headers.append(("Subject", safe_subject(subject, policy)))
    headers += [("Date", "Sun, 22 Nov 2026 18:24:57 +0100"), ("X-Asynclog-Count", "1")]
    body = clean_body(body)
    for _ in range(2):  # made, and kept
        assert mail_bytes(headers, body, policy, utf8=utf8) == by_email(headers, body, policy, utf8=utf8)


@POLICIES
@pytest.mark.parametrize("host", ["example.com", "h" * 60 + ".example.com", "0" * 32 + ".example", "a b"])
@given(token=st.text("0123456789abcdef", min_size=32, max_size=32))
@settings(max_examples=20, deadline=None)
def test_a_message_id_is_the_one_that_email_writes(policy, host, token):
    for utf8 in (False, True):
        message = EmailMessage(policy=policy)
        message["Message-ID"] = f"<{token}@{host}>"
        whole = flattened(message, policy, utf8=utf8).removesuffix(b"\r\n")
        assert header_with_token("Message-ID", "<", token, f"@{host}>", policy, utf8) == whole
