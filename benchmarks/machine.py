"""Where, when and of what something was measured: what a reader needs to judge a number or to repeat it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from asynclog._version import __version__

_ROOT = Path(__file__).resolve().parent.parent

#: Whose versions stand in the report: the contenders, the servers and what asynclog itself runs on.
DISTRIBUTIONS = (
    "backgroundlog",
    "Logbook",
    "logleaf",
    "loguru",
    "logust",
    "opentelemetry-sdk",
    "picologging",
    "python-logstash-async",
    "sentry-sdk",
    "structlog",
    "aiosmtplib",
    "aiosmtpd",
    "anyio",
    "Flask",
    "Quart",
    "gevent",
    "gunicorn",
    "Hypercorn",
    "uvicorn",
)


def facts() -> dict[str, Any]:
    """Return Python, processor, cores, commit, date (UTC), load average and the versions of all contenders.

    The load average is that of the minute before: a benchmark takes it at its start, and a high one
    says that the machine was not quiet.
    """
    return {
        "asynclog": __version__,
        "commit": commit(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "gil": getattr(sys, "_is_gil_enabled", lambda: True)(),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "cpu": cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "versions": {name: version_of(name) for name in DISTRIBUTIONS},
    }


def version_of(distribution: str) -> str | None:
    """Return an installed distribution's version, or ``None``."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def cpu_name() -> str:
    """Return what the processor calls itself."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or platform.machine()


def commit() -> str | None:
    """Return the commit, with ``-dirty`` where the tree differs from it; ``None`` outside of a checkout."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--exclude=*", "--abbrev=12"],
            cwd=_ROOT,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,  # outside of a checkout it fails, and says nothing on stdout
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
