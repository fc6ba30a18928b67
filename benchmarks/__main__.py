"""Run the benchmarks: ``python -m benchmarks [NAME …] [--quick]``."""

from __future__ import annotations

import argparse
import os
import platform

from benchmarks import exceptions, hot_path, interference, storm, to_file

CASES = {
    "hot_path": hot_path.main,
    "exceptions": exceptions.main,
    "to_file": to_file.main,
    "interference": interference.main,
    "storm": storm.main,
}


def main() -> None:
    """Run the named benchmarks, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Ratios in one run; about two minutes.")
    parser.add_argument("names", nargs="*", choices=[*CASES, []], help="which; default all")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, a rougher picture")
    given = parser.parse_args()
    print(f"CPython {platform.python_version()}, {os.cpu_count()} cores")
    for name in given.names or CASES:
        print(f"\n{name}")
        CASES[name](quick=given.quick)


if __name__ == "__main__":
    main()
