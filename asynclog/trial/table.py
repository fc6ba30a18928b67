"""What the terminal shows: a live table while the run goes on, phase lines where there is no terminal, and the end."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from asynclog.trial.accounts import FileAccount
from asynclog.trial.load import Sample
from asynclog.trial.measure import ENOUGH, Summary, percentile, waited
from asynclog.trial.plan import ASYNCLOG, STDLIB, App
from asynclog.trial.run import Outcome, Progress, View
from asynclog.trial.words import adds_up, counted, duration, ratio, size, spread, verdict

_RECENT = 3.0
_STYLES = {"healthy": "green", "recovered": "green", "slow": "yellow", "refusing": "red", "silent": "magenta"}


@contextlib.contextmanager
def view(console: Console) -> Iterator[View]:
    """Choose how a run is shown: live in a terminal, by lines anywhere else."""
    if not console.is_terminal or console.is_dumb_terminal:
        yield Lines(console)
        return
    # Drawn when told to and not by a thread of its own: the cores belong to what is measured.
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield LiveTable(live)


class Lines:
    """Shows a run by a line for each phase; for pipes and CI."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def say(self, text: str) -> None:
        """Show one line."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """Show one line."""
        self.say(text)

    def enter(self, progress: Progress) -> None:
        """Show that a phase has begun."""
        if progress.phase:
            self.say(f"{progress.elapsed:5.1f} s  mail server: {progress.phase.label}")

    def tick(self, progress: Progress) -> None:
        """Show nothing: a line twice a second is for nobody."""


class LiveTable:
    """Shows how the last seconds went for each app."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def say(self, text: str) -> None:
        """Show one line in the table's place."""
        self._live.update(Text(text), refresh=True)

    def note(self, text: str) -> None:
        """Show one line above the table, where it stays."""
        self._live.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def enter(self, progress: Progress) -> None:
        """Show that a phase has begun."""
        self.tick(progress)

    def tick(self, progress: Progress) -> None:
        """Show how things stand."""
        self._live.update(Group(_head(progress), _now(progress)), refresh=True)


def _head(progress: Progress) -> RenderableType:
    end = progress.plan[-1].end
    states = Text("mail server ")
    for phase in progress.plan:
        current = phase is progress.phase
        states.append(f" {phase.short} ", style=f"bold reverse {_STYLES[phase.key]}" if current else "dim")
    if progress.phase is None:
        states.append(" the last answers", style="bold")
    passed = min(progress.elapsed, end)
    line = Table.grid(padding=(0, 1))
    line.add_row(ProgressBar(end, passed, width=50), f"{passed:.0f} of {end:.0f} s")
    return Group(states, line)


def _now(progress: Progress) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        caption=f"p50, p99 and worst: requests due in the last {_RECENT:g} s and done",
    )
    table.add_column("app")
    for title in ("p50", "p99", "worst", "waiting", "failed", "errors", "mails"):
        table.add_column(title, justify="right", no_wrap=True)
    samples = tuple(progress.samples)
    mails = Counter(map(progress.owner, tuple(progress.mails)))
    for number, app in enumerate(progress.apps):
        own = [sample for sample in samples if sample.app == number]
        table.add_row(*_row(app, own, progress, progress.waiting[number], mails[app.key]))
    return table


def _row(
    app: App, own: Sequence[Sample], progress: Progress, waiting: tuple[int, float], mails: int
) -> Sequence[RenderableType]:
    recent = sorted(waited(sample) for sample in own if sample.due > progress.elapsed - _RECENT)
    times = [_time(percentile(recent, share)) if recent else Text("-") for share in (0.5, 0.99, 1)]
    count, oldest = waiting
    queue = f"{count} for {duration(oldest)}" if oldest > 0.5 else str(count)
    failed = sum(sample.failed for sample in own)
    return (
        Text(app.label, style=_app_style(app)),
        *times,
        Text(queue, style="red" if oldest > 0.5 else ""),
        Text(str(failed), style="red" if failed else ""),
        str(sum(sample.raises for sample in own)),
        str(mails) if app.mails else "-",
    )


def _time(seconds: float) -> Text:
    style = "green" if seconds < 0.1 else "yellow" if seconds < 1 else "red"
    return Text(duration(seconds), style=style)


def show(console: Console, outcome: Outcome) -> None:
    """Print the tables of a finished run."""
    console.print(_latencies(outcome))
    console.print(_comparison(outcome))
    console.print(_accounts(outcome))
    files = [outcome.accounts[app.key].files for app in _pair(outcome)]
    if any(files):
        console.print(_files(outcome, files))
    console.print(_memory(outcome))
    for place, count in (outcome.own.refused if outcome.own else {}).items():
        times = "once" if count == 1 else f"{count:,} times"
        console.print(f"Refused {times}: a connection to {place} (--allow lets it)", markup=False, highlight=False)
    late = outcome.measured.lateness
    console.print(
        f"The load itself was late by {duration(late[0])} at p50, {duration(late[1])} at p99, {duration(late[2])} "
        "at worst; that counts in every app's latency.",
        highlight=False,
    )


def _floor(outcome: Outcome) -> str:
    return "without handlers" if outcome.own else "that logs nowhere"


def _pair(outcome: Outcome) -> tuple[App, App]:
    return outcome.role(STDLIB), outcome.role(ASYNCLOG)


def _app_style(app: App) -> str:
    return "bold" if app.key == ASYNCLOG.key else ""


def _latencies(outcome: Outcome) -> Table:
    table = Table(
        title="Latency from when a request was due",
        title_justify="left",
        caption=f"p99.9: of at least {ENOUGH:,} requests; of fewer it would be the worst",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("mail server, app", no_wrap=True)
    for title in ("requests", "p50", "p99", "p99.9", "worst", "failed"):
        table.add_column(title, justify="right", no_wrap=True)
    for phase in outcome.plan:
        _add_state(table, Text(phase.label, style=f"bold {_STYLES[phase.key]}"), outcome, phase.key)
    _add_state(table, Text("all states together", style="bold"), outcome, None)
    return table


def _add_state(table: Table, title: Text, outcome: Outcome, phase: str | None) -> None:
    table.add_row(title)
    by_app = outcome.measured.overall if phase is None else outcome.measured.summaries[phase]
    for app in outcome.apps:
        one: Summary = by_app[app.key]
        table.add_row(
            Text(f"  {app.label}", style=_app_style(app)),
            f"{one.requests:,}",
            _time(one.p50),
            _time(one.p99),
            Text("-") if one.p999 is None else _time(one.p999),
            _time(one.worst),
            Text(f"{one.failed:,}", style="red" if one.failed else ""),
        )
    table.add_section()


def _comparison(outcome: Outcome) -> Table:
    table = Table(
        title=f"p99 as a ratio to the app {_floor(outcome)}",
        title_justify="left",
        caption="spread: where an identical app lies in 19 of 20 runs; within: up to 1.10, or inside it",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("mail server", no_wrap=True)
    theirs, ours = _pair(outcome)
    for title in (theirs.label, ours.label, "2nd copy", "spread", ""):
        table.add_column(title, justify="right", no_wrap=True)
    for phase in outcome.plan:
        one = outcome.measured.comparisons[phase.key]
        table.add_row(
            Text(phase.label, style=_STYLES[phase.key]),
            ratio(one.stdlib),
            Text(ratio(one.asynclog), style="bold"),
            ratio(one.twin),
            spread(one),
            Text(verdict(one), style="green" if one.within else "yellow"),
        )
    return table


def _accounts(outcome: Outcome) -> Table:
    table = Table(
        title="Where the errors went", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0)
    )
    table.add_column("")
    for app in _pair(outcome):
        table.add_column(app.label, justify="right")
    pair = [outcome.accounts[app.key] for app in _pair(outcome)]
    table.add_row(
        "given to its mail handlers" if outcome.own else "errors raised", *(f"{account.raised:,}" for account in pair)
    )
    table.add_row("mails arrived", *(f"{account.mails:,}" for account in pair))
    table.add_row("errors that these mails tell of", *(f"{account.announced:,}" for account in pair))
    for name in dict.fromkeys(name for account in pair for name in account.rest):
        table.add_row(name, *(f"{account.rest[name]:,}" if name in account.rest else "-" for account in pair))
    table.add_row(
        "adds up",
        *(Text("yes", style="green") if account.adds_up else Text("NO", style="bold red") for account in pair),
    )
    return table


def _files(outcome: Outcome, pair: Sequence[FileAccount | None]) -> Table:
    table = Table(
        title="What its file handlers wrote",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("records")
    for app in _pair(outcome):
        table.add_column(app.label, justify="right")

    def add(name: str, value: Callable[[FileAccount], str | Text]) -> None:
        table.add_row(name, *("-" if one is None else value(one) for one in pair))

    add("given to its file handlers", lambda one: f"{one.given:,}")
    add("written, as handlers and asynclog say", lambda one: counted(one.written))
    add("found in the files", lambda one: counted(one.on_disk))
    for name in dict.fromkeys(name for one in pair if one for name in one.rest):
        table.add_row(name, *(f"{one.rest[name]:,}" if one and name in one.rest else "-" for one in pair))
    add("adds up", _adds_up)
    return table


def _adds_up(account: FileAccount) -> Text:
    styles = {"yes": "green", "NO": "bold red"}
    said = adds_up(account)
    return Text(said, style=styles.get(said, ""))


def _memory(outcome: Outcome) -> RenderableType:
    if not any(outcome.memory.values()):
        return Text("Memory: this system doesn't tell (there is no /proc).")
    table = Table(
        title="Memory of the worker process (RSS)",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("app", no_wrap=True)
    for title in ("at the end", "peak"):
        table.add_column(title, justify="right", no_wrap=True)
    for app in outcome.apps:
        one = outcome.memory[app.key]
        sizes = ("-", "-") if one is None else (size(one.held), size(one.peak))
        table.add_row(Text(app.label, style=_app_style(app)), *sizes)
    return table
