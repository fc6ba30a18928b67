"""OpenTelemetry's SDK: its handler over a BatchLogRecordProcessor."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter, LogRecordExportResult

from benchmarks.peers.base import ROOM, Destination, Facts, UnderLogging


class _Exporter(LogRecordExporter):  # type: ignore[misc]
    def __init__(self, destination: Destination) -> None:
        self.destination = destination

    def export(self, batch: Sequence[Any]) -> Any:
        for one in batch:
            record = one.log_record
            self.destination.write(record if self.destination.kept is None else f"{record.body} {record.attributes}")
        return LogRecordExportResult.SUCCESS

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True

    def shutdown(self) -> None:
        """Nothing is open."""


class OpenTelemetry(UnderLogging):
    facts = Facts(
        "OpenTelemetry SDK, batched",
        "opentelemetry-sdk",
        under_logging=True,
        formats="caller",
        pins=False,
        bounded="2,048 records; drops the newest",
        words="Merges the message and makes the traceback's text on the caller, and an OTLP record of it. Exported to "
        "nowhere: no serialising, no network. Here with room for a million records.",
    )
    primes = False

    def __init__(self, destination: Destination) -> None:
        self._provider = LoggerProvider(shutdown_on_exit=False)
        self._provider.add_log_record_processor(
            BatchLogRecordProcessor(_Exporter(destination), max_queue_size=ROOM, max_export_batch_size=512)
        )
        with warnings.catch_warnings():
            # The same handler is about to move to another distribution.
            warnings.simplefilter("ignore", DeprecationWarning)
            handler = LoggingHandler(logger_provider=self._provider)
        super().__init__(destination, handler)

    def flush(self) -> None:
        self._provider.force_flush()

    def close(self) -> None:
        self.destination.open()
        self._provider.shutdown()
        super().close()
