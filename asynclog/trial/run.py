"""A whole run: start the processes, switch the mail server while the load runs, settle the accounts."""

from __future__ import annotations

import base64
import contextlib
import json
import resource
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from asynclog.trial.accounts import Account, Mail, asynclog_account, mails_of, nowhere_account, stdlib_account
from asynclog.trial.load import Sample
from asynclog.trial.measure import Measured, measure, needless_failures
from asynclog.trial.plan import APPS, ASYNCLOG, PATIENCE, STDLIB, Phase, outage, phases
from asynclog.trial.servers import AppProcess, DemoError, LoadProcess, MailProcess

_TICK = 0.5
_LEAD = 0.5
_DESCRIPTORS = 8192


class Terminated(BaseException):
    """The demo was asked to end by a signal; the argument is its number."""


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
    """

    plan: tuple[Phase, ...]
    elapsed: float = 0.0
    phase: Phase | None = None
    samples: list[Sample] = field(default_factory=list)
    waiting: list[tuple[int, float]] = field(default_factory=lambda: [(0, 0.0)] * len(APPS))
    mails: list[Mail] = field(default_factory=list)


class View(Protocol):
    """Shows a run while it goes on."""

    def say(self, text: str) -> None:
        """Show one line."""

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

    @property
    def faults(self) -> tuple[str, ...]:
        """What must not be: accounts that don't add up, requests that failed because of asynclog."""
        found = [
            f"{app.label}: {check}: {left:,} is not {right:,}"
            for app in APPS
            for check, (left, right) in self.accounts[app.key].checks.items()
            if left != right
        ]
        needless = needless_failures(self.measured)
        if needless:
            found.append(f"asynclog: {needless:,} requests failed that did not fail in the app that logs nowhere")
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
    with (
        _signals_end_it(),
        _descriptors(),
        tempfile.TemporaryDirectory(prefix="asynclog-demo-") as folder,
        contextlib.ExitStack() as children,
    ):
        try:
            return _Run(seconds, rate, view, Path(folder), children, storm=storm).run()
        except BaseException:
            # From here on only cleaning up is left: another Ctrl-C must not break it off half-way.
            _ignore_signals()
            raise


class _Run:
    """One run; its processes are ended by the stack it is given."""

    def __init__(
        self,
        seconds: float,
        rate: float,
        view: View,
        folder: Path,
        children: contextlib.ExitStack,
        *,
        storm: bool,
    ) -> None:
        self._view = view
        self._children = children
        self._progress = Progress(phases(seconds))
        self._outage = outage(self._progress.plan) if storm else None
        raising_from = self._outage[0] if self._outage else 0.0
        self._order = {"rate": rate, "seconds": seconds, "raising_from": raising_from, "patience": PATIENCE}
        self._outage_file = folder / "outage.json" if storm else None
        view.say("starting the mail server, four gunicorns and the load")
        self._mail = MailProcess(folder, self._took)
        children.enter_context(self._mail.child)
        self._load = LoadProcess(folder, self._hear)
        children.enter_context(self._load.child)
        self._mail.wait_until_ready()
        self._apps: list[AppProcess] = []
        for app in APPS:
            self._apps.append(AppProcess(app, self._mail.port, folder, self._outage_file))
            children.enter_context(self._apps[-1].child)

    def _took(self, said: dict[str, Any]) -> None:
        content = base64.b64decode(said["mail"])
        self._progress.mails.append(Mail(said["at"], said["sender"], tuple(said["recipients"]), content))

    def _hear(self, said: dict[str, Any]) -> None:
        self._progress.waiting = said["waiting"]
        self._progress.samples.extend(
            Sample(app, due, late, latency, status, bool(raises))
            for app, due, late, latency, status, raises in said["done"]
        )

    def run(self) -> Outcome:
        for app in self._apps:
            app.warm_up(raising=self._outage is None)
        start = self._load.begin({**self._order, "ports": [app.port for app in self._apps]}, _LEAD)
        self._announce_outage(start)
        for phase in self._progress.plan:
            self._pass(phase, start)
        self._await_answers(start)
        stats = next(app.counts()["stats"] for app in self._apps if app.app is ASYNCLOG)
        self._view.say("ending the apps: what asynclog still has leaves now")
        self._end_all()
        return self._settle(start, stats)

    def _announce_outage(self, start: float) -> None:
        if self._outage is None or self._outage_file is None:
            return
        begins, ends = self._outage
        # Renamed into place, because an app may look just now.
        new = self._outage_file.with_suffix(".new")
        new.write_text(json.dumps([start + begins, start + ends]), encoding="ascii")
        new.replace(self._outage_file)
        self._view.say(f"the shop's database will be down from {begins:.1f} s to {ends:.1f} s")

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
        keys = [app.key for app in APPS]
        mails = {key: mails_of(key, arrived) for key in keys}
        stderr = {app.app.key: app.child.stderr() for app in self._apps}
        return Outcome(
            seconds=self._order["seconds"],
            rate=self._order["rate"],
            plan=self._progress.plan,
            samples=samples,
            measured=measure(self._progress.plan, samples),
            accounts={app.app.key: _account(app, mails[app.app.key], stderr[app.app.key]) for app in self._apps},
            mails=mails,
            stderr=stderr,
            stats=stats,
            outage=self._outage,
        )


def _account(app: AppProcess, mails: tuple[Mail, ...], stderr: str) -> Account:
    counts = app.last_counts()
    if app.app is STDLIB:
        return stdlib_account(counts["raised"], mails, stderr)
    if app.app is ASYNCLOG:
        return asynclog_account(counts["raised"], mails, counts["stats"], stderr)
    return nowhere_account(counts["raised"], mails)


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
def _descriptors() -> Iterator[None]:
    """Let the processes hold as many connections as a stalled app piles up."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
