"""The file sink, without rotation: what it takes, what it writes, and what it does about others."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import os
import pathlib
import stat
import subprocess
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynclog.errors import OptionTypeError, OptionValueError
from asynclog.sinks.file import FileSink
from asynclog.sinks.file_text import LineEncoder
from asynclog.values import Item
from tests.sinks.filekit import FaultySystem, batch, delivered, files, item, lines_in, rejected, to_retry, write

# -- options -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"path": 7}, TypeError, ["path", "7", "str or pathlib.Path"]),
        ({"path": ""}, ValueError, ["path", "not empty"]),
        ({"max_bytes": -1}, ValueError, ["max_bytes", "-1"]),
        ({"max_bytes": "10"}, TypeError, ["max_bytes", "'10'"]),
        ({"when": "weekly"}, ValueError, ["when", "'WEEKLY'", "'MIDNIGHT'"]),
        ({"when": 5}, TypeError, ["when", "5"]),
        ({"when": "H", "interval": 0}, ValueError, ["interval", "0"]),
        ({"when": "H", "utc": 1}, TypeError, ["utc", "True or False"]),
        ({"when": "H", "at_time": dt.time(3)}, ValueError, ["at_time", "midnight"]),
        ({"when": "midnight", "at_time": "03:00"}, TypeError, ["at_time", "datetime.time"]),
        ({"interval": 2}, ValueError, ["interval", "when="]),
        ({"utc": True}, ValueError, ["utc", "when="]),
        ({"backup_count": 3}, ValueError, ["backup_count", "max_bytes="]),
        ({"max_bytes": 5, "backup_count": 1.5}, TypeError, ["backup_count", "1.5"]),
        ({"max_age": 10}, ValueError, ["max_age", "max_bytes="]),
        ({"max_bytes": 5, "max_age": 0}, ValueError, ["max_age", "0"]),
        ({"max_bytes": 5, "max_age": float("inf")}, ValueError, ["max_age", "inf"]),
        ({"max_bytes": 5, "max_total_bytes": 0}, ValueError, ["max_total_bytes", "0"]),
        ({"max_bytes": 5, "compression": "zip"}, ValueError, ["compression", "'gz'"]),
        ({"compression": "gz"}, ValueError, ["compression", "when="]),
        ({"permissions": "0640"}, TypeError, ["permissions", "whole number"]),
        ({"permissions": 640}, ValueError, ["permissions", "640", "0o640"]),
        ({"fsync": "always"}, ValueError, ["fsync", "'batch'"]),
        ({"fsync": 0}, ValueError, ["fsync", "more than 0"]),
        ({"encoding": "utf-9"}, ValueError, ["encoding", "utf-9"]),
        ({"encoding": "base64"}, ValueError, ["encoding", "base64"]),
        ({"errors": "shrug"}, ValueError, ["errors", "shrug"]),
        ({"escape_control": "yes"}, TypeError, ["escape_control", "True or False"]),
        ({"level": "LOUD"}, ValueError, ["level", "LOUD"]),
    ],
)
def test_a_wrong_option_is_told_with_its_name_value_and_fix(tmp_path, options, kind, words):
    given_options = {"path": tmp_path / "a.log", **options}
    with pytest.raises((OptionTypeError, OptionValueError)) as caught:
        FileSink(given_options.pop("path"), **given_options)
    assert isinstance(caught.value, kind)
    for word in words:
        assert word in str(caught.value)


def test_a_path_that_cannot_be_written_is_no_error_until_a_record_waits(tmp_path):
    sink = FileSink(tmp_path / "no" / "such" / "folder" / "a.log")
    assert to_retry(write(sink, ["x"])) == ["x"]
    (tmp_path / "no" / "such" / "folder").mkdir(parents=True)
    assert delivered(write(sink, ["x"])) == ["x"]


def test_the_label_names_the_file(tmp_path):
    assert FileSink(pathlib.Path(tmp_path, "a.log")).label == f"file:{tmp_path}/a.log"


def test_nothing_is_made_before_the_first_record(tmp_path):
    FileSink(tmp_path / "a.log", when="H", max_bytes=100)
    assert os.listdir(tmp_path) == []


def test_without_rotation_there_is_no_second_file(tmp_path):
    write(FileSink(tmp_path / "a.log"), ["x"])
    assert os.listdir(tmp_path) == ["a.log"]


# -- bytes ---------------------------------------------------------------------------------------------


def test_a_batch_is_one_write(tmp_path):
    system = FaultySystem()
    sink = FileSink(tmp_path / "a.log", system=system)
    write(sink, [f"line {n}" for n in range(5000)])
    assert system.calls.count("write") == 1
    assert (tmp_path / "a.log").read_text().splitlines() == [f"line {n}" for n in range(5000)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-8-sig"])
def test_long_lines_are_one_write_too_encoded_in_pieces_with_a_breath_between(tmp_path, encoding):
    system = FaultySystem()
    breaths = []
    system.sleep = breaths.append
    sink = FileSink(tmp_path / "a.log", encoding=encoding, system=system)
    texts = [f"{n} " + "é" * (n % 7 * 5_000) for n in range(200)] + ["x" * 2_000_000, "", "the last"]
    write(sink, texts)
    assert system.calls.count("write") == 1
    assert (tmp_path / "a.log").read_bytes().decode(encoding) == "".join(f"{text}\n" for text in texts)
    assert 1 <= len(breaths) <= 30


@given(st.lists(st.text(max_size=20), min_size=1, max_size=30), st.sampled_from(["utf-8", "ascii", "utf-16", "utf-7"]))
def test_lines_are_what_text_mode_writes(texts, encoding):
    lines = LineEncoder(encoding, "backslashreplace")
    together = lines.encode(texts, "\n", at_start=True)
    assert b"".join(lines.encode_each(texts, "\n", at_start=True)) == together
    if encoding != "ascii":
        shown = "".join(f"{text}\n" for text in texts)
        assert together.decode(encoding) == shown.encode("utf-16", "backslashreplace").decode("utf-16")


@pytest.mark.parametrize("errors", ["strict", "backslashreplace"])
def test_a_record_that_cannot_be_encoded_is_escaped_and_loses_nobody(tmp_path, errors):
    sink = FileSink(tmp_path / "a.log", errors=errors)
    assert delivered(write(sink, ["before", "odd \udcff", "äfter"])) == ["before", "odd \udcff", "äfter"]
    assert (tmp_path / "a.log").read_bytes() == b"before\nodd \\udcff\n" + "äfter\n".encode()


def test_a_text_that_is_no_text_is_rejected_alone(tmp_path):
    sink = FileSink(tmp_path / "a.log")
    parts = write(sink, ["before", item(b"bytes"), "after"])
    assert delivered(parts) == ["before", "after"]
    assert rejected(parts) == [b"bytes"]
    assert (tmp_path / "a.log").read_text() == "before\nafter\n"


def test_a_byte_order_mark_stands_at_the_beginning_only(tmp_path):
    sink = FileSink(tmp_path / "a.log", encoding="utf-8-sig")
    write(sink, ["one"])
    write(sink, ["two"])
    assert (tmp_path / "a.log").read_bytes() == b"\xef\xbb\xbfone\ntwo\n"


@pytest.mark.parametrize(
    ("message", "written"),
    [
        ("plain", "plain"),
        ("a\tb", "a\tb"),
        ("x\n2024 ERROR forged", "x\\n2024 ERROR forged"),
        ("x\r\nY\x1b[31m\x00\x85\u2028\u202e", "x\\r\\nY\\x1b[31m\\x00\\x85\\u2028\\u202e"),
    ],
)
def test_control_characters_of_a_message_are_escaped(tmp_path, message, written):
    sink = FileSink(tmp_path / "a.log", escape_control=True)
    record = logging.makeLogRecord({"msg": "%s", "args": (message,)})
    one = item(f"ERROR {message} end")
    one = Item(record, one.text, one.size)
    write(sink, [one])
    assert (tmp_path / "a.log").read_text() == f"ERROR {written} end\n"


def test_no_line_of_a_traceback_can_pass_for_a_record(tmp_path):
    sink = FileSink(tmp_path / "a.log", escape_control=True)
    one = item("failed\nTraceback …\nValueError: x\n2024 ERROR forged\x1b")
    one.record.msg = "failed"
    write(sink, [one])
    assert (tmp_path / "a.log").read_text() == "failed\n\tTraceback …\n\tValueError: x\n\t2024 ERROR forged\\x1b\n"


def test_arguments_that_do_not_fit_do_not_stop_escaping(tmp_path):
    sink = FileSink(tmp_path / "a.log", escape_control=True)
    one = item("text\nmore")
    one.record.msg, one.record.args = "%d", ("x",)
    assert delivered(write(sink, [one])) == ["text\nmore"]
    assert (tmp_path / "a.log").read_text() == "text\n\tmore\n"


# -- the file ----------------------------------------------------------------------------------------


def test_permissions_are_set_whatever_the_umask(tmp_path):
    before = os.umask(0o077)
    try:
        write(FileSink(tmp_path / "a.log", permissions=0o664), ["x"])
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(tmp_path / "a.log").st_mode) == 0o664


def test_a_file_that_exists_keeps_its_permissions(tmp_path):
    (tmp_path / "a.log").touch(0o600)
    write(FileSink(tmp_path / "a.log", permissions=0o664), ["x"])
    assert stat.S_IMODE(os.stat(tmp_path / "a.log").st_mode) == 0o600


def test_a_link_to_nothing_makes_what_it_names(tmp_path):
    (tmp_path / "a.log").symlink_to(tmp_path / "real.log")
    assert delivered(write(FileSink(tmp_path / "a.log"), ["x"])) == ["x"]
    assert (tmp_path / "real.log").read_text() == "x\n"


def test_no_child_program_inherits_the_file(tmp_path):
    sink = FileSink(tmp_path / "a.log", max_bytes=100, backup_count=1)
    write(sink, ["x"])
    listed = subprocess.run(
        [sys.executable, "-c", "import os; print([os.readlink(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd') if os.path.exists(f'/proc/self/fd/{n}')])"],
        capture_output=True, text=True, check=True, close_fds=False, timeout=60,
    )  # fmt: skip
    assert "a.log" not in listed.stdout


@pytest.mark.parametrize(("policy", "synced"), [("never", 0), (False, 0), ("batch", 3), (True, 3)])
def test_fsync_is_called_as_the_policy_says(tmp_path, policy, synced):
    (tmp_path / "a.log").touch()
    system = FaultySystem()
    sink = FileSink(tmp_path / "a.log", fsync=policy, system=system)
    for n in range(3):
        write(sink, [f"{n}"])
    assert system.calls.count("fsync") == synced


class Watch(FaultySystem):
    """A system whose clock is set by hand."""

    now = 100.0

    def monotonic(self):
        return self.now


def test_fsync_every_so_often_waits_that_long_and_leaves_nothing_unsynced(tmp_path):
    (tmp_path / "a.log").touch()
    system = Watch()
    sink = FileSink(tmp_path / "a.log", fsync=5, system=system)
    write(sink, ["a"])
    write(sink, ["b"])
    assert "fsync" not in system.calls
    assert sink._writer.housekeeping_due() == 5
    system.now += 5
    write(sink, ["c"])
    assert system.calls.count("fsync") == 1
    write(sink, ["d"])
    system.now += 5
    assert sink.housekeep() is False
    assert system.calls.count("fsync") == 2
    write(sink, ["e"])
    sink.close_blocking()
    assert system.calls.count("fsync") == 3


# -- through the loop ----------------------------------------------------------------------------------


async def test_delivery_runs_on_the_sinks_own_thread(tmp_path):
    threads = set()

    class Seen(FaultySystem):
        def write(self, descriptor, buffers):
            threads.add(threading.get_ident())
            return os.writev(descriptor, buffers)

    sink = FileSink(tmp_path / "a.log", system=Seen())
    await sink.open()
    for n in range(3):
        assert delivered(await sink.deliver(batch([f"line {n}"]))) == [f"line {n}"]
    await sink.aclose()
    assert threads
    assert threading.get_ident() not in threads
    assert lines_in(tmp_path) == ["line 0", "line 1", "line 2"]


async def test_a_closed_sink_opens_again_at_the_next_batch(tmp_path):
    sink = FileSink(tmp_path / "a.log", max_bytes=1000, backup_count=1, fsync="batch")
    await sink.deliver(batch(["one"]))
    await sink.aclose()
    assert delivered(await sink.deliver(batch(["two"]))) == ["two"]
    await sink.aclose()
    assert lines_in(tmp_path) == ["one", "two"]


async def test_old_files_are_compressed_after_the_batch_without_being_asked(tmp_path):
    sink = FileSink(tmp_path / "a.log", max_bytes=20, backup_count=50, compression="gz")
    for n in range(20):
        await sink.deliver(batch([f"line number {n}"]))
    async with asyncio.timeout(60):
        while sink._housekeeper is not None:
            await asyncio.sleep(0.001)
    await sink.aclose()
    assert [name for name in files(tmp_path) if not name.endswith(".gz")] == ["a.log"]
    assert lines_in(tmp_path) == sorted(f"line number {n}" for n in range(20))


async def test_what_was_to_be_synced_in_a_while_is_synced_though_nothing_follows(tmp_path):
    system = FaultySystem()
    sink = FileSink(tmp_path / "a.log", fsync=0.01, system=system)
    await sink.deliver(batch(["x"]))
    async with asyncio.timeout(60):
        while "fsync" not in system.calls[1:] or sink._housekeeper is not None:
            await asyncio.sleep(0.001)
    await sink.aclose()


async def test_closing_does_not_wait_for_a_sync_that_is_far_off(tmp_path):
    sink = FileSink(tmp_path / "a.log", fsync=3600)
    await sink.deliver(batch(["x"]))
    async with asyncio.timeout(60):
        await sink.aclose()
    assert lines_in(tmp_path) == ["x"]


# -- after a fork ------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"max_bytes": 10**6, "backup_count": 1}])
def test_a_forked_child_locks_for_itself(tmp_path, options):
    sink = FileSink(tmp_path / "a.log", **options)
    write(sink, ["parent"])
    writer = sink._writer
    with writer._exclusive():
        child = os.fork()
        if child == 0:
            code = 1
            try:
                sink.after_fork()
                # The parent has the lock: the child must be refused, and not share it.
                from asynclog.sinks import filelock

                filelock.lock_descriptor.__defaults__ = (0.05,)
                code = 0 if to_retry(write(sink, ["child"])) == ["child"] else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    child = os.fork()
    if child == 0:
        code = 1
        try:
            sink.after_fork()
            code = 0 if delivered(write(sink, ["child"])) == ["child"] else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert delivered(write(sink, ["parent again"])) == ["parent again"]
    assert lines_in(tmp_path) == ["child", "parent", "parent again"]


def test_a_child_does_not_close_a_descriptor_that_became_another_files(tmp_path):
    sink = FileSink(tmp_path / "a.log")
    write(sink, ["x"])
    number = sink._writer._output.descriptor
    other = os.open(tmp_path / "other", os.O_CREAT | os.O_RDWR)
    kept = os.dup(number)
    os.dup2(other, number)
    sink.after_fork()
    assert os.path.samestat(os.fstat(number), os.fstat(other))
    for one in (number, other, kept):
        os.close(one)
