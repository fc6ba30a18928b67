"""What goes wrong under a log file: full disks, failed syncs, moved files, pipes, no descriptors."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import subprocess
import sys
import textwrap
import threading

import pytest

from asynclog.sinks import file_output, filelock
from asynclog.sinks.file import FileSink
from asynclog.values import RetryLater
from tests.sinks.filekit import ENVIRONMENT, FaultySystem, batch, delivered, files, lines_in, reason, to_retry, write


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(file_output, "STREAM_PATIENCE", 0.05)


# -- 28: the disk is full -----------------------------------------------------------------------------

LIMITED = textwrap.dedent(
    """
    import resource, sys
    from asynclog.sinks.file import FileSink
    from tests.sinks.filekit import delivered, reason, to_retry, write
    path, options = sys.argv[1], eval(sys.argv[2])
    sink = FileSink(path, **options)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    texts = [f"line {n:04}" for n in range(150)]
    assert delivered(write(sink, texts[:90])) == texts[:90]          # 900 bytes
    for _ in range(3):
        parts = write(sink, texts[90:])                              # 600 more: a short write, then EFBIG
        assert to_retry(parts) == texts[90:] and delivered(parts) == []
    print(reason(parts))
    assert open(path).read().splitlines() == texts[:90]
    assert delivered(write(sink, texts[90:95])) == texts[90:95]      # what fits is taken
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert delivered(write(sink, texts[95:])) == texts[95:]
    assert open(path).read().splitlines() == texts
    """
)


@pytest.mark.parametrize("options", [{}, {"max_bytes": 10**6, "backup_count": 1}, {"fsync": "batch", "when": "D"}])
def test_a_file_at_its_size_limit_keeps_whole_lines_and_goes_on_when_there_is_room(tmp_path, options):
    command = [sys.executable, "-c", LIMITED, str(tmp_path / "a.log"), repr(options)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == os.strerror(errno.EFBIG)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
def test_a_full_disk_leaves_no_half_line(tmp_path, code):
    system = FaultySystem(fail_at=2, code=code, only=["write"], half=7)
    sink = FileSink(tmp_path / "a.log", system=system)
    assert delivered(write(sink, ["one"])) == ["one"]
    parts = write(sink, ["two", "three"])
    assert to_retry(parts) == ["two", "three"]
    assert reason(parts) == os.strerror(code)
    assert (tmp_path / "a.log").read_text() == "one\n"
    assert delivered(write(sink, ["two", "three"])) == ["two", "three"]
    assert (tmp_path / "a.log").read_text() == "one\ntwo\nthree\n"


def test_a_half_line_that_cannot_be_cut_off_at_once_is_cut_off_before_the_next_write(tmp_path):
    class Full(FaultySystem):
        truncates = False

        def truncate(self, descriptor, size):
            if not self.truncates:
                raise OSError(errno.EIO, "no")
            os.ftruncate(descriptor, size)

    system = Full(fail_at=2, only=["write"], half=6)
    sink = FileSink(tmp_path / "a.log", system=system)
    write(sink, ["one"])
    assert to_retry(write(sink, ["two", "three"])) == ["two", "three"]
    assert (tmp_path / "a.log").read_text() == "one\ntwo\nth"
    assert to_retry(write(sink, ["two", "three"])) == ["two", "three"]
    assert (tmp_path / "a.log").read_text() == "one\ntwo\nth"
    system.truncates = True
    assert delivered(write(sink, ["two", "three"])) == ["two", "three"]
    assert (tmp_path / "a.log").read_text() == "one\ntwo\nthree\n"


def test_what_was_written_before_a_rollover_failed_is_not_written_again(tmp_path):
    system = FaultySystem(fail_at=1, only=["rename"])
    sink = FileSink(tmp_path / "a.log", max_bytes=20, backup_count=9, system=system)
    texts = ["line 1", "line 2", "line 3"]
    parts = write(sink, texts)
    assert delivered(parts) == texts[:2]
    assert to_retry(parts) == texts[2:]
    assert delivered(write(sink, texts[2:])) == texts[2:]
    assert files(tmp_path) == {"a.log": b"line 3\n", "a.log.1": b"line 1\nline 2\n"}


# -- 29: there is no place for it ------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"max_bytes": 100, "backup_count": 1}])
def test_a_parent_that_is_a_file_is_a_retry(tmp_path, options):
    (tmp_path / "parent").touch()
    sink = FileSink(tmp_path / "parent" / "a.log", **options)
    assert to_retry(write(sink, ["x"])) == ["x"]
    os.remove(tmp_path / "parent")
    os.mkdir(tmp_path / "parent")
    assert delivered(write(sink, ["x"])) == ["x"]


def test_a_path_that_is_a_folder_is_a_retry(tmp_path):
    sink = FileSink(tmp_path)
    parts = write(sink, ["x"])
    assert to_retry(parts) == ["x"]
    assert reason(parts) == os.strerror(errno.EISDIR)


# -- 30: fsync fails ---------------------------------------------------------------------------------------


def test_a_failed_fsync_is_not_trusted_the_second_time_and_its_lines_are_written_anew(tmp_path):
    (tmp_path / "a.log").touch()
    system = FaultySystem(fail_at=2, only=["fsync"])
    opened = []
    sink = FileSink(tmp_path / "a.log", fsync="batch", system=system)
    assert delivered(write(sink, ["one"])) == ["one"]
    opened.append(sink._writer._output.descriptor)
    parts = write(sink, ["two"])
    assert to_retry(parts) == ["two"]
    assert (tmp_path / "a.log").read_text() == "one\n"
    assert sink._writer._output.descriptor is None, "the descriptor that failed is used again"
    assert delivered(write(sink, ["two"])) == ["two"]
    assert (tmp_path / "a.log").read_text() == "one\ntwo\n"
    assert system.calls == ["fsync"] * 3


def test_a_failed_fsync_of_earlier_batches_is_told_once_and_not_tried_again(tmp_path):
    (tmp_path / "a.log").touch()
    system = FaultySystem(fail_at=1, only=["fsync"])
    system.now = 0.0
    system.monotonic = lambda: system.now
    sink = FileSink(tmp_path / "a.log", fsync=5, system=system)
    assert delivered(write(sink, ["one"])) == ["one"]
    system.now = 5
    assert sink.housekeep() is False
    assert system.calls == ["fsync"]
    assert sink._writer.housekeeping_due() is None
    parts = write(sink, ["two"])
    assert to_retry(parts) == ["two"]
    assert "fsync failed" in reason(parts)
    assert delivered(write(sink, ["two"])) == ["two"]
    assert (tmp_path / "a.log").read_text() == "one\ntwo\n"


# -- 31: the file is changed underneath -----------------------------------------------------------------------

WITH_AND_WITHOUT_ROTATION = pytest.mark.parametrize("options", [{}, {"max_bytes": 10**6, "backup_count": 1}])


@WITH_AND_WITHOUT_ROTATION
def test_an_unlinked_file_is_made_anew(tmp_path, options):
    sink = FileSink(tmp_path / "a.log", **options)
    write(sink, ["one"])
    os.remove(tmp_path / "a.log")
    write(sink, ["two"])
    assert (tmp_path / "a.log").read_text() == "two\n"


@WITH_AND_WITHOUT_ROTATION
def test_a_renamed_file_is_left_and_its_successor_written(tmp_path, options):
    sink = FileSink(tmp_path / "a.log", **options)
    write(sink, ["one"])
    os.rename(tmp_path / "a.log", tmp_path / "old")
    write(sink, ["two"])
    os.rename(tmp_path / "a.log", tmp_path / "older")
    (tmp_path / "a.log").write_text("made by logrotate\n")
    write(sink, ["three"])
    assert files(tmp_path) == {"a.log": b"made by logrotate\nthree\n", "old": b"one\n", "older": b"two\n"}


@WITH_AND_WITHOUT_ROTATION
def test_a_truncated_file_has_no_hole(tmp_path, options):
    sink = FileSink(tmp_path / "a.log", **options)
    write(sink, ["one" * 1000])
    os.truncate(tmp_path / "a.log", 0)
    write(sink, ["two"])
    assert (tmp_path / "a.log").read_bytes() == b"two\n"


def test_a_file_renamed_while_the_lock_was_waited_for_is_not_written(tmp_path):
    class Renamed(FaultySystem):
        def lock(self, descriptor):
            super().lock(descriptor)
            if (tmp_path / "a.log").exists() and not (tmp_path / "old").exists():
                os.rename(tmp_path / "a.log", tmp_path / "old")

    sink = FileSink(tmp_path / "a.log", system=Renamed())
    assert delivered(write(sink, ["x"])) == ["x"]
    assert files(tmp_path) == {"a.log": b"x\n", "old": b""}


@WITH_AND_WITHOUT_ROTATION
def test_a_folder_that_is_removed_is_a_retry_until_it_is_back(tmp_path, options):
    folder = tmp_path / "logs"
    folder.mkdir()
    sink = FileSink(folder / "a.log", **options)
    write(sink, ["one"])
    for name in os.listdir(folder):
        os.remove(folder / name)
    folder.rmdir()
    assert to_retry(write(sink, ["two"])) == ["two"]
    folder.mkdir()
    assert delivered(write(sink, ["two"])) == ["two"]


# -- 32: pipes ------------------------------------------------------------------------------------------------


@pytest.fixture
def fifo(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


async def test_a_pipe_without_a_reader_hangs_nobody(fifo):
    sink = FileSink(fifo)
    await sink.open()
    async with asyncio.timeout(60):
        parts = await sink.deliver(batch(["x"]))
        await sink.aclose()
    assert to_retry(parts) == ["x"]
    assert reason(parts) == os.strerror(errno.ENXIO)


def test_a_pipe_with_a_reader_gets_every_line(fifo):
    got = []
    reader = threading.Thread(target=lambda: got.append(fifo.read_bytes()))
    reader.start()
    sink = FileSink(fifo, max_bytes=10, backup_count=1)
    waiting = [f"line {n:05} {'x' * (n % 300)}" for n in range(3000)] + ["y" * 200_000, "end"]
    texts = list(waiting)
    for _ in range(10_000):
        waiting = to_retry(write(sink, waiting)) if waiting else []
        if not waiting:
            break
    sink.close_blocking()
    reader.join(60)
    assert got[0].decode().splitlines() == texts


def test_a_pipe_whose_reader_does_not_read_takes_whole_lines_only(fifo, impatient):
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    sink = FileSink(fifo)
    texts = [f"{n:05} {'x' * 93}" for n in range(2000)]
    parts = write(sink, texts)
    assert delivered(parts) + to_retry(parts) == texts
    assert 0 < len(delivered(parts)) < 2000
    assert reason(parts) == "nobody reads what is written"
    assert _read_all(reader).decode().splitlines() == delivered(parts)
    os.close(reader)


def test_a_line_longer_than_a_pipe_is_finished_later_and_nothing_comes_between(fifo, impatient):
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    sink = FileSink(fifo)
    parts = write(sink, ["y" * 200_000, "next"])
    assert to_retry(parts) == ["next"]
    got = b""
    for _ in range(100):
        got += _read_all(reader)
        if delivered(write(sink, ["next"])):
            break
    got += _read_all(reader)
    assert got == b"y" * 200_000 + b"\nnext\n"
    os.close(reader)


def test_a_reader_that_goes_away_is_waited_for(fifo):
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    sink = FileSink(fifo)
    assert delivered(write(sink, ["one"])) == ["one"]
    os.close(reader)
    assert to_retry(write(sink, ["two"])) == ["two"]
    assert to_retry(write(sink, ["two"])) == ["two"]
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    assert delivered(write(sink, ["two"])) == ["two"]
    assert _read_all(reader) == b"two\n"
    os.close(reader)


def _read_all(descriptor) -> bytes:
    got = b""
    while True:
        try:
            piece = os.read(descriptor, 65536)
        except BlockingIOError:
            return got
        if not piece:
            return got
        got += piece


# -- 35: a process that holds the lock and does nothing -----------------------------------------------------------


@WITH_AND_WITHOUT_ROTATION
def test_a_stopped_process_that_holds_the_lock_hangs_nobody(tmp_path, options, monkeypatch):
    monkeypatch.setattr(filelock.lock_descriptor, "__defaults__", (0.05,))
    holder, sink = FileSink(tmp_path / "a.log", **options), FileSink(tmp_path / "a.log", **options)
    with holder._writer._exclusive():
        parts = write(sink, ["x"])
        assert to_retry(parts) == ["x"]
        assert "another process" in reason(parts)
    assert delivered(write(sink, ["x"])) == ["x"]
    assert lines_in(tmp_path) == ["x"]


@pytest.mark.parametrize("options", [{}, {"max_bytes": 30, "backup_count": 50}])
def test_a_file_system_without_locks_is_written_all_the_same(tmp_path, options):
    class NoLocks(FaultySystem):
        def lock(self, descriptor):
            raise OSError(errno.ENOLCK, "no locks")

    sink = FileSink(tmp_path / "a.log", system=NoLocks(), **options)
    texts = [f"line {n:02}" for n in range(20)]
    assert delivered(write(sink, texts)) == texts
    assert lines_in(tmp_path) == texts


# -- 36: out of file descriptors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"max_bytes": 10, "backup_count": 9}, {"when": "S", "fsync": "batch"}])
def test_without_a_free_descriptor_records_wait(tmp_path, options):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    sink = FileSink(tmp_path / "a.log", **options)
    taken = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, soft), hard))
    try:
        while True:
            try:
                taken.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                break
        parts = write(sink, ["x"])
        assert to_retry(parts) == ["x"]
        assert reason(parts) == os.strerror(errno.EMFILE)
    finally:
        for one in taken:
            os.close(one)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert delivered(write(sink, ["x"])) == ["x"]


def test_no_failure_costs_a_descriptor(tmp_path):
    (tmp_path / "a.log").write_text("x" * 30 + "\n")
    before = len(os.listdir("/proc/self/fd"))
    for fail_at in range(1, 60):
        system = FaultySystem(fail_at=fail_at)
        sink = FileSink(
            tmp_path / "a.log", max_bytes=30, backup_count=2, compression="gz", fsync="batch", system=system
        )
        write(sink, ["a" * 30, "b"])
        for _ in range(8):
            sink.housekeep()
        sink.close_blocking()
    assert len(os.listdir("/proc/self/fd")) == before


def test_an_error_that_is_no_system_error_is_a_retry_too(tmp_path):
    class Broken(FaultySystem):
        def write(self, descriptor, buffers):
            raise MemoryError

    parts = write(FileSink(tmp_path / "a.log", system=Broken()), ["x"])
    assert isinstance(parts[0].verdict, RetryLater)
    assert "MemoryError" in reason(parts)
