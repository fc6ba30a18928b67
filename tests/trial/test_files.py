"""What file handlers are given and write: counted exactly, or said to be not counted."""

import subprocess
import sys

import pytest

from asynclog.trial import files

SET_UP = """
import asynclog, logging, logging.handlers, os, pathlib, sys
from asynclog.sinks.file import FileSink
from asynclog.trial import files
from asynclog.trial.inventory import count_failures
logging.raiseExceptions = False
folder = pathlib.Path(sys.argv[1])
files.mark_records()
book = files.FileBook(folder)
log = logging.getLogger("shop")
log.setLevel(logging.INFO)
log.propagate = False

def add(handler):
    log.addHandler(handler)
    return handler

def count():
    for handler in files.file_handlers():
        count_failures(type(handler), {files.FILE_KINDS: book.failures})
        given = book[handler]
        handler.removeFilter(given)
        handler.addFilter(given)

def write(times=1):
    for _ in range(times):
        log.info("two\\nlines")
        try:
            1 / 0
        except ZeroDivisionError:
            log.exception("caught")

def seen():
    counts = book.counts()
    return tuple(counts[name] for name in ("given", "written", "on_disk", "failed"))
"""


@pytest.fixture
def runs(tmp_path):
    """Run a script in a process of its own: handlers stay marked."""

    def run(code):
        arguments = [sys.executable, "-c", SET_UP + code, str(tmp_path)]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")

    return run


@pytest.mark.parametrize(
    "kind",
    ["FileHandler", "handlers.WatchedFileHandler", "handlers.RotatingFileHandler", "handlers.TimedRotatingFileHandler"],
)
def test_records_are_counted_and_not_lines_also_those_from_before(runs, kind):
    runs(f"""
handler = add(logging.{kind}(folder / "app.log"))
handler.setFormatter(logging.Formatter("a\\n%(message)s\\n\\nb"))
write()
count()
count()
write(3)
handler.setLevel(logging.ERROR)
log.info("below its level")
assert seen() == (8, 8, 8, 0), seen()
""")


def test_a_record_that_a_handler_fails_at_is_lost_and_not_in_the_file(runs):
    runs("""
add(logging.FileHandler(folder / "app.log"))
count()
write()
log.info("%d", "no number")
assert seen() == (3, 2, 2, 1), seen()
""")


def test_a_record_that_is_gone_from_the_file_is_missed(runs):
    runs("""
add(logging.FileHandler(folder / "app.log"))
count()
write(2)
os.truncate(folder / "app.log", 0)
assert seen() == (4, 4, 0, 0), seen()
""")


def test_failures_of_mail_and_of_file_handlers_are_told_apart(runs):
    runs("""
from asynclog.trial.inventory import MAIL_KINDS, Count
mails = Count()
add(logging.FileHandler(folder / "app.log"))
mail = add(logging.handlers.SMTPHandler(("127.0.0.1", 1), "a@b.c", ["d@e.f"], "s"))
count_failures(type(mail), {MAIL_KINDS: mails, files.FILE_KINDS: book.failures})
count()
log.info("to both")
assert (mails.value, seen()) == (1, (1, 1, 1, 0)), (mails.value, seen())
""")


def test_what_asynclog_writes_for_a_handler_is_counted_by_both(runs):
    runs("""
handler = add(logging.FileHandler(folder / "app.log"))
write()
count()
asynclog.install()
count()
write(20)
assert asynclog.flush(20)
assert seen() == (42, 42, 42, 0), seen()
assert len(book.counts()["lanes"]) == 1
""")


def test_what_an_app_wraps_by_itself_is_counted_from_its_first_record(runs):
    runs("""
add(asynclog.wrap(logging.FileHandler(folder / "app.log")))
write()
count()
write()
assert asynclog.flush(20)
assert seen() == (4, 4, 4, 0), seen()
""")


def test_a_sink_of_asynclogs_own_is_counted_by_its_lane_and_its_file_is_not(runs):
    runs("""
add(asynclog.wrap(FileSink(folder / "app.log")))
count()
write()
assert asynclog.flush(20)
assert seen() == (2, 2, None, 0), seen()
""")


def test_after_a_rollover_the_files_are_not_counted(runs):
    runs("""
add(logging.handlers.RotatingFileHandler(folder / "app.log", maxBytes=300, backupCount=1))
count()
write(5)
assert seen() == (10, 10, None, 0), seen()
""")


@pytest.mark.parametrize(
    "made",
    [
        # Either may write over the other's.
        'add(logging.FileHandler(folder / "app.log")), add(logging.FileHandler(folder / "app.log"))',
        # The mark has other bytes there.
        'add(logging.FileHandler(folder / "app.log", encoding="utf-16"))',
    ],
)
def test_a_file_in_which_marks_cannot_be_counted_is_not_counted(runs, made):
    runs(f"""
made = {made}
count()
write()
counts = book.counts()
made = len(log.handlers)
assert seen() == (2 * made, 2 * made, None, 0), seen()
""")


def test_a_handler_with_a_terminator_of_its_own_keeps_it_and_its_file_is_not_counted(runs):
    runs("""
add(logging.FileHandler(folder / "app.log")).terminator = ";"
count()
log.info("a")
assert seen() == (1, 1, None, 0), seen()
assert (folder / "app.log").read_text() == "a;"
""")


@pytest.mark.parametrize("overridden", ["emit", "handle"])
def test_what_a_handler_with_a_method_of_its_own_wrote_is_not_counted(runs, overridden):
    runs(f"""
class Twice(logging.FileHandler):
    def {overridden}(self, record):
        super().{overridden}(record)
        super().{overridden}(record)
add(Twice(folder / "app.log"))
count()
write()
counts = seen()
assert counts[1:] == (None, None, 0), counts
""")


def test_with_a_handler_that_came_later_nothing_is_said_to_be_counted(runs):
    runs("""
add(logging.FileHandler(folder / "app.log"))
count()
late = add(logging.FileHandler(folder / "late.log"))
write()
assert seen() == (2, None, None, 0), seen()
""")


def test_where_asynclog_drops_records_and_says_so_in_the_file_the_file_is_not_counted(runs):
    runs("""
handler = logging.FileHandler(folder / "app.log")
add(asynclog.wrap(handler))
count()
write()
assert asynclog.flush(20)
from asynclog.listeners import all_listeners
ledger = next(lane for one in all_listeners() for lane in one.lanes if lane.face is handler).ledger
ledger.expect("overflow", logging.INFO)
ledger.accepted += 1
ledger.dropped["overflow"] += 1
assert seen()[1:] == (2, None, 0), seen()
""")


def test_a_mark_across_two_reads_is_counted_once(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_CHUNK", 4)
    (tmp_path / "a").write_text(("ab" + files.MARK) * 7 + files.MARK * 3 + "\x1e\n\x1e\x1f")
    assert files._marks(tmp_path / "a") == 10
    assert files._marks(tmp_path / "b") == 0
