"""The demo's mail server and its four ways to behave."""

import asyncio
import smtplib
import socket

import pytest

from asynclog.trial.mailserver import MailServer
from asynclog.trial.servers import MailProcess


@pytest.fixture
async def server():
    mails = []
    server = MailServer(lambda *mail: mails.append(mail))
    server.mails = mails
    await server.switch("healthy")
    yield server
    server.close()


def send(port, timeout=20.0):
    with smtplib.SMTP("127.0.0.1", port, local_hostname="localhost", timeout=timeout) as client:
        client.sendmail("a@shop.example", ["b@shop.example"], "Subject: s\r\n\r\nbody\r\n")


async def accepted(server):
    """Wait until the server's side of a connection exists, which is only when its loop has come to it."""
    async with asyncio.timeout(20):
        while not server._open:
            await asyncio.sleep(0.01)


async def test_healthy_takes_a_mail_and_tells_of_it(server):
    await asyncio.to_thread(send, server.port)
    assert server.mails == [("a@shop.example", ["b@shop.example"], b"Subject: s\r\n\r\nbody\r\n")]


async def test_refusing_refuses_and_the_port_stays_its_own(server):
    await server.switch("refusing")
    with pytest.raises(ConnectionRefusedError):
        await asyncio.to_thread(send, server.port)
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", server.port))
    await server.switch("healthy")
    await asyncio.to_thread(send, server.port)
    assert len(server.mails) == 1


async def test_silent_accepts_and_never_says_a_word(server):
    await server.switch("silent")
    with pytest.raises(smtplib.SMTPServerDisconnected, match="timed out"):
        await asyncio.to_thread(send, server.port, 0.3)
    assert server.mails == []


async def test_a_connection_that_hung_is_dropped_when_the_server_recovers(server):
    await server.switch("silent")
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    await accepted(server)
    await server.switch("healthy")
    try:
        said = await asyncio.wait_for(reader.read(1), 20)
    except ConnectionError:
        said = b""
    assert said == b""
    writer.close()


async def test_a_mail_in_slow_taking_is_lost_with_its_connection_and_counted_by_nobody(server):
    await server.switch("slow")
    sending = asyncio.create_task(asyncio.to_thread(send, server.port))
    await accepted(server)
    await server.switch("refusing")
    with pytest.raises((smtplib.SMTPException, ConnectionError)):
        await asyncio.wait_for(sending, 20)
    assert server.mails == []


async def test_slow_takes_a_mail_in_the_end(server):
    await server.switch("slow")
    await asyncio.wait_for(asyncio.to_thread(send, server.port), 30)
    assert len(server.mails) == 1


async def test_a_behaviour_that_is_none_is_refused(server):
    with pytest.raises(ValueError, match="grumpy"):
        await server.switch("grumpy")


def test_several_ports_behave_alike_and_each_mail_tells_its_own(tmp_path):
    said = []
    mails = MailProcess(tmp_path, said.append, 2)
    with mails.child:
        mails.wait_until_ready()
        assert len(set(mails.ports)) == 2
        for port in reversed(mails.ports):
            send(port)
        mails.switch("refusing")
        for port in mails.ports:
            with pytest.raises(ConnectionRefusedError):
                send(port)
        mails.child.ask_to_end(None)
        mails.child.wait()
    assert [one["box"] for one in said] == [1, 0]
