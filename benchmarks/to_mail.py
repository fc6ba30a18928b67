"""One mail a record over one connection: asynclog, and loops that do nothing else."""

from __future__ import annotations

import asyncio
import logging
import smtplib
import time
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate

import aiosmtplib

import asynclog
from benchmarks.mail_server import MailServer
from benchmarks.peers.base import ExcInfo

SENDER = "server-error@example.com"
RECIPIENT = "admin@example.com"


@dataclass(frozen=True, slots=True)
class Sent:
    """What a run of mails took.

    Attributes:
        seconds: Until the server had the last one.
        cpu: CPU seconds of this process.
        working: Those of all threads but the one that logged; 0 where that one does all the work.
    """

    seconds: float
    cpu: float
    working: float = 0.0


def by_asynclog(server: MailServer, mails: int, info: ExcInfo) -> Sent:
    """Send with ``digest=False``: one mail a record, the traceback in its body."""
    sink = asynclog.SMTPSink(
        server.url, sender=SENDER, recipients=[RECIPIENT], digest=False, subject="failed", level="ERROR"
    )
    handler = asynclog.wrap(sink, maxsize=1_000_000, max_memory=4 << 30)
    logger = logging.Logger("benchmarks.to_mail")
    logger.addHandler(handler)
    listener = handler.listener
    logger.error("warming up")  # imports the mail library and connects
    if not listener.flush(30):
        raise TimeoutError(f"the first mail did not leave: {listener.stats()}")
    try:
        cpu, calling, began = time.process_time(), time.thread_time(), time.perf_counter()
        for number in range(mails):
            logger.error("order %d failed", number, exc_info=info)
        if not listener.flush(120):
            raise TimeoutError(f"not all mails left: {listener.stats()}")
        seconds, cpu, calling = time.perf_counter() - began, time.process_time() - cpu, time.thread_time() - calling
        return Sent(seconds, cpu, cpu - calling)
    finally:
        listener.stop()


def by_bare_loop(server: MailServer, mails: int, payload: bytes) -> Sent:
    """Send bytes that are ready over one aiosmtplib connection, in a loop that does nothing else."""

    async def loop() -> Sent:
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=server.port, start_tls=False) as client:
            cpu, began = time.process_time(), time.perf_counter()
            for _ in range(mails):
                await client.sendmail(SENDER, [RECIPIENT], payload)
            return Sent(time.perf_counter() - began, time.process_time() - cpu)

    return asyncio.run(loop())


def by_message_loop(server: MailServer, mails: int, body: str) -> Sent:
    """Make an `EmailMessage` for each, as aiosmtplib's documentation does it, and send that."""

    async def loop() -> Sent:
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=server.port, start_tls=False) as client:
            cpu, began = time.process_time(), time.perf_counter()
            for _ in range(mails):
                await client.send_message(_message(body))
            return Sent(time.perf_counter() - began, time.process_time() - cpu)

    return asyncio.run(loop())


def by_smtplib(server: MailServer, mails: int, body: str) -> Sent:
    """Do what `logging.handlers.SMTPHandler` does: a message and a connection for each."""
    cpu, began = time.process_time(), time.perf_counter()
    for _ in range(mails):
        with smtplib.SMTP("127.0.0.1", server.port, timeout=30) as client:
            client.send_message(_message(body))
    return Sent(time.perf_counter() - began, time.process_time() - cpu)


def _message(body: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = SENDER
    message["To"] = RECIPIENT
    message["Subject"] = "failed"
    message["Date"] = formatdate(localtime=True)
    message.set_content(body)
    return message


def ready_payload(body: str) -> bytes:
    """Return the bytes of such a mail."""
    return _message(body).as_bytes().replace(b"\n", b"\r\n")
