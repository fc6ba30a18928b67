"""What is put on trial: which apps, how each is started and warmed up, and how it is accounted for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from asynclog.trial.accounts import Account, Mail, asynclog_account, nowhere_account, owner_by_sender, stdlib_account
from asynclog.trial.plan import APPS, ASYNCLOG, STDLIB, App, Phase, outage
from asynclog.trial.servers import AppProcess, ServedApp


@dataclass(frozen=True, slots=True)
class OwnApp:
    """What there is to say of the reader's own app.

    Attributes:
        target: As it was named, ``module:app``.
        server: What served it.
        paths: That were asked for.
        share: Of the requests that logged an exception.
        logged_by: Where these exceptions were logged.
        redirected: What was pointed elsewhere or left to drop its records, a line each.
        report: What `asynclog.install` said of each handler, a line each.
        refused: Connections that were refused, host and port to how often in all apps.
    """

    target: str
    server: str
    paths: tuple[str, ...]
    share: float
    logged_by: str
    redirected: tuple[str, ...]
    report: tuple[str, ...]
    refused: Mapping[str, int]


class Voice(Protocol):
    """Tells people what goes on."""

    def say(self, text: str) -> None:
        """Show one line, until there is something newer."""

    def note(self, text: str) -> None:
        """Show one line that stays."""


class Scene(Protocol):
    """What is put on trial.

    Attributes:
        name: Of the command.
        apps: In the order of their roles, see `asynclog.trial.plan.APPS`.
        boxes: How many ports the mail server has.
        order: What the load is asked for besides how much and for how long.
        outage: From when to when something of the app's own is down, in seconds after the start; ``None``: never.
        lenient: Whether any answer that is no error will do, see `asynclog.trial.load.Sample`.
    """

    name: str
    apps: tuple[App, ...]
    boxes: int
    order: Mapping[str, Any]
    outage: tuple[float, float] | None
    lenient: bool

    def prepare(self, folder: Path, voice: Voice) -> None:
        """Do what comes before any server is started.

        Args:
            folder: The trial's own, which is removed at its end.
            voice: Tells people of it.
        """

    def start(self, app: App, ports: Sequence[int]) -> ServedApp:
        """Start an app's server.

        Args:
            app: Which.
            ports: The mail server's.
        """

    def warm_up(self, apps: Sequence[Any], voice: Voice) -> None:
        """Wait until all serve, and have each do a few times what it is going to be measured at."""

    def begin(self, start: float, voice: Voice) -> None:
        """Hear when the first request is due, on the monotonic clock that all processes share."""

    def owner(self, mail: Mail) -> str:
        """Return the key of the app that sent a mail."""

    def account(self, app: ServedApp, mails: Sequence[Mail], stderr: str) -> Account:
        """Account for an app that has ended."""

    def own_app(self) -> OwnApp | None:
        """Return what there is to say of the reader's own app, at the end; ``None``: it is not one."""


class DemoScene:
    """The demo's shop.

    Args:
        plan: The phases.
        storm: Whether its database goes down for a while.
    """

    name = "demo"
    apps: tuple[App, ...] = APPS
    boxes = 1
    lenient = False

    def __init__(self, plan: tuple[Phase, ...], *, storm: bool) -> None:
        self.outage = outage(plan) if storm else None
        self.order: Mapping[str, Any] = {"raising_from": self.outage[0] if self.outage else 0.0}
        self._folder = Path()
        self._outage_file: Path | None = None

    def prepare(self, folder: Path, voice: Voice) -> None:
        """Choose where the outage is announced."""
        self._folder = folder
        self._outage_file = folder / "outage.json" if self.outage else None
        voice.say("starting the mail server, four gunicorns and the load")

    def start(self, app: App, ports: Sequence[int]) -> ServedApp:
        """Start a gunicorn with the shop."""
        return AppProcess(app, ports[0], self._folder, self._outage_file)

    def warm_up(self, apps: Sequence[Any], voice: Voice) -> None:  # noqa: ARG002 - there is nothing to say
        """Ask each app for what it will be asked for."""
        for app in apps:
            app.warm_up(raising=self.outage is None)

    def begin(self, start: float, voice: Voice) -> None:
        """Tell the apps when the database is down."""
        if self.outage is None or self._outage_file is None:
            return
        begins, ends = self.outage
        # Renamed into place, because an app may look just now.
        new = self._outage_file.with_suffix(".new")
        new.write_text(json.dumps([start + begins, start + ends]), encoding="ascii")
        new.replace(self._outage_file)
        voice.say(f"the shop's database will be down from {begins:.1f} s to {ends:.1f} s")

    def owner(self, mail: Mail) -> str:
        """Return the key of the app that sent a mail, which its sender's address tells."""
        return owner_by_sender(mail)

    def account(self, app: ServedApp, mails: Sequence[Mail], stderr: str) -> Account:
        """Account for an app that has ended."""
        counts = app.last_counts()
        if app.app is STDLIB:
            return stdlib_account(counts["raised"], mails, stderr)
        if app.app is ASYNCLOG:
            return asynclog_account(counts["raised"], mails, counts["stats"], stderr)
        return nowhere_account(counts["raised"], mails)

    def own_app(self) -> OwnApp | None:
        """Return nothing: it is ours."""
        return None
