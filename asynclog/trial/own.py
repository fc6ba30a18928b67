"""The reader's own app on trial: with its own handlers, with the same handlers wrapped, and with none."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asynclog.trial.accounts import Account, Mail, nowhere_account, own_account
from asynclog.trial.hosted import MARK, STATS_PATH, Hosting
from asynclog.trial.plan import ASYNCLOG, OWN_APPS, STDLIB, App
from asynclog.trial.scene import OwnApp, Voice
from asynclog.trial.servers import Child, DemoError, ServedApp, exit_file, gunicorn

_START_SECONDS = 120.0
_PLAIN_FIRST = 6
_SERVERS = {"wsgi": "gunicorn", "asgi": "uvicorn"}


@dataclass(frozen=True, slots=True)
class OwnOptions:
    """What is asked of the reader's own app.

    Attributes:
        target: ``module:app`` or ``module:create_app()``.
        paths: URL paths, asked for in turn.
        errors: Share of the requests that log an exception, 0 to 1.
        interface: ``wsgi`` or ``asgi``; ``""``: by looking at the app.
        threads: Of gunicorn's one worker; ``None``: 4.
        chdir: The app's directory.
        logger: Where errors are logged; ``""``: by looking at the app.
        allow: Hosts that the app may reach, each with or without a port.
        headers: Of every request.
    """

    target: str
    paths: tuple[str, ...]
    errors: float
    interface: str
    threads: int | None
    chdir: Path
    logger: str
    allow: tuple[str, ...]
    headers: tuple[tuple[str, str], ...]


class OwnScene:
    """The reader's own app.

    Args:
        options: What is asked of it.
    """

    name = "bench"
    apps: tuple[App, ...] = OWN_APPS
    boxes = len(OWN_APPS)
    outage: tuple[float, float] | None = None
    lenient = True

    def __init__(self, options: OwnOptions) -> None:
        self._options = options
        self.order: Mapping[str, Any] = {
            "raising_from": 0.0,
            "share": options.errors,
            "asked": {
                "plain": options.paths,
                "raising": options.paths,
                "headers": options.headers,
                "raising_headers": [(MARK, "1")],
            },
        }
        self._folder = Path()
        self._interface = ""
        self._server = ""
        self._logged_by = ""
        self._told: list[str] = []
        self._report: tuple[str, ...] = ()
        self._refused: Counter[str] = Counter()

    # -- before ----------------------------------------------------------------------------------

    def prepare(self, folder: Path, voice: Voice) -> None:
        """Import the app in a process of its own, and say what will be redirected.

        Raises:
            DemoError: There is no such app, it can't be imported, or its server is not installed.
        """
        self._folder = folder
        voice.say(f"looking at {self._options.target}")
        found = self._inspect(folder)
        self._interface = found["interface"]
        self._server = _server(self._interface, self._options.threads)
        self._logged_by = found["logged_by"]
        kind = "a WSGI app" if self._interface == "wsgi" else "an ASGI app"
        voice.note(f"{self._options.target}: {kind} ({found['app']}), served by {self._server}")
        self._tell(found["redirected"], voice)
        allowed = f" but {', '.join(self._options.allow)}" if self._options.allow else ""
        voice.note(f"Connections that the app makes to other machines{allowed} are refused and counted.")
        voice.say("starting the mail server, four servers with the app, and the load")

    def _inspect(self, folder: Path) -> dict[str, Any]:
        # As the floor is served: what is looked at must not ship anything.
        looked_at = App("inspection", "", mails=False)
        arguments = ["-m", "asynclog.trial.inspection", self._hosting_file(looked_at, 0)]
        with Child("inspection", arguments, folder, **self._surroundings(looked_at)) as child:
            deadline = time.monotonic() + _START_SECONDS
            while child.running():
                if time.monotonic() > deadline:
                    raise DemoError(f"{self._options.target} was not imported within {_START_SECONDS:g} s")
                time.sleep(0.02)
            try:
                found: dict[str, Any] = json.loads(exit_file(folder, looked_at).read_text(encoding="utf-8"))
            except FileNotFoundError:
                last = "\n".join(child.stderr().splitlines()[-15:])
                raise DemoError(f"{self._options.target} can't be imported:\n{last}") from None
        if "error" in found:
            raise DemoError(found["error"])
        return found

    def _hosting_file(self, app: App, mail_port: int) -> str:
        options = self._options
        files = self._folder / f"{app.key}-files"
        files.mkdir()
        hosting = Hosting(
            app.key,
            options.target,
            self._interface or options.interface,
            options.logger,
            list(options.allow),
            mail_port,
            str(files),
            str(exit_file(self._folder, app)),
        )
        path = self._folder / f"{app.key}.hosting"
        path.write_text(json.dumps(dataclasses.asdict(hosting)), encoding="utf-8")
        return str(path)

    def _surroundings(self, app: App) -> dict[str, Any]:
        return {
            "cwd": self._options.chdir,
            "environment": {
                # What the app wraps by itself is measured unwrapped where its own handlers are.
                "ASYNCLOG_DISABLED": None if app.key == ASYNCLOG.key else "1",
                # It would overrule the settings that make the servers comparable.
                "GUNICORN_CMD_ARGS": None,
            },
        }

    def _tell(self, lines: Sequence[str], voice: Voice) -> None:
        for line in lines:
            if line not in self._told:
                self._told.append(line)
                voice.note(line)

    # -- while it runs ---------------------------------------------------------------------------

    def start(self, app: App, ports: Sequence[int]) -> ServedApp:
        """Start the app's server."""
        hosting_file = self._hosting_file(app, ports[self.apps.index(app)])

        def arguments(listening: int) -> list[str]:
            if self._interface == "asgi":
                return ["-m", "asynclog.trial.asgi_server", hosting_file, str(listening)]
            threads = [] if self._options.threads is None else ["--threads", str(self._options.threads)]
            return gunicorn(listening, f"asynclog.trial.hosted:wsgi({hosting_file!r})", *threads)

        return ServedApp(app, self._folder, arguments, stats_path=STATS_PATH, **self._surroundings(app))

    def warm_up(self, apps: Sequence[Any], voice: Voice) -> None:
        """Ask each app for every path, with an error and without, and see that the errors reach its handlers.

        Raises:
            DemoError: A path is answered by an error, or the trial would show nothing.
        """
        deadline = time.monotonic() + _START_SECONDS
        for app in apps:
            for path in self._options.paths:
                for marked in (*[False] * _PLAIN_FIRST, *[True, False, True] * bool(self._options.errors)):
                    self._ask(app, path, deadline, marked=marked)
            counts = app.counts()
            self._tell(counts["redirected"], voice)
            if app.app.key == STDLIB.key:
                self._check(counts, voice)

    def _ask(self, app: ServedApp, path: str, deadline: float, *, marked: bool) -> None:
        headers = {**dict(self._options.headers), **({MARK: "1"} if marked else {})}
        status, _ = app.get(path, deadline - time.monotonic(), headers)
        if 200 <= status < 400:
            return
        refused = app.counts()["refused"]
        why = f" The app asked for {', '.join(refused)}, which was refused: see --allow." if refused else ""
        last = "\n".join(app.child.stderr().splitlines()[-15:])
        raise DemoError(
            f"{path} is answered with {status}: give a --path that a GET request gets without an error"
            f" (with a -H for a login, say).{why}" + (f"\nThe server printed:\n{last}" if last else "")
        )

    def _check(self, counts: Mapping[str, Any], voice: Voice) -> None:
        if not counts["handlers"]:
            raise DemoError(
                f"{self._options.target} has no log handlers but for the console, which asynclog leaves alone, so there"
                " is nothing to compare; if they are set up elsewhere, name a module or a factory that does it"
            )
        if not counts["mail_handlers"]:
            voice.note("It has no SMTPHandler: the state of the mail server makes no difference to it.")
        elif self._options.errors and not counts["given"]:
            raise DemoError(
                f"none of the app's SMTP handlers got an error that was logged by {self._logged_by}: say with --logger"
                " where the app logs errors"
            )

    def begin(self, start: float, voice: Voice) -> None:
        """Say nothing: there is no outage of the app's own."""

    def owner(self, mail: Mail) -> str:
        """Return the key of the app that sent a mail: each has a port of the mail server to itself."""
        return self.apps[mail.box].key

    # -- afterwards ------------------------------------------------------------------------------

    def account(self, app: ServedApp, mails: Sequence[Mail], stderr: str) -> Account:
        """Account for an app that has ended."""
        counts = app.last_counts()
        self._refused.update(counts["refused"])
        self._told += [line for line in counts["redirected"] if line not in self._told]
        if app.app.key == ASYNCLOG.key:
            self._report = tuple(counts["report"])
        if app.app.mails:
            return own_account(counts, mails, stderr)
        return nowhere_account(counts["logged"], mails)

    def own_app(self) -> OwnApp | None:
        """Return what there is to say of it."""
        options = self._options
        return OwnApp(
            options.target,
            self._server,
            options.paths,
            options.errors,
            self._logged_by,
            tuple(self._told),
            self._report,
            dict(self._refused),
        )


def _server(interface: str, threads: int | None) -> str:
    name = _SERVERS[interface]
    if importlib.util.find_spec(name) is None:
        raise DemoError(f'it takes {name} to serve it, not installed here: pip install "asynclog-shipper[bench]"')
    if interface == "wsgi":
        return f"gunicorn (gthread, 1 worker, {threads or 4} threads)"
    if threads is not None:
        raise DemoError("--threads is for WSGI apps, and this is an ASGI app: leave it out")
    return "uvicorn (1 worker)"
