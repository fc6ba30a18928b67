"""asynclog's own threads and the process's signals: those are the app's, and its main thread's."""

import _thread
import asyncio
import signal
import subprocess
import sys
import threading

import pytest

import asynclog
from asynclog import sink_thread, threads
from asynclog.values import Delivered, Part
from tests.conftest import wait_until
from tests.faults.interpreters import VERSIONS, interpreter, run

pytestmark = pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="no signal masks")


def blocked():
    return signal.pthread_sigmask(signal.SIG_BLOCK, ())


def blocked_on(start):
    found = []
    start(lambda: found.append(blocked()))
    wait_until(lambda: found)
    return found[0]


def test_a_thread_of_asynclogs_gets_no_signal_of_the_processs_but_its_own_faults():
    mask = blocked_on(threads.start)
    assert {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGALRM, signal.SIGUSR1} <= mask
    assert not mask & {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT, signal.SIGPROF}


def start_here(instead, monkeypatch):
    """Have this thread call a function where it would start a thread; others start theirs."""
    real, here = _thread.start_new_thread, threading.get_ident()

    def start_new_thread(*args):
        return instead() if threading.get_ident() == here else real(*args)

    monkeypatch.setattr(_thread, "start_new_thread", start_new_thread)


@pytest.mark.parametrize("error", [None, RuntimeError("no thread"), KeyboardInterrupt()])
def test_the_mask_of_the_thread_that_starts_one_stays_as_it_was(error, monkeypatch):
    seen = []

    def refuse():
        seen.append(blocked())
        if error is not None:
            raise error

    start_here(refuse, monkeypatch)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    try:
        try:
            assert threads.start(lambda: None) is (error is None)
        except KeyboardInterrupt:
            assert isinstance(error, KeyboardInterrupt)
        assert signal.SIGTERM in seen[0]
        assert blocked() == before | {signal.SIGUSR2}
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_a_handler_that_raises_while_a_thread_is_started_leaves_no_signal_blocked(monkeypatch):
    def exit_by_handler(*_):
        raise SystemExit

    # Blocked while it is started: it comes when the mask is put back.
    start_here(lambda: signal.raise_signal(signal.SIGUSR1), monkeypatch)
    before, old = blocked(), signal.signal(signal.SIGUSR1, exit_by_handler)
    try:
        with pytest.raises(SystemExit):
            threads.start(lambda: None)
        assert blocked() == before
    finally:
        signal.signal(signal.SIGUSR1, old)


class Looks(asynclog.ThreadedSink):
    """Notes what is blocked on its thread, and in a program that is started there."""

    seen: list

    def deliver_blocking(self, batch):
        code = "import signal; print(signal.SIGTERM in signal.pthread_sigmask(signal.SIG_BLOCK, ()))"
        child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
        self.seen = [blocked(), child.stdout.strip()]
        return (Part(Delivered(), batch.items),)


def test_a_program_that_a_handler_starts_can_be_ended_by_a_signal(logger):
    sink = Looks()
    handler = asynclog.wrap(sink)
    logger.addHandler(handler)
    logger.error("x")
    assert handler.listener.flush(30)
    assert sink.seen == [blocked(), "False"]


def test_what_the_app_has_blocked_itself_stays_blocked_where_its_code_runs():
    found = []

    def app():
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
        thread = sink_thread.SinkThread("test")
        thread.start()
        thread._calls.put((asyncio.new_event_loop(), print, lambda: found.append(blocked()), ()))
        wait_until(lambda: found)
        thread.stop()

    one = threading.Thread(target=app)
    one.start()
    one.join()
    assert found == [blocked() | {signal.SIGUSR2}]


SIGNALS = """
    import os, signal, sys, time
    from asynclog import threads
    came = 0
    def count(*_):
        global came
        came += 1
    signal.signal(signal.SIGUSR1, count)
    late = 0
    for number in range(10_000):
        assert threads.start(lambda: None)
        for _ in range(number % 400):
            pass
        os.kill(os.getpid(), signal.SIGUSR1)
        # The main thread handles it before kill() returns, unless another thread got it.
        late += came != number + 1
        deadline = time.monotonic() + 20
        while came != number + 1 and time.monotonic() < deadline:
            time.sleep(0.001)
        if number % 50 == 0:
            time.sleep(0.001)
    print(late)
"""


@pytest.mark.parametrize("version", VERSIONS)
def test_the_main_thread_gets_every_signal_while_threads_are_being_started(version, tmp_path):
    ended = run(SIGNALS, python=interpreter(version), folder=tmp_path)
    assert (ended.code, ended.out) == (0, "0\n"), ended
