"""How gunicorn serves each app of a trial; read with ``-c python:asynclog.trial.gunicorn_conf``.

A file and not command line arguments, because gunicorn ignores a name here that its version does
not know yet.
"""

from __future__ import annotations

from typing import Any

worker_class = "gthread"
workers = 1
threads = 4
# Never while it is measured: a stalled worker is what a trial shows, not what it hides.
timeout = 0
graceful_timeout = 20
worker_connections = 8000
loglevel = "warning"
# Several servers of one user would share it, and it would be left behind in the home directory.
control_socket_disable = True


def post_worker_init(_: Any) -> None:
    """End the server when the trial that started it is gone."""
    from asynclog.trial.ending import end_with_the_trial

    end_with_the_trial()
