"""Who hears how far a benchmark is: bars on a terminal, else plain lines.

Bars are drawn anew only when a step is done. Rich's own thread, which would redraw them ten times a
second, would take part in what is measured: there may be no more cores than the contenders use.
"""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

# A line for each step of a thousand would be no help.
_SECONDS_BETWEEN_LINES = 5.0


class Display(Protocol):
    """Shows several benchmarks, one after the other; each is a `benchmarks.result.Progress`."""

    def __enter__(self) -> Self:
        """Start showing."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End showing."""

    def start(self, name: str, title: str) -> None:
        """Say which benchmark runs now."""

    def begin(self, steps: int) -> None:
        """Say how many steps it has."""

    def step(self, text: str) -> None:
        """Say that a step is done and what comes next."""

    def end(self, text: str) -> None:
        """Say what came of it."""

    def say(self, text: str) -> None:
        """Show a line that stays."""


class Lines:
    """Plain lines, a few a minute."""

    def __init__(self, file: TextIO | None = None) -> None:
        self._file = file or sys.stderr
        self._name = ""
        self._steps = self._done = 0
        self._next = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.flush()

    def start(self, name: str, title: str) -> None:
        self._name, self._steps, self._done, self._next = name, 0, 0, 0.0
        self.say(f"{name}: {title}")

    def begin(self, steps: int) -> None:
        self._steps, self._done = steps, 0

    def step(self, text: str) -> None:
        self._done += 1
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _SECONDS_BETWEEN_LINES
            self.say(f"{self._name}: {min(self._done, self._steps)}/{self._steps} {text}")

    def end(self, text: str) -> None:
        self.say(f"{self._name}: {text}")

    def say(self, text: str) -> None:
        print(text, file=self._file, flush=True)


class RichBars:
    """Bars by Rich: one for all benchmarks, one for the steps of this one."""

    def __init__(self, count: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._bars: Bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[what]}", style="dim"),
            console=Console(stderr=True),
            auto_refresh=False,
        )
        self._all = self._bars.add_task("benchmarks", total=count, what="")
        self._one: TaskID | None = None

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def start(self, name: str, title: str) -> None:
        self._one = self._bars.add_task(name, total=None, what=title)
        self._bars.refresh()

    def begin(self, steps: int) -> None:
        assert self._one is not None
        self._bars.update(self._one, total=steps, completed=0)
        self._bars.refresh()

    def step(self, text: str) -> None:
        assert self._one is not None
        self._bars.update(self._one, advance=1, what=text)
        self._bars.refresh()

    def end(self, text: str) -> None:
        assert self._one is not None
        total = self._bars.tasks[self._bars.task_ids.index(self._one)].total or 1
        self._bars.update(self._one, total=total, completed=total, what=text)
        self._bars.advance(self._all)
        self._bars.refresh()

    def say(self, text: str) -> None:
        self._bars.console.print(text, highlight=False, markup=False)


def display(count: int) -> Display:
    """Return bars for so many benchmarks where Rich and a terminal are there, else plain lines."""
    if sys.stderr.isatty():
        try:
            return RichBars(count)
        except ImportError:
            pass  # without the extra, lines do
    return Lines()
