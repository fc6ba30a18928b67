"""A check that a sink keeps the promises on which lanes rely; for whoever writes one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from asynclog.sinks.base import Sink
from asynclog.values import Batch, Delivered, Item, Lost, Part, Rejected, RetryLater

_VERDICTS = (Delivered, RetryLater, Rejected, Lost)


def make_batch(*messages: str, batch_id: str = "conformance.1", level: int = logging.ERROR) -> Batch:
    """Make a batch of plain records, as a lane would hand it to a sink.

    Args:
        messages: One record each.
        batch_id: The batch's id.
        level: The records' level.
    """
    items = []
    for number, message in enumerate(messages or ("a record",)):
        record = logging.LogRecord("asynclog.testing", level, __file__, number + 1, message, None, None)
        record.message = message
        items.append(Item(record, message, 1024 + len(message)))
    return Batch(batch_id, tuple(items))


async def check_sink(sink: Sink, *, timeout: float = 30.0) -> None:
    """Check a sink that can deliver: what it returns, that it closes and opens again, and survives a fork.

    Run it on an event loop, with whatever the sink delivers to up and running. It delivers several
    batches of test records.

    Args:
        sink: The sink.
        timeout: Seconds that each step may take; default 30.

    Raises:
        AssertionError: It breaks a promise; the text says which.
    """
    assert isinstance(sink, Sink), f"{type(sink).__name__} is no asynclog.Sink"
    assert isinstance(sink.label, str), "label has to be a string: stats and alarms name the lane by it"
    assert sink.label, "label is empty: stats and alarms name the lane by it"
    await _in_time(sink.open(), timeout, "open()")
    await _check_delivery(sink, make_batch("one record", batch_id="conformance.1"), timeout)
    many = make_batch(*(f"record {number}" for number in range(100)), batch_id="conformance.2")
    await _check_delivery(sink, many, timeout)
    await _check_delivery(sink, make_batch("\udcff \0 \u202e \r\nBcc: x", "", batch_id="conformance.3"), timeout)
    await _in_time(sink.aclose(), timeout, "aclose()")
    await _in_time(sink.aclose(), timeout, "a second aclose()")
    await _in_time(sink.open(), timeout, "open() after aclose()")
    again = make_batch("after it was closed and opened", batch_id="conformance.4")
    await _check_delivery(sink, again, timeout)
    await _in_time(sink.aclose(), timeout, "aclose()")
    sink.after_fork()
    await _in_time(sink.open(), timeout, "open() after after_fork()")
    await _check_delivery(sink, make_batch("in a child", batch_id="conformance.5"), timeout)
    await _in_time(sink.aclose(), timeout, "aclose()")


def check_parts(batch: Batch, parts: Any) -> None:
    """Check what a sink said of a batch: every record stands in a part, and no others.

    Raises:
        AssertionError: It says something else.
    """
    assert isinstance(parts, Sequence), f"deliver() returned {type(parts).__name__}: return a sequence of Part"
    own = {id(item) for item in batch.items}
    spoken: set[int] = set()
    for part in parts:
        assert isinstance(part, Part), f"deliver() returned a {type(part).__name__} among its parts"
        assert isinstance(part.verdict, _VERDICTS), f"{type(part.verdict).__name__} is no verdict"
        assert all(id(item) in own for item in part.items), "a part speaks of a record that is not in the batch"
        spoken.update(id(item) for item in part.items)
    assert spoken == own, f"no part speaks of {len(own - spoken)} records of the batch: they would be retried"


async def _check_delivery(sink: Sink, batch: Batch, timeout: float) -> None:
    parts = await _in_time(sink.deliver(batch), timeout, "deliver()")
    check_parts(batch, parts)
    bad = [part.verdict for part in parts if not isinstance(part.verdict, Delivered)]
    assert not bad, f"batch {batch.id} was not delivered: {bad[0]}"


async def _in_time(step: Any, timeout: float, what: str) -> Any:
    try:
        return await asyncio.wait_for(step, timeout)
    except TimeoutError:
        raise AssertionError(f"{what} took more than {timeout:g} s") from None
