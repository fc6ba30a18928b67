"""What the terminal shows."""

import dataclasses
import io

from rich.console import Console

from asynclog.trial import table
from asynclog.trial.measure import Comparison
from asynclog.trial.plan import phases
from asynclog.trial.run import Progress
from asynclog.trial.words import duration, ratio
from tests.trial.samples import outcome


def console(*, terminal):
    return Console(file=io.StringIO(), force_terminal=terminal, width=80, height=40, color_system=None, _environ={})


def test_without_a_terminal_each_state_is_one_plain_line():
    out = console(terminal=False)
    with table.view(out) as view:
        progress = Progress(phases(50))
        for phase in progress.plan:
            progress.phase, progress.elapsed = phase, phase.start
            view.enter(progress)
            view.tick(progress)
    lines = out.file.getvalue().splitlines()
    assert len(lines) == 5
    assert lines[1].split("  ")[-1] == "mail server: 2 s per mail"
    assert "\x1b" not in out.file.getvalue()


def test_in_a_terminal_a_live_table_shows_every_app():
    out = console(terminal=True)
    run = outcome()
    with table.view(out) as view:
        progress = Progress(run.plan, elapsed=2.0, phase=run.plan[1], samples=list(run.samples))
        progress.waiting = [(0, 0.0), (0, 0.0), (47, 1.49), (0, 0.0)]
        progress.mails = [*run.mails["stdlib"], *run.mails["asynclog"]]
        view.enter(progress)
    shown = out.file.getvalue()
    assert "47 for 1.49 s" in shown
    for label in ("no logging", "SMTPHandler", "asynclog", "refusing"):
        assert label in shown


def test_the_tables_at_the_end_fit_into_80_columns_uncut():
    out = console(terminal=False)
    table.show(out, outcome())
    shown = out.file.getvalue()
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert "accepting and silent" in shown
    assert "adds up" in shown


def test_an_account_that_does_not_add_up_is_shouted():
    out = console(terminal=False)
    table.show(out, outcome(lost=1))
    assert "NO" in out.file.getvalue()


def test_durations_and_ratios_read_well():
    assert [duration(s) for s in (0.00123, 0.0999, 0.1234, 1.234, 9.99, 10, 12)] == [
        "1.2 ms",
        "99.9 ms",
        "123 ms",
        "1.23 s",
        "9.99 s",
        "≥ 10 s",
        "≥ 10 s",
    ]
    assert [ratio(r).replace("\xa0", " ") for r in (0.999, 1.5, 12.34, 1234.5)] == [
        "× 1.00",
        "× 1.50",
        "× 12.3",
        "× 1,234",
    ]


def test_within_means_ten_percent_or_what_the_twin_and_the_spread_allow():
    assert Comparison(1.10, 1, 1.0, 0.9, 1.0).within
    assert not Comparison(1.11, 1, 1.0, 0.9, 1.1).within
    assert Comparison(1.3, 1, 1.0, 0.7, 1.35).within
    assert Comparison(1.3, 1, 1.4, 0.9, 1.0).within
    assert Comparison(1.3, 1, 1 / 1.4, 0.9, 1.0).within


def test_memory_is_shown_for_every_app_and_where_it_is_not_told_that_is_said():
    out = console(terminal=False)
    run = outcome()
    table.show(out, run)
    assert out.file.getvalue().count("30.0 MiB  31.0 MiB") == 4
    out = console(terminal=False)
    table.show(out, dataclasses.replace(run, memory=dict.fromkeys(run.memory)))
    assert "MiB" not in out.file.getvalue()
    assert "this system doesn't tell" in out.file.getvalue()


def test_p999_stands_in_the_block_of_all_states_where_each_state_has_too_few():
    run = outcome()
    many = {key: dataclasses.replace(one, requests=3000, p999=1.5) for key, one in run.measured.overall.items()}
    out = console(terminal=False)
    table.show(out, dataclasses.replace(run, measured=dataclasses.replace(run.measured, overall=many)))
    states, _, together = out.file.getvalue().partition("all states together")
    assert "1.50 s" not in states
    assert together.count("1.50 s") == 4
    assert max(map(len, out.file.getvalue().splitlines())) <= 80
