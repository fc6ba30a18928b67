"""What tells one request from the next where they are served in one context."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

_FRAMEWORKS = ("flask", "quart")
_GLOBALS = ("flask.globals", "quart.globals")


def current_request() -> Any:
    """Return the real request object that is served here, of Flask or Quart; ``None`` outside of one."""
    for name in _FRAMEWORKS:
        # Asked only of what the app has imported: it has no request of the other one's.
        framework = sys.modules.get(name)
        if framework is None:
            continue
        try:
            if framework.has_request_context():
                return framework.request._get_current_object()
        except Exception:
            continue  # half imported, or about to end
    return None


def task_scope() -> object | None:
    """Return the running asyncio task, if there is one."""
    if "asyncio.events" not in sys.modules or asyncio._get_running_loop() is None:
        return None
    return asyncio.current_task()


def request_scope() -> object | None:
    """Return the request that is served here, else the running task."""
    for name in _GLOBALS:
        module = sys.modules.get(name)
        if module is None:
            continue
        # What `has_request_context` and the proxy look into, without their calls: each record that is kept
        # for a mail asks. Where a framework keeps it no longer, it is asked itself.
        variable = module.__dict__.get("_cv_request")
        request: object | None = None
        try:
            if variable is None:
                request = current_request()
            else:
                context = variable.get(None)
                if context is None:
                    continue
                request = context.request
        except Exception:
            request = current_request()
        if request is not None:
            return request
    return task_scope()
