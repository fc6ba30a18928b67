"""A server's side of the lifespan protocol, in miniature."""

from __future__ import annotations

import asyncio
from typing import Any


class Lifespan:
    """Starts and ends an app.

    Args:
        app: The app.

    Attributes:
        said: What the app said, by type.
    """

    def __init__(self, app: Any) -> None:
        self.said: list[str] = []
        self._inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.task = asyncio.ensure_future(app({"type": "lifespan", "state": {}}, self._inbox.get, self._hear))

    async def _hear(self, message: dict[str, Any]) -> None:
        self.said.append(message["type"])

    async def tell(self, kind: str) -> None:
        """Tell it, and wait until it has said something to that or ended."""
        before = len(self.said)
        self._inbox.put_nowait({"type": kind})
        async with asyncio.timeout(20):
            while len(self.said) == before and not self.task.done():
                await asyncio.sleep(0.001)
