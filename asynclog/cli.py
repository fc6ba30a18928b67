"""The command line: ``asynclog`` or ``python -m asynclog``.

What only the command line needs is imported when it is used: the library itself must be importable
without click, and ``--help`` must not load matplotlib.
"""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from asynclog._version import __version__

if TYPE_CHECKING:
    import click

_DISTRIBUTION = "asynclog-shipper"
_DEMO_NEEDS = ("flask", "gunicorn", "aiosmtpd", "jinja2", "matplotlib", "rich")

EXIT_FAULT = 1
"""The demo ran and found what must not be."""

EXIT_USAGE = 2
"""The command line is wrong, or something that it needs is not installed."""


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and end the process.

    Args:
        arguments: Without the program's name; ``None``: the process's own.
    """
    given = sys.argv[1:] if arguments is None else arguments
    _need(("click", "rich"), "demo" if "demo" in given else "cli")
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

    @asynclog.command()
    @click.option(
        "--seconds",
        type=click.FloatRange(5, 3600),
        callback=finite,
        default=60.0,
        show_default=True,
        help="How long the load runs; the five states of the mail server share it.",
    )
    @click.option(
        "--rate",
        # Two requests in the shortest phase: so that each app is asked in each, whatever the order drawn.
        type=click.FloatRange(2, 200),
        callback=finite,
        default=50.0,
        show_default=True,
        help="Requests a second to each of the four apps; one in ten raises.",
    )
    @click.option(
        "--report",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path("demo-report"),
        show_default=True,
        metavar="DIR",
        help="Where index.html is written; made if it is not there.",
    )
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
        try:
            code = _demo(seconds, rate, report, storm=storm)
        except KeyboardInterrupt:
            code = _ended(130)
        raise SystemExit(code)

    return asynclog


def _demo(seconds: float, rate: float, folder: Path, *, storm: bool) -> int:
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
            outcome = run.run(seconds, rate, view, storm=storm)
            view.say("writing the report")
            page = report.write(outcome, folder)
    except servers.DemoError as error:
        raise click.ClickException(str(error)) from None
    except run.Terminated as ended:
        return _ended(128 + int(ended.args[0]))
    table.show(console, outcome)
    console.print(f"Report: {page.resolve().as_uri()}", markup=False, highlight=False, soft_wrap=True)
    for fault in outcome.faults:
        console.print(f"Fault: {fault}", style="bold red", markup=False, highlight=False, soft_wrap=True)
    return EXIT_FAULT if outcome.faults else 0


def _ended(code: int) -> int:
    sys.stderr.write("asynclog demo: ended before it was done; no process is left, no report was written\n")
    return code
