"""Records to a file: one write a batch, rotation, several processes on one file."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import os
from collections.abc import Sequence
from typing import Any, Literal

from asynclog.sink_thread import SinkThread
from asynclog.sinks import file_handlers
from asynclog.sinks.base import ThreadedSink
from asynclog.sinks.file_options import FileOptions
from asynclog.sinks.file_schedule import Schedule
from asynclog.sinks.file_system import SYSTEM, FileSystem
from asynclog.sinks.file_writer import FileWriter
from asynclog.values import Batch, Part


class FileSink(ThreadedSink):
    r"""Append records to a file, a line or several each.

    The file is opened at the first record and again whenever its name stands for another file. It
    may be shared by several processes (on Windows by one only), rotation included. A path that
    can't be written is no error here: records wait, are retried and counted.

    Args:
        path: The file. A pipe without a reader, or a folder that is missing, is retried.
        max_bytes: Roll the file over before it reaches this size, bytes; 0, the default: never.
            As with `logging.handlers.RotatingFileHandler`, nothing happens without a limit on the
            old files: `backup_count`, `max_age`, `max_total_bytes` or `when`. Old files are
            ``app.log.1`` and so on, the newest first.
        when: Roll over by time: ``"S"``, ``"M"``, ``"H"``, ``"D"``, ``"midnight"``, ``"W0"``
            (Monday) to ``"W6"``; ``None``, the default: never. Old files are named by the start
            of their time, as `logging.handlers.TimedRotatingFileHandler` names them; a name that
            is taken gets ``.1``, ``.2`` behind it, and so do further files of one interval where
            `max_bytes` is given as well. What counts is the record's time.
        interval: How many of those units; default 1.
        utc: Whether days begin, and names are, in UTC; default local time.
        at_time: The time of day for ``"midnight"`` and ``"W…"``; default midnight.
        backup_count: How many old files are kept; 0, the default: any number.
        max_age: Seconds after its last record that an old file is kept; default: for ever.
        max_total_bytes: How many bytes all old files together may have; default: any number.
        compression: ``"gz"``: old files are compressed, between batches; default: they aren't.
        permissions: The mode of files made here, such as ``0o640``, whatever the umask; default:
            as the umask has it. A file that exists keeps its own.
        fsync: When to wait for the device: ``"never"`` (default; the system writes within about
            half a minute, and a crash of the process alone loses nothing), ``"batch"`` (or True:
            a record counts as delivered once the device has it), or at most every so many seconds.
        encoding: Default UTF-8.
        errors: What to do with characters the encoding has not; default ``"backslashreplace"``. A
            record that it refuses is written with escapes.
        escape_control: Make line breaks and control characters of a message visible (``\n``,
            ``\x1b``) and indent further lines, so that no message can forge a line; default False.
        level: Records below it are not let in; default ``NOTSET``.
        formatter: Makes a record's line; `asynclog.JSONFormatter()` for JSON lines.
        filters: Filters or callables, in order.
        name: The handler's name.
        system: The operating system, for tests that make it fail.

    Raises:
        OptionTypeError: An option is of the wrong type.
        OptionValueError: An option has a value that it can't take, or fits no other one.
    """

    text_only = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        max_bytes: int = 0,
        when: str | None = None,
        interval: int = 1,
        utc: bool = False,
        at_time: dt.time | None = None,
        backup_count: int = 0,
        max_age: float | None = None,
        max_total_bytes: int | None = None,
        compression: Literal["gz"] | None = None,
        permissions: int | None = None,
        fsync: bool | float | Literal["never", "batch"] = "never",
        encoding: str = "utf-8",
        errors: str = "backslashreplace",
        escape_control: bool = False,
        level: int | str = logging.NOTSET,
        formatter: logging.Formatter | None = None,
        filters: Sequence[Any] = (),
        name: str | None = None,
        system: FileSystem = SYSTEM,
    ) -> None:
        options = FileOptions(
            path=path,  # type: ignore[arg-type]  # checked and made a str there
            max_bytes=max_bytes,
            when=when,
            interval=interval,
            utc=utc,
            at_time=at_time,
            backup_count=backup_count,
            max_age=max_age,
            max_total_bytes=max_total_bytes,
            compression=compression,
            permissions=permissions,
            fsync=fsync,
            encoding=encoding,
            errors=errors,
            escape_control=escape_control,
        )
        super().__init__(level=level, formatter=formatter, filters=filters, name=name)
        schedule = Schedule.of_options(options) if options.when is not None else None
        self._use(FileWriter(options, schedule, system), options)

    def _use(self, writer: FileWriter, options: FileOptions) -> None:
        self.path = options.path
        self.label = "file:" + options.path
        self._thread = SinkThread(self.label, runs_app_code=False)
        self._writer = writer
        self._housekeeper: asyncio.Task[None] | None = None

    # -- standard handlers -----------------------------------------------------------------------

    @classmethod
    def from_handler(cls, handler: logging.Handler) -> FileSink | None:
        """Make a sink that writes what a standard file handler would have written.

        The handler itself is only read; `release_handler` lets go of its stream.

        Args:
            handler: A `FileHandler`, `WatchedFileHandler`, `RotatingFileHandler` or
                `TimedRotatingFileHandler`.

        Returns:
            ``None`` where it is another handler, or overrides what a sink can't honour: a method,
            `namer`, `rotator`, a stream of its own.
        """
        settings = file_handlers.settings_of(handler)
        if settings is None:
            return None
        filters = list(handler.filters)
        sink = cls(settings.options.path, level=handler.level, formatter=handler.formatter, filters=filters)
        writer = FileWriter(
            settings.options,
            settings.schedule,
            SYSTEM,
            terminator=settings.terminator,
            as_standard=True,
            rollover_at=settings.rollover_at,
            truncate=settings.truncate,
        )
        sink._use(writer, settings.options)
        return sink

    @staticmethod
    def release_handler(handler: logging.Handler) -> None:
        """Flush and close a standard handler's stream, so that one program alone writes the file."""
        file_handlers.release(handler)

    @staticmethod
    def give_back_handler(handler: logging.Handler) -> None:
        """Let a standard handler write again: it opens its file at the next record and appends."""
        file_handlers.give_back(handler)

    # -- delivery --------------------------------------------------------------------------------

    def deliver_blocking(self, batch: Batch) -> Sequence[Part]:
        """Write a batch, on the sink's thread; what can't be written is to be retried."""
        return self._writer.write(batch.items).parts()

    async def deliver(self, batch: Batch) -> Sequence[Part]:
        """Hand the batch to the sink's thread, and see to old files when it is done."""
        parts = await super().deliver(batch)
        loop = asyncio.get_running_loop()
        at_work = self._housekeeper is not None and self._housekeeper.get_loop() is loop
        if not at_work and self._writer.housekeeping_due() is not None:
            self._housekeeper = loop.create_task(self._keep_house())
        return parts

    async def _keep_house(self) -> None:
        # Step by step, so that a batch never waits for more than one of them.
        try:
            while (pause := self._writer.housekeeping_due()) is not None:
                if pause > 0:
                    await asyncio.sleep(pause)
                await self._thread.call(self.housekeep)
        finally:
            self._housekeeper = None

    def housekeep(self) -> bool:
        """Do the next bit of what is due, on the sink's thread: fsync, retention, compression.

        Returns:
            Whether there is more to do at once.
        """
        return self._writer.housekeep()

    # -- ending ------------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """Sync and close the file; what is left of compression is done after the next start."""
        housekeeper, self._housekeeper = self._housekeeper, None
        # A task of a loop that ended before has ended with it.
        if housekeeper is not None and housekeeper.get_loop() is asyncio.get_running_loop():
            housekeeper.cancel()
            await asyncio.wait([housekeeper])
        await super().aclose()

    def close_blocking(self) -> None:
        """Sync and close the file."""
        self._writer.close()

    def after_fork(self) -> None:
        """Forget the parent's thread, file and lock."""
        super().after_fork()
        self._writer.forget()
        self._housekeeper = None
