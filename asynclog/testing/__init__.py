"""What our own tests use, for the tests of apps and sinks too.

`MemorySink` keeps what it is given, `FakeClock` passes time on demand, and `check_sink` checks that
a sink you wrote keeps the promises on which asynclog relies. The mail server that fails on demand
is in `asynclog.testing.smtpd`.
"""

from __future__ import annotations

from asynclog.testing.clock import FakeClock
from asynclog.testing.conformance import check_parts, check_sink, make_batch
from asynclog.testing.memory import MemorySink

__all__ = ["FakeClock", "MemorySink", "check_parts", "check_sink", "make_batch"]
