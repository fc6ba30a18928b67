"""The contenders: a line here and an adapter in a module of its own.

A package that is not installed, or does not load on this Python, gives a row that says so.
"""

from __future__ import annotations

import importlib
from importlib import metadata

from benchmarks.peers.base import Destination, Facts, Peer

#: Name in tables, module and class; the name for where the module cannot be imported.
PEERS = (
    ("no delivery", "standard", "Dropping"),
    ("asynclog", "shipped", "Asynclog"),
    ("stdlib QueueHandler", "standard", "QueuePair"),
    ("stdlib QueueHandler, prepare() off", "standard", "UnpreparedQueuePair"),
    ("stdlib FileHandler", "standard", "Direct"),
    ("backgroundlog", "backgroundlog_peer", "Backgroundlog"),
    ("OpenTelemetry SDK, batched", "opentelemetry_peer", "OpenTelemetry"),
    ("python-logstash-async", "logstash_peer", "Logstash"),
    ("sentry-sdk", "sentry_peer", "Sentry"),
    ("structlog over QueueHandler", "structlog_peer", "Structlog"),
    ("Logbook, threaded", "logbook_peer", "Logbook"),
    ("logleaf", "logleaf_peer", "Logleaf"),
    ("logust, enqueue=True", "logust_peer", "Logust"),
    ("loguru", "loguru_peer", "Direct"),
    ("loguru, enqueue=True", "loguru_peer", "Enqueued"),
    ("picologging queue", "picologging_peer", "Picologging"),
)

FLOOR = "no delivery"
OURS = "asynclog"
QUEUE_PAIR = "stdlib QueueHandler"


def kind_of(name: str) -> type[Peer]:
    """Return a contender's adapter.

    Raises:
        ImportError: Its package is not installed.
    """
    module, attribute = next((module, attribute) for known, module, attribute in PEERS if known == name)
    kind: type[Peer] = getattr(importlib.import_module(f"benchmarks.peers.{module}"), attribute)
    assert kind.facts.name == name
    return kind


def installed() -> dict[str, type[Peer]]:
    """Return the adapters of all contenders that are installed, by name."""
    found = {}
    for name, _, _ in PEERS:
        try:
            found[name] = kind_of(name)
        except ImportError:
            continue  # `missing` names it
    return found


def missing() -> list[str]:
    """Return the names of the contenders that are not installed."""
    there = installed()
    return [name for name, _, _ in PEERS if name not in there]


def version(facts: Facts) -> str:
    """Return a contender's version; empty for what comes with Python or is measured itself."""
    return metadata.version(facts.distribution) if facts.distribution else ""


__all__ = ["FLOOR", "OURS", "PEERS", "QUEUE_PAIR", "Destination", "Facts", "Peer", "installed", "missing", "version"]
