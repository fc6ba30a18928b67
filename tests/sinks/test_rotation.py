"""Rotation as the sink has it beyond the standard handlers: names, retention, compression, company."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asynclog.sinks.file import FileSink
from tests.sinks.filekit import (
    ENVIRONMENT,
    START,
    FaultySystem,
    delivered,
    files,
    item,
    lines_in,
    rejected,
    to_retry,
    write,
)

HOUR = 3600


class Clock(FaultySystem):
    """A system at another time."""

    def __init__(self, now=START, **keywords):
        super().__init__(**keywords)
        self.now = now
        self.later = 0.0

    def time(self):
        return self.now

    def monotonic(self):
        return super().monotonic() + self.later


def numbered(count, start=0):
    return [f"line {n:04}" for n in range(start, start + count)]


def by_time(texts, step, start=START):
    return [item(text, start + step * n) for n, text in enumerate(texts)]


# -- names -----------------------------------------------------------------------------------------------


def test_size_and_time_together_number_the_files_of_one_interval(tmp_path):
    sink = FileSink(tmp_path / "a.log", max_bytes=30, when="H", utc=True, system=Clock())
    assert len(delivered(write(sink, by_time(numbered(12), 900)))) == 12
    assert list(files(tmp_path)) == [
        "a.log", "a.log.2023-11-14_22", "a.log.2023-11-14_22.1", "a.log.2023-11-14_23", "a.log.2023-11-14_23.1",
        "a.log.2023-11-15_00",
    ]  # fmt: skip
    assert lines_in(tmp_path) == numbered(12)


def test_a_name_that_is_taken_gets_a_number_and_nothing_is_overwritten(tmp_path):
    (tmp_path / "a.log.2023-11-14_22").write_text("old\n")
    (tmp_path / "a.log.2023-11-14_22.3.gz").write_bytes(gzip.compress(b"older\n"))
    sink = FileSink(tmp_path / "a.log", when="H", utc=True, system=Clock())
    write(sink, by_time(["a", "b"], HOUR))
    assert files(tmp_path)["a.log.2023-11-14_22.4"] == b"a\n"
    assert lines_in(tmp_path) == ["a", "b", "old", "older"]


def test_the_records_time_counts_and_not_the_clocks(tmp_path):
    sink = FileSink(tmp_path / "a.log", when="H", utc=True, system=Clock())
    system_time_stands_still = by_time(["a", "b", "c"], 2 * HOUR)
    write(sink, system_time_stands_still)
    assert len(files(tmp_path)) == 3


def test_a_restart_does_not_put_the_rollover_off(tmp_path):
    def sink(now):
        return FileSink(tmp_path / "a.log", when="H", utc=True, system=Clock(now))

    write(sink(START), [item("a", START)])
    write(sink(START + 1800), [item("b", START + 1800)])
    write(sink(START + 3000), [item("c", START + 3700)])
    assert files(tmp_path) == {"a.log": b"c\n", "a.log.2023-11-14_22": b"a\nb\n"}


def test_a_schedule_of_other_options_is_not_taken_up(tmp_path):
    write(FileSink(tmp_path / "a.log", when="S", system=Clock()), [item("a")])
    os.utime(tmp_path / "a.log", (START, START))
    write(FileSink(tmp_path / "a.log", when="D", system=Clock()), [item("b", START + 100)])
    assert files(tmp_path) == {"a.log": b"a\nb\n"}


@pytest.mark.parametrize("state", [b"", b"\xff" * 200, b"1 2 3\n", b"2 0 0 0 x\n", b"1 a b c d\n", b"1 0 0 x y\n"])
def test_a_damaged_lock_file_is_survived(tmp_path, state):
    (tmp_path / ".a.log.lock").write_bytes(state)
    sink = FileSink(tmp_path / "a.log", when="H", utc=True, system=Clock())
    assert len(delivered(write(sink, by_time(numbered(5), HOUR)))) == 5
    assert lines_in(tmp_path) == numbered(5)


def test_a_lock_file_that_is_removed_is_made_anew(tmp_path):
    sink = FileSink(tmp_path / "a.log", max_bytes=50, backup_count=9)
    write(sink, ["a"])
    os.remove(tmp_path / ".a.log.lock")
    assert delivered(write(sink, ["b"])) == ["b"]
    assert (tmp_path / ".a.log.lock").exists()


def test_max_bytes_without_a_limit_on_old_files_never_rolls_over_as_in_the_standard_library(tmp_path):
    write(FileSink(tmp_path / "a.log", max_bytes=20), numbered(10))
    assert list(files(tmp_path)) == ["a.log"]


def test_a_pipe_or_device_is_never_rolled_over(tmp_path):
    sink = FileSink("/dev/null", max_bytes=1, when="S", backup_count=1)
    assert len(delivered(write(sink, by_time(numbered(5), HOUR)))) == 5
    assert not os.path.exists("/dev/null.1")


@pytest.mark.parametrize("created", [float("inf"), 1e300, 1e14, -1e300, float("nan"), "yesterday", None])
@pytest.mark.parametrize("options", [{"when": "H"}, {"when": "midnight"}, {"when": "S", "max_bytes": 30}])
def test_a_record_with_an_impossible_time_does_not_stop_the_others(tmp_path, created, options):
    sink = FileSink(tmp_path / "a.log", **options)
    assert delivered(write(sink, ["a", item("b", created), "c"])) == ["a", "b", "c"]
    assert delivered(write(sink, ["d"])) == ["d"]
    assert lines_in(tmp_path) == ["a", "b", "c", "d"]


@pytest.mark.parametrize("options", [{"max_bytes": 30, "backup_count": 9}, {"escape_control": True}, {"when": "S"}])
def test_a_text_that_is_no_text_does_not_stop_the_others(tmp_path, options):
    sink = FileSink(tmp_path / "a.log", **options)
    parts = write(sink, ["a", item(None), "b"])
    assert (delivered(parts), rejected(parts)) == (["a", "b"], [None])
    assert lines_in(tmp_path) == ["a", "b"]


# -- retention -------------------------------------------------------------------------------------------


def test_only_so_many_old_files_are_kept(tmp_path):
    (tmp_path / "a.log.2023-11-14_22.bak").touch()
    (tmp_path / "a.logs.2023-11-14_22").touch()
    sink = FileSink(tmp_path / "a.log", when="H", utc=True, backup_count=2, system=Clock())
    write(sink, by_time(numbered(8), HOUR))
    assert list(files(tmp_path)) == [
        "a.log", "a.log.2023-11-14_22.bak", "a.log.2023-11-15_03", "a.log.2023-11-15_04", "a.logs.2023-11-14_22",
    ]  # fmt: skip


def test_old_files_go_when_they_are_too_old(tmp_path):
    sink = FileSink(tmp_path / "a.log", max_bytes=15, max_age=1000, system=Clock(START))
    for n, text in enumerate(numbered(6)):
        write(sink, [item(text, START + 300 * n)])
        os.utime(tmp_path / "a.log", (START + 300 * n,) * 2)
    assert lines_in(tmp_path) == numbered(4, 2)


def test_old_files_go_though_nothing_is_rolled_over_any_more(tmp_path):
    system = Clock(START)
    sink = FileSink(tmp_path / "a.log", max_bytes=15, max_age=1000, system=system)
    write(sink, numbered(4))
    while sink.housekeep():
        pass
    for name in files(tmp_path):
        os.utime(tmp_path / name, (START - 500,) * 2)
    sink._writer._next_age_check = 0.0
    while sink.housekeep():
        pass
    assert len(files(tmp_path)) == 4
    system.now += 600
    sink._writer._next_age_check = 0.0
    while sink.housekeep():
        pass
    assert list(files(tmp_path)) == ["a.log"]


def test_old_files_together_have_only_so_many_bytes(tmp_path):
    sink = FileSink(tmp_path / "a.log", max_bytes=25, max_total_bytes=61)
    write(sink, numbered(20))
    assert list(files(tmp_path)) == ["a.log", "a.log.1", "a.log.2", "a.log.3"]
    assert lines_in(tmp_path) == numbered(8, 12)


def test_an_old_file_that_cannot_be_removed_holds_up_nothing(tmp_path):
    system = FaultySystem(only=["remove"], fail_at=1, for_ever=True)
    sink = FileSink(tmp_path / "a.log", when="S", backup_count=1, system=system)
    assert len(delivered(write(sink, by_time(numbered(6), 10, START * 2)))) == 6
    assert lines_in(tmp_path) == numbered(6)


# -- compression -----------------------------------------------------------------------------------------


def housekeep(sink):
    for _ in range(10_000):
        if not sink.housekeep():
            return
    pytest.fail("housekeeping does not end")


def test_compressed_files_count_as_old_files(tmp_path):
    sink = FileSink(tmp_path / "a.log", max_bytes=25, backup_count=3, compression="gz", permissions=0o640)
    for text in numbered(20):
        write(sink, [text])
        housekeep(sink)
    assert list(files(tmp_path)) == ["a.log", "a.log.1.gz", "a.log.2.gz", "a.log.3.gz"]
    assert lines_in(tmp_path) == numbered(8, 12)
    assert os.stat(tmp_path / "a.log.1.gz").st_mode & 0o777 == 0o640


def test_a_rollover_in_the_middle_of_compression_loses_nothing(tmp_path):
    sink = FileSink(tmp_path / "a.log", max_bytes=25, backup_count=99, compression="gz")
    for n, text in enumerate(numbered(60)):
        write(sink, [text])
        for _ in range(n % 4):
            sink.housekeep()
    assert lines_in(tmp_path) == numbered(60)
    housekeep(sink)
    assert lines_in(tmp_path) == numbered(60)
    assert sum(not name.endswith(".gz") for name in files(tmp_path)) == 1


def test_a_large_file_is_compressed_in_steps(tmp_path):
    sink = FileSink(tmp_path / "a.log", max_bytes=10**6, backup_count=2, compression="gz")
    write(sink, [f"{n} {'x' * 90}" for n in range(10_800)])
    steps = 1
    while sink.housekeep():
        steps += 1
    assert steps >= 4
    assert len(lines_in(tmp_path)) == 10_800


def test_what_was_left_uncompressed_is_compressed_after_the_next_start(tmp_path):
    sink = FileSink(tmp_path / "a.log", max_bytes=25, backup_count=9, compression="gz")
    write(sink, numbered(10))
    sink.housekeep()
    sink.close_blocking()
    again = FileSink(tmp_path / "a.log", max_bytes=25, backup_count=9, compression="gz")
    housekeep(again)
    assert sum(not name.endswith(".gz") for name in files(tmp_path)) == 1
    assert lines_in(tmp_path) == numbered(10)


def test_a_crash_between_naming_the_compressed_and_removing_the_plain_file_duplicates_nothing(tmp_path):
    (tmp_path / "a.log.1").write_bytes(b"same\n")
    (tmp_path / "a.log.1.gz").write_bytes(gzip.compress(b"same\n"))
    (tmp_path / "a.log.2").write_bytes(b"one\n")
    (tmp_path / "a.log.2.gz").write_bytes(gzip.compress(b"two\n"))
    (tmp_path / ".a.log.99999999.gz.tmp").write_bytes(b"of a file that is gone")
    sink = FileSink(tmp_path / "a.log", max_bytes=25, backup_count=9, compression="gz")
    housekeep(sink)
    assert lines_in(tmp_path) == ["one", "same", "two"]


def test_two_processes_do_not_compress_the_same_file(tmp_path):
    options = {"max_bytes": 25, "backup_count": 9, "compression": "gz"}
    one, two = FileSink(tmp_path / "a.log", **options), FileSink(tmp_path / "a.log", **options)
    write(one, numbered(5))
    one.housekeep()
    one.housekeep()
    housekeep(two)
    housekeep(one)
    assert lines_in(tmp_path) == numbered(5)
    assert sum(not name.endswith(".gz") for name in files(tmp_path)) == 1


def test_the_compressed_file_is_on_the_device_before_the_plain_one_goes(tmp_path):
    system = FaultySystem()
    sink = FileSink(tmp_path / "a.log", max_bytes=25, backup_count=9, compression="gz", system=system)
    write(sink, numbered(3))
    housekeep(sink)
    assert system.calls.index("fsync") < len(system.calls) - system.calls[::-1].index("remove") - 1
    assert [name for name in files(tmp_path) if name != "a.log"] == ["a.log.1.gz"]


@pytest.mark.parametrize("what", ["removed", "written"])
def test_a_file_that_changes_while_it_is_compressed_is_not_replaced_by_what_it_was(tmp_path, what):
    class Meddled(FaultySystem):
        meddled = False

        def read(self, descriptor, count):
            piece = super().read(descriptor, count)
            if not piece and not self.meddled:
                self.meddled = True
                if what == "removed":
                    os.remove(tmp_path / "a.log.1")
                else:
                    with open(tmp_path / "a.log.1", "a") as file:
                        file.write("late\n")
            return piece

    sink = FileSink(tmp_path / "a.log", max_bytes=25, backup_count=9, compression="gz", system=Meddled())
    write(sink, numbered(3))
    housekeep(sink)
    assert lines_in(tmp_path) == (numbered(1, 2) if what == "removed" else ["late", *numbered(3)])
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".tmp")]


# -- failing in the middle ----------------------------------------------------------------------------------

OPTIONS = {
    "size": {"max_bytes": 40, "backup_count": 50},
    "few": {"max_bytes": 40, "backup_count": 1},
    "time": {"when": "H", "utc": True},
    "both": {"when": "H", "max_bytes": 25, "fsync": "batch", "utc": True, "permissions": 0o600},
    "gz": {"max_bytes": 40, "backup_count": 50, "compression": "gz"},
    "plain": {"fsync": "batch"},
}


def scenario(sink, items):
    """Deliver in batches of seven, each retried as a lane would; give up after many."""
    waiting = list(items)
    taken = []
    for _ in range(200):
        if not waiting:
            break
        parts = write(sink, waiting[:7])
        taken += delivered(parts)
        assert sorted(delivered(parts) + to_retry(parts)) == sorted(one.text for one in waiting[:7])
        left = to_retry(parts)
        waiting = [one for one in waiting[:7] if one.text in left] + waiting[7:]
        sink.housekeep()
    return taken, waiting


@pytest.mark.parametrize("kind", [kind for kind in OPTIONS if kind != "few"])
@pytest.mark.parametrize("half", [0, 5])
def test_each_call_that_fails_once_loses_and_duplicates_nothing(tmp_path, kind, half):
    texts = numbered(25)
    for fail_at in range(1, 2000):
        folder = tmp_path / f"{fail_at}"
        folder.mkdir()
        system = Clock(fail_at=fail_at, half=half)
        sink = FileSink(folder / "a.log", system=system, **OPTIONS[kind])
        taken, waiting = scenario(sink, by_time(texts, 1000))
        assert (taken, waiting) == (texts, [])
        for _ in range(2):
            system.later += 3600
            housekeep(sink)
        sink.close_blocking()
        assert lines_in(folder) == texts, f"call {fail_at}: {system.calls[fail_at - 1]}"
        if not system.failed:
            return
    pytest.fail("the scenario does not end")


@pytest.mark.parametrize("kind", ["size", "both", "gz", "plain"])
@pytest.mark.parametrize("half", [0, 5])
def test_a_system_that_fails_until_it_is_mended_loses_and_duplicates_nothing(tmp_path, kind, half):
    texts = numbered(25)
    for fail_at in range(1, 2000, 3):
        folder = tmp_path / f"{fail_at}"
        folder.mkdir()
        system = Clock(fail_at=fail_at, half=half, for_ever=True)
        sink = FileSink(folder / "a.log", system=system, **OPTIONS[kind])
        items = by_time(texts, 1000)
        taken = []
        for start in range(0, 25, 7):
            taken += delivered(write(sink, items[start : start + 7]))
            sink.housekeep()
        failed = system.failed
        system.mend()
        rest, waiting = scenario(sink, [one for one in items if one.text not in taken])
        assert waiting == []
        assert sorted(taken + rest) == texts
        sink.close_blocking()
        # What a failing close has left uncut is cut by the next write, which there was.
        assert lines_in(folder) == texts, f"from call {fail_at} on"
        if not failed:
            return
    pytest.fail("the scenario does not end")


def test_a_failing_rename_pushes_out_no_old_file_more_than_a_smooth_one(tmp_path):
    for fail_at in range(1, 30):
        folder = tmp_path / f"{fail_at}"
        folder.mkdir()
        system = FaultySystem(fail_at=fail_at, only=["rename"])
        sink = FileSink(folder / "a.log", max_bytes=25, backup_count=3, system=system)
        taken, waiting = scenario(sink, [item(text) for text in numbered(20)])
        assert (taken, waiting) == (numbered(20), [])
        assert list(files(folder)) == ["a.log", "a.log.1", "a.log.2", "a.log.3"]
        assert lines_in(folder) == numbered(8, 12)


# -- company --------------------------------------------------------------------------------------------

WRITER = textwrap.dedent(
    """
    import json, sys
    from asynclog.sinks.file import FileSink
    from tests.sinks.filekit import item, write, to_retry
    path, name, count, options = sys.argv[1], sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4])
    sink = FileSink(path, **options)
    sys.stdin.readline()
    for start in range(0, count, 20):
        batch = [item(f"{name} {n:06}", 1_900_000_000 + n / 100) for n in range(start, start + 20)]
        while batch:
            left = set(to_retry(write(sink, batch)))
            batch = [one for one in batch if one.text in left]
        sink.housekeep()
    sink.close_blocking()
    """
)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"max_bytes": 4000, "backup_count": 100_000},
        {"max_bytes": 20_000, "max_total_bytes": 10**9, "compression": "gz"},
        {"when": "S"},
        {"when": "S", "max_bytes": 5000},
    ],
    ids=["plain", "size", "gz", "time", "both"],
)
def test_several_processes_on_one_file_lose_nothing_and_write_nothing_twice(tmp_path, options):
    import json

    path, count = tmp_path / "logs" / "a.log", 3000
    path.parent.mkdir()
    command = [sys.executable, "-c", WRITER, str(path)]
    writers = [
        subprocess.Popen([*command, name, str(count), json.dumps(options)], stdin=subprocess.PIPE, env=ENVIRONMENT)
        for name in "ABC"
    ]
    try:
        for one in writers:
            one.stdin.write(b"\n")
            one.stdin.flush()
        assert [one.wait(timeout=120) for one in writers] == [0, 0, 0]
    finally:
        for one in writers:
            one.kill()
            one.stdin.close()
    assert lines_in(path.parent) == [f"{name} {n:06}" for name in "ABC" for n in range(count)]
    if "when" in options:
        # 30 seconds of records: nobody rolls over again what another has rolled over.
        intervals = {name.split(".")[2] for name in files(path.parent) if name != "a.log"}
        assert 25 <= len(intervals) <= 31


def test_forked_processes_on_one_file_lose_nothing_and_write_nothing_twice(tmp_path):
    sink = FileSink(tmp_path / "a.log", max_bytes=3000, backup_count=100_000)
    assert delivered(write(sink, ["P 000000"]))
    children = []
    for name in "AB":
        child = os.fork()
        if child == 0:
            code = 1
            try:
                sink.after_fork()
                code = 0 if _write_all(sink, name) else 2
            finally:
                os._exit(code)
        children.append(child)
    assert _write_all(sink, "P", 1)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0]
    assert lines_in(tmp_path) == [f"{name} {n:06}" for name in "ABP" for n in range(2000)]


def _write_all(sink, name, start=0):
    waiting = [item(f"{name} {n:06}") for n in range(start, 2000)]
    while waiting:
        left = set(to_retry(write(sink, waiting[:10])))
        waiting = [one for one in waiting[:10] if one.text in left] + waiting[10:]
    return True


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(1, 5), st.integers(0, 3000)), min_size=1, max_size=25),
    st.sampled_from([{"when": "H"}, {"max_bytes": 30, "backup_count": 500}, {"when": "H", "max_bytes": 30}]),
)
def test_any_order_of_writers_keeps_every_line(steps, options):
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        sinks = [FileSink(os.path.join(folder, "a.log"), system=Clock(), **options) for _ in range(3)]
        now, written = START, []
        for number, (who, count, step) in enumerate(steps):
            now += step
            texts = [f"{number:03} {n}" for n in range(count)]
            assert len(delivered(write(sinks[who], [item(text, now) for text in texts]))) == count
            written += texts
        assert lines_in(folder) == written
        for sink in sinks:
            sink.close_blocking()
