"""What is said for one mail, reply by reply, and over a connection of its own."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynclog.sinks import smtp_mailer
from asynclog.sinks.smtp_line import Line, NoReply
from asynclog.sinks.smtp_transaction import Farewell, Offer, Transaction, stuffed
from asynclog.sinks.smtp_verdicts import SessionError
from asynclog.testing import faults
from asynclog.testing.smtpd import FaultSMTPServer
from asynclog.values import Delivered
from tests.sinks.smtp_kit import (
    TO,
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

TWO = ("one@example.com", "two@example.com")
GROUP = b"MAIL FROM:<a@example.com>\r\nRCPT TO:<one@example.com>\r\nRCPT TO:<two@example.com>\r\nDATA\r\n"
TEXT = b"Subject: x\r\n\r\nbody\r\n"


def transaction(*, recipients=TWO, pipelined=True, sender="a@example.com", kept=False):
    return Transaction(Offer("mx", TEXT, sender, recipients, pipelined=pipelined, kept=kept))


def said(talk, *replies):
    """Feed replies, and return all that is sent meanwhile."""
    out = [talk.begin()]
    for reply in replies:
        assert not talk.is_over
        code, _, text = reply.partition(" ")
        out.append(talk.answer(int(code), text))
    return b"".join(out)


def summary(talk):
    result = talk.result
    refused = None if result.refused is None else result.refused.code
    return result.accepted, [(who, reply.code) for who, reply in result.refused_recipients], refused


# -- together ------------------------------------------------------------------------------------


def test_the_commands_of_a_mail_go_together_and_its_text_after_354():
    talk = transaction()
    assert talk.begin() == GROUP
    assert [talk.answer(250, "ok") for _ in range(3)] == [b"", b"", b""]
    assert talk.answer(354, "go ahead") == TEXT + b".\r\n"
    talk.answer(250, "stored")
    assert summary(talk) == (TWO, [], None)


def test_without_pipelining_each_command_waits_for_the_reply_before_it():
    talk = transaction(pipelined=False)
    assert said(talk, "250 ok") == b"MAIL FROM:<a@example.com>\r\nRCPT TO:<one@example.com>\r\n"
    assert talk.answer(250, "ok") == b"RCPT TO:<two@example.com>\r\n"
    assert talk.answer(550, "no") == b"DATA\r\n"
    assert talk.answer(354, "go") == TEXT + b".\r\n"
    talk.answer(250, "stored")
    assert summary(talk) == (("one@example.com",), [("two@example.com", 550)], None)


@pytest.mark.parametrize("pipelined", [True, False])
def test_a_refused_recipient_is_told_apart_from_the_others(pipelined):
    talk = transaction(pipelined=pipelined)
    said(talk, "250 ok", "450 later", "251 forwarded", "354 go", "250 stored")
    assert summary(talk) == (("two@example.com",), [("one@example.com", 450)], None)


@pytest.mark.parametrize(
    "replies",
    [
        ["250 ok", "250 ok", "250 ok", "554 not now"],  # or a recipient's refusal, shifted by a stray reply
        ["250 ok", "250 ok", "250 ok", "250 ok"],
        ["250 ok", "354 go"],
        ["550 not you"],  # or: that you say more than you were asked for
        ["451 later"],
        ["250 ok", "503 MAIL first"],  # of which somebody else may be accepted
        ["250 ok", "250 ok", "500 what?"],
        ["250 ok", "550 no", "452 later"],  # nobody is accepted
    ],
)
def test_what_may_come_of_the_pipelining_is_not_believed(replies):
    talk = transaction()
    with pytest.raises(SessionError) as caught:
        said(talk, *replies)
    assert caught.value.out_of_step
    assert not talk.ends_with(caught.value)


def test_a_text_refused_at_data_is_final_where_commands_went_one_by_one():
    talk = transaction(pipelined=False)
    said(talk, "250 ok", "250 ok", "250 ok", "554 not now")
    assert summary(talk) == ((), [], 554)


@pytest.mark.parametrize("pipelined", [True, False])
def test_data_answered_as_if_the_text_had_come_delivers_nothing(pipelined):
    talk = transaction(pipelined=pipelined)
    with pytest.raises(SessionError):
        said(talk, "250 ok", "250 ok", "250 ok", "250 stored")
    assert talk.result is None


@pytest.mark.parametrize("before", range(5))
@pytest.mark.parametrize("kept", [True, False])
def test_a_421_ends_it_and_goes_again_only_over_a_kept_connection_before_the_text(before, kept):
    talk = transaction(kept=kept)
    said(talk, *["250 ok", "250 ok", "250 ok", "354 go"][:before])
    with pytest.raises(SessionError) as caught:
        talk.answer(421, "closing")
    assert caught.value.reusable is (kept and before < 4)
    assert not talk.ends_with(caught.value)


@pytest.mark.parametrize(
    ("replies", "accepted", "refused", "verdict"),
    [
        (["550 not you"], (), [], 550),
        (["250 ok", "503 no", "250 ok", "354 go", "250 ok"], TWO[1:], [(TWO[0], 503)], None),
        (["250 ok", "550 no", "452 later"], (), [(TWO[0], 550), (TWO[1], 452)], None),
    ],
)
def test_where_commands_go_one_by_one_every_refusal_is_final(replies, accepted, refused, verdict):
    talk = transaction(pipelined=False)
    said(talk, *replies)
    assert summary(talk) == (accepted, refused, verdict)


def test_a_connection_lost_while_something_is_open_settles_nothing():
    for replies in ([], ["250 ok"], ["250 ok", "550 no"], ["250 ok", "250 ok", "550 no"]):
        talk = transaction()
        said(talk, *replies)
        assert not talk.ends_with(ConnectionResetError())
        assert talk.result is None


_CODES = st.sampled_from([250, 251, 354, 450, 550, 503])


@given(st.lists(_CODES, min_size=4, max_size=4), st.integers(0, 3), _CODES)
def test_a_stray_reply_never_delivers_to_whom_the_server_refused(codes, place, stray):
    """The server's own replies are in order: 354 to DATA alone, and only if it takes somebody."""
    mail, one, two = (250 if code == 354 else code for code in codes[:3])
    if mail != 250:
        one = two = 503
    data = 354 if {one, two} & {250, 251} else 503
    told_by_server = [mail, one, two, data]
    told_by_server.insert(place, 250 if stray == 354 else stray)
    talk = transaction()
    talk.begin()
    try:
        for code in told_by_server:
            if talk.stage == "message" or talk.is_over:
                break
            talk.answer(code, "said")
    except SessionError:
        return
    assert talk.stage != "message" or place == 4


@pytest.mark.parametrize(
    ("payload", "wire"),
    [
        (b"a\r\n", b"a\r\n.\r\n"),
        (b"a", b"a\r\n.\r\n"),
        (b".a\r\n..\r\nb.\r\n", b"..a\r\n...\r\nb.\r\n.\r\n"),
        (b"\r\n.\r\n", b"\r\n..\r\n.\r\n"),
    ],
)
def test_leading_dots_are_doubled(payload, wire):
    assert stuffed(payload) == wire


def test_an_address_that_cannot_be_written_is_refused_without_a_word_about_it():
    talk = transaction(recipients=("one@example.com", "zoë@example.com"))
    assert b"zo" not in said(talk, "250 ok", "250 ok", "354 go", "250 stored")
    assert summary(talk) == (("one@example.com",), [("zoë@example.com", 553)], None)
    talk = transaction(sender=None)
    assert talk.begin() == b""
    assert summary(talk) == ((), [], 553)


def test_an_address_with_a_second_command_in_it_is_never_sent():
    with pytest.raises(ValueError, match="control character"):
        transaction(recipients=("x@example.com>\r\nDATA",)).begin()


# -- over a connection ---------------------------------------------------------------------------


class Peer:
    """Both ends of a connection, the far one in the test's hands."""

    def __init__(self, timeout):
        self.timeout = timeout

    async def __aenter__(self):
        near, self.far = socket.socketpair()
        self.far.setblocking(False)
        loop = asyncio.get_running_loop()
        self.transport, self.before = await loop.create_connection(asyncio.Protocol, sock=near)
        self.line = Line(self.transport, self.timeout)
        return self

    async def __aexit__(self, *_):
        self.transport.abort()
        self.far.close()

    async def hear(self):
        return await asyncio.get_running_loop().sock_recv(self.far, 65536)

    async def say(self, data):
        await asyncio.get_running_loop().sock_sendall(self.far, data)


@pytest.mark.parametrize("at_once", [True, False])
async def test_replies_count_however_they_are_cut(at_once):
    replies = b"250 ok\r\n250-one\r\n250 taken\r\n550 no\r\n354 go\r\n"
    async with Peer(None) as peer:
        talk = transaction()
        task = asyncio.create_task(peer.line.carry_out(talk))
        assert await peer.hear() == GROUP
        for piece in [replies] if at_once else [replies[i : i + 1] for i in range(len(replies))]:
            await peer.say(piece)
            await asyncio.sleep(0)
        assert await peer.hear() == TEXT + b".\r\n"
        await peer.say(b"250 stored\r\n")
        await asyncio.wait_for(task, 10)
        assert summary(talk) == (("one@example.com",), [("two@example.com", 550)], None)


async def test_what_is_said_between_two_mails_is_not_taken_for_an_answer():
    async with Peer(None) as peer:
        for _ in range(2):
            talk = transaction()
            task = asyncio.create_task(peer.line.carry_out(talk))
            await peer.hear()
            await peer.say(b"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n554 by the way\r\n")
            await peer.hear()
            await peer.say(b"250 stored\r\n554 by the way\r\n")
            await asyncio.wait_for(task, 10)
            assert summary(talk) == (TWO, [], None)
            await peer.say(b"554 nobody asked\r\n")
            await asyncio.sleep(0.01)


async def test_each_reply_has_its_time_and_the_timer_starts_anew_with_each():
    async with Peer(0.3) as peer:
        talk = transaction(pipelined=False)
        task = asyncio.create_task(peer.line.carry_out(talk))
        for reply in (b"250 ok\r\n", b"250 ok\r\n", b"250 ok\r\n"):
            await peer.hear()
            await asyncio.sleep(0.15)
            await peer.say(reply)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(task, 10)
        assert talk.stage == "DATA"


async def test_a_closed_connection_is_noticed_before_anything_is_said():
    async with Peer(None) as peer:
        peer.far.close()
        await until(peer.transport.is_closing)
        with pytest.raises(ConnectionError):
            await peer.line.carry_out(Farewell())


async def test_a_goodbye_has_no_wrong_answer():
    for answer in (b"221 bye\r\n", b"what?\r\n", b"421 too late\r\n"):
        async with Peer(None) as peer:
            task = asyncio.create_task(peer.line.carry_out(Farewell()))
            assert await peer.hear() == b"QUIT\r\n"
            await peer.say(answer)
            await asyncio.wait_for(task, 10)


# -- over a server -------------------------------------------------------------------------------


async def test_a_server_that_gets_out_of_step_hears_a_command_at_a_time_from_then_on():
    async with FaultSMTPServer(faults.chatters()) as server:
        sink = sink_to(server, recipients=list(TWO))
        for _ in range(2):
            assert (await sink.deliver(batch()))[0].verdict == Delivered()
        await sink.aclose()
        assert [mail.recipients for mail in server.mails] == [TWO, TWO]
        assert [connection.stored for connection in server.connections] == [0, 2]


async def test_refusals_shifted_by_a_stray_reply_reach_the_recipient_they_are_meant_for():
    refusals = faults.refuses_recipients({TWO[1]: "550 no such user"}).hooks
    behaviour = faults.Behaviour("chatters, refuses one", {"MAIL": faults.chatters().hooks["MAIL"], **refusals})
    async with FaultSMTPServer(behaviour) as server:
        sink = sink_to(server, recipients=list(TWO))
        parts = await sink.deliver(batch(item("x")))
        await sink.aclose()
        assert told(parts) == [("Delivered", ["x"], (TWO[0],)), ("Rejected", ["x"], (TWO[1],))]
        assert [mail.recipients for mail in server.mails] == [(TWO[0],)]


async def test_a_server_that_takes_data_for_nobody_gets_no_text_and_the_refusal_counts():
    texts = []

    async def data(connection, _):
        await connection.reply("354 go ahead")
        texts.append(await connection.text())

    refusals = faults.answers({"RCPT": "550 no such user"}).hooks
    async with FaultSMTPServer(faults.Behaviour("takes DATA for nobody", {**refusals, "DATA": data})) as server:
        assert is_rejected(await outcome(sink_to(server)))
        assert not server.mails
        assert not any(texts)


async def test_what_is_refused_together_and_taken_one_by_one_is_delivered_from_then_on():
    """As of a proxy that looks at RCPT before MAIL is answered."""

    async def rcpt(connection, argument):
        if connection.reader._buffer:  # more is there already
            await connection.reply("503 need MAIL first")
        else:
            await connection.ordinary("RCPT", argument)

    async with FaultSMTPServer(faults.Behaviour("hates haste", {"RCPT": rcpt})) as server:
        sink = sink_to(server)
        for _ in range(2):
            assert is_delivered((await sink.deliver(batch()))[0].verdict)
        await sink.aclose()
        assert [connection.stored for connection in server.connections] == [0, 2]


async def test_who_is_refused_either_way_hears_commands_together_the_next_time():
    async with FaultSMTPServer(script=[faults.answers({"MAIL": "550 not you"})] * 2) as server:
        sink = sink_to(server)
        assert is_rejected((await sink.deliver(batch()))[0].verdict)
        assert len(server.connections) == 2
        assert not sink._delivery._mailer._spared
        assert is_delivered(await outcome(sink))


@pytest.mark.parametrize("fault", [faults.aborts_at("RCPT"), faults.stops_after("RCPT")], ids=["reset", "silent"])
async def test_a_first_mail_that_fails_together_goes_one_by_one_with_the_next_attempt(fault):
    async with FaultSMTPServer(script=[fault]) as server:
        sink, what = sink_to(server, timeout=0.6), batch()
        assert is_deferred((await sink.deliver(what))[0].verdict)
        assert len(server.connections) == 1
        assert len(sink._delivery._mailer._spared) == 1
        assert is_delivered((await sink.deliver(what))[0].verdict)
        await sink.aclose()
        assert [connection.stored for connection in server.connections] == [0, 1]


async def test_a_server_is_spared_for_a_while_only(monkeypatch):
    monkeypatch.setattr(smtp_mailer, "_SPARED", 0.0)
    async with FaultSMTPServer(script=[faults.aborts_at("RCPT")]) as server:
        sink, what = sink_to(server), batch()
        assert is_deferred((await sink.deliver(what))[0].verdict)
        assert is_delivered(await outcome(sink, what))
        assert not sink._delivery._mailer._spared


async def test_a_server_that_holds_its_replies_back_has_the_time_for_all_of_them():
    async with Peer(0.5) as peer:
        talk = transaction()
        task = asyncio.create_task(peer.line.carry_out(talk))
        await peer.hear()
        await asyncio.sleep(1.0)  # four replies are outstanding
        await peer.say(b"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n")
        await peer.hear()
        await peer.say(b"250 stored\r\n")
        await asyncio.wait_for(task, 10)
        assert summary(talk) == (TWO, [], None)


async def test_a_text_has_the_time_of_its_own_reply_alone():
    async with Peer(600.0) as peer:
        task = asyncio.create_task(peer.line.carry_out(transaction()))
        await peer.hear()
        began = asyncio.get_running_loop().time()
        assert peer.line._timer.when() > began + 600 * 3
        await peer.say(b"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n")
        await peer.hear()
        assert peer.line._timer.when() < began + 600 * 2
        await peer.say(b"250 stored\r\n")
        await asyncio.wait_for(task, 10)


async def test_an_endless_reply_is_cut_however_it_comes():
    for piece, whole in ((b"2", 40_000), (b"250-\r\n", 40_000), (b"250 " + b"x" * 40_000 + b"\r\n", 1)):
        async with Peer(None) as peer:
            task = asyncio.create_task(peer.line.carry_out(transaction()))
            await peer.hear()
            with contextlib.suppress(ConnectionError):
                for _ in range(max(1, whole // len(piece))):
                    peer.line.data_received(piece)
            with pytest.raises(NoReply):
                await asyncio.wait_for(task, 10)


@pytest.mark.parametrize(("command", "reply"), [("MAIL", "554 go away"), ("RCPT", "550 go away")])
async def test_a_refusal_followed_by_a_hang_up_is_final(command, reply):
    async with FaultSMTPServer(faults.answers({command: reply}, closes=True)) as server:
        assert is_rejected(await outcome(sink_to(server)))


@pytest.mark.parametrize("offers", [("PIPELINING",), ()])
@pytest.mark.parametrize("at", ["MAIL", "RCPT", "DATA", "text", "message"])
async def test_a_cancellation_while_a_reply_is_awaited_throws_the_connection_away(at, offers):
    arrived = asyncio.Event()

    async def hook(connection, _):
        arrived.set()
        await connection.hang()

    async with FaultSMTPServer(script=[faults.Behaviour("hangs", {at: hook})], offers=offers) as server:
        sink, what = sink_to(server, recipients=[TO, "two@example.com"]), batch()
        task = asyncio.create_task(sink.deliver(what))
        await asyncio.wait_for(arrived.wait(), 20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert is_delivered((await sink.deliver(what))[0].verdict)
        await sink.aclose()
        assert [connection.stored for connection in server.connections] == [0, 1]


async def test_an_mx_that_answers_in_one_piece_is_understood():
    """As Postfix does it: one segment for all replies."""

    async def mail(connection, argument):
        await connection.ordinary("MAIL", argument)
        connection.held, connection.flush = [], connection.send

        async def hold(data):
            connection.held.append(data)
            if data.startswith(b"354"):
                connection.send = connection.flush
                await connection.flush(b"".join(connection.held))

        connection.send = hold

    async with FaultSMTPServer(faults.Behaviour("flushes once", {"MAIL": mail})) as server:
        assert is_delivered(await outcome(sink_to(server, recipients=list(TWO))))


async def test_a_server_that_never_answers_the_whole_group_defers():
    async def data(connection, _):
        await connection.hang()

    async with FaultSMTPServer(faults.Behaviour("says nothing to DATA", {"DATA": data})) as server:
        verdict = await outcome(sink_to(server, timeout=0.6))
        assert is_deferred(verdict)
        assert "DATA" in verdict.reason
