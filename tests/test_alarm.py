"""Alarms: throttled, counted, and never in the way."""

import io
import os
import sys
import threading

import pytest

from asynclog.alarm import THROTTLE, Alarm, AlarmBoard, write_line
from asynclog.testing import FakeClock


@pytest.fixture
def board():
    told = []
    board = AlarmBoard(told.append, FakeClock())
    board.told = told
    return board


def test_one_of_a_kind_and_place_a_minute_and_the_held_back_are_counted(board, capsys):
    for _ in range(5):
        board.tell("breaker_open", "mail", "no route")
    board.tell("breaker_open", "file", "disk full")
    board._clock.advance(THROTTLE)
    board.tell("breaker_open", "mail", "no route")
    assert [(alarm.where, alarm.repeats) for alarm in board.told] == [("mail", 0), ("file", 0), ("mail", 4)]
    assert board.counts == {"breaker_open": 7}
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == "asynclog: mail: no route (4 more of these since the last report)"


def test_what_has_to_be_told_is_told_always(board):
    for _ in range(3):
        board.tell("breaker_closed", "mail", "again", always=True)
    assert len(board.told) == 3


def test_the_wall_clock_has_no_say_in_it(board):
    board.tell("x", "mail", "one")
    board._clock.jump_wall(10 * 86400)
    board.tell("x", "mail", "two")
    assert len(board.told) == 1


@pytest.mark.parametrize("error", [RuntimeError("no"), SystemExit(1), KeyboardInterrupt()])
def test_an_on_alarm_that_raises_is_counted_and_survived(error, capsys):
    def raises(alarm):
        raise error

    board = AlarmBoard(raises, FakeClock())
    board.tell("x", "mail", "text")
    assert board.counts == {"x": 1, "on_alarm_error": 1}
    assert "on_alarm raised" in capsys.readouterr().err


def test_an_alarm_is_one_line(capsys):
    assert Alarm("x", "mail", "two\nlines\r\nand\ttabs").line() == "asynclog: mail: two lines and tabs"
    write_line("x" * 100_000)
    assert len(capsys.readouterr().err) <= 4001


@pytest.mark.parametrize("stream", [None, io.StringIO()])
def test_without_a_stderr_nothing_is_written_and_nothing_raised(monkeypatch, stream):
    if stream is not None:
        stream.close()
    monkeypatch.setattr(sys, "stderr", stream)
    assert write_line("lost") is False


def test_lone_surrogates_are_escaped(capsys):
    assert write_line("bad \udcff")
    assert "\\udcff" in capsys.readouterr().err


def test_a_full_pipe_on_stderr_blocks_nobody(monkeypatch):
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        while True:
            os.write(writing, b"x" * 4096)
    except BlockingIOError:
        pass
    os.set_blocking(writing, True)
    monkeypatch.setattr(sys, "stderr", os.fdopen(writing, "w", closefd=False))
    done = []
    thread = threading.Thread(target=lambda: done.append(write_line("no room")), daemon=True)
    thread.start()
    thread.join(10)
    os.close(reading)
    assert done == [False]
