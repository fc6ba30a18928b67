"""Storm control: a million errors over fifty groups inside a minute, and what one record costs.

Time is simulated, so the hour that follows takes no longer than its mails do.
"""

from __future__ import annotations

import logging
import sys
import time
import tracemalloc
from collections.abc import Callable

from asynclog.capture.exception import capture_exc_info
from asynclog.captured import CapturedException
from asynclog.delivery.fingerprint import Fingerprint, Fingerprinter
from asynclog.delivery.storm import Storm
from asynclog.digest import Digest
from asynclog.values import Item
from benchmarks.measure import best_of, timed
from benchmarks.result import Claim, Column, Result, Scale, Table

#: How often `run` says how far it is, all of it and quick.
STEPS = (5, 3)

WALL = 1_700_000_000.0
GROUPS = 50
TEXT = "Traceback (most recent call last):\n" + "  File ..., line 12, in view\n" * 100


def run(scale: Scale, step: Callable[[str], None]) -> Result:
    """Measure storm control by itself, in simulated time.

    Args:
        scale: How thoroughly.
        step: Called before each of `STEPS` parts.
    """
    records = scale.of(1_000_000, 100_000)
    step("storm control: a simulated hour")
    mails, storm, peak = a_storm(records, with_memory=True)
    announced = sum(mail.count for mail in mails)
    rows: list[tuple[str, list[float | str | None]]] = [
        (f"{records:,} errors, {GROUPS} groups, an hour", [len(mails), announced, storm.pending(), peak / 1e6])
    ]
    sizes = ((1_000, 8_000), (100_000, 8_000), (100_000, 100)) if not scale.quick else ((1_000, 8_000),)
    for count, size in sizes:
        step(f"storm control: {count:,} groups")
        name = f"{count:,} groups, texts of {size:,} characters"
        rows.append((name, [None, None, 3 * count, _many_groups(count, size) / 1e6]))
    step("storm control: single records")
    calls, rounds = scale.of(20_000, 5_000), scale.of(10, 3)
    best = best_of(
        {
            "counted in a known group": timed(_known()),
            "opens a group, another is forgotten for it": timed(_new),
            "fingerprint: known position of 10 frames": timed(_fingerprint()),
            "fingerprint: known template": timed(_template()),
            "fingerprint: f-string with numbers": timed(_f_string()),
        },
        calls,
        rounds,
    )
    costs = {name: seconds * 1e6 for name, seconds in best.items()}
    costs["fingerprint: new position of 10 frames"] = _first_fingerprint() * 1e6
    return Result(
        [
            Table(
                "Storm control by itself, in simulated time",
                [Column("mails", 0), Column("announced", 0), Column("pending", 0), Column("peak of memory, MB", 1)],
                rows,
                note="No queue, no threads and no mail server: what is counted here can't be lost. The first row lets"
                " all errors come in one minute and an hour pass after it; the others hold three records of every"
                " group and announce none, to see what memory is bounded by.",
            ),
            Table(
                "What storm control does with one record",
                [Column("µs")],
                [(name, [cost]) for name, cost in costs.items()],
                note="Best round.",
            ),
        ],
        [
            Claim(
                f"{records:,} errors over {GROUPS} groups in a minute and the hour after it: mails",
                len(mails),
                20,
                "mails",
                why_not=f"They announce {', '.join(f'{mail.count:,}' for mail in mails)}.",
            ),
            Claim(
                "Errors announced and pending, against those that were logged",
                abs(announced + storm.pending() - records),
                0,
                "errors missing",
                why_not=f"Of {records:,} {announced:,} were announced and {storm.pending():,} pending.",
            ),
            Claim(
                "Memory of storm control through it",
                peak / 1e6,
                20,
                "MB",
                why_not=f"As tracemalloc counts it, {GROUPS} groups with texts of {len(TEXT):,} characters.",
            ),
            *[
                Claim(
                    f"{text}, the best of {rounds} rounds",
                    costs[name],
                    bound,
                    "µs",
                    why_not=f"A fingerprint, which comes before it, takes {costs['fingerprint: known template']:.2f} µs"
                    f" for a known template and {costs['fingerprint: f-string with numbers']:.2f} for a text.",
                )
                for text, name, bound in (
                    ("One more record of a known group", "counted in a known group", 3.0),
                    ("A record that opens a group", "opens a group, another is forgotten for it", 50.0),
                )
            ],
        ],
        samples={"storm control, µs": costs},
    )


def a_storm(records: int, *, with_memory: bool = False) -> tuple[list[Digest], Storm, int]:
    """Log ``records`` inside a simulated minute, then let an hour pass."""
    prints = [Fingerprint(f"{number:016x}", f"shop.view_{number}") for number in range(GROUPS)]
    mails: list[Digest] = []
    if with_memory:
        tracemalloc.start()
    storm = Storm()
    for number in range(records):
        now = number * 60.0 / records
        fingerprint = prints[number % GROUPS]
        if storm.observe(fingerprint, now, WALL + now, logging.ERROR, 1):
            storm.keep(fingerprint, _item(now))
        if number % 500 == 0:
            _send(storm, now, mails)
    now = 60.0
    while (at := storm.due_at(now)) is not None and at <= 3660.0:
        now = max(now, at)
        _send(storm, now, mails)
    peak = 0
    if with_memory:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return mails, storm, peak


def _many_groups(count: int, size: int) -> int:
    tracemalloc.start()
    storm = Storm()
    for number in range(count):
        fingerprint = Fingerprint(f"{number:016x}", f"shop.view_{number}", "ValueError", "ValueError", "shop")
        for _ in range(3):
            if storm.observe(fingerprint, 0.0, WALL, 40, 1):
                record = logging.makeLogRecord({"created": WALL, "msg": "broken"})
                storm.keep(fingerprint, Item(record, "x" * (size - 16) + f"{number:016x}", 1024 + size))
    assert storm.pending() == 3 * count
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def _send(storm: Storm, now: float, mails: list[Digest]) -> None:
    at = storm.due_at(now)
    if at is not None and at <= now:
        mail = storm.compose(now, WALL + now)
        if mail is not None:
            storm.accepted(mail, now)
            mails.append(mail)


def _item(now: float) -> Item:
    record = logging.makeLogRecord({"created": WALL + now, "msg": "broken"})
    text = TEXT + str(now)
    return Item(record, text, 1024 + len(text))


def _known() -> Callable[[int], None]:
    storm = Storm()
    prints = [Fingerprint(f"{number:016x}") for number in range(GROUPS)]

    def run(calls: int) -> None:
        observe = storm.observe
        for number in range(calls):
            now = number * 1e-4
            if observe(prints[number % GROUPS], now, WALL + now, 40, 1):
                storm.keep(prints[number % GROUPS], None)

    return run


def _new(calls: int) -> None:
    storm = Storm()
    observe = storm.observe
    for number in range(calls):
        now = number * 0.01
        fingerprint = Fingerprint(f"{number:016x}")
        if observe(fingerprint, now, WALL + now, 40, 1):
            storm.keep(fingerprint, None)
        if number % 500 == 0:
            # What was announced leaves, so that groups are forgotten and made all the time.
            mail = storm.compose(now, WALL + now, flush=True)
            if mail is not None:
                storm.accepted(mail, now)


def _deep(frames: int, number: int = 0) -> CapturedException:
    lines = ["def view_0():", f"    raise ValueError({number})"]
    for index in range(1, frames):
        lines += [f"def view_{index}():", f"    return view_{index - 1}()"]
    names: dict[str, object] = {"__name__": "shop"}
    exec(compile("\n".join(lines), f"/srv/shop/views_{number}.py", "exec"), names)
    try:
        names[f"view_{frames - 1}"]()  # type: ignore[operator]
    except ValueError:
        captured = capture_exc_info(sys.exc_info())
    assert captured is not None
    return captured


def _fields(message: str, args: object = None) -> dict[str, object]:
    return logging.LogRecord("shop", 40, "/srv/shop/views.py", 12, message, args, None, "view").__dict__  # type: ignore[arg-type]


def _fingerprint() -> Callable[[int], None]:
    captured, by, fields = _deep(10), Fingerprinter(), _fields("failed")

    def run(calls: int) -> None:
        for _ in range(calls):
            by.of(fields, captured)

    return run


def _template() -> Callable[[int], None]:
    by, fields = Fingerprinter(), _fields("order %d failed", (1,))

    def run(calls: int) -> None:
        for _ in range(calls):
            by.of(fields, None)

    return run


def _f_string() -> Callable[[int], None]:
    by = Fingerprinter()
    fields = [_fields(f"order {number} of user-{number} failed after {number / 7:.3f} s") for number in range(1000)]

    def run(calls: int) -> None:
        for number in range(calls):
            by.of(fields[number % 1000], None)

    return run


def _first_fingerprint() -> float:
    captured = [_deep(10, number) for number in range(200)]
    by, fields = Fingerprinter(), _fields("failed")
    by.of(fields, captured[0])
    best = float("inf")
    for one in captured[1:]:
        started = time.perf_counter()
        by.of(fields, one)
        best = min(best, time.perf_counter() - started)
    return best
