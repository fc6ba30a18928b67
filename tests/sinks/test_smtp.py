"""SMTPSink against servers that behave: security, logging in, several hosts, one kept connection."""

from __future__ import annotations

import asyncio
import threading
import time

import jinja2
import pytest
from aiosmtpd.controller import Controller

import asynclog
from asynclog.render import templates_env
from asynclog.sinks import smtp_mailer, smtp_session
from asynclog.testing import faults
from asynclog.testing.smtpd import FaultSMTPServer, running_smtpd
from asynclog.values import Batch, Delivered, Rejected
from tests.sinks.smtp_kit import (
    CERTIFICATES,
    TO,
    WAYS,
    announce,
    batch,
    is_deferred,
    is_delivered,
    is_rejected,
    item,
    outcome,
    sink_to,
    told,
    until,
)


@pytest.fixture(autouse=True)
async def nothing_hangs():
    async with asyncio.timeout(60):
        yield


@pytest.fixture(autouse=True, params=WAYS)
def commands(request, monkeypatch):
    """Have every test's server announce PIPELINING, or not."""
    announce(request.param, monkeypatch)
    return request.param


async def test_a_batch_is_one_mail_with_its_count():
    async with FaultSMTPServer() as server:
        assert is_delivered(await outcome(sink_to(server), batch(*(item(f"record {n}") for n in range(7)))))
        (mail,) = server.mails
        assert mail.count == 7
        assert (mail.sender, mail.recipients) == ("app@example.com", (TO,))


async def test_without_digest_every_record_is_a_mail_over_one_connection():
    async with FaultSMTPServer() as server:
        sink = sink_to(server, digest=False)
        parts = await sink.deliver(batch(*(item(f"record {n}") for n in range(7))))
        await sink.aclose()
        assert [kind for kind, _, _ in told(parts)] == ["Delivered"] * 7
        assert [mail.message.get_content().strip() for mail in server.mails] == [f"record {n}" for n in range(7)]
        assert len(server.connections) == 1


async def test_without_digest_a_failure_defers_what_comes_after_it_and_not_what_came_before():
    async with FaultSMTPServer() as server:
        sink = sink_to(server, digest=False)
        server.behaviour = faults.greylists(lambda: len(server.mails) < 3)
        items = [item(f"record {n}") for n in range(7)]
        parts = await sink.deliver(batch(*items))
        await sink.aclose()
        assert [kind for kind, _, _ in told(parts)] == ["Delivered"] * 3 + ["RetryLater"]
        assert [one for part in parts for one in part.items] == items


@pytest.mark.parametrize("implicit", [True, False])
async def test_a_verified_certificate_carries_the_mail_and_the_login(implicit):
    context = CERTIFICATES.server()
    async with FaultSMTPServer(
        tls_context=context, implicit_tls=implicit, credentials={"app": "pässwort"}, requires_login=True
    ) as server:
        options = {} if implicit else {"security": "starttls"}
        sink = sink_to(server, tls_context=CERTIFICATES.client(), username="app", password="pässwort", **options)
        assert is_delivered(await outcome(sink))
        assert server.mails[0].tls
        assert server.mails[0].username == "app"
        assert {line.split()[0] for tls, line in server.lines if not tls} <= {"EHLO", "STARTTLS"}


async def test_security_none_sends_in_plain_text_though_tls_is_offered():
    async with FaultSMTPServer(tls_context=CERTIFICATES.server()) as server:
        assert is_delivered(await outcome(sink_to(server, security="none")))
        assert not server.mails[0].tls


@pytest.mark.parametrize("method", ["PLAIN", "LOGIN", "CRAM-MD5"])
async def test_logging_in_by_password(method):
    async with FaultSMTPServer(credentials={"app": "pässwort"}, auth_methods=[method], requires_login=True) as server:
        assert is_delivered(await outcome(sink_to(server, username="app", password="pässwort")))
        assert server.mails[0].username == "app"


async def test_a_server_that_wants_a_login_opens_the_circuit_when_there_is_none():
    async with FaultSMTPServer(credentials={"app": "p"}, requires_login=True) as server:
        assert is_deferred(await outcome(sink_to(server)), circuit=True)


async def test_a_server_that_offers_no_login_opens_the_circuit_and_gets_no_password():
    async with FaultSMTPServer() as server:
        assert is_deferred(await outcome(sink_to(server, username="app", password="p")), circuit=True)
        assert not [line for _, line in server.lines if line.startswith("AUTH")]
        verdict = await outcome(sink_to(server, username="app", token_provider=lambda: "t"))
        assert is_deferred(verdict, circuit=True)
        assert "XOAUTH2" in verdict.reason


def plain_token():
    return "t0ken"


async def async_token():
    return "t0ken"


class CallableToken:
    async def __call__(self):
        return b"t0ken"


@pytest.mark.parametrize("provider", [plain_token, async_token, CallableToken(), lambda: async_token()])
async def test_logging_in_by_token(provider):
    async with FaultSMTPServer(tokens={"app": "t0ken"}, requires_login=True) as server:
        assert is_delivered(await outcome(sink_to(server, username="app", token_provider=provider)))
        assert server.mails[0].username == "app"


async def test_a_refused_token_opens_the_circuit_and_is_not_quoted():
    async with FaultSMTPServer(tokens={"app": "t0ken"}) as server:
        verdict = await outcome(sink_to(server, username="app", token_provider=lambda: "wr0ng-secret"))
        assert is_deferred(verdict, circuit=True)
        assert "wr0ng-secret" not in verdict.reason


def raises(error):
    def provider():
        raise error

    return provider


@pytest.mark.parametrize(
    "provider",
    [raises(ValueError("t0ken-secret")), raises(SystemExit("t0ken-secret")), raises(KeyboardInterrupt()), lambda: None]
    + [lambda: "", lambda: 7, raises(StopIteration("t0ken-secret"))],
)
async def test_a_token_provider_that_fails_defers_and_leaks_nothing(provider):
    async with FaultSMTPServer(tokens={"app": "t0ken"}) as server:
        verdict = await outcome(sink_to(server, username="app", token_provider=provider))
        assert is_deferred(verdict)
        assert "token_provider" in verdict.reason
        assert "secret" not in verdict.reason


async def test_a_token_provider_that_blocks_does_not_block_the_loop():
    release = threading.Event()

    def blocks():
        release.wait(30)
        return "t0ken"

    async with FaultSMTPServer(tokens={"app": "t0ken"}) as server:
        sink = sink_to(server, username="app", token_provider=blocks, timeout=0.5)
        began = time.monotonic()
        verdict = (await sink.deliver(batch()))[0].verdict
        assert is_deferred(verdict)
        assert "token" in verdict.reason
        assert time.monotonic() - began < 15
        release.set()
        assert is_delivered(await outcome(sink))


@pytest.mark.parametrize(
    "echo",
    ["535 AUTH PLAIN AGFwcABzM2NyZXQtcGFzcw==", "535 s3cret-pass is wrong", "500 what is YXBw czNjcmV0LXBhc3M="],
)
async def test_a_server_that_quotes_the_password_back_is_not_quoted(echo):
    async with FaultSMTPServer(
        faults.answers({"AUTH": echo}), credentials={"app": "x"}, auth_methods=["PLAIN"]
    ) as server:
        verdict = await outcome(sink_to(server, username="app", password="s3cret-pass"))
        for form in ("s3cret-pass", "AGFwcABzM2NyZXQtcGFzcw", "czNjcmV0LXBhc3M"):
            assert form not in verdict.reason


async def test_the_next_server_is_tried_when_one_does_not_answer():
    async with FaultSMTPServer(faults.silent()) as dead, FaultSMTPServer() as living:
        assert is_delivered(await outcome(sink_to([dead.url, living.url], timeout=2)))
        assert len(living.mails) == 1
        assert dead.connections


async def test_a_server_that_always_fails_in_the_middle_does_not_keep_the_next_from_being_asked():
    async with FaultSMTPServer(faults.aborts_at("MAIL")) as bad, FaultSMTPServer() as good:
        sink, what = sink_to([bad.url, good.url]), batch()
        assert is_deferred((await sink.deliver(what))[0].verdict)
        assert is_delivered(await outcome(sink, what))
        assert len(good.mails) == 1


async def test_when_every_server_fails_each_is_named_and_the_circuit_opens_only_for_all():
    async with FaultSMTPServer(faults.greets_with("554 no")) as one, FaultSMTPServer(faults.refusing()) as two:
        verdict = await outcome(sink_to([one.url, two.url]))
        assert is_deferred(verdict)
        assert "554 no" in verdict.reason
        assert "refused" in verdict.reason.lower()


async def test_an_address_that_refuses_costs_no_attempt_when_the_name_has_another(monkeypatch):
    import socket

    async with FaultSMTPServer() as server:

        async def two(host, port, **_):
            kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
            return [(*kind, ("127.0.0.1", 1)), (*kind, ("127.0.0.1", port))]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", two)
        assert is_delivered(await outcome(sink_to(f"smtp://localhost:{server.port}")))


async def test_the_connection_is_kept_while_batches_flow_and_left_with_quit():
    async with FaultSMTPServer() as server:
        sink = sink_to(server)
        for _ in range(5):
            assert is_delivered((await sink.deliver(batch()))[0].verdict)
        assert len(server.connections) == 1
        await sink.aclose()
        await until(lambda: server.lines[-1][1] == "QUIT")


async def test_a_connection_is_left_when_nothing_more_comes(monkeypatch):
    monkeypatch.setattr(smtp_mailer, "IDLE", 0.05)
    async with FaultSMTPServer() as server:
        sink = sink_to(server)
        assert is_delivered((await sink.deliver(batch()))[0].verdict)
        await until(lambda: server.lines[-1][1] == "QUIT")
        assert is_delivered(await outcome(sink))
        assert len(server.connections) == 2


async def test_a_connection_too_old_is_not_used_again(monkeypatch):
    monkeypatch.setattr(smtp_session, "IDLE", 0.0)
    async with FaultSMTPServer() as server:
        sink = sink_to(server)
        assert is_delivered((await sink.deliver(batch()))[0].verdict)
        assert is_delivered(await outcome(sink))
        assert len(server.connections) == 2


@pytest.mark.parametrize("at", ["MAIL", "RCPT", "DATA"])
async def test_a_kept_connection_that_has_gone_costs_a_connection_and_not_an_attempt(at):
    async with FaultSMTPServer() as server:
        sink = sink_to(server)
        assert is_delivered((await sink.deliver(batch()))[0].verdict)
        server.connections[0].behaviour = faults.aborts_at(at)
        assert is_delivered(await outcome(sink))
        assert len(server.mails) == 2
        assert len(server.connections) == 2


async def test_a_kept_connection_that_the_server_closed_meanwhile_costs_no_attempt():
    async with FaultSMTPServer() as server:
        sink = sink_to(server)
        assert is_delivered((await sink.deliver(batch()))[0].verdict)
        server.connections[0].writer.transport.abort()
        assert is_delivered(await outcome(sink))
        assert len(server.mails) == 2


async def test_a_fresh_connection_that_fails_is_not_tried_again_at_once():
    async with FaultSMTPServer(faults.aborts_at("MAIL")) as server:
        assert is_deferred(await outcome(sink_to(server)))
        assert len(server.connections) == 1


async def test_after_a_fork_the_parents_connection_is_not_used():
    async with FaultSMTPServer() as server:
        sink = sink_to(server)
        assert is_delivered((await sink.deliver(batch()))[0].verdict)
        sink.after_fork()
        assert "QUIT" not in [line for _, line in server.lines]
        assert is_delivered(await outcome(sink))
        assert len(server.connections) == 2


def test_a_sink_goes_on_in_another_loop():
    with running_smtpd() as server:
        sink = sink_to(server)
        assert asyncio.run(sink.deliver(batch()))[0].verdict == Delivered()
        assert asyncio.run(sink.deliver(batch()))[0].verdict == Delivered()
        assert len(server.mails) == 2


async def test_a_refused_sender_is_final_for_the_mail():
    async with FaultSMTPServer(faults.answers({"MAIL": "550 5.7.1 not you"})) as server:
        assert is_rejected(await outcome(sink_to(server)))


async def test_recipients_that_a_retry_leaves_out_get_nothing():
    async with FaultSMTPServer() as server:
        sink = sink_to(server, recipients=["one@example.com", "two@example.com"])
        what = batch()
        parts = await sink.deliver(Batch(what.id, what.items, 1, ("two@example.com",)))
        assert told(parts) == [("Delivered", ["it broke"], ("two@example.com",))]
        assert server.mails[0].recipients == ("two@example.com",)
        parts = await sink.deliver(Batch("other", what.items, 1, ("gone@example.com",)))
        assert isinstance(parts[0].verdict, Rejected)
        await sink.aclose()
        assert len(server.mails) == 1


async def test_non_ascii_addresses_go_over_smtputf8_where_it_is_offered():
    async with FaultSMTPServer() as server:
        assert is_delivered(await outcome(sink_to(server, recipients="jürgen@bücher.example")))
        assert server.mails[0].recipients == ("jürgen@bücher.example",)
        assert "SMTPUTF8" in server.mails[0].options


async def test_without_smtputf8_domains_are_encoded_and_other_recipients_are_served():
    async with FaultSMTPServer(offers=()) as server:
        sink = sink_to(server, recipients=["jürgen@example.com", "ops@bücher.example"])
        parts = await sink.deliver(batch())
        await sink.aclose()
        assert [kind for kind, _, _ in told(parts)] == ["Delivered", "Rejected"]
        assert "SMTPUTF8" in parts[1].verdict.reason
        assert server.mails[0].recipients == ("ops@xn--bcher-kva.example",)
        assert server.mails[0].data.isascii()
        assert is_rejected(await outcome(sink_to(server, sender="jürgen@example.com")))


async def test_a_server_from_before_ehlo_is_greeted_the_old_way():
    async with FaultSMTPServer(faults.answers({"EHLO": "500 what"})) as server:
        assert is_delivered(await outcome(sink_to(server)))


async def test_lines_that_begin_with_a_dot_arrive_as_they_were():
    text = ".\n..\n.x\nplain\n."
    async with FaultSMTPServer() as server:
        assert is_delivered(await outcome(sink_to(server), batch(item(text))))
        assert server.mails[0].message.get_content().replace("\r\n", "\n") == text + "\n"


async def test_the_own_name_is_never_looked_up(monkeypatch):
    import socket

    def looked_up(*_):
        raise AssertionError("looked up")

    async with FaultSMTPServer() as server:
        monkeypatch.setattr(socket, "getfqdn", looked_up)
        monkeypatch.setattr(socket, "gethostname", lambda: "häß\nlich")
        assert is_delivered(await outcome(sink_to(server)))
        assert server.lines[0][1] == "EHLO [127.0.0.1]"
        monkeypatch.setattr(socket, "gethostname", lambda: "web-1.example.com")
        assert is_delivered(await outcome(sink_to(server)))
        assert (False, "EHLO web-1.example.com") in server.lines


async def test_a_behaviour_is_switched_while_the_server_runs():
    async with FaultSMTPServer() as server:
        for behaviour, expected in [
            (faults.refusing(), "RetryLater"),
            (faults.slow(0.01), "Delivered"),
            (faults.silent(), "RetryLater"),
            (faults.healthy(), "Delivered"),
        ]:
            server.behaviour = behaviour
            sink = sink_to(server, timeout=1)
            parts = await sink.deliver(batch())
            await sink.aclose()
            assert told(parts)[0][0] == expected


class Kept:
    def __init__(self):
        self.envelopes = []

    async def handle_DATA(self, server, session, envelope):
        self.envelopes.append(envelope)
        return "250 OK"


async def test_the_ordinary_path_with_aiosmtpd():
    kept = Kept()
    controller = Controller(kept, hostname="127.0.0.1", port=_free_port())
    controller.start()
    try:
        sink = sink_to(f"smtp://127.0.0.1:{controller.port}", recipients=[TO, "two@example.com"])
        for n in range(3):
            assert is_delivered((await sink.deliver(batch(item(f"grüße {n}"))))[0].verdict)
        await sink.aclose()
    finally:
        controller.stop()
    assert [envelope.rcpt_tos for envelope in kept.envelopes] == [[TO, "two@example.com"]] * 3


def _free_port():
    import socket

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


async def test_a_name_that_is_not_ascii_needs_no_smtputf8():
    async with FaultSMTPServer(offers=("PIPELINING", "8BITMIME", "SMTPUTF8")) as server:
        assert is_delivered(await outcome(sink_to(server, sender="Zoë Müller <errors@example.com>")))
        (mail_from,) = (line for _, line in server.lines if line.startswith("MAIL"))
        assert "SMTPUTF8" not in mail_from
        assert server.mails[0].data.isascii()


async def test_a_build_without_the_templates_sends_its_mails_in_plain_text(monkeypatch, logger):
    def gone(*_):
        raise ValueError("no templates directory")

    monkeypatch.setattr(jinja2, "PackageLoader", gone)
    templates_env.standard_templates.cache_clear()
    async with FaultSMTPServer() as server:
        handler = asynclog.wrap(asynclog.SMTPSink(server.url, sender="a@example.com", recipients=[TO]))
        logger.addHandler(handler)
        try:
            raise ValueError("it broke")
        except ValueError:
            logger.exception("an order failed")
        assert await handler.listener.aflush(20)
        await handler.listener.astop()
        assert "ValueError: it broke" in server.mails[0].message.get_body().get_content()
        assert handler.listener.stats()["errors"]["template_error"] == 1
