"""Calls on a sink's thread come back, whatever comes of them."""

import asyncio

import pytest

import asynclog
from asynclog import sink_thread
from asynclog.values import Delivered, Part
from tests.conftest import PATIENCE


class OfTheApp(StopIteration):
    """One of a class of its own, which a coroutine would take for its result."""


@pytest.mark.parametrize("kind", [StopIteration, OfTheApp])
async def test_a_stop_iteration_comes_back_as_the_cause_of_a_runtime_error(kind):
    thread, raised = sink_thread.SinkThread("test"), kind(7)

    def fail():
        raise raised

    try:
        with pytest.raises(RuntimeError, match=kind.__name__) as caught:
            await asyncio.wait_for(thread.call(fail), PATIENCE)
        assert caught.value.__cause__ is raised
        assert await asyncio.wait_for(thread.call(lambda: "the next"), PATIENCE) == "the next"
    finally:
        thread.stop()


async def test_whoever_waits_for_a_call_s_end_goes_on_even_if_its_result_can_t_be_handed_over():
    class Refuses:
        def done(self):
            return False

        def set_result(self, result):
            raise TypeError("no result")

    call = sink_thread._Call(asyncio.get_running_loop())
    call.future = Refuses()
    end = call.end()
    with pytest.raises(TypeError, match="no result"):
        call.resolve(1, None)
    assert end.done()
    assert call.is_over


class RunsOut(asynclog.ThreadedSink):
    """Raises `StopIteration` at first, as a next() that is not guarded would."""

    raised = 0

    def deliver_blocking(self, batch):
        if not self.raised:
            self.raised += 1
            next(iter(()))
        return (Part(Delivered(), batch.items),)


def test_a_sink_that_raises_stop_iteration_is_tried_again(logger):
    handler = asynclog.wrap(RunsOut(), retry_initial=0.01)
    logger.addHandler(handler)
    logger.error("x")
    assert handler.listener.flush(PATIENCE)
    stats = handler.listener.stats()
    assert stats["delivered"] == 1
    assert stats["errors"]["sink_error"] == 1
