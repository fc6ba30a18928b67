"""The app of the storm, in a process of its own: so many threads that raise and log, and nothing else.

It says in JSON lines on stdout how far it is, waits for a line on stdin before it begins, and says
at the end what became of the records.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import queue
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asynclog
from benchmarks.failing import failing_places
from benchmarks.peers.base import Destination
from benchmarks.peers.standard import Dropping

THREADS = 8
PLACES = 50
FLUSH_SECONDS = 20.0

SENDER, RECIPIENT = "server-error@example.com", "admin@example.com"

Finish = Callable[[], dict[str, Any]]


def _dropping(port: int) -> tuple[logging.Handler, Finish]:
    return Dropping(Destination()).handler, dict


def _asynclog(port: int) -> tuple[logging.Handler, Finish]:
    url = f"smtp://127.0.0.1:{port}"
    handler = asynclog.wrap(asynclog.SMTPSink(url, sender=SENDER, recipients=[RECIPIENT], level="ERROR"))

    def finish() -> dict[str, Any]:
        before = handler.listener.stats()
        handler.listener.flush(FLUSH_SECONDS)
        return {"at the end of the calls": before, **handler.listener.stats()}

    return handler, finish


def _asynclog_started(port: int) -> tuple[logging.Handler, Finish]:
    handler, finish = _asynclog(port)
    handler.listener.start()  # type: ignore[attr-defined]  # a wrap's
    # As in an app that has logged before: the worker runs and has imported what a mail needs.
    deadline = time.monotonic() + 10
    while "aiosmtplib" not in sys.modules and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.0)
    return handler, finish


def _stdlib(port: int) -> tuple[logging.Handler, Finish]:
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    target = logging.handlers.SMTPHandler(("127.0.0.1", port), SENDER, [RECIPIENT], "failed")
    listener = logging.handlers.QueueListener(waiting, target)  # type: ignore[arg-type]
    listener.start()
    # What waits at the end is left: a mail each would take minutes.
    return logging.handlers.QueueHandler(waiting), lambda: {"pending": waiting.qsize()}  # type: ignore[arg-type]


WAYS = {
    "dropping": _dropping,
    "asynclog": _asynclog,
    "asynclog, worker running": _asynclog_started,
    "stdlib queue pair, SMTPHandler": _stdlib,
}


def _say(**words: Any) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


def main(way: str, records: int, port: int) -> None:
    """Log so many errors, one way."""
    with tempfile.TemporaryDirectory() as folder:
        places = failing_places(PLACES, Path(folder))
        handler, finish = WAYS[way](port)
        logger = logging.Logger("benchmarks.storm")
        logger.addHandler(handler)
        share = records // THREADS

        def work(first: int) -> None:
            for number in range(share):
                places[(first + number) % PLACES](logger, number)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
        _say(ready=True)
        sys.stdin.readline()
        began, cpu = time.monotonic(), time.process_time()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        ended, cpu = time.monotonic(), time.process_time() - cpu
        _say(began=began, ended=ended, cpu=cpu, logged=share * THREADS)
        _say(counts=finish())
        sys.stdin.readline()  # its memory is looked at until it is told to end


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
