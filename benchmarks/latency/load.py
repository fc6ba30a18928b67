"""The load of one cell, in a process of its own: the demo's open loop with this benchmark's plan.

Everything is kept until the end: what it would write meanwhile it would not send.
"""

from __future__ import annotations

import gc
import json
import sys

from asynclog.trial.load import OpenLoop, Sample
from benchmarks.latency.plan import Timing, requests
from benchmarks.latency.witness import end_with_the_harness


def main() -> None:
    """Run the load that a JSON object on stdin asks for: ports, timing, seed, start."""
    print('{"ready":true}', flush=True)
    line = sys.stdin.readline()
    if not line:
        return  # the benchmark is gone
    order = json.loads(line)
    end_with_the_harness()
    timing = Timing(**order["timing"])
    samples: list[Sample] = []

    def keep(done: list[Sample], _: object) -> None:
        samples.extend(done)

    gc.disable()
    plan = list(requests(timing, len(order["ports"]), order["seed"]))
    OpenLoop(order["ports"], plan, patience=timing.patience, tell=keep).run(order["start"])
    rows = [[s.app, round(s.due, 6), round(s.late, 6), round(s.latency, 6), s.status] for s in samples]
    print(json.dumps({"samples": rows}, separators=(",", ":")), flush=True)


if __name__ == "__main__":
    main()
