"""What every sink is: a `logging.Handler` that delivers in batches."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from asynclog import checks, public
from asynclog.sink_thread import SinkThread
from asynclog.values import Batch, Part

if TYPE_CHECKING:
    from asynclog.render.redact import Redactor

# Set by asynclog.wrapping, which stands above this floor: makes the QueueHandler through which a sink
# that was put straight on a logger delivers.
wrap_for_direct_use: Callable[[Sink], logging.Handler] | None = None


class Sink(logging.Handler):
    """A `logging.Handler` that delivers in batches.

    Give it to `asynclog.wrap` or `asynclog.QueueListener`. Put straight on a logger, it delivers
    through a `wrap` of its own.

    Args:
        level: Records below it are not let in; default ``NOTSET``.
        formatter: Makes a record's text; default as in `logging`.
        filters: Filters or callables, in order; they run on the calling thread.
        name: The handler's name, as `logging.Handler.set_name` sets it; default none.

    Raises:
        OptionTypeError: A level, formatter or filter is not one.
        OptionValueError: A level's name is unknown.
    """

    #: Records a batch may hold, and seconds that a record may wait for company once something
    #: was sent (the first after a quiet spell never waits); a lane's own options override both.
    batch_records: int = 1000
    batch_age: float = 0.0
    #: Deliveries in a period of seconds that are allowed (``None``: any number), and how many at once.
    rate: tuple[int, float] | None = None
    burst: int = 10
    #: Whether a delivery may be cancelled at a deadline (a connection can be thrown away, a write
    #: on another thread can't).
    cancellable: ClassVar[bool] = True
    #: Whether nothing of an item is read but its text and ``record.created``: then no stand-in
    #: for its exception is built.
    text_only: ClassVar[bool] = False
    #: Whether records are handed over unrendered: a wrapped handler formats for itself.
    formats_itself: ClassVar[bool] = False
    #: Whether it runs code that may read the caller's context: a handler or subject that users wrote.
    runs_user_code: bool = False
    #: Whether `ask` wants to see each record while it is rendered.
    asks: bool = False
    #: Whether a mail library has to be loaded for it.
    sends_mail: ClassVar[bool] = False
    #: Whether its records are counted by group and leave as digests: storm control.
    folds: bool = False
    #: Seconds between the mails of a group, at first and at most; and what names a record's group.
    digest_interval: tuple[float, float] = (60.0, 1800.0)
    fingerprint: Callable[[logging.LogRecord], str | None] | None = None
    #: Hides secrets in a record as soon as it is rendered; ``None``: nothing is hidden there.
    redactor: Redactor | None = None
    #: Asked about the request, on the caller, for records at ERROR and above.
    context: tuple[Callable[[], Mapping[str, Any] | None], ...] = ()
    #: Records of the same request that an error's mail shows, and whether that was asked for
    #: where it costs the caller's fast path.
    lead_up: int = 0
    lead_up_given: bool = False
    #: Whether the live exception is needed, with its frames.
    wants_live: bool = False
    #: Whether a handler that it stands in for is to be closed when its lane ends.
    ending: bool = False
    #: Told of what is no fault of the delivery's, by a kind and a text; its lane sets it.
    tell: Callable[[str, str], object] | None = None
    #: For people: what is served; stats and alarms name the lane by it.
    label: str

    def __init__(
        self,
        *,
        level: int | str = logging.NOTSET,
        formatter: logging.Formatter | None = None,
        filters: Iterable[Any] = (),
        name: str | None = None,
    ) -> None:
        public.load()
        super().__init__(_checked_level(level))
        self.label = type(self).__name__
        self._direct: logging.Handler | None = None
        if formatter is not None and not callable(getattr(formatter, "format", None)):
            checks.bad_type("formatter", formatter, "give a logging.Formatter")
        self.setFormatter(formatter)
        for one in filters:
            if not callable(one) and not hasattr(one, "filter"):
                checks.bad_type("filters", one, "give logging.Filter objects or functions of a record")
            self.addFilter(one)
        if name is not None:
            self.set_name(checks.text("name", name))

    # -- the worker's side -------------------------------------------------------------------

    async def open(self) -> None:
        """Get ready on the worker's loop, once before the first batch; must neither wait nor fail."""

    @abstractmethod
    async def deliver(self, batch: Batch) -> Sequence[Part]:
        """Try once to deliver a batch, on the worker's loop, and say what came of it.

        Every record of the batch stands in at least one part. A failure is a verdict and not an
        exception; what is raised all the same is taken as `RetryLater`. Cancelled, the sink
        throws away whatever connection it was using.
        """

    async def aclose(self) -> None:
        """Let go of connections and descriptors; a later `deliver` opens them again."""

    def ask(self, record: logging.LogRecord) -> None:
        """Take from a record, on the lane's thread and in the caller's context, what is needed later."""

    def close_original(self) -> None:
        """Close the handler that it stands in for; called at the interpreter's end, when its lane has ended."""

    def after_fork(self) -> None:
        """Forget, in a forked child, what belongs to the parent; close nothing, log nothing."""

    # -- the caller's side -------------------------------------------------------------------

    def handle(self, record: logging.LogRecord) -> Any:
        """Pass a record on through a `wrap` of this sink's own."""
        direct = self._direct
        if direct is None:
            if wrap_for_direct_use is None:
                return False
            direct = self._direct = wrap_for_direct_use(self)
        return direct.handle(record)

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a record on through a `wrap` of this sink's own."""
        self.handle(record)

    def flush(self) -> None:
        """Wait, with a deadline, for what was put straight on this sink."""
        if self._direct is not None:
            self._direct.flush()

    def close(self) -> None:
        """End the delivery of what was put straight on this sink; the next record reopens it."""
        if self._direct is not None:
            self._direct.close()
        super().close()


class ThreadedSink(Sink):
    """A sink whose work blocks: it owns one thread and does it there."""

    cancellable = False

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords)
        self._thread = SinkThread(self.label)

    async def open(self) -> None:
        """Start the thread now: at exit it might no longer start."""
        self._thread.start()

    @abstractmethod
    def deliver_blocking(self, batch: Batch) -> Sequence[Part]:
        """Try once to deliver a batch, on the sink's own thread, and say what came of it."""

    def close_blocking(self) -> None:
        """Let go of descriptors, on the sink's own thread."""

    async def deliver(self, batch: Batch) -> Sequence[Part]:
        """Hand the batch to the sink's own thread and wait for what comes of it."""
        return await self._thread.call(self.deliver_blocking, batch)

    async def aclose(self) -> None:
        """Let go of descriptors on the sink's own thread, then end it."""
        await self._thread.call(self.close_blocking)
        self._thread.stop()

    def after_fork(self) -> None:
        """Forget the parent's thread."""
        self._thread = SinkThread(self.label)


def _checked_level(level: int | str) -> int:
    if isinstance(level, bool) or not isinstance(level, (int, str)):
        checks.bad_type("level", level, "give a logging level such as logging.ERROR or 'ERROR'")
    if isinstance(level, str):
        known = logging.getLevelNamesMapping()
        if level not in known:
            checks.bad_value("level", level, f"give one of {', '.join(sorted(known))}")
        return known[level]
    return level
