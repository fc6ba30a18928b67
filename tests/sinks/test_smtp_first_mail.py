"""What stands between a record and its first mail: little, since beside busy threads each step costs 40 ms."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest

from asynclog.render import templates_env
from asynclog.render.digest_mail import DigestRenderer
from asynclog.sinks import smtp_session
from asynclog.testing import faults
from asynclog.testing.smtpd import FaultSMTPServer
from asynclog.values import Delivered, RetryLater
from tests.faults.interpreters import VERSIONS, interpreter, run
from tests.render.mail_samples import digest, group
from tests.sinks.smtp_kit import batch, is_deferred, is_delivered, outcome, sink_to


@pytest.fixture(autouse=True)
async def nothing_hangs():
    async with asyncio.timeout(60):
        yield


def digest_batch(**fields):
    one = digest(group())
    return batch(*one.items, digest=one, **fields)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_first_mail_has_nothing_read_or_imported(version, tmp_path):
    # An audit hook hears of each file that is opened and each import, on whatever thread.
    script = """
import logging, sys, asynclog
from asynclog.testing.smtpd import running_smtpd
heard, listening = [], False
def hear(event, args):
    if listening and event in ("open", "import"):
        heard.append(args[0])
sys.addaudithook(hear)
deliver = asynclog.SMTPSink.deliver
async def heard_deliver(self, batch):
    global listening
    listening = True
    try:
        return await deliver(self, batch)
    finally:
        listening = False
asynclog.SMTPSink.deliver = heard_deliver
with running_smtpd() as server:
    handler = asynclog.wrap(asynclog.SMTPSink(server.url, sender="a@example.com", recipients="b@example.com"))
    logger = logging.getLogger("shop")
    logger.addHandler(handler)
    try:
        {}["a"]
    except KeyError:
        logger.exception("first")
    assert handler.listener.flush(30)
    print(len(server.mails), "heard:", heard)
    handler.listener.stop(5)
"""
    ended = run(script, python=interpreter(version), folder=tmp_path)
    assert "1 heard: []" in ended.out, ended


def test_the_templates_are_compiled_once_and_when_a_sink_is_made(monkeypatch):
    templates_env.standard_templates.cache_clear()
    made = []
    compiled = templates_env.Templates.prepare
    monkeypatch.setattr(templates_env.Templates, "prepare", lambda self: (made.append(self), compiled(self)))
    for _ in range(2):
        sink_to("smtp://127.0.0.1")
    assert len(made) == 1
    templates_env.standard_templates.cache_clear()
    sink_to("smtp://127.0.0.1", digest=False)  # never lays a mail out
    assert len(made) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_an_address_is_not_looked_up(host, monkeypatch):
    async def looked_up(*_, **__):
        raise AssertionError("looked up")

    if host == "::1" and not _has_ipv6():
        pytest.skip("no IPv6 on this machine")
    async with FaultSMTPServer(host=host) as server:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", looked_up)
        monkeypatch.setattr(socket, "gethostname", lambda: "web")  # no domain, so the address is said
        url = f"smtp://[{host}]:{server.port}" if ":" in host else f"smtp://{host}:{server.port}"
        assert is_delivered(await outcome(sink_to(url, security="none")))
        assert server.lines[0][1] == ("EHLO [IPv6:::1]" if ":" in host else "EHLO [127.0.0.1]")


def _has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize("host", ["mail.example.com", "127.1", "fe80::1%eth0", "1.2.3", "0x7f.1"])
def test_what_is_no_plain_address_is_a_name(host):
    assert smtp_session._literal(host, 25) == []


async def test_a_digest_is_laid_out_while_the_connection_is_made(monkeypatch):
    greeted, rendered = asyncio.Event(), threading.Event()
    render = DigestRenderer.render

    def rendering(*args, **keywords):
        try:
            return render(*args, **keywords)
        finally:
            rendered.set()

    async def connect(connection, argument):
        assert await asyncio.to_thread(rendered.wait, 20)  # the greeting waits for the mail
        greeted.set()
        await connection.ordinary("connect", argument)

    monkeypatch.setattr(DigestRenderer, "render", rendering)
    async with FaultSMTPServer(faults.Behaviour("greets late", {"connect": connect})) as server:
        assert is_delivered(await outcome(sink_to(server), digest_batch()))
        assert greeted.is_set()
        assert len(server.mails) == 1


async def test_a_digest_that_no_server_is_there_for_defers_without_a_warning(caplog):
    async with FaultSMTPServer(faults.refusing()) as server:
        assert is_deferred(await outcome(sink_to(server), digest_batch()))
    assert not caplog.records


async def test_a_layout_slower_than_the_deadline_defers_and_says_that_no_server_was_asked(monkeypatch):
    hold = threading.Event()
    render = DigestRenderer.render

    def slow(*args, **keywords):
        hold.wait(20)
        return render(*args, **keywords)

    monkeypatch.setattr(DigestRenderer, "render", slow)
    async with FaultSMTPServer() as server:
        sink = sink_to(server, timeout=0.5)
        try:
            verdict = (await sink.deliver(digest_batch()))[0].verdict
        finally:
            hold.set()
        assert isinstance(verdict, RetryLater)
        assert "before a mail server was asked" in verdict.reason
        # The connection stands and nothing was said over it: the next mail takes it.
        assert (await sink.deliver(digest_batch()))[0].verdict == Delivered()
        await sink.aclose()
        assert len(server.connections) == 1


async def test_a_cancellation_while_the_mail_is_laid_out_spoils_nothing(monkeypatch):
    hold, begun = threading.Event(), threading.Event()
    render = DigestRenderer.render

    def slow(*args, **keywords):
        begun.set()
        hold.wait(20)
        return render(*args, **keywords)

    monkeypatch.setattr(DigestRenderer, "render", slow)
    async with FaultSMTPServer() as server:
        sink, what = sink_to(server), digest_batch()
        task = asyncio.create_task(sink.deliver(what))
        assert await asyncio.to_thread(begun.wait, 20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        hold.set()
        assert is_delivered(await outcome(sink, what))
        assert len(server.mails) == 1
