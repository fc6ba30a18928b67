"""sentry-sdk's handler, with a transport that drops."""

from __future__ import annotations

from typing import Any

import sentry_sdk
from sentry_sdk.integrations.logging import EventHandler
from sentry_sdk.transport import Transport

from benchmarks.peers.base import Destination, Facts, UnderLogging


class _Transport(Transport):  # type: ignore[misc]
    def __init__(self, destination: Destination) -> None:
        super().__init__()
        self.destination = destination

    def capture_envelope(self, envelope: Any) -> None:
        self.destination.write(envelope if self.destination.kept is None else envelope.serialize().decode())


class Sentry(UnderLogging):
    facts = Facts(
        "sentry-sdk",
        "sentry-sdk",
        under_logging=True,
        formats="caller",
        pins=False,
        bounded="100 events; drops the newest",
        words="An event with source lines and every frame's variables, made on the caller: more than the others "
        "deliver. Its handler alone, without breadcrumbs and default integrations, which would patch logging "
        "for all; the transport drops each event, so its queue of 100 is left out.",
    )
    holds = primes = False

    def __init__(self, destination: Destination) -> None:
        sentry_sdk.init(
            dsn="http://key@localhost:1/1",
            transport=_Transport(destination),
            default_integrations=False,
            auto_enabling_integrations=False,
            auto_session_tracking=False,
        )
        super().__init__(destination, EventHandler())

    def close(self) -> None:
        super().close()
        sentry_sdk.get_client().close()
