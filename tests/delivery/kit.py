"""A lane that a test steps by hand: no thread, no loop of the worker's, time that jumps."""

import asyncio
import logging

from asynclog.alarm import AlarmBoard
from asynclog.delivery.lane import Lane
from asynclog.ledger import Ledger
from asynclog.options import LaneOptions, QueueOptions
from asynclog.testing import FakeClock, MemorySink


def fields(message="m", level=logging.ERROR, **extra):
    record = logging.LogRecord("shop", level, "shop.py", 1, message, None, None)
    return {**record.__dict__, **extra}


class Stepped:
    """A lane and all that stands round it."""

    def __init__(self, sink=None, bounds=None, face=None, **options):
        self.sink = sink or MemorySink()
        self.clock = FakeClock()
        self.alarms = []
        self.total = Ledger()
        options.setdefault("retry_initial", 1.0)
        self.lane = Lane(
            self.sink,
            face or self.sink,
            LaneOptions(**options),
            QueueOptions(**(bounds or {})),
            AlarmBoard(self.alarms.append, self.clock),
            self.total,
            "lane",
            clock=self.clock,
            chance=lambda: 1.0,
        )

    def log(self, *messages, level=logging.ERROR, captured=None):
        for message in messages:
            self.total.accepted += 1
            self.lane.take(fields(message, level), captured, 1100, None)
        self.lane.end_slice()

    def seconds(self):
        return self.lane.seconds_to_attempt(self.clock.monotonic())

    def attempt(self):
        """Make the next attempt, at the time when it is due."""
        seconds = self.seconds()
        assert seconds is not None, "there is nothing to do"
        self.clock.advance(seconds)
        asyncio.run(self.lane.runner.attempt())

    def settle_all(self, limit=100):
        """Make attempts until nothing is left; return how many."""
        for number in range(limit):
            if self.seconds() is None:
                return number
            self.attempt()
        raise AssertionError("it goes on for ever")

    def check(self):
        for ledger in (self.total, self.lane.ledger):
            counts = ledger.snapshot()
            assert counts["pending"] == self.lane.remaining(), counts
        return self.total.snapshot()
