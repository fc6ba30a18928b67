"""The memory that a process holds."""

import sys

import pytest

from asynclog.trial.memory import Memory, memory_of


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells it in /proc")
def test_what_a_process_takes_is_in_what_it_holds_and_stays_in_its_peak():
    before = memory_of()
    taken = bytearray(b"x" * (64 << 20))
    holding = memory_of()
    size = len(taken)
    del taken
    after = memory_of()
    assert holding["held"] >= before["held"] + size * 0.9
    assert after["held"] < holding["held"]
    assert after["peak"] >= holding["held"]


@pytest.mark.parametrize("text", [None, "Name:\tpython\nno colon here\n", "VmRSS:\t  10 kB\n"])
def test_a_system_that_does_not_tell_is_no_error(tmp_path, text):
    status = tmp_path / "status"
    if text is not None:
        status.write_text(text)
    assert memory_of(status) is None
    assert Memory.of({"memory": memory_of(status)}) is None


def test_the_kernels_kilobytes_are_read_as_bytes(tmp_path):
    (tmp_path / "status").write_text("VmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n")
    assert Memory.of({"memory": memory_of(tmp_path / "status")}) == Memory(held=1 << 20, peak=2 << 20)
