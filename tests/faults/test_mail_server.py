"""FAULTS, rows 1 to 27: what a mail server can do, and what must come of it.

D: deferred; F: dead-lettered; A: ambiguous, retried under the same Message-ID; C: circuit open.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import socket
import time
import tracemalloc
import types

import pytest

from asynclog.testing import faults
from asynclog.testing.smtpd import FaultSMTPServer
from asynclog.values import Batch, Delivered, Rejected, RetryLater
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

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")
SHORT = 0.6  # seconds of a deadline that is to pass
HANGING = 15.0  # seconds after which something hangs that should not


@pytest.fixture(autouse=True)
async def nothing_hangs():
    async with asyncio.timeout(60):
        yield


@pytest.fixture(autouse=True, params=WAYS)
def commands(request, monkeypatch):
    """Have every test's server announce PIPELINING, or not."""
    announce(request.param, monkeypatch)
    return request.param


async def test_row_01_a_closed_port_defers():
    async with FaultSMTPServer(faults.refusing()) as server:
        assert is_deferred(await outcome(sink_to(server)))


async def test_row_01_a_port_that_opens_again_gets_the_same_mail_later():
    async with FaultSMTPServer(faults.refusing()) as server:
        sink, what = sink_to(server), batch()
        assert told(await sink.deliver(what))[0][0] == "RetryLater"
        server.behaviour = faults.healthy()
        assert is_delivered(await outcome(sink, what))
        assert len(server.mails) == 1


async def test_row_02_no_greeting_defers_at_the_deadline():
    async with FaultSMTPServer(faults.silent()) as server:
        began = time.monotonic()
        assert is_deferred(await outcome(sink_to(server, timeout=SHORT)))
        assert time.monotonic() - began < HANGING


async def test_row_02_closing_during_the_wait_ends_it_at_once():
    async with FaultSMTPServer(faults.silent()) as server:
        sink = sink_to(server, timeout=50)
        task = asyncio.create_task(sink.deliver(batch()))
        await until(lambda: server.connections)
        began = time.monotonic()
        await sink.aclose()
        parts = await task
        assert is_deferred(parts[0].verdict)
        assert time.monotonic() - began < HANGING


async def test_row_03_a_greeting_at_nine_tenths_of_the_deadline_is_in_time():
    async with FaultSMTPServer(faults.late_greeting(3.6)) as server:
        assert is_delivered(await outcome(sink_to(server, timeout=4.0)))


async def test_row_04_a_greeting_of_421_defers_and_of_554_opens_the_circuit():
    async with FaultSMTPServer(faults.greets_with("421 too busy")) as server:
        assert is_deferred(await outcome(sink_to(server)))
        server.behaviour = faults.greets_with("554 we don't talk to you")
        assert is_deferred(await outcome(sink_to(server)), circuit=True)


async def test_row_05_a_reset_right_after_accept_defers():
    async with FaultSMTPServer(faults.resets_at_accept()) as server:
        assert is_deferred(await outcome(sink_to(server)))


async def test_row_06_a_backlog_that_never_empties_defers_at_the_deadline():
    with faults.full_backlog() as port:
        assert is_deferred(await outcome(sink_to(f"smtp://127.0.0.1:{port}", timeout=SHORT)))


def is_closed(connection):
    return connection.reader.at_eof() or connection.reader.exception() is not None


@pytest.mark.parametrize("command", ["EHLO", "MAIL", "RCPT"])
async def test_row_07_a_server_that_stops_defers_and_its_connection_is_thrown_away(command):
    async with FaultSMTPServer(script=[faults.stops_after(command)]) as server:
        sink, what = sink_to(server, timeout=SHORT), batch()
        assert is_deferred((await sink.deliver(what))[0].verdict)
        await until(lambda: is_closed(server.connections[0]))
        assert is_delivered(await outcome(sink, what))
        assert len(server.connections) == 2
        assert len(server.mails) == 1


@pytest.mark.parametrize("command", ["EHLO", "MAIL", "RCPT", "DATA"])
async def test_row_08_an_abort_before_the_text_defers_without_a_duplicate(command):
    async with FaultSMTPServer(script=[faults.aborts_at(command)]) as server:
        sink, what = sink_to(server), batch()
        assert is_deferred((await sink.deliver(what))[0].verdict)
        assert is_delivered(await outcome(sink, what))
        assert len(server.mails) == 1


async def test_row_08_an_abort_after_any_byte_of_the_text_defers_without_a_duplicate():
    async with FaultSMTPServer() as server:
        what = batch(item("short"))
        assert is_delivered(await outcome(sink_to(server), what))
        length = len(server.mails.pop().data)
        for after in range(1, length + 3):  # up to the final dot, its line end not yet read
            server.behaviour = faults.aborts_in_text(after)
            sink = sink_to(server)
            assert is_deferred((await sink.deliver(what))[0].verdict)
            assert not server.mails
            server.behaviour = faults.healthy()
            assert is_delivered(await outcome(sink, what))
            assert len(server.mails) == 1
            server.mails.clear()


async def test_row_09_a_mail_stored_without_a_reply_is_sent_again_under_the_same_message_id():
    async with FaultSMTPServer(script=[faults.stores_and_closes()]) as server:
        sink, what = sink_to(server), batch()
        assert is_deferred((await sink.deliver(what))[0].verdict)
        assert is_delivered(await outcome(sink, what))
        first, second = server.mails
        assert first.message_id == second.message_id
        assert first.data == second.data


async def test_row_10_a_late_reply_is_never_taken_for_another_commands():
    # The late 250 would turn the second connection's refusal into "delivered".
    late, refuses = faults.stores_and_answers_late(SHORT * 2), faults.answers({"message": "554 no"})
    async with FaultSMTPServer(script=[late, refuses]) as server:
        sink, what = sink_to(server, timeout=SHORT), batch()
        assert is_deferred((await sink.deliver(what))[0].verdict)
        assert is_rejected(await outcome(sink, what))
        assert len(server.connections) == 2


async def test_row_11_a_421_after_some_mails_costs_a_connection_and_not_an_attempt():
    async with FaultSMTPServer(faults.closes_after(2)) as server:
        sink = sink_to(server)
        for _ in range(5):
            assert is_delivered((await sink.deliver(batch()))[0].verdict)
        await sink.aclose()
        assert len(server.mails) == 5
        assert [connection.stored for connection in server.connections] == [2, 2, 1]


async def test_row_12_greylisting_defers_and_later_delivers_once():
    passed = False
    async with FaultSMTPServer(faults.greylists(lambda: passed, "450 greylisted, try again in 5 minutes")) as server:
        sink, what = sink_to(server), batch()
        for _ in range(3):
            verdict = (await sink.deliver(what))[0].verdict
            assert is_deferred(verdict)
            assert verdict.after == 300.0
        passed = True
        assert is_delivered(await outcome(sink, what))
        assert len(server.mails) == 1


async def test_row_13_recipients_over_the_servers_limit_are_split_off_and_deferred():
    everyone = [f"ops{n}@example.com" for n in range(5)]
    async with FaultSMTPServer(faults.limits_recipients(2)) as server:
        sink, what = sink_to(server, recipients=everyone), batch()
        parts = await sink.deliver(what)
        assert told(parts) == [
            ("Delivered", ["it broke"], tuple(everyone[:2])),
            ("RetryLater", ["it broke"], tuple(everyone[2:])),
        ]
        parts = await sink.deliver(Batch(what.id, what.items, 1, parts[1].recipients))
        parts = await sink.deliver(Batch(what.id, what.items, 2, parts[1].recipients))
        assert told(parts) == [("Delivered", ["it broke"], (everyone[4],))]
        await sink.aclose()
        served = [recipient for mail in server.mails for recipient in mail.recipients]
        assert served == everyone
        assert len({mail.message_id for mail in server.mails}) == 1


async def test_row_14_one_refused_recipient_is_reported_and_the_others_served_once():
    gone = "gone@example.com"
    async with FaultSMTPServer(faults.refuses_recipients({gone: "550 5.1.1 no such user"})) as server:
        sink = sink_to(server, recipients=[gone, TO])
        parts = await sink.deliver(batch())
        await sink.aclose()
        assert told(parts) == [("Delivered", ["it broke"], (TO,)), ("Rejected", ["it broke"], (gone,))]
        assert "550 5.1.1 no such user" in parts[1].verdict.reason
        assert parts[1].verdict.payload == server.mails[0].data
        assert [mail.recipients for mail in server.mails] == [(TO,)]


async def test_row_15_a_refusal_of_all_recipients_or_of_the_text_is_final():
    async with FaultSMTPServer(faults.answers({"RCPT": "550 nobody here"})) as server:
        verdict = await outcome(sink_to(server, recipients=[TO, "two@example.com"]))
        assert is_rejected(verdict)
        server.behaviour = faults.answers({"message": "554 spam"})
        verdict = await outcome(sink_to(server))
        assert is_rejected(verdict)
        assert "554 spam" in verdict.reason
        assert b"it broke" in verdict.payload
        assert not server.mails


@pytest.mark.parametrize("at", ["MAIL", "message"])
async def test_row_16_a_mail_too_large_is_cut_once_with_a_note(at):
    async with FaultSMTPServer(faults.refuses_large(30_000, at)) as server:
        assert is_delivered(await outcome(sink_to(server), batch(item("long line\n" * 10_000))))
        assert "cut here" in server.mails[0].message.get_content()


@pytest.mark.parametrize("at", ["MAIL", "message"])
async def test_row_16_a_mail_too_large_even_when_cut_is_dead_lettered_and_not_tried_on(at, commands):
    async with FaultSMTPServer(faults.refuses_large(10, at)) as server:
        verdict = await outcome(sink_to(server), batch(*(item(f"{n} " * 3000) for n in range(50))))
        assert is_rejected(verdict)
        assert "552" in verdict.reason
        # A sender refused among commands that went together is asked again, one by one.
        twice = at == "MAIL" and commands == "together"
        assert len([line for _, line in server.lines if line.startswith("MAIL")]) == (4 if twice else 2)


@pytest.mark.parametrize("poison", [0, 1, 57, 99])
async def test_row_17_only_the_record_that_the_server_cannot_stand_is_dead_lettered(poison):
    items = [item(f"record {n:03d}") for n in range(100)]
    async with FaultSMTPServer(faults.refuses_text_with(f"record {poison:03d}")) as server:
        sink = sink_to(server)
        parts = await sink.deliver(batch(*items))
        await sink.aclose()
        rejected = [one for part in parts if isinstance(part.verdict, Rejected) for one in part.items]
        delivered = [one for part in parts if isinstance(part.verdict, Delivered) for one in part.items]
        assert rejected == [items[poison]]
        assert sorted(one.text for one in delivered) == [one.text for one in items if one is not items[poison]]
        assert sum(mail.count for mail in server.mails) == 99
        assert len({mail.message_id for mail in server.mails}) == len(server.mails)


async def test_row_17_a_server_that_refuses_everything_is_not_asked_for_ever():
    async with FaultSMTPServer(faults.answers({"message": "554 no"})) as server:
        parts = await sink_to(server).deliver(batch(*(item(f"record {n}") for n in range(1000))))
        assert all(isinstance(part.verdict, Rejected) for part in parts)
        assert sum(len(part.items) for part in parts) == 1000
        assert len([line for _, line in server.lines if line == "DATA"]) <= 4 * 10 + 8


async def test_row_17_what_a_bounded_search_leaves_over_comes_again_later_and_ends():
    items = [item(f"record {n:03d}" + (" poison" if n % 10 == 0 else "")) for n in range(200)]
    async with FaultSMTPServer(faults.refuses_text_with("poison")) as server:
        sink, left, fate = sink_to(server), tuple(items), {}
        for attempt in range(30):
            if not left:
                break
            parts = await sink.deliver(Batch("b", left, attempt))
            assert sum(len(part.items) for part in parts) == len(left)
            fate |= {one.text: part.verdict for part in parts for one in part.items}
            left = tuple(one for part in parts if isinstance(part.verdict, RetryLater) for one in part.items)
        await sink.aclose()
        assert not left
        assert {text for text, verdict in fate.items() if isinstance(verdict, Rejected)} == {
            one.text for one in items if "poison" in one.text
        }
        assert sum(mail.count for mail in server.mails) == 180


async def test_row_18_a_refused_login_opens_the_circuit_and_a_temporary_one_defers():
    async with FaultSMTPServer(credentials={"app": "right"}) as server:
        sink = sink_to(server, username="app", password="wrong-secret")
        verdict = await outcome(sink)
        assert is_deferred(verdict, circuit=True)
        assert "535" in verdict.reason
        assert "wrong-secret" not in verdict.reason
        server.behaviour = faults.answers({"AUTH": "454 4.7.0 temporary"})
        assert is_deferred(await outcome(sink_to(server, username="app", password="right")))
        assert not server.mails


STARTTLS = {"security": "starttls", "tls_context": CERTIFICATES.client()}


@pytest.mark.parametrize(
    "behaviour",
    [faults.hides_starttls(), faults.answers({"STARTTLS": "454 not now"}), faults.hangs_in_handshake()],
    ids=lambda behaviour: behaviour.name,
)
@pytest.mark.parametrize("login", [{}, {"username": "app", "password": "s3cret"}], ids=["no login", "login"])
async def test_row_19_without_starttls_the_circuit_opens_and_nothing_leaves_in_plain_text(behaviour, login):
    async with FaultSMTPServer(behaviour, tls_context=CERTIFICATES.server(), credentials={"app": "s3cret"}) as server:
        sink = sink_to(server, timeout=SHORT, **login, **STARTTLS)
        assert is_deferred(await outcome(sink), circuit=True)
        assert not server.mails
        assert {line.split()[0] for _, line in server.lines} <= {"EHLO", "STARTTLS", "QUIT"}


@pytest.mark.parametrize("kind", ["wrong host", "unknown authority"])
@pytest.mark.parametrize("implicit", [True, False])
async def test_row_19_a_bad_certificate_opens_the_circuit_and_nothing_leaves(kind, implicit):
    import trustme

    context = (
        CERTIFICATES.server("other.example.com")
        if kind == "wrong host"
        else CERTIFICATES.server(authority=trustme.CA())
    )
    async with FaultSMTPServer(tls_context=context, implicit_tls=implicit, credentials={"app": "s3cret"}) as server:
        options = {"tls_context": CERTIFICATES.client()} if implicit else STARTTLS
        verdict = await outcome(sink_to(server, username="app", password="s3cret", **options))
        assert is_deferred(verdict, circuit=True)
        assert "TLS failed" in verdict.reason
        assert not server.mails
        assert {line.split()[0] for _, line in server.lines} <= {"EHLO", "STARTTLS"}


async def test_row_19_a_hung_handshake_of_tls_from_the_start_opens_the_circuit():
    async with FaultSMTPServer(faults.silent()) as server:
        url = f"smtps://127.0.0.1:{server.port}"
        assert is_deferred(await outcome(sink_to(url, timeout=SHORT)), circuit=True)


async def test_row_20_a_reply_injected_before_tls_is_ignored():
    async with FaultSMTPServer(faults.injects_before_tls(), tls_context=CERTIFICATES.server()) as server:
        assert is_delivered(await outcome(sink_to(server, **STARTTLS)))
        assert server.mails[0].tls


async def test_row_21_replies_a_byte_at_a_time_and_in_several_lines_are_normal():
    async with FaultSMTPServer(faults.dribbles(), credentials={"app": "right"}) as server:
        assert is_delivered(await outcome(sink_to(server, username="app", password="right")))
        assert len(server.mails) == 1


@pytest.mark.parametrize("command", ["connect", "EHLO", "MAIL", "RCPT", "message"])
@pytest.mark.parametrize(
    "reply", [b"x" * 100_000, b"hello there\r\n", b"\xff\xfe\xff\r\n", b"\r\n\r\n", b"99 bottles\r\n", b"999 what\r\n"]
)
async def test_row_22_what_is_no_reply_defers_and_closes(command, reply):
    async with FaultSMTPServer(faults.answers_raw(command, reply)) as server:
        assert is_deferred(await outcome(sink_to(server)))
        assert not server.mails


@pytest.mark.parametrize("command", ["connect", "MAIL", "message"])
@pytest.mark.parametrize("chunk", [b"250-more\r\n" * 1000, b"x" * 10_000])
async def test_row_22_an_endless_reply_defers_in_bounded_memory(command, chunk):
    async with FaultSMTPServer(faults.floods(command, chunk)) as server:
        assert is_deferred(await outcome(sink_to(server, timeout=5)))  # imports are counted before
        tracemalloc.start()
        try:
            assert is_deferred(await outcome(sink_to(server, timeout=5)))
            assert tracemalloc.get_traced_memory()[1] < 8_000_000
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("together", [True, False])
async def test_row_23_replies_that_nobody_asked_for_are_harmless(together):
    async with FaultSMTPServer(faults.chatters(together=together)) as server:
        sink = sink_to(server, recipients=[TO, "two@example.com"])
        for _ in range(3):
            assert (await sink.deliver(batch()))[0].verdict == Delivered() or not together
        await sink.aclose()


async def test_row_23_an_extra_reply_never_turns_a_refusal_into_a_delivery():
    class Both:
        hooks = faults.chatters().hooks | faults.answers({"message": "554 no"}).hooks

    behaviour = faults.Behaviour("chatters and refuses", Both.hooks)
    async with FaultSMTPServer(behaviour) as server:
        assert is_rejected(await outcome(sink_to(server)))


async def test_row_24_tls_dropped_at_quit_counts_as_delivered_and_does_not_hang():
    context = CERTIFICATES.server()
    async with FaultSMTPServer(faults.drops_at_quit(), tls_context=context, implicit_tls=True) as server:
        began = time.monotonic()
        assert is_delivered(await outcome(sink_to(server, tls_context=CERTIFICATES.client())))
        assert time.monotonic() - began < HANGING


async def test_row_24_a_quit_that_is_never_answered_does_not_hang():
    async with FaultSMTPServer(faults.answers_raw("QUIT", b"")) as server:
        began = time.monotonic()
        assert is_delivered(await outcome(sink_to(server)))
        assert time.monotonic() - began < HANGING


async def test_row_25_a_server_that_reads_a_byte_a_second_is_left_at_the_deadline():
    async with FaultSMTPServer(faults.reads_slowly()) as server:
        began = time.monotonic()
        verdict = await outcome(sink_to(server, timeout=4.0), batch(item("a line of text\n" * 400_000)))
        assert is_deferred(verdict)
        assert "message" in verdict.reason
        assert time.monotonic() - began < HANGING


async def test_row_26_a_name_that_is_never_resolved_defers_at_the_deadline(monkeypatch):
    async def hangs(*_, **__):
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", hangs)
    sink = sink_to("smtp://mail.example.com", security="none", timeout=SHORT)
    verdict = await outcome(sink)
    assert is_deferred(verdict)
    assert "name look-up" in verdict.reason


async def test_row_26_a_name_that_does_not_exist_defers(monkeypatch):
    async def fails(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", fails)
    verdict = await outcome(sink_to("smtp://mail.example.com", security="none"))
    assert is_deferred(verdict)
    assert "Name or service not known" in verdict.reason


@types.coroutine
def cancelled_at(awaitable, await_, late):
    """Run a coroutine and cancel it at its n-th await: before what it waits for, or just after it came."""
    steps, seen, send = awaitable.__await__(), 0, lambda: steps.send(None)
    while True:
        try:
            future = send()
        except StopIteration as done:
            return done.value
        seen += 1
        if seen == await_ and not late:
            asyncio.current_task().cancel()
        try:
            yield future
            if seen == await_ and late:
                raise asyncio.CancelledError
        except BaseException as error:
            send = functools.partial(steps.throw, error)
        else:
            send = functools.partial(steps.send, None)


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("kept", [False, True], ids=["new connection", "kept connection"])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "starttls"])
async def test_row_27_a_cancellation_at_every_await_throws_the_connection_away(kept, tls, late):
    options = STARTTLS if tls else {}
    async with FaultSMTPServer(tls_context=CERTIFICATES.server() if tls else None) as server:
        for await_ in range(1, 1000):
            sink, what = sink_to(server, recipients=[TO, "two@example.com"], **options), batch()
            if kept:
                assert is_delivered((await sink.deliver(batch()))[0].verdict)
            server.mails.clear()
            try:
                await asyncio.create_task(_coroutine(cancelled_at(sink.deliver(what), await_, late)))
            except asyncio.CancelledError:
                finished = False
            else:
                finished = True
                assert len(server.mails) == 1
            assert is_delivered((await sink.deliver(what))[0].verdict)
            await sink.aclose()
            assert len({mail.message_id for mail in server.mails}) == 1
            if finished:
                break
            # What was cut short is followed by a connection of its own, with one whole mail on it.
            greeting = ["EHLO", "STARTTLS", "EHLO"] if tls else ["EHLO"]
            assert verbs_of(server.connections[-1]) == [*greeting, "MAIL", "RCPT", "RCPT", "DATA"]
        assert finished
        assert await_ > (1 if kept else 5)


async def _coroutine(awaitable):
    return await awaitable


def verbs_of(connection):
    return [line.split()[0] for _, line in connection.lines if line != "QUIT"]


async def test_row_27_a_cancellation_between_two_mails_of_a_batch_sends_none_twice():
    items = [item(f"record {n}") for n in range(6)]

    async def message(connection, argument):
        connection.store(argument.encode("latin-1"))
        await (connection.hang() if connection.stored == 4 else connection.reply("250 stored"))

    async with FaultSMTPServer(script=[faults.Behaviour("hangs at the fourth", {"message": message})]) as server:
        sink, what = sink_to(server, digest=False), batch(*items)
        task = asyncio.create_task(sink.deliver(what))
        await until(lambda: len(server.mails) == 4)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        parts = await sink.deliver(what)
        await sink.aclose()
        assert [text for _, texts, _ in told(parts) for text in texts] == [one.text for one in items]
        assert all(kind == "Delivered" for kind, _, _ in told(parts))
        # Only the one that was under way is ambiguous: it came twice, under one id.
        arrived = [mail.message.get_content().strip() for mail in server.mails]
        assert arrived == [f"record {n}" for n in (0, 1, 2, 3, 3, 4, 5)]
        assert len({mail.message_id for mail in server.mails}) == 6


async def test_nothing_is_logged_whatever_goes_wrong(caplog):
    with caplog.at_level(logging.DEBUG):
        for behaviour in (faults.refusing(), faults.resets_at_accept(), faults.aborts_at("RCPT")):
            async with FaultSMTPServer(behaviour) as server:
                await outcome(sink_to(server))
    assert not [record for record in caplog.records if not record.name.startswith("asyncio")]
