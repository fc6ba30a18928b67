"""A look at the reader's own app before anything is served: ``python -m asynclog.trial.inspection HOSTING_FILE``."""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from asynclog.trial.ending import end_with_the_trial
from asynclog.trial.hosted import Hosted, Hosting
from asynclog.trial.target import TargetError


def main() -> None:
    """Import the app and write what was found, or why it can't be imported."""
    end_with_the_trial(os.getpid())
    hosting = Hosting.read(sys.argv[1])
    found: dict[str, Any]
    try:
        found = Hosted(hosting).counts()
    except TargetError as error:
        found = {"error": str(error)}
    except (Exception, SystemExit) as error:
        found = {"error": f"{hosting.target} can't be imported:\n{_printed(error)}"}
    Path(hosting.exit_file).write_text(json.dumps(found), encoding="utf-8")
    sys.stderr.flush()
    # The app may have started threads that never end.
    os._exit(0)


def _printed(error: BaseException) -> str:
    """Print an exception without the frames of the machinery that imported the app."""
    printed = traceback.TracebackException.from_exception(error)
    ours = os.path.dirname(__file__)
    frames = [one for one in printed.stack if "importlib" not in one.filename and not one.filename.startswith(ours)]
    printed.stack = traceback.StackSummary.from_list(frames)
    return "".join(printed.format()).rstrip()


if __name__ == "__main__":
    main()
