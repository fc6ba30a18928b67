"""uvicorn with the reader's own app: ``python -m asynclog.trial.asgi_server HOSTING_FILE DESCRIPTOR``."""

from __future__ import annotations

import os
import signal
import socket
import sys
from types import FrameType

import uvicorn

from asynclog.trial.ending import end_with_the_trial
from asynclog.trial.hosted import asgi

_GRACEFUL_SECONDS = 20


def _end(*_: int | FrameType | None) -> None:
    raise SystemExit(0)


def main() -> None:
    """Serve until SIGTERM."""
    hosting_file, descriptor = sys.argv[1:]
    end_with_the_trial(os.getpid())
    # uvicorn raises the signal again when it is done. By this the process ends so that exit functions
    # run, without which there would be no last counts.
    signal.signal(signal.SIGTERM, _end)
    server = uvicorn.Server(
        uvicorn.Config(
            # Made when uvicorn has set up its own logging, as it does itself: that closes every handler there is.
            lambda: asgi(hosting_file),
            factory=True,
            # A loop of C code would make connections that the guard doesn't hear of.
            loop="asyncio",
            workers=1,
            log_level="warning",
            access_log=False,
            backlog=2048,
            timeout_graceful_shutdown=_GRACEFUL_SECONDS,
        )
    )
    with socket.socket(fileno=int(descriptor)) as listening:
        server.run(sockets=[listening])


if __name__ == "__main__":
    main()
