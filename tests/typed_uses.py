"""Typed uses of the public face: mypy reads this in `make check`; nothing runs it."""

from __future__ import annotations

import logging
from logging.handlers import SMTPHandler
from typing import Any

import asynclog


def wrapping() -> None:
    handler: asynclog.QueueHandler = asynclog.wrap(logging.FileHandler("app.log"), maxsize=100, overflow="block")
    logging.getLogger("shop").addHandler(handler)
    mail = SMTPHandler("127.0.0.1", "a@example.com", ["b@example.com"], "It failed")
    asynclog.wrap(mail, asynclog.FileSink("all.log", level="INFO"), rate="10/minute", retry_max=30.0)
    listener: asynclog.QueueListener = asynclog.install("shop", logging.getLogger("other"), streams=True)
    print(listener.report)
    asynclog.uninstall()


def by_hand() -> None:
    queue = asynclog.RecordQueue(maxsize=10, max_memory=1 << 20, exceptions="keep")
    sink = asynclog.SMTPSink(
        ["smtps://mail.example.com", "smtp://backup.example.com"],
        sender="App <a@example.com>",
        recipients=["b@example.com"],
        level=logging.ERROR,
        formatter=logging.Formatter("%(message)s"),
    )
    with asynclog.QueueListener(queue, sink, exit_timeout=2.0, on_alarm=alarmed) as listener:
        done: bool = listener.flush(1.0)
        counts: dict[str, Any] = listener.stats()
        print(done, counts, asynclog.stats(), asynclog.flush(1))


async def asynchronously() -> None:
    async with asynclog.QueueListener(asynclog.RecordQueue(), asynclog.FileSink("app.log")) as listener:
        await listener.aflush(1.0)


def alarmed(alarm: asynclog.Alarm) -> None:
    print(alarm.kind, alarm.where, alarm.text, alarm.repeats)
