"""A whole run: start the processes, switch the mail server while the load runs, settle the accounts."""

from __future__ import annotations

import base64
import contextlib
import resource
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from asynclog.trial.accounts import Account, Mail, mails_of, owner_by_sender
from asynclog.trial.load import Sample
from asynclog.trial.measure import Measured, measure, needless_failures
from asynclog.trial.memory import Memory
from asynclog.trial.plan import APPS, ASYNCLOG, PATIENCE, App, Phase, phases
from asynclog.trial.scene import DemoScene, OwnApp, Scene, Voice
from asynclog.trial.servers import DemoError, LoadProcess, MailProcess, ServedApp

_TICK = 0.5
_LEAD = 0.5
_DESCRIPTORS = 8192


class Terminated(BaseException):
    """The trial was asked to end by a signal; the argument is its number."""


@dataclass
class Progress:
    """What is known while the load runs.

    Attributes:
        plan: The phases.
        elapsed: Seconds after the start.
        phase: The phase of now; ``None`` after the last, while answers are still awaited.
        samples: Requests that are done.
        waiting: For each app, the requests that wait and the age of the oldest in seconds.
        mails: What arrived, in order.
        apps: The apps.
        owner: Whose a mail is, as an app's key.
    """

    plan: tuple[Phase, ...]
    elapsed: float = 0.0
    phase: Phase | None = None
    samples: list[Sample] = field(default_factory=list)
    waiting: list[tuple[int, float]] = field(default_factory=lambda: [(0, 0.0)] * len(APPS))
    mails: list[Mail] = field(default_factory=list)
    apps: tuple[App, ...] = APPS
    owner: Callable[[Mail], str] = owner_by_sender


class View(Voice, Protocol):
    """Shows a run while it goes on."""

    def enter(self, progress: Progress) -> None:
        """Show that a phase has begun."""

    def tick(self, progress: Progress) -> None:
        """Show how things stand; called about twice a second."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run.

    Attributes:
        seconds: How long the load ran.
        rate: Requests a second to each app.
        plan: The phases.
        samples: Every request.
        measured: The numbers made of them.
        accounts: By app key.
        mails: Distinct mails by app key.
        stderr: What each app printed on stderr, by app key.
        stats: What `asynclog.stats` said just before the app was ended.
        outage: From when to when the shop's database was down, in seconds after the start of the
            load; ``None``: never.
        apps: The apps.
        own: What there is to say of the reader's own app; ``None``: it was the demo.
        memory: Of each app's worker process, by app key; ``None`` where the system doesn't tell.
    """

    seconds: float
    rate: float
    plan: tuple[Phase, ...]
    samples: tuple[Sample, ...]
    measured: Measured
    accounts: Mapping[str, Account]
    mails: Mapping[str, tuple[Mail, ...]]
    stderr: Mapping[str, str]
    stats: Mapping[str, Any]
    outage: tuple[float, float] | None = None
    apps: tuple[App, ...] = APPS
    own: OwnApp | None = None
    memory: Mapping[str, Memory | None] = field(default_factory=dict)

    def role(self, of: App) -> App:
        """Return the app that has the role of one of the demo's."""
        return next(app for app in self.apps if app.key == of.key)

    @property
    def faults(self) -> tuple[str, ...]:
        """What must not be: accounts that don't add up, requests that failed because of asynclog."""
        found = [
            f"{app.label}: {check}: {left:,} is not {right:,}"
            for app in self.apps
            for account in (self.accounts[app.key], self.accounts[app.key].files)
            for check, (left, right) in (account.checks if account else {}).items()
            if left != right
        ]
        needless = needless_failures(self.measured)
        if needless:
            label = self.role(ASYNCLOG).label
            found.append(f"{label}: {needless:,} requests failed that did not fail in the app that logs nowhere")
        return tuple(found)


def run(seconds: float, rate: float, view: View, *, storm: bool = False) -> Outcome:
    """Run the demo.

    Args:
        seconds: Of load; all five states of the mail server share them.
        rate: Requests a second to each app.
        view: Shows it meanwhile.
        storm: Whether the shop's database goes down for a while.

    Raises:
        DemoError: A process could not be started, or ended on its own.
        Terminated: SIGTERM or SIGHUP came. No process is left, as with a `KeyboardInterrupt`.
    """
    return perform(DemoScene(phases(seconds), storm=storm), seconds, rate, view)


def perform(scene: Scene, seconds: float, rate: float, view: View) -> Outcome:
    """Run a trial.

    Args:
        scene: What is put on trial.
        seconds: As for `run`.
        rate: As for `run`.
        view: As for `run`.

    Raises:
        DemoError: As for `run`.
        Terminated: As for `run`.
    """
    with (
        _signals_end_it(),
        enough_descriptors(),
        tempfile.TemporaryDirectory(prefix=f"asynclog-{scene.name}-") as folder,
        contextlib.ExitStack() as children,
    ):
        try:
            return _Run(scene, seconds, rate, view, Path(folder), children).run()
        except BaseException:
            # From here on only cleaning up is left: another Ctrl-C must not break it off half-way.
            _ignore_signals()
            raise


class _Run:
    """One run; its processes are ended by the stack it is given."""

    def __init__(
        self,
        scene: Scene,
        seconds: float,
        rate: float,
        view: View,
        folder: Path,
        children: contextlib.ExitStack,
    ) -> None:
        self._scene = scene
        self._view = view
        self._children = children
        self._progress = Progress(phases(seconds), apps=scene.apps, owner=scene.owner)
        self._order = {**scene.order, "rate": rate, "seconds": seconds, "patience": PATIENCE}
        scene.prepare(folder, view)
        self._mail = MailProcess(folder, self._took, scene.boxes)
        children.enter_context(self._mail.child)
        self._load = LoadProcess(folder, self._hear)
        children.enter_context(self._load.child)
        self._mail.wait_until_ready()
        self._apps: list[ServedApp] = []
        for app in scene.apps:
            self._apps.append(scene.start(app, self._mail.ports))
            children.enter_context(self._apps[-1].child)

    def _took(self, said: dict[str, Any]) -> None:
        content = base64.b64decode(said["mail"])
        self._progress.mails.append(Mail(said["at"], said["sender"], tuple(said["recipients"]), content, said["box"]))

    def _hear(self, said: dict[str, Any]) -> None:
        self._progress.waiting = said["waiting"]
        self._progress.samples.extend(
            Sample(app, due, late, latency, status, bool(raises), self._scene.lenient)
            for app, due, late, latency, status, raises in said["done"]
        )

    def run(self) -> Outcome:
        self._scene.warm_up(self._apps, self._view)
        start = self._load.begin({**self._order, "ports": [app.port for app in self._apps]}, _LEAD)
        self._scene.begin(start, self._view)
        for phase in self._progress.plan:
            self._pass(phase, start)
        self._await_answers(start)
        stats = next(app.counts()["stats"] for app in self._apps if app.app.key == ASYNCLOG.key)
        self._view.say("ending the apps: what asynclog still has leaves now")
        self._end_all()
        return self._settle(start, stats)

    def _pass(self, phase: Phase, start: float) -> None:
        progress = self._progress
        time.sleep(max(0.0, start + phase.start - time.monotonic()))
        self._mail.switch(phase.behaviour)
        progress.phase = phase
        progress.elapsed = phase.start
        self._view.enter(progress)
        while (left := start + phase.end - time.monotonic()) > 0:
            time.sleep(min(_TICK, left))
            self._tick(start)

    def _await_answers(self, start: float) -> None:
        self._progress.phase = None
        deadline = time.monotonic() + 3 * PATIENCE
        while self._load.child.running():
            if time.monotonic() > deadline:
                raise DemoError("the load did not end")
            time.sleep(_TICK / 5)
            self._tick(start)
        self._load.child.wait()

    def _tick(self, start: float) -> None:
        self._progress.elapsed = time.monotonic() - start
        for child in (self._mail.child, *(app.child for app in self._apps)):
            if not child.running():
                raise child.failure()
        self._view.tick(self._progress)

    def _end_all(self) -> None:
        for app in self._apps:
            app.child.ask_to_end()
        for app in self._apps:
            app.child.wait()
        # Only now: until their end the apps may send.
        self._mail.child.ask_to_end(None)
        self._mail.child.wait()

    def _settle(self, start: float, stats: Mapping[str, Any]) -> Outcome:
        arrived = [replace(mail, at=mail.at - start) for mail in self._progress.mails]
        samples = tuple(sorted(self._progress.samples, key=lambda sample: sample.due))
        mails = {app.key: mails_of(app.key, arrived, self._scene.owner) for app in self._scene.apps}
        stderr = {app.app.key: app.child.stderr() for app in self._apps}
        return Outcome(
            seconds=self._order["seconds"],
            rate=self._order["rate"],
            plan=self._progress.plan,
            samples=samples,
            measured=measure(self._progress.plan, samples),
            accounts={
                app.app.key: self._scene.account(app, mails[app.app.key], stderr[app.app.key]) for app in self._apps
            },
            mails=mails,
            stderr=stderr,
            stats=stats,
            outage=self._scene.outage,
            apps=self._scene.apps,
            own=self._scene.own_app(),
            memory={app.app.key: Memory.of(app.last_counts()) for app in self._apps},
        )


@contextlib.contextmanager
def _signals_end_it() -> Iterator[None]:
    """Turn SIGTERM and a closed terminal into an exception, so that every process is ended on the way out."""

    def raise_terminated(signum: int, _: FrameType | None) -> None:
        raise Terminated(signum)

    before = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    signal.signal(signal.SIGTERM, raise_terminated)
    signal.signal(signal.SIGHUP, raise_terminated)
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)


def _ignore_signals() -> None:
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)


@contextlib.contextmanager
def enough_descriptors() -> Iterator[None]:
    """Let the processes hold as many connections as a stalled app piles up."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
