"""The interpreter's end, on every supported version: what was logged by then is delivered."""

import signal
import time

import pytest

from asynclog.testing import faults
from asynclog.testing.smtpd import running_smtpd
from tests.faults.interpreters import VERSIONS, interpreter, run

HEAD = """
    import atexit, logging, os, signal, sys, threading, time
    log = logging.getLogger("shop")
    log.setLevel("DEBUG")
"""


@pytest.fixture(params=VERSIONS)
def python(request):
    return interpreter(request.param)


def lines(folder):
    path = folder / "app.log"
    return path.read_text().splitlines() if path.exists() else []


def test_a_script_that_logs_one_error_and_falls_off_its_end_has_it_in_the_file(python, tmp_path):
    code = (
        HEAD
        + """
    import asynclog
    log.addHandler(asynclog.wrap(asynclog.FileSink("app.log")))
    log.error("the one")
    """
    )
    ended = run(code, python=python, folder=tmp_path)
    assert (ended.code, ended.err) == (0, ""), ended
    assert lines(tmp_path) == ["the one"]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_it_has_mailed_it_too_by_name_and_by_address(python, host, tmp_path):
    code = (
        HEAD
        + """
    import asynclog
    log.addHandler(asynclog.wrap(asynclog.SMTPSink(sys.argv[1], sender="a@example.com", recipients=["b@example.com"])))
    log.error("the one")
    """
    )
    with running_smtpd() as server:
        ended = run(code, f"smtp://{host}:{server.port}", python=python, folder=tmp_path)
        assert ended.code == 0, ended
        assert len(server.mails) == 1, ended


LATE = """
    def last():
        log.error("from an exit function")
        log.error("and another")
    atexit.register(last)   # registered before asynclog was imported: it runs after our own
    import asynclog
    log.addHandler(asynclog.wrap(asynclog.FileSink("app.log")))
"""


@pytest.mark.parametrize("before", ["", 'log.error("before")'], ids=["silent", "running"])
def test_a_record_from_an_exit_function_that_runs_after_ours_is_delivered(python, before, tmp_path):
    ended = run(f"{HEAD}{LATE}\n    {before}", python=python, folder=tmp_path)
    assert ended.code == 0, ended
    assert lines(tmp_path) == [*(["before"] if before else []), "from an exit function", "and another"], ended
    assert "Traceback" not in ended.err, ended


def test_a_record_mailed_from_such_an_exit_function_is_delivered(python, tmp_path):
    code = (
        HEAD
        + """
    atexit.register(lambda: log.error("last words"))
    import asynclog
    log.addHandler(asynclog.wrap(asynclog.SMTPSink(sys.argv[1], sender="a@example.com", recipients=["b@example.com"])))
    """
    )
    with running_smtpd() as server:
        ended = run(code, f"smtp://localhost:{server.port}", python=python, folder=tmp_path)
        assert ended.code == 0, ended
        assert len(server.mails) == 1, ended


def test_a_root_logger_at_debug_does_not_feed_on_the_end_itself(python, tmp_path):
    code = """
    import atexit, logging
    atexit.register(lambda: logging.error("last words"))
    import asynclog
    logging.getLogger().setLevel("DEBUG")
    logging.getLogger().addHandler(asynclog.wrap(asynclog.FileSink("app.log")))
    """
    ended = run(code, python=python, folder=tmp_path)
    assert lines(tmp_path) == ["last words"], ended


def test_threads_that_are_still_logging_at_the_end_harm_nothing(python, tmp_path):
    code = (
        HEAD
        + """
    import asynclog
    log.addHandler(asynclog.wrap(asynclog.FileSink("app.log")))
    def chatter():
        while True:
            log.info("chatter")
            time.sleep(0.0005)
    for _ in range(4):
        threading.Thread(target=chatter, daemon=True).start()
    time.sleep(0.2)
    log.error("the one")
    """
    )
    ended = run(code, python=python, folder=tmp_path)
    assert ended.code == 0, ended
    assert "the one" in lines(tmp_path)
    assert "Fatal Python error" not in ended.err


def test_where_no_thread_can_start_at_all_it_is_delivered_at_the_end_and_said_so(python, tmp_path):
    code = (
        HEAD
        + """
    import asynclog
    from asynclog import threads
    threads.start = lambda target: False
    log.addHandler(asynclog.wrap(asynclog.FileSink("app.log")))
    log.error("the one")
    """
    )
    ended = run(code, python=python, folder=tmp_path)
    assert lines(tmp_path) == ["the one"], ended
    assert "no thread can be started" in ended.err


def test_where_the_system_starts_no_thread_it_is_delivered_at_the_end(python, tmp_path):
    code = (
        HEAD
        + """
    import _thread
    import asynclog
    def refuse(*_):
        raise RuntimeError("can't start new thread")
    _thread.start_new_thread = refuse
    log.addHandler(asynclog.wrap(asynclog.FileSink("app.log"), asynclog.FileSink("other.log")))
    log.error("the one")
    """
    )
    ended = run(code, python=python, folder=tmp_path)
    assert lines(tmp_path) == ["the one"], ended
    assert (tmp_path / "other.log").read_text() == "the one\n"


def test_with_a_dead_mail_server_the_end_comes_in_time_and_says_how_many_are_left(python, tmp_path):
    code = (
        HEAD
        + """
    import asynclog
    sink = asynclog.SMTPSink(sys.argv[1], sender="a@example.com", recipients=["b@example.com"])
    log.addHandler(asynclog.wrap(sink, asynclog.FileSink("app.log"), exit_timeout=1.0))
    for number in range(37):
        log.error("%d", number)
    """
    )
    with running_smtpd(faults.silent()) as server:
        began = time.monotonic()
        ended = run(code, f"smtp://127.0.0.1:{server.port}", python=python, folder=tmp_path)
        assert time.monotonic() - began < 1.0 + 8.0
    assert "asynclog: 37 records left, " in ended.err, ended
    assert ended.err.count("records left") == 1, ended
    assert len(lines(tmp_path)) == 37


def test_row_26_with_a_name_look_up_that_hangs_flush_stop_and_the_end_come_in_time(python, tmp_path):
    code = (
        HEAD
        + """
    import asynclog, _socket
    _socket.getaddrinfo = lambda *_: time.sleep(3600)
    sink = asynclog.SMTPSink("smtp://mail.example.com", sender="a@example.com", recipients=["b@example.com"])
    handler = asynclog.wrap(sink, asynclog.FileSink("app.log"), exit_timeout=1.0)
    log.addHandler(handler)
    log.error("x")
    while not os.path.exists("app.log"):
        time.sleep(0.01)
    began = time.monotonic()
    assert not handler.listener.flush(0.3)
    assert not handler.listener.stop(0.5)
    handler.listener.start()
    print(time.monotonic() - began)
    """
    )
    began = time.monotonic()
    ended = run(code, python=python, folder=tmp_path)
    assert time.monotonic() - began < 20, ended
    assert ended.code == 0, ended
    assert float(ended.out) < 8, ended
    assert "asynclog: 1 records left, " in ended.err, ended
    assert lines(tmp_path) == ["x"]


def test_logging_shutdown_does_not_wait_a_second_time(tmp_path):
    code = (
        HEAD
        + """
    import asynclog
    from asynclog.testing import MemorySink
    sink = MemorySink(delay=3600)
    log.addHandler(asynclog.wrap(sink, exit_timeout=5.0))
    log.error("x")
    """
    )
    began = time.monotonic()
    ended = run(code, folder=tmp_path)
    assert time.monotonic() - began < 9, ended
    assert ended.err.count("records left") == 1, ended


def test_late_records_to_a_dead_sink_have_one_deadline_in_all(tmp_path):
    code = (
        HEAD
        + """
    def last():
        for number in range(10):
            log.error("late %d", number)
    atexit.register(last)
    import asynclog
    from asynclog.testing import MemorySink
    from asynclog.values import RetryLater
    sink = MemorySink()
    sink.go_down(RetryLater("down"))
    log.addHandler(asynclog.wrap(sink, exit_timeout=1.0))
    log.error("early")
    """
    )
    began = time.monotonic()
    ended = run(code, folder=tmp_path)
    assert time.monotonic() - began < 10
    assert "asynclog: 1 records left, " in ended.err, ended
    assert "asynclog: 10 more records left, " in ended.err, ended


def test_a_hung_thread_does_not_hold_up_the_end(python, tmp_path):
    code = (
        HEAD
        + """
    import asynclog
    from asynclog.values import Delivered, Part
    class Hung(asynclog.ThreadedSink):
        def deliver_blocking(self, batch):
            time.sleep(3600)
    log.addHandler(asynclog.wrap(Hung(), asynclog.FileSink("app.log"), exit_timeout=3.0))
    log.error("x")
    # Without this, on 3.12.0 to 3.12.2 the sinks' threads could not start any more: there the hung
    # sink would hang the loop, and the file with it.
    while not os.path.exists("app.log"):
        time.sleep(0.01)
    """
    )
    began = time.monotonic()
    ended = run(code, python=python, folder=tmp_path)
    assert time.monotonic() - began < 10
    assert ended.code == 0, ended
    assert "asynclog: 1 records left, " in ended.err
    assert lines(tmp_path) == ["x"]


def test_stopped_listeners_deliver_what_came_after_at_the_end(tmp_path):
    code = (
        HEAD
        + """
    import asynclog
    handler = asynclog.wrap(asynclog.FileSink("app.log"))
    log.addHandler(handler)
    log.error("before")
    handler.listener.stop()
    log.error("after")
    """
    )
    ended = run(code, folder=tmp_path)
    assert lines(tmp_path) == ["before", "after"], ended


def test_a_foreign_queue_is_read_to_its_end(tmp_path):
    code = (
        HEAD
        + """
    import asynclog, queue
    foreign = queue.Queue()
    listener = asynclog.QueueListener(foreign, asynclog.FileSink("app.log"))
    listener.start()
    log.addHandler(asynclog.QueueHandler(foreign))
    for number in range(3000):
        log.error("%d", number)
    """
    )
    ended = run(code, folder=tmp_path)
    assert lines(tmp_path) == [str(number) for number in range(3000)], ended


def test_sys_exit_in_a_signal_handler_delivers(python, tmp_path):
    code = (
        HEAD
        + """
    import asynclog
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
    log.addHandler(asynclog.wrap(asynclog.FileSink("app.log")))
    log.error("before the signal")
    # To the process, and not with raise_signal to this thread: just now the worker's is being started.
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)
    """
    )
    ended = run(code, python=python, folder=tmp_path)
    assert ended.code == 3, ended
    assert lines(tmp_path) == ["before the signal"]


def test_an_uncaught_exception_is_no_obstacle(tmp_path):
    code = (
        HEAD
        + """
    import asynclog
    log.addHandler(asynclog.wrap(asynclog.FileSink("app.log")))
    log.error("x")
    raise RuntimeError("the script's own")
    """
    )
    ended = run(code, folder=tmp_path)
    assert ended.code == 1
    assert lines(tmp_path) == ["x"]


@pytest.mark.parametrize("end", ["os._exit(0)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_an_end_without_an_end_loses_only_what_was_not_flushed(end, tmp_path):
    code = (
        HEAD
        + f"""
    import asynclog
    handler = asynclog.wrap(asynclog.FileSink("app.log"))
    log.addHandler(handler)
    log.error("flushed")
    assert handler.listener.flush(30)
    handler.listener.stop()
    log.error("only in memory")
    {end}
    """
    )
    ended = run(code, folder=tmp_path)
    assert ended.code in (0, -signal.SIGKILL)
    assert lines(tmp_path) == ["flushed"]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_multiprocessing_child_delivers_at_its_end(python, method, tmp_path):
    code = """
    import logging, multiprocessing, os
    import asynclog
    log = logging.getLogger("shop")
    def set_up(name):
        log.addHandler(asynclog.wrap(asynclog.FileSink(name)))
    def child(number):
        if not log.handlers:
            set_up("app.log")
        log.error("child %d", number)
    if __name__ == "__main__":
        context = multiprocessing.get_context(os.environ["METHOD"])
        set_up("app.log")
        log.error("parent")
        children = [context.Process(target=child, args=(number,)) for number in range(4)]
        [one.start() for one in children]
        [one.join(60) for one in children]
        assert [one.exitcode for one in children] == [0] * 4
        with context.Pool(2) as pool:
            pool.map(child, range(10, 14))
            pool.close()
            pool.join()
    """
    ended = run(code, python=python, folder=tmp_path, METHOD=method)
    assert ended.code == 0, ended
    expected = ["parent", *(f"child {number}" for number in (*range(4), *range(10, 14)))]
    assert sorted(lines(tmp_path)) == sorted(expected), ended
