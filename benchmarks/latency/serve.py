"""Run a server with settings for its app: ``python -m benchmarks.latency.serve SETTINGS MODULE [ARGUMENT …]``.

The server's own command line then does all the rest, as it would from a shell.
"""

from __future__ import annotations

import os
import runpy
import sys

from benchmarks.latency.witness import SETTINGS

# hypercorn starts its worker by importing the main module anew.
if __name__ == "__main__":
    os.environ[SETTINGS] = sys.argv[1]
    sys.argv = sys.argv[2:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
