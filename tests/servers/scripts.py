"""Programs that log and end in various ways, each run in a process of its own: ``python -m … NAME``."""

from __future__ import annotations

import ctypes
import logging
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn

import asynclog
from tests.servers.logged import log_to_mail_and_file

log = logging.getLogger("shop")


def say(word: str) -> None:
    """Tell the test how far it is; each process writes its own line."""
    os.write(1, f"{word} {os.getpid()}\n".encode())


def log_some(start: int, count: int = 5) -> None:
    for number in range(start, start + count):
        try:
            raise LookupError("no such order")
        except LookupError:
            log.exception("failed: id-rq-%d", number)


def log_some_in_two_mails() -> None:
    """The first is with the mail server, the others wait for their digest, when this returns."""
    log_some(0, 1)
    asynclog.flush(30)
    log_some(1, 4)


def wait_for_a_signal() -> NoReturn:
    say("ready")
    # In short steps: a signal that comes between the interpreter's last look for one and the system call that sleeps
    # does not end that call.
    while True:
        time.sleep(0.05)


def end_by_handler() -> None:
    """End as an app does that handles SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    log_some_in_two_mails()
    wait_for_a_signal()


def end_by_handler_and_default() -> None:
    """End by a handler that leaves the signal to the system from then on, as asyncio's does."""

    def end(signum: int, _: Any) -> None:
        signal.signal(signum, signal.SIG_DFL)
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    log_some_in_two_mails()
    wait_for_a_signal()


def end_by_ctrl_c() -> None:
    """End as a script does without any handler of its own: a KeyboardInterrupt that nobody catches."""
    log_some(0)
    wait_for_a_signal()


def fall_off_the_end() -> None:
    log_some(0)


def _child(start: int) -> None:
    say(f"child-{start}")
    log_some(start)


def multiprocess(method: str) -> None:
    log_some(0)
    context = multiprocessing.get_context(method)
    children = [context.Process(target=_child, args=(start,)) for start in (100, 200)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    log_some(300)


def prefork(fork: Callable[[], int], before: Callable[[], None]) -> None:
    """Fork workers as Celery and its like do, and log in all of them and in the parent."""
    before()
    children = []
    for start in (100, 200):
        pid = fork()
        if pid == 0:
            say(f"child-{start}")
            log_some(start)
            sys.exit(0)
        children.append(pid)
    log_some(300)
    for pid in children:
        _, status = os.waitpid(pid, 0)
        if status:
            raise SystemExit(f"a child ended with {status}")


def log_and_be_quiet() -> None:
    """Log, and wait until asynclog's threads have nothing more to do.

    Without at-fork hooks nothing else will do: where a thread waits for the interpreter lock at the
    moment of the fork, the child inherits a lock that waits for a thread which it hasn't got, and
    hangs in CPython, whoever's thread it was.
    """
    log_some(0)
    asynclog.flush(30)
    while not all(handler.queue.sleeping for handler in log.handlers):  # type: ignore[attr-defined]
        time.sleep(0.01)
    time.sleep(0.2)


def log_later() -> None:
    """Be silent before the fork, as a master should be."""


def fork_behind_pythons_back() -> int:
    """Fork so that no at-fork hook runs, as uWSGI does: only the process id tells."""
    libc: Any = ctypes.PyDLL(None)  # PyDLL keeps the interpreter lock, which the child then holds
    return int(libc.fork())


PROGRAMS: dict[str, Callable[[], None]] = {
    "end_by_handler": end_by_handler,
    "end_by_handler_and_default": end_by_handler_and_default,
    "end_by_ctrl_c": end_by_ctrl_c,
    "fall_off_the_end": fall_off_the_end,
    "multiprocessing-fork": lambda: multiprocess("fork"),
    "multiprocessing-forkserver": lambda: multiprocess("forkserver"),
    "multiprocessing-spawn": lambda: multiprocess("spawn"),
    "prefork": lambda: prefork(os.fork, lambda: log_some(0)),
    "prefork-silent": lambda: prefork(fork_behind_pythons_back, log_later),
    "prefork-quiet": lambda: prefork(fork_behind_pythons_back, log_and_be_quiet),
}

# At module level, as apps do: children that are spawned import it again.
log_to_mail_and_file(log)
if __name__ == "__main__":
    PROGRAMS[sys.argv[1]]()
