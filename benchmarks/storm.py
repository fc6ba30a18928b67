"""Storm control: a million errors over fifty groups inside a minute, and what one record costs.

Time is simulated, so the hour that follows takes no longer than its mails do. Targets: 20 mails at
most, exact sums, under 20 MB; under 3 µs for a record of a known group and 50 µs for a new one.
"""

from __future__ import annotations

import logging
import sys
import time
import tracemalloc

from asynclog.capture.exception import capture_exc_info
from asynclog.captured import CapturedException
from asynclog.delivery.fingerprint import Fingerprint, Fingerprinter
from asynclog.delivery.storm import Storm
from asynclog.digest import Digest
from asynclog.values import Item
from benchmarks.measure import best_of, timed

WALL = 1_700_000_000.0
GROUPS = 50
TEXT = "Traceback (most recent call last):\n" + "  File ..., line 12, in view\n" * 100


def main(*, quick: bool = False) -> None:
    """Run all of it."""
    records = 100_000 if quick else 1_000_000
    mails, storm, peak = a_storm(records, with_memory=True)
    announced = sum(mail.count for mail in mails)
    print(f"  {records:,} errors over {GROUPS} groups in a minute: {len(mails)} mails in the hour that follows,")
    print(f"  {announced:,} announced, {storm.pending()} pending; peak of memory {peak / 1e6:.1f} MB, texts included")
    for count, size in ((1_000, 8_000), (100_000, 8_000), (100_000, 100)):
        print(f"  {count:,} groups of {size:,} characters: peak of memory {_many_groups(count, size) / 1e6:.1f} MB")
    calls = 5_000 if quick else 20_000
    best = best_of(
        {
            "observe, known group": timed(_known()),
            "observe, new group, others forgotten for it": timed(_new),
            "fingerprint, known position of 10 frames": timed(_fingerprint()),
            "fingerprint, known template": timed(_template()),
            "fingerprint, f-string with numbers": timed(_f_string()),
        },
        calls,
        3 if quick else 10,
    )
    for name, seconds in best.items():
        print(f"  {name:<44}{seconds * 1e6:8.2f} µs")
    print(f"  {'fingerprint, new position of 10 frames':<44}{_first_fingerprint() * 1e6:8.2f} µs")


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


def _known():
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


def _fingerprint():
    captured, by, fields = _deep(10), Fingerprinter(), _fields("failed")

    def run(calls: int) -> None:
        for _ in range(calls):
            by.of(fields, captured)

    return run


def _template():
    by, fields = Fingerprinter(), _fields("order %d failed", (1,))

    def run(calls: int) -> None:
        for _ in range(calls):
            by.of(fields, None)

    return run


def _f_string():
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


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)
