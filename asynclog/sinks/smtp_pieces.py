"""How a batch is taken apart when a server refuses it, and what is known of it already."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

from asynclog.values import Batch, Item, Part, Rejected, RetryLater


class Pieces:
    """The mails that a batch has to become, the next one first.

    A refused piece is halved until only the record that the server can't stand is alone. The
    number of mails is bounded: enough to find two such records among any number. Where more are
    left over and some mail was taken, they come again later; where none was, the server means all
    of them, and asking a thousand times would not help.
    """

    def __init__(self, items: Sequence[Item]) -> None:
        self._waiting: deque[tuple[Item, ...]] = deque([tuple(items)] if items else [])
        self._at: tuple[Item, ...] = ()
        self._bound = self._mails = 4 * math.ceil(math.log2(max(len(items), 1))) + 8
        self._progress = False
        self._refusal: Rejected | None = None

    def next(self) -> tuple[Item, ...] | None:
        """Return the piece to send now; ``None``: there is no more, or enough mails were sent."""
        if not self._waiting or self._mails <= 0:
            return None
        self._at = self._waiting.popleft()
        self._mails -= 1
        return self._at

    def done(self) -> None:
        """Note that the piece given last is settled or split."""
        self._at = ()

    def note_progress(self) -> None:
        """Note that the server took a piece."""
        self._progress = True

    def split(self, piece: tuple[Item, ...], refusal: Rejected) -> bool:
        """Halve a refused piece; False if it is a single record."""
        self._refusal = refusal
        if len(piece) == 1:
            return False
        middle = len(piece) // 2
        self._waiting.extendleft((piece[middle:], piece[:middle]))
        return True

    def leftover(self) -> Rejected | RetryLater:
        """Return the verdict for what is left when enough mails were sent."""
        reason = "refused" if self._refusal is None else self._refusal.reason
        if self._progress:
            return RetryLater(f"{reason} (among others; those that were taken went first)")
        return Rejected(f"{reason} (and so was every mail of {self._bound} with parts of this batch)")

    def left(self) -> tuple[Item, ...]:
        """Return the records that nothing is known of."""
        return (*self._at, *(item for piece in self._waiting for item in piece))


class Settled:
    """What is known of a batch while it is being delivered.

    A delivery can be cancelled between two mails of one batch; when the batch comes again, what the
    server took is not sent twice.
    """

    def __init__(self) -> None:
        self._batch_id: str | None = None
        self._parts: list[Part] = []

    def begin(self, batch: Batch) -> list[Part]:
        """Return the list to put parts into, with what an earlier, cancelled attempt left in it."""
        if batch.id == self._batch_id:
            wanted = {id(item) for item in batch.items}
            self._parts = [part for part in self._parts if all(id(item) in wanted for item in part.items)]
        else:
            self._parts = []
        self._batch_id = batch.id
        return self._parts

    def left(self, batch: Batch) -> tuple[Item, ...]:
        """Return the batch's records that no part stands for."""
        known = {id(item) for part in self._parts for item in part.items}
        return tuple(item for item in batch.items if id(item) not in known)

    def end(self) -> Sequence[Part]:
        """Return the parts and forget them."""
        parts, self._parts, self._batch_id = self._parts, [], None
        return parts
