"""Who waits for whom: a call beside a busy thread, and a busy worker beside another thread.

1. One call every 10 ms beside a CPU-bound thread: how long the call takes.
2. A thread that wakes every millisecond while the worker drains 100,000 records: how late it is.
"""

from __future__ import annotations

import logging
import tempfile
import threading
import time
from pathlib import Path

import asynclog
from benchmarks.hot_path import Dropping, error_with_frames
from benchmarks.measure import percentile


def _burn(stop: threading.Event) -> None:
    while not stop.is_set():
        sum(range(1000))


def calls_beside_a_busy_thread(calls: int = 500) -> dict[str, float]:
    """Return p50, p99 and the worst of a call's microseconds; those of a call that drops the record beside."""
    error = error_with_frames(10)
    info = (type(error), error, error.__traceback__)
    with tempfile.TemporaryDirectory() as folder:
        wrapped = asynclog.wrap(logging.FileHandler(Path(folder, "app.log")))
        loggers = {}
        for name, handler in (("asynclog", wrapped), ("dropping", Dropping())):
            loggers[name] = logging.Logger(f"benchmarks.interference.{name}")
            loggers[name].addHandler(handler)
        stop = threading.Event()
        busy = threading.Thread(target=_burn, args=(stop,), daemon=True)
        busy.start()
        taken: dict[str, list[float]] = {name: [] for name in loggers}
        for number in range(calls):
            for name, logger in loggers.items():
                time.sleep(0.01)
                started = time.perf_counter()
                logger.error("order %d failed", number, exc_info=info)
                taken[name].append((time.perf_counter() - started) * 1e6)
        stop.set()
        busy.join()
        wrapped.listener.stop()
    ours, floor = taken["asynclog"], taken["dropping"]
    return {
        "p50": percentile(ours, 50),
        "p99": percentile(ours, 99),
        "worst": max(ours),
        "dropping p50": percentile(floor, 50),
        "dropping p99": percentile(floor, 99),
    }


def lateness_beside_a_draining_worker(records: int = 100_000, drains: int = 3) -> dict[str, float]:
    """Return how many milliseconds late a thread is that wakes every millisecond.

    Over several drains, since one lasts for some 300 wake-ups only and a full garbage collection of
    a backlog that size, by whichever thread makes it, is one of 25 ms.
    """
    late = [one for _ in range(drains) for one in _late_in_one_drain(records)]
    quiet = []
    for _ in range(500):
        due = time.perf_counter() + 0.001
        time.sleep(0.001)
        quiet.append((time.perf_counter() - due) * 1e3)
    return {
        "p50": percentile(late, 50),
        "p99": percentile(late, 99),
        "worst": max(late),
        "quiet p99": percentile(quiet, 99),
    }


def _late_in_one_drain(records: int) -> list[float]:
    late = []
    with tempfile.TemporaryDirectory() as folder:
        target = logging.FileHandler(Path(folder, "app.log"))
        target.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        handler = asynclog.wrap(target, maxsize=1_000_000, max_memory=4 << 30)
        listener = handler.listener
        listener.stop()  # what is logged now waits
        logger = logging.Logger("benchmarks.backlog")
        logger.addHandler(handler)
        for number in range(records):
            logger.error("user %s failed %d", "bob", number)
        listener.start()
        while listener.pending():
            due = time.perf_counter() + 0.001
            time.sleep(0.001)
            late.append((time.perf_counter() - due) * 1e3)
        listener.stop()
    return late


def main(quick: bool = False) -> dict[str, dict[str, float]]:
    """Measure and print."""
    calls = calls_beside_a_busy_thread(100 if quick else 500)
    print("a call beside a CPU-bound thread, us: " + ", ".join(f"{name} {value:.0f}" for name, value in calls.items()))
    late = lateness_beside_a_draining_worker(20_000 if quick else 100_000)
    print(
        "a thread beside the draining worker, ms late: "
        + ", ".join(f"{name} {value:.2f}" for name, value in late.items())
    )
    return {"calls": calls, "late": late}


if __name__ == "__main__":
    main()
