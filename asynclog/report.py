"""What became of the handlers that a listener was given, or found."""

from __future__ import annotations

import logging
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reported:
    """What became of one handler in one place.

    Attributes:
        handler: The handler.
        logger: The logger that it sits on, ``"root"`` for the root logger; ``""`` where it was given
            by hand.
        wrapped: Whether asynclog delivers for it.
        sink: The lane that serves it, as stats and alarms name it; ``""`` where it was left alone.
        note: Why it was left alone, or what to know about how it is served; often empty.
    """

    handler: logging.Handler
    logger: str = ""
    wrapped: bool = False
    sink: str = ""
    note: str = ""

    def __str__(self) -> str:
        what = "wrapped   " if self.wrapped else "left alone"
        name = type(self.handler).__name__
        served = f" -> {self.sink}" if self.sink else ""
        where = f" on {self.logger}" if self.logger else ""
        note = f": {self.note}" if self.note else ""
        return f"{what}  {name}{where}{served}{note}"


class Report(list[Reported]):
    """What became of each handler; prints a line for each."""

    @property
    def wrapped(self) -> list[Reported]:
        """The rows of what asynclog delivers for."""
        return [row for row in self if row.wrapped]

    def __str__(self) -> str:
        return "\n".join(map(str, self)) or "no handlers"
