"""Bars where there is a terminal, plain lines where there is none, and no thread that takes part in what is measured."""

from __future__ import annotations

import io
import threading

import pytest

from benchmarks import progress


def test_lines_say_what_runs_how_far_it_is_and_what_came_of_it():
    heard = io.StringIO()
    with progress.Lines(heard) as show:
        show.start("storm", "A storm")
        show.begin(1000)
        for number in range(1000):
            show.step(f"part {number}")
        show.end("12 s, 3 of 3 claims hold")
    lines = heard.getvalue().splitlines()
    assert lines[0] == "storm: A storm"
    assert lines[1] == "storm: 1/1000 part 0"
    assert lines[-1] == "storm: 12 s, 3 of 3 claims hold"
    assert len(lines) < 100


def test_bars_show_the_same_and_start_no_thread(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    pytest.importorskip("rich")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    before = threading.active_count()
    with progress.RichBars(2) as show:
        show.say("2 benchmarks, about 3 min.")
        show.start("storm", "A storm")
        show.begin(4)
        show.step("part 1")
        assert threading.active_count() == before
        show.end("12 s, 3 of 3 claims hold")
    text = capsys.readouterr().err
    for part in ("2 benchmarks, about 3 min.", "storm", "part 1", "3 of 3 claims hold", "1/2", "4/4"):
        assert part in text, part


def test_without_a_terminal_there_are_lines(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert isinstance(progress.display(3), progress.Lines)
