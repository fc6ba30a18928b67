"""What the tests of mail share: records by hand, and short words for what came of them."""

from __future__ import annotations

import asyncio
import itertools
import logging
import ssl
import time
from collections.abc import Callable, Sequence
from typing import Any

import trustme

from asynclog.sinks.smtp import SMTPSink
from asynclog.testing.smtpd import FaultSMTPServer
from asynclog.values import Batch, Delivered, Item, Part, Rejected, RetryLater

TO = "ops@example.com"
#: How a server has a mail's commands: PIPELINING is announced, or it is not.
WAYS = ("together", "one at a time")
_ids = itertools.count()


def announce(way: str, monkeypatch: Any) -> None:
    """Have every server that a test makes announce PIPELINING, or not."""
    if way != "together":
        defaults = FaultSMTPServer.__init__.__kwdefaults__
        offers = tuple(one for one in defaults["offers"] if one != "PIPELINING")
        monkeypatch.setitem(defaults, "offers", offers)


def item(text: str = "it broke", **fields: Any) -> Item:
    facts = {"msg": text, "name": "shop.cart", "levelno": 40, "levelname": "ERROR"}
    facts |= {"module": "checkout", "funcName": "pay"} | fields
    return Item(logging.makeLogRecord(facts), text, 100 + len(text))


def batch(*items: Item, id: str | None = None, **fields: Any) -> Batch:
    return Batch(id or f"batch-{next(_ids)}", items or (item(),), **fields)


def sink_to(server: FaultSMTPServer | str | Sequence[str], **options: Any) -> SMTPSink:
    url = server.url if isinstance(server, FaultSMTPServer) else server
    options = {"sender": "app@example.com", "recipients": TO, "timeout": 20.0} | options
    return SMTPSink(url, **options)


async def outcome(sink: SMTPSink, what: Batch | None = None) -> Any:
    """Deliver, close, and return the one verdict."""
    try:
        parts = await sink.deliver(what or batch())
    finally:
        await sink.aclose()
    assert len(parts) == 1, parts
    return parts[0].verdict


def told(parts: Sequence[Part]) -> list[tuple[str, list[str], tuple[str, ...] | None]]:
    return [(type(part.verdict).__name__, [item.text for item in part.items], part.recipients) for part in parts]


def is_deferred(verdict: Any, *, circuit: bool = False) -> bool:
    assert isinstance(verdict, RetryLater), verdict
    assert verdict.circuit is circuit, verdict
    return True


def is_delivered(verdict: Any) -> bool:
    assert verdict == Delivered(), verdict
    return True


def is_rejected(verdict: Any) -> bool:
    assert isinstance(verdict, Rejected), verdict
    return True


async def until(condition: Callable[[], Any], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came about"
        await asyncio.sleep(0.005)


class Certificates:
    """An authority, and the contexts of servers and clients that trust it or don't."""

    def __init__(self) -> None:
        self.authority = trustme.CA()

    def server(self, *names: str, authority: trustme.CA | None = None) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        (authority or self.authority).issue_cert(*(names or ("127.0.0.1", "localhost"))).configure_cert(context)
        return context

    def client(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        return context


CERTIFICATES = Certificates()
