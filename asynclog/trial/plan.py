"""What a trial does when: the apps, the mail server's states, and every request with its due time."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

PATIENCE = 10.0
"""Seconds after which a waiting client gives up; its request has failed."""

ONE_IN = 10
"""One request in this many raises."""

_BLOCK = 10

PLAIN_PATH = "/product/7"
RAISING_PATH = "/checkout"
STATS_PATH = "/__stats"


@dataclass(frozen=True, slots=True)
class App:
    """One of the served apps.

    Attributes:
        key: Names it in addresses, files and results.
        label: Names it to people.
        mails: Whether it sends mail at all.
        title: Heads its picture.
    """

    key: str
    label: str
    mails: bool
    title: str = ""


NOWHERE = App("nowhere", "no logging", mails=False, title="errors logged nowhere")
# The same app once more: how far apart two runs of one and the same thing are is the only honest
# measure of whether a difference between two different things means anything.
AGAIN = App("again", "no logging, 2nd copy", mails=False)
STDLIB = App("stdlib", "SMTPHandler", mails=True, title="errors through SMTPHandler")
ASYNCLOG = App("asynclog", "asynclog", mails=True, title="errors through asynclog.wrap(SMTPHandler)")

APPS = (NOWHERE, AGAIN, STDLIB, ASYNCLOG)

# The reader's own app: the same four roles, which is what the keys say.
OWN_APPS = (
    App(NOWHERE.key, "no handlers", mails=False, title="without its handlers"),
    App(AGAIN.key, "no handlers, 2nd copy", mails=False),
    App(STDLIB.key, "own handlers", mails=True, title="with its own handlers"),
    App(ASYNCLOG.key, "wrapped", mails=True, title="with the same handlers, after asynclog.install()"),
)


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of the run in which the mail server behaves in one way.

    Attributes:
        key: Names it in results.
        label: Names it to people.
        short: The same where there is little room.
        behaviour: What the mail server is told: ``healthy``, ``slow``, ``refusing`` or ``silent``.
        start: Seconds after the first request was due.
        end: The same; belongs to the next phase.
    """

    key: str
    label: str
    short: str
    behaviour: str
    start: float
    end: float


_STATES = (
    ("healthy", "healthy", "healthy", "healthy"),
    ("slow", "2 s per mail", "2 s per mail", "slow"),
    ("refusing", "refusing connections", "refusing", "refusing"),
    ("silent", "accepting and silent", "silent", "silent"),
    ("recovered", "healthy again", "healthy", "healthy"),
)


def phases(seconds: float) -> tuple[Phase, ...]:
    """Divide a run into equal phases, one for each state of the mail server."""
    length = seconds / len(_STATES)
    return tuple(
        Phase(key, label, short, behaviour, number * length, (number + 1) * length)
        for number, (key, label, short, behaviour) in enumerate(_STATES)
    )


def outage(plan: tuple[Phase, ...]) -> tuple[float, float]:
    """Return from when to when a storm's database is down; seconds after the first request was due.

    From a third of the first phase, so that its first mail finds a healthy server, to the end of the
    second: long enough, in a run of 40 s or more, for a digest to come while it lasts.
    """
    first, second = plan[:2]
    return first.start + (first.end - first.start) / 3, second.end


def phase_at(plan: tuple[Phase, ...], due: float) -> Phase:
    """Return the phase in which a request was due."""
    return next((phase for phase in plan if due < phase.end), plan[-1])


@dataclass(frozen=True, slots=True)
class Due:
    """A request that has to be sent.

    Attributes:
        at: Seconds after the start.
        app: Number of the app.
        raises: Whether the app is asked for what raises.
        number: Of the round; the apps of one round are asked for the same.
    """

    at: float
    app: int
    raises: bool
    number: int = 0


def requests(
    rate: float,
    seconds: float,
    apps: int,
    *,
    raising_from: float = 0.0,
    share: float = 1 / ONE_IN,
    seed: int = 7,
) -> Iterator[Due]:
    """Plan the requests of a run.

    Each round asks every app for the same, in evenly spaced slots, so that the two cores are never
    asked for everything at once and what the machine does meanwhile hits all of them alike. The
    order is drawn anew for each round: with a fixed one, the app after the app that is expensive
    would always pay for its neighbour.

    Args:
        rate: Requests a second to each app.
        seconds: How long.
        apps: How many apps.
        raising_from: Seconds before which nothing is asked for that raises: a storm has to come out of
            the blue, or its first mail would join those about what raised a moment ago.
        share: Of the rounds that raise, 0 to 1: exactly, and spread evenly over each ten.
        seed: Of the draw; runs with the same seed send the same.
    """
    draw = random.Random(seed)
    order = list(range(apps))
    raising: set[int] = set()
    for number in range(round(rate * seconds)):
        if number % _BLOCK == 0:
            # What is due by the end of the block less what was by its beginning, so that no share is rounded away.
            wanted = round((number + _BLOCK) * share) - round(number * share)
            raising = {number + one for one in draw.sample(range(_BLOCK), wanted)}
        draw.shuffle(order)
        raises = number in raising and number / rate >= raising_from
        for slot, app in enumerate(order):
            yield Due((number + slot / apps) / rate, app, raises, number)
