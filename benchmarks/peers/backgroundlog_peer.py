"""backgroundlog's ThreadHandler."""

from __future__ import annotations

from backgroundlog.handlers.thread_handler import ThreadHandler

from benchmarks.peers.base import ROOM, Destination, Facts, UnderLogging, Writes


class Backgroundlog(UnderLogging):
    facts = Facts(
        "backgroundlog",
        "backgroundlog",
        under_logging=True,
        formats="worker",
        pins=True,
        bounded="1,000 records; below ERROR drops, from ERROR on the caller waits",
        words="The record itself is queued, with its arguments and frames as they are. Here with room for a million "
        "records, since its own bound would make a caller that logs errors wait.",
    )

    def __init__(self, destination: Destination) -> None:
        super().__init__(destination, ThreadHandler(Writes(destination), queue_size=ROOM))

    def close(self) -> None:
        # It ends at exit only: its thread is a daemon, and its closing method is private.
        self.destination.open()
        self.logger.removeHandler(self.handler)
