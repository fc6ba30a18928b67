"""Facts about the request, taken on the caller from the ``context=`` providers.

A provider is the user's code on the path of a request, so it runs only for records that a person
will read (ERROR and above by default), what it returns is copied at once into plain values of a
bounded size, and whatever it raises costs its facts and nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from asynclog import checks
from asynclog.capture.gate import Note
from asynclog.render.jsonline import JSONValue, freeze
from asynclog.render.line import is_from_outside

Provider: TypeAlias = Callable[[], Mapping[str, Any] | None]

#: About how many characters the facts of one record may have.
FACTS_BUDGET = 8_192


def providers(name: str, value: Any) -> tuple[Provider, ...]:
    """Check a ``context=`` option.

    Args:
        name: The option's name, for the error.
        value: A function without arguments that returns a dictionary or ``None``; several; or
            ``None``. One with an attribute ``level`` (a number, such as ``logging.WARNING``) is asked
            for records at or above it, others for ERROR and above.

    Raises:
        OptionTypeError: It is none of these, or its ``level`` is no whole number.
    """
    found = checks.functions(name, value)
    for provider in found:
        checks.integer(f"{name}: the level of a provider", getattr(provider, "level", logging.ERROR))
    return found


def take_facts(
    levelno: int, asked: Iterable[Provider], note: Note, level: int = logging.ERROR
) -> dict[str, JSONValue] | None:
    """Ask the providers about the request that a record belongs to.

    Args:
        levelno: The record's level.
        asked: The providers, in order; a later one's facts replace an earlier one's by name.
        note: Told of a provider that raised or returned something else.
        level: Records below it have no facts, unless a provider has a ``level`` of its own.

    Returns:
        Plain values, bounded to about `FACTS_BUDGET` characters; ``None`` where there are none.
    """
    asked = [provider for provider in asked if levelno >= getattr(provider, "level", level)]
    if not asked:
        return None
    found: dict[str, Any] = {}
    for provider in asked:
        try:
            facts = provider()
            if facts:
                # Copied before the next provider is asked: this one may return what it changes later.
                found.update(_copied(facts))
        except BaseException as error:
            if is_from_outside(error):
                raise
            note("context_error", f"a context provider failed: {type(error).__name__}")
    if not found:
        return None
    frozen = freeze(found, FACTS_BUDGET)
    return frozen if isinstance(frozen, dict) else None


def _copied(facts: Any) -> dict[str, JSONValue]:
    frozen = freeze(facts if isinstance(facts, dict) else dict(facts), FACTS_BUDGET)
    return frozen if isinstance(frozen, dict) else {}
