"""Each benchmark runs in a process of its own, and what goes wrong in it is told and takes no other with it."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import child, registry
from benchmarks.progress import Lines
from benchmarks.result import Scale

ROOT = Path(__file__).parent.parent.parent

GOOD = """
import os
from benchmarks.result import Claim, Result
TITLE = "Good"
MINUTES = (3.0, 0.5)
def run(scale, progress):
    progress.begin(2)
    progress.step("half of it")
    print("noise of a contender")
    progress.step("done")
    return Result(claims=[Claim("Of its own process", os.getpid(), 0)], samples={"pid": os.getpid()})
"""
BAD = "TITLE = 'Bad'\nMINUTES = (0, 0)\ndef run(scale, progress):\n    raise RuntimeError('no such thing')\n"
CRASHING = "import os\nTITLE = 'C'\nMINUTES = (0, 0)\ndef run(scale, progress):\n    os.abort()\n"


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Make a module importable as a benchmark, in this process and in those it starts."""
    import benchmarks

    folder = tmp_path / "more"
    folder.mkdir()
    monkeypatch.setattr(benchmarks, "__path__", [*benchmarks.__path__, str(folder)])
    monkeypatch.setenv("PYTHONPATH", f"{folder}:{ROOT}")

    def write(name: str, code: str) -> str:
        (folder / f"{name}.py").write_text(code)
        monkeypatch.setattr(registry, "NAMES", (*registry.NAMES, name))
        (folder / "sitecustomize.py").write_text(
            "import benchmarks, benchmarks.registry\n"
            f"benchmarks.__path__.append({str(folder)!r})\n"
            f"benchmarks.registry.NAMES = {registry.NAMES!r}\n"
        )
        return name

    return write


def run_one(name: str, tmp_path: Path):
    heard = io.StringIO()
    show = Lines(heard)
    show.start(name, name)
    return child.run(name, Scale(quick=True), show, tmp_path / "it.log"), heard.getvalue()


def test_it_runs_in_a_process_of_its_own_and_its_noise_goes_to_its_log(written, tmp_path: Path, capfd):
    import os

    done, heard = run_one(written("good_one", GOOD), tmp_path)
    assert done.fault == ""
    assert done.title == "Good"
    assert done.samples["pid"] != os.getpid()
    assert "1/2 half of it" in heard
    assert "noise of a contender" in (tmp_path / "it.log").read_text()
    assert "noise" not in capfd.readouterr().out


def test_what_it_raises_is_its_fault_and_the_traceback_is_in_the_log(written, tmp_path: Path):
    done, _ = run_one(written("bad_one", BAD), tmp_path)
    assert done.fault == "RuntimeError: no such thing"
    assert "Traceback" in (tmp_path / "it.log").read_text()


def test_a_crash_of_the_interpreter_is_told_too(written, tmp_path: Path):
    done, _ = run_one(written("crashing_one", CRASHING), tmp_path)
    assert "ended with -6" in done.fault


def test_the_command_says_beforehand_how_long_it_takes_and_fails_when_a_benchmark_does(written, tmp_path, capsys):
    name = written("bad_two", BAD.replace("(0, 0)", "(4.0, 2.5)"))
    assert command.main([name, "--quick", "--into", str(tmp_path / "report")]) == 1
    told = capsys.readouterr()
    assert told.err.startswith("1 benchmark, about 2 min.")
    assert "FAILED: RuntimeError: no such thing" in told.out
    assert (tmp_path / "report/index.html").exists()


def test_what_was_measured_stays_when_a_later_one_is_stopped(written, tmp_path, capsys, monkeypatch):
    good, later = written("good_three", GOOD), written("bad_three", BAD)
    run = child.run

    def stopped(name, *rest):
        if name == later:
            raise KeyboardInterrupt
        return run(name, *rest)

    monkeypatch.setattr(child, "run", stopped)
    assert command.main([good, later, "--into", str(tmp_path / "report")]) == 130
    assert "Stopped" in capsys.readouterr().err
    assert "Of its own process" in (tmp_path / "report/index.html").read_text("utf-8")


def test_every_benchmark_in_the_list_can_be_loaded_and_says_what_it_is():
    for name in registry.NAMES:
        one = registry.load(name)
        full, quick = one.MINUTES
        assert one.TITLE
        assert 0 < quick <= full


def test_all_quick_ones_together_take_under_three_minutes():
    assert sum(registry.load(name).MINUTES[1] for name in registry.NAMES) < 3


def test_an_unknown_benchmark_is_an_error():
    with pytest.raises(ValueError, match="no benchmark is called"):
        registry.load("nothing")
