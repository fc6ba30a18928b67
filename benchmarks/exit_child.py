"""A small program that logs and ends, in a process of its own.

It says on stdout, by `time.monotonic`, when its last line ran; how long its end takes is what its
parent sees. ``stop`` has it stop its listener by itself and say how long that took.
"""

from __future__ import annotations

import atexit
import json
import logging
import logging.handlers
import queue
import sys
import time
from collections.abc import Callable
from typing import Any

SENDER, RECIPIENT = "server-error@example.com", "admin@example.com"

#: The handler, and what stops its listener.
Made = tuple[logging.Handler, Callable[[], Any]]


def _file_handler(path: str) -> logging.Handler:
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    return handler


def _mail_handler(port: str) -> logging.Handler:
    return logging.handlers.SMTPHandler(("127.0.0.1", int(port)), SENDER, [RECIPIENT], "failed")


def _stdlib(target: logging.Handler) -> Made:
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    listener = logging.handlers.QueueListener(waiting, target)  # type: ignore[arg-type]
    listener.start()
    atexit.register(listener.stop)  # as its documentation says: else what is queued is lost
    return logging.handlers.QueueHandler(waiting), listener.stop  # type: ignore[arg-type]


def _asynclog(target: logging.Handler) -> Made:
    import asynclog

    handler = asynclog.wrap(target)
    return handler, handler.listener.stop


def main(way: str, sink: str, where: str, records: int, pause: float, end: str) -> None:
    """Log, wait and end."""
    target = _file_handler(where) if sink == "file" else _mail_handler(where)
    handler, stop = _stdlib(target) if way == "stdlib" else _asynclog(target)
    logger = logging.Logger("benchmarks.exit_time")
    logger.addHandler(handler)
    if sink == "file":
        logger.error("warming up")  # the worker runs: what is measured is its end and not its start
        time.sleep(0.3)
    for number in range(records):
        logger.error("user %s failed %d", "bob", number)
    time.sleep(pause)
    began = time.monotonic()
    if end == "stop":
        if way == "stdlib":
            atexit.unregister(stop)  # once is enough, and twice is an error before Python 3.12
        stop()
    sys.stdout.write(json.dumps({"began": began, "stopped": time.monotonic()}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5]), sys.argv[6])
