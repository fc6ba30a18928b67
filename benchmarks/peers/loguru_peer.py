"""loguru, directly and with its queue."""

from __future__ import annotations

from typing import Any

from loguru._logger import Core, Logger

from benchmarks.peers.base import CART, EXTRA, USER, Call, Destination, ExcInfo, Facts, Peer


class _Loguru(Peer):
    enqueue = False

    def __init__(self, destination: Destination) -> None:
        super().__init__(destination)
        # A logger of its own, made as the package makes its one global logger: two contenders with
        # different settings, and neither may see the other's records.
        self.logger: Any = Logger(Core(), None, 0, False, False, False, False, True, [], {})
        self.logger.add(
            destination.write,
            format="{time} {level} {name}: {message}",
            enqueue=self.enqueue,
            backtrace=False,
            diagnose=False,
        )

    def plain(self) -> Call:
        error = self.logger.error
        return lambda number: error("user {} failed {}", USER, number)

    def mutable(self) -> Call | None:
        error = self.logger.error
        return lambda number: error("cart {} of order {}", CART, number)

    def extra(self) -> Call | None:
        bind = self.logger.bind
        return lambda number: bind(**EXTRA).error("user {} failed {}", USER, number)

    def exception(self, info: ExcInfo) -> Call:
        opt = self.logger.opt
        return lambda number: opt(exception=info).error("order {} failed", number)

    def close(self) -> None:
        self.destination.open()
        self.logger.remove()


class Direct(_Loguru):
    facts = Facts(
        "loguru",
        "loguru",
        under_logging=False,
        formats="caller",
        pins=False,
        bounded="no queue",
        words="Own API. Formats and writes on the caller, under a lock. Measured with diagnose and backtrace off, as "
        "its docs advise for production; its default would print every variable.",
    )
    holds = primes = False


class Enqueued(_Loguru):
    facts = Facts(
        "loguru, enqueue=True",
        "loguru",
        under_logging=False,
        formats="caller",
        pins=False,
        bounded="by a pipe of the system (64 KiB); the caller waits",
        words="Own API. Formats and pickles on the caller; its queue is a pipe, so its worker can't be made to wait "
        "and ran in every round.",
    )
    holds = primes = False
    enqueue = True

    def flush(self) -> None:
        self.logger.complete()
