"""From the call to the disk: records a second, against the stdlib's QueueListener with a FileHandler.

Both write the same bytes, which is checked. Nothing is dropped: the queue is made large enough.
"""

from __future__ import annotations

import logging
import logging.handlers
import queue
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import asynclog
from benchmarks.hot_path import error_with_frames

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
Way = Callable[[Path, Callable[[logging.Logger], None]], float]


def _logger(handler: logging.Handler) -> logging.Logger:
    logger = logging.Logger("benchmarks.to_file")
    logger.addHandler(handler)
    return logger


def _file_handler(path: Path) -> logging.FileHandler:
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter(FORMAT))
    return handler


def stdlib(path: Path, work: Callable[[logging.Logger], None]) -> float:
    """The standard library's pair."""
    target = _file_handler(path)
    simple: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    listener = logging.handlers.QueueListener(simple, target)  # type: ignore[arg-type]
    listener.start()
    logger = _logger(logging.handlers.QueueHandler(simple))  # type: ignore[arg-type]
    started = time.perf_counter()
    work(logger)
    listener.stop()
    taken = time.perf_counter() - started
    target.close()
    return taken


def wrapped(path: Path, work: Callable[[logging.Logger], None]) -> float:
    """The same handler, wrapped."""
    handler = asynclog.wrap(_file_handler(path), maxsize=1_000_000, max_memory=4 << 30)
    handler.listener.start()
    logger = _logger(handler)
    started = time.perf_counter()
    work(logger)
    done = handler.listener.flush(120)
    taken = time.perf_counter() - started
    handler.listener.stop()
    counts = handler.listener.stats()
    assert done, counts
    assert counts["delivered"] == counts["accepted"], counts
    return taken


def plain(count: int) -> Callable[[logging.Logger], None]:
    def work(logger: logging.Logger) -> None:
        for number in range(count):
            logger.error("user %s failed %d", "bob", number)

    return work


def exceptions(count: int) -> Callable[[logging.Logger], None]:
    error = error_with_frames(10)
    info = (type(error), error, error.__traceback__)

    def work(logger: logging.Logger) -> None:
        for number in range(count):
            logger.error("order %d failed", number, exc_info=info)

    return work


def _without_times(path: Path) -> list[bytes]:
    # The two runs are seconds apart: all but the time stamp is compared.
    return [line[24:] if line[:2] == b"20" else line for line in path.read_bytes().splitlines()]


def main(quick: bool = False) -> dict[str, float]:
    """Measure and print; returns the ratios."""
    ways: dict[str, Way] = {"stdlib": stdlib, "asynclog": wrapped}
    ratios = {}
    for case, make, count in (("plain", plain, 100_000), ("exception, 10 frames", exceptions, 20_000)):
        size = count // 10 if quick else count
        best = dict.fromkeys(ways, float("inf"))
        for _ in range(2 if quick else 3):
            lines: dict[str, list[bytes]] = {}
            for name, way in ways.items():
                with tempfile.TemporaryDirectory() as folder:
                    path = Path(folder, "app.log")
                    best[name] = min(best[name], way(path, make(size)))
                    lines[name] = _without_times(path)
            assert lines["stdlib"] == lines["asynclog"], "not the same lines"
        ratio = ratios[case] = best["stdlib"] / best["asynclog"]
        rates = {name: f"{size / seconds:,.0f} records/s" for name, seconds in best.items()}
        print(f"{case}: stdlib {rates['stdlib']}, asynclog {rates['asynclog']}: {ratio:.2f} x")
    return ratios


if __name__ == "__main__":
    main()
