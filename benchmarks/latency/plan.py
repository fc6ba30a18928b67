"""What is compared with what: contenders, servers, states of the mail server, and how long each is measured."""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Iterator
from dataclasses import dataclass

from asynclog.trial.plan import Due


@dataclass(frozen=True, slots=True)
class Contender:
    """A way to have errors mailed.

    Attributes:
        key: Names it in addresses, files and results.
        label: Names it to people.
        note: What it does and does not do.
    """

    key: str
    label: str
    note: str = ""


NOWHERE = Contender("nowhere", "no logging", "a NullHandler: the record is made and dropped")
AGAIN = Contender("again", "no logging, 2nd copy", "the same app once more, in a process of its own")
DIRECT = Contender(
    "direct",
    "SMTPHandler",
    "logging.handlers.SMTPHandler and FileHandler: a mail for each error, sent and written by the request",
)
PAIR = Contender(
    "pair",
    "QueueHandler + QueueListener",
    "the standard library's pair round a FileHandler and an SMTPHandler: a mail for each error, an unbounded queue, "
    "nothing retried; one thread for both, so a slow mail holds the file up",
)
LOGBOOK = Contender(
    "logbook",
    "Logbook, threaded",
    "Logbook's ThreadedWrapperHandler(MailHandler) behind its RedirectLoggingHandler: a mail for each error, an "
    "unbounded queue of live tracebacks; no timeout on the connection, and its thread ends with the first failed mail. "
    "Its FileHandler writes in the request",
)
ASYNCLOG = Contender(
    "asynclog",
    "asynclog",
    "asynclog.wrap(FileHandler, SMTPHandler): the first error at once, then digests with exact counts; "
    "digest_interval=(10, 60) and not the default's minute, so that digests are composed while it is measured",
)

_ALL = (NOWHERE, AGAIN, DIRECT, PAIR, LOGBOOK, ASYNCLOG)


def contenders() -> tuple[Contender, ...]:
    """Return those that are installed here."""
    logbook = importlib.util.find_spec("logbook") is not None
    return tuple(one for one in _ALL if one is not LOGBOOK or logbook)


@dataclass(frozen=True, slots=True)
class Server:
    """A web server with an app.

    Attributes:
        key: Names it in files and results.
        label: Names it to people.
        arguments: For this Python; ``{fd}`` stands for the listening socket's descriptor.
        needs: Modules that must be installed.
        exits: Whether it runs the exit functions of its app's process when it is ended. Where not, the
            lifespan's end is the last that an app hears, and asynclog drains there.
    """

    key: str
    label: str
    arguments: tuple[str, ...]
    needs: tuple[str, ...]
    exits: bool = True

    @property
    def installed(self) -> bool:
        """Whether it can run here."""
        return all(importlib.util.find_spec(module) is not None for module in self.needs)


_GUNICORN = ("gunicorn", "-c", "python:benchmarks.latency.gunicorn_conf", "--bind", "fd://{fd}")
_FLASK = "benchmarks.latency.flask_app:create_app()"
_QUART = "benchmarks.latency.quart_app:create_app"

SERVERS = (
    Server("gthread", "Flask, gunicorn gthread", (*_GUNICORN, "-k", "gthread", _FLASK), ("flask", "gunicorn")),
    Server("gevent", "Flask, gunicorn gevent", (*_GUNICORN, "-k", "gevent", _FLASK), ("flask", "gunicorn", "gevent")),
    Server(
        "hypercorn", "Quart, hypercorn", ("hypercorn", "--bind", "fd://{fd}", f"{_QUART}()"), ("quart", "hypercorn")
    ),
    Server(
        "uvicorn",
        "Quart, uvicorn",
        ("uvicorn", "--fd", "{fd}", "--factory", "--no-access-log", "--log-level", "warning", _QUART),
        ("quart", "uvicorn"),
        exits=False,  # it raises SIGTERM again, with the system's own handler
    ),
)


@dataclass(frozen=True, slots=True)
class State:
    """How the mail server behaves."""

    key: str
    label: str


STATES = (
    State("healthy", "healthy"),
    State("slow", "2 s a mail"),
    State("refusing", "refusing"),
    State("silent", "silent"),
)


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a cell, one server and one state, is measured, and how hard.

    Attributes:
        rate: Requests a second to each contender. The mails, the apps and the load share the cores of
            one machine, and the contenders that mail each error cost it most: with this rate two cores
            are less than half busy.
        cold: Seconds of load before those that count; its first request is the process's first error.
        seconds: That count.
        patience: Seconds after which a client gives up.
        grace: Seconds between SIGTERM and SIGKILL at the end, as a process manager gives; more than
            asynclog's exit_timeout.
        exit_timeout: asynclog's, in seconds.
    """

    rate: float
    cold: float
    seconds: float
    patience: float
    grace: float
    exit_timeout: float


FULL = Timing(rate=30.0, cold=2.0, seconds=38.0, patience=5.0, grace=8.0, exit_timeout=5.0)
QUICK = Timing(rate=30.0, cold=1.0, seconds=3.0, patience=1.5, grace=3.7, exit_timeout=2.6)


def requests(timing: Timing, apps: int, seed: int) -> Iterator[Due]:
    """Plan the requests of a cell; every one raises.

    Each round asks every contender once, in evenly spaced slots and in an order drawn anew, so that
    what the machine does meanwhile hits all alike and nobody always follows the same neighbour.
    """
    draw = random.Random(seed)
    order = list(range(apps))
    for number in range(round(timing.rate * (timing.cold + timing.seconds))):
        draw.shuffle(order)
        for slot, app in enumerate(order):
            yield Due((number + slot / apps) / timing.rate, app, raises=True)
