"""A trial's report: one HTML file with everything in it; beside it the numbers as JSON and asynclog's mails."""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import platform
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from asynclog._version import __version__
from asynclog.trial import picture, words
from asynclog.trial.accounts import Mail
from asynclog.trial.measure import ENOUGH
from asynclog.trial.plan import ASYNCLOG, ONE_IN, PATIENCE, STDLIB
from asynclog.trial.run import Outcome

PAGE = "index.html"
NUMBERS = "result.json"
MAILS = "mails"

_SHOWN_MAILS = 12
_SHOWN_BODY = 20_000
_SHOWN_LINES = 30


def prepare(folder: Path) -> None:
    """Make the report's folder and see that it can be written, before a minute is spent.

    Raises:
        OSError: It can't.
    """
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / f".{PAGE}.{os.getpid()}"
    probe.touch()
    probe.unlink()


def write(outcome: Outcome, folder: Path) -> Path:
    """Write the report.

    Returns:
        The page's path.
    """
    _replace(folder / NUMBERS, json.dumps(numbers(outcome), indent=1).encode("utf-8"))
    _write_mails(outcome.mails[ASYNCLOG.key], folder / MAILS)
    page = folder / PAGE
    _replace(page, render(outcome).encode("utf-8"))
    return page


def _write_mails(mails: Sequence[Mail], folder: Path) -> None:
    """Write each mail to a file of its own, as it arrived, for a mail program to open."""
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.eml"):
        if old.stem.isdecimal():  # one of an earlier run's: beside the new ones it would pass for theirs
            old.unlink()
    digits = max(2, len(str(len(mails))))
    for number, mail in enumerate(mails, 1):
        _replace(folder / f"{number:0{digits}}.eml", mail.content)


def _replace(path: Path, content: bytes) -> None:
    # Whoever has the old page open never loads half of the new one.
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.write_bytes(content)
    new.replace(path)


def numbers(outcome: Outcome) -> dict[str, Any]:
    """Return the run's numbers for machines; seconds."""
    return {
        "version": __version__,
        "machine": _machine(),
        "seconds": outcome.seconds,
        "rate": outcome.rate,
        "database_down": outcome.outage,
        "own_app": None if outcome.own is None else dataclasses.asdict(outcome.own),
        "faults": outcome.faults,
        "memory": {key: None if one is None else dataclasses.asdict(one) for key, one in outcome.memory.items()},
        "all_states": {key: dataclasses.asdict(one) for key, one in outcome.measured.overall.items()},
        "lateness": dict(zip(("p50", "p99", "worst"), outcome.measured.lateness, strict=True)),
        "states": {
            phase.key: {
                "label": phase.label,
                "apps": {key: dataclasses.asdict(one) for key, one in outcome.measured.summaries[phase.key].items()},
                "p99_ratio": {
                    **dataclasses.asdict(outcome.measured.comparisons[phase.key]),
                    "within": outcome.measured.comparisons[phase.key].within,
                },
            }
            for phase in outcome.plan
        },
        "accounts": {
            key: {
                **dataclasses.asdict(account),
                "adds_up": account.adds_up and (account.files is None or account.files.adds_up),
            }
            for key, account in outcome.accounts.items()
        },
        "stats_before_exit": outcome.stats,
    }


def _machine() -> str:
    return (
        f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} cores, {platform.system()}"
    )


def render(outcome: Outcome) -> str:
    """Return the page."""
    environment = Environment(
        loader=PackageLoader("asynclog.trial"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        duration=words.duration,
        ratio=words.ratio,
        counted=words.counted,
        adds_up=words.adds_up,
        size=words.size,
        spread=words.spread,
    )
    theirs, ours = (outcome.accounts[app.key] for app in (STDLIB, ASYNCLOG))
    return environment.get_template("own_app.html.j2" if outcome.own else "report.html.j2").render(
        outcome=outcome,
        apps=outcome.apps,
        stdlib=outcome.role(STDLIB),
        asynclog=outcome.role(ASYNCLOG),
        theirs=theirs,
        account=ours,
        files={app.key: outcome.accounts[app.key].files for app in (STDLIB, ASYNCLOG)},
        file_rest=list(dict.fromkeys(name for one in (theirs, ours) if one.files for name in one.files.rest)),
        rest=list(dict.fromkeys((*theirs.rest, *ours.rest))),
        one_in=ONE_IN,
        enough=ENOUGH,
        patience=PATIENCE,
        version=__version__,
        machine=_machine(),
        when=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        pictures={
            (theme_name, width): _data_uri(picture.draw(outcome, theme, narrow=width == "narrow"))
            for theme_name, theme in (("light", picture.LIGHT), ("dark", picture.DARK))
            for width in ("wide", "narrow")
        },
        within=sum(one.within for one in outcome.measured.comparisons.values()),
        mails={app.key: _cards(outcome.mails[app.key]) for app in (ASYNCLOG, STDLIB)},
        stderr=_last_lines(outcome.stderr[ASYNCLOG.key]),
    )


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _cards(mails: Sequence[Mail]) -> list[dict[str, Any]]:
    """Return the first mails in the order in which they arrived, as the page shows them."""
    return [_card(mail) for mail in mails[:_SHOWN_MAILS]]


def _card(mail: Mail) -> dict[str, Any]:
    message = mail.parsed()
    part = message.get_body(("plain", "html"))
    body = part.get_content() if part is not None else ""
    rich = message.get_body(("html",))
    return {
        "at": mail.at,
        "count": mail.count,
        "subject": str(message.get("Subject", "(no subject)")),
        "headers": [(name, str(value)) for name, value in message.items()],
        "recipients": mail.recipients,
        "body": body if len(body) <= _SHOWN_BODY else body[:_SHOWN_BODY] + "\n… cut here",
        "html": rich.get_content() if rich is not None else "",
        "size": len(mail.content),
    }


def _last_lines(text: str) -> str:
    return "\n".join(text.splitlines()[-_SHOWN_LINES:])
