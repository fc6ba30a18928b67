"""How gunicorn serves each of the Flask apps; read with ``-c python:benchmarks.latency.gunicorn_conf``."""

from __future__ import annotations

import math
from typing import Any

from benchmarks.latency.witness import Settings

workers = 1
threads = 4
# Never while it is measured: a stalled worker is to be seen, not to be replaced.
timeout = 0
graceful_timeout = math.ceil(Settings.of_process().grace)
worker_connections = 8000
loglevel = "warning"
# Several servers of one user would share it, and it would be left behind in the home directory.
control_socket_disable = True


def post_worker_init(_: Any) -> None:
    """End the server when the benchmark that started it is gone."""
    from benchmarks.latency.witness import end_with_the_harness

    end_with_the_harness()
