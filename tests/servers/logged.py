"""What the served apps have in common: where they log, and that a hang can be looked into."""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
from logging.handlers import SMTPHandler

from tests.servers.kit import DUMP_SIGNAL, EXIT_TIMEOUT, FILE, IMPORT_RECORD, MAIL_PORT

with contextlib.suppress(OSError, RuntimeError, ValueError):
    faulthandler.register(DUMP_SIGNAL, all_threads=True)


def log_to_mail_and_file(logger: logging.Logger) -> None:
    """Have a logger log as the test asks: one wrapped handler for mails, one for the file."""
    import asynclog

    logger.handlers.clear()  # the framework's own, to the console
    mail = SMTPHandler(
        ("127.0.0.1", int(os.environ[MAIL_PORT])), "shop@example.com", ["ops@example.com"], "It failed", timeout=3.0
    )
    file = logging.FileHandler(os.environ[FILE], delay=True)
    for handler in (mail, file):
        handler.setLevel(logging.ERROR)
        # Who logged it, so that a test can tell whose record it was.
        handler.setFormatter(logging.Formatter("%(process)d %(message)s"))
        logger.addHandler(
            asynclog.wrap(handler, exit_timeout=float(os.environ.get(EXIT_TIMEOUT, "5")), retry_initial=0.05)
        )
    logger.propagate = False
    if os.environ.get(IMPORT_RECORD):
        logger.error("imported: id-import-%d", os.getpid())
