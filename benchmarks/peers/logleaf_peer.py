"""logleaf's logger, writing to a stream of ours."""

from __future__ import annotations

import logleaf

from benchmarks.peers.base import EXTRA, ROOM, USER, Call, Destination, ExcInfo, Facts, Peer


class _Stream:
    def __init__(self, destination: Destination) -> None:
        self.destination = destination

    def write(self, text: str) -> int:
        self.destination.write(text, records=text.count("\n"))  # JSON: a line a record
        return len(text)

    def flush(self) -> None:
        """Nothing is kept back."""


class Logleaf(Peer):
    facts = Facts(
        "logleaf",
        "logleaf",
        under_logging=False,
        formats="worker",
        pins=False,
        bounded="8,192 records; drops the newest",
        words="Own API, no template: the message is a string and values are fields, plain ones only. Of an exception "
        "it takes positions without source lines. Here with room for a million records.",
    )

    def __init__(self, destination: Destination) -> None:
        super().__init__(destination)
        self.logger = logleaf.Logger(
            None,
            file_enabled=False,
            console_enabled=True,
            console_format="jsonl",
            console_stream=_Stream(destination),
            capacity=ROOM,
            flush_interval=0.005,
        )

    def plain(self) -> Call:
        error = self.logger.error
        return lambda number: error("user failed", user=USER, number=number)

    def extra(self) -> Call | None:
        error = self.logger.error
        return lambda number: error("user failed", user=USER, number=number, **EXTRA)

    def exception(self, info: ExcInfo) -> Call:
        exception = self.logger.exception
        return lambda number: exception("order failed", number=number)

    def close(self) -> None:
        self.destination.open()
        self.logger.close(5)
