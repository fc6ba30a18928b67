"""The command line: ``asynclog`` or ``python -m asynclog``.

What only the command line needs is imported when it is used: the library itself must be importable
without click, and ``--help`` must not load matplotlib.
"""

from __future__ import annotations

import importlib.util
import math
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from asynclog._version import __version__

if TYPE_CHECKING:
    import click

    from asynclog.trial.run import Outcome, View

_Command = TypeVar("_Command", bound="Callable[..., Any]")

_DISTRIBUTION = "asynclog-shipper"
_BENCH_NEEDS = ("aiosmtpd", "jinja2", "matplotlib", "rich")
_DEMO_NEEDS = ("flask", "gunicorn", "aiosmtpd", "jinja2", "matplotlib", "rich")

EXIT_FAULT = 1
"""The trial ran and found what must not be."""

EXIT_USAGE = 2
"""The command line is wrong, or something that it needs is not installed."""


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and end the process.

    Args:
        arguments: Without the program's name; ``None``: the process's own.
    """
    given = sys.argv[1:] if arguments is None else arguments
    _need(("click", "rich"), next((name for name in ("demo", "bench") if name in given[:1]), "cli"))
    _commands().main(given, prog_name="asynclog")
    raise AssertionError("click ends the process itself")


def _need(modules: tuple[str, ...], extra: str) -> None:
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        what = "asynclog's command line" if extra == "cli" else f"asynclog {extra}"
        sys.stderr.write(
            f"{what} needs {', '.join(missing)}, not installed here. Install the extra:\n"
            f'  pip install "{_DISTRIBUTION}[{extra}]"\n'
        )
        raise SystemExit(EXIT_USAGE)


def _commands() -> click.Group:
    import click

    def finite(_: click.Context, parameter: click.Parameter, value: float) -> float:
        # NaN passes every comparison that click's ranges make.
        if math.isnan(value):
            raise click.BadParameter(f"{value} is not a number of {parameter.name}.")
        return value

    @click.group(context_settings={"help_option_names": ["-h", "--help"]})
    @click.version_option(__version__, prog_name="asynclog")
    def asynclog() -> None:
        """Ship log records to mail and files without the request ever waiting."""

    def url_path(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            if not re.fullmatch(r"/[!-~]*", value) or "#" in value:
                raise click.BadParameter(f"{value!r} is not a URL's path: give one such as /checkout or /search?q=tea")
        return values

    def header(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
        found = [re.fullmatch(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([ -~\t]*)", value) for value in values]
        if None in found:
            # Not quoted: it may hold a cookie or a password.
            raise click.BadParameter('one of them is no header: give NAME: VALUE, such as -H "Cookie: session=…"')
        return tuple((one[1], one[2]) for one in found if one)

    def hosts(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
        from asynclog.trial.guard import split

        for value in values:
            try:
                split(value)
            except ValueError:
                raise click.BadParameter(f"{value!r} is no HOST or HOST:PORT, such as db.example.com:5432") from None
        return values

    def load_and_report(default_report: str, rate_help: str) -> Callable[[_Command], _Command]:
        options = (
            click.option(
                "--seconds",
                type=click.FloatRange(5, 3600),
                callback=finite,
                default=60.0,
                show_default=True,
                help="How long the load runs; the five states of the mail server share it.",
            ),
            click.option(
                "--rate",
                # Two requests in the shortest phase: so that each app is asked in each, whatever the order drawn.
                type=click.FloatRange(2, 200),
                callback=finite,
                default=50.0,
                show_default=True,
                help=rate_help,
            ),
            click.option(
                "--report",
                type=click.Path(file_okay=False, path_type=Path),
                default=Path(default_report),
                show_default=True,
                metavar="DIR",
                help="Where index.html is written; made if it is not there.",
            ),
        )

        def decorate(command: _Command) -> _Command:
            for option in reversed(options):
                command = option(command)
            return command

        return decorate

    @asynclog.command()
    @load_and_report("demo-report", "Requests a second to each of the four apps; one in ten raises.")
    @click.option(
        "--storm",
        is_flag=True,
        help="Have the shop's database go down for a while: out of the blue every checkout fails with one error; "
        "asynclog sends HTML and a digest every 10 s at first.",
    )
    def demo(seconds: float, rate: float, report: Path, storm: bool) -> None:
        """Show what a failing mail server does to a Flask app, without and with asynclog.

        The same app is served by gunicorn side by side: logging its errors nowhere (twice, to show how
        far apart two runs of the same thing are), through the standard SMTPHandler, and through
        asynclog.wrap of that same handler. Its mail server is healthy, then takes 2 s per mail, refuses
        connections, accepts and says nothing, and is healthy again. Everything runs on this machine,
        on free ports.

        Ends with code 0 if every error is accounted for and asynclog cost no request, with 1 if not.
        """
        _need(_DEMO_NEEDS, "demo")
        from asynclog.trial import run

        raise SystemExit(_trial("demo", report, lambda view: run.run(seconds, rate, view, storm=storm)))

    @asynclog.command()
    @click.argument("app", metavar="MODULE:APP")
    @click.option(
        "--path",
        "paths",
        multiple=True,
        default=("/",),
        show_default=True,
        callback=url_path,
        help="A URL path that is asked for by GET; given several times: in turn.",
    )
    @click.option(
        "--errors",
        type=click.FloatRange(0, 1),
        callback=finite,
        default=0.1,
        show_default=True,
        help="Share of the requests that log an exception.",
    )
    @load_and_report("bench-report", "Requests a second to each of the four copies of the app.")
    @click.option(
        "-C",
        "--chdir",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        default=Path("."),
        help="The app's directory, from which modules are imported; default: this one.",
    )
    @click.option(
        "--interface",
        type=click.Choice(["wsgi", "asgi"]),
        help="What the app is, where looking at it does not tell: wsgi is served by gunicorn, asgi by uvicorn.",
    )
    @click.option(
        "--threads", type=click.IntRange(1, 1000), help="Threads of gunicorn's one worker, for WSGI apps; default: 4."
    )
    @click.option(
        "--logger",
        default="",
        metavar="NAME",
        help="Where the exceptions are logged; default: by Flask's and Quart's own log_exception, in other apps on the "
        "logger that has the mail handler.",
    )
    @click.option(
        "-H", "--header", "headers", multiple=True, callback=header, metavar="NAME: VALUE", help="Of every request."
    )
    @click.option(
        "--allow",
        multiple=True,
        callback=hosts,
        metavar="HOST[:PORT]",
        help="Where the app may connect to all the same, such as its database.",
    )
    def bench(
        app: str,
        paths: tuple[str, ...],
        errors: float,
        seconds: float,
        rate: float,
        report: Path,
        chdir: Path,
        interface: str | None,
        threads: int | None,
        logger: str,
        headers: tuple[tuple[str, str], ...],
        allow: tuple[str, ...],
    ) -> None:
        """Measure what its log handlers cost your own app, and what asynclog leaves of that.

        APP is served as it is, by gunicorn or uvicorn, side by side: without its log handlers (twice,
        to show how far apart two runs of the same thing are), with them, and with them after
        asynclog.install(). Its SMTPHandlers are pointed at a mail server on this machine, which is
        healthy, then takes 2 s per mail, refuses connections, accepts and says nothing, and is healthy
        again. MODULE:APP is named as for gunicorn, uvicorn and flask; a factory as MODULE:create_app().

        Nothing leaves this machine: what the handlers would send or write is redirected, which is said
        first, and connections to other hosts are refused unless --allow names them.

        Ends with code 0 if every record is accounted for and asynclog cost no request, with 1 if not.
        """
        _need(_BENCH_NEEDS, "bench")
        from asynclog.trial import own, run

        scene = own.OwnScene(
            own.OwnOptions(app, paths, errors, interface or "", threads, chdir, logger, allow, headers)
        )
        raise SystemExit(_trial("bench", report, lambda view: run.perform(scene, seconds, rate, view)))

    return asynclog


def _trial(name: str, folder: Path, perform: Callable[[View], Outcome]) -> int:
    try:
        return _perform(name, folder, perform)
    except KeyboardInterrupt:
        return _ended(name, 130)


def _perform(name: str, folder: Path, perform: Callable[[View], Outcome]) -> int:
    import click
    from rich.console import Console

    from asynclog.trial import report, run, servers, table

    try:
        report.prepare(folder)
    except OSError as error:
        raise click.BadParameter(
            f"{str(folder)!r} can't be written ({error.strerror}); give a directory that can", param_hint="--report"
        ) from None
    console = Console()
    try:
        with table.view(console) as view:
            outcome = perform(view)
            view.say("writing the report")
            page = report.write(outcome, folder)
    except servers.DemoError as error:
        raise click.ClickException(str(error)) from None
    except run.Terminated as ended:
        return _ended(name, 128 + int(ended.args[0]))
    table.show(console, outcome)
    console.print(f"Report: {page.resolve().as_uri()}", markup=False, highlight=False, soft_wrap=True)
    for fault in outcome.faults:
        console.print(f"Fault: {fault}", style="bold red", markup=False, highlight=False, soft_wrap=True)
    return EXIT_FAULT if outcome.faults else 0


def _ended(name: str, code: int) -> int:
    sys.stderr.write(f"asynclog {name}: ended before it was done; no process is left, no report was written\n")
    return code
