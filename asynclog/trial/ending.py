"""How a served app ends: its last counts are written, and it never outlives the trial that started it."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any


class CountsAtExit(logging.Handler):
    """Writes the last counts when `logging.shutdown` closes it.

    A handler, because that is the end that comes late enough: an ``atexit`` function of this module
    would run before asynclog's, which was registered earlier, and so before its drain; `logging`
    registered its own before either.

    Args:
        path: The file.
        counts: Called once for what is written as JSON.
    """

    def __init__(self, path: str, counts: Callable[[], dict[str, Any]]) -> None:
        super().__init__()
        self._path = Path(path)
        self._counts = counts

    def close(self) -> None:
        """Write them."""
        self._path.write_text(json.dumps(self._counts()), encoding="utf-8")
        super().close()


def end_with_the_trial(pid: int | None = None) -> None:
    """Have the server ended when the trial is gone, even if it was killed: its end of our stdin closes then.

    Args:
        pid: The server's process; default: the parent.
    """

    def watch() -> None:
        while os.read(0, 1):
            pass
        os.kill(os.getppid() if pid is None else pid, signal.SIGTERM)

    threading.Thread(target=watch, daemon=True, name="trial-watch").start()
