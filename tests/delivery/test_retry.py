"""Backoff and breaker."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynclog.delivery.retry import Backoff, Breaker


def test_the_bound_doubles_up_to_the_maximum():
    backoff = Backoff(1.0, 60.0, chance=lambda: 1.0)
    assert [backoff.delay() for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]


def test_the_jitter_is_full():
    draws = iter([0.0, 0.5, 0.25])
    backoff = Backoff(2.0, 60.0, chance=lambda: next(draws))
    assert [backoff.delay() for _ in range(3)] == [0.0, 2.0, 2.0]


def test_a_servers_hint_wins_and_counts():
    backoff = Backoff(1.0, 60.0, chance=lambda: 1.0)
    assert backoff.delay(300.0) == 300.0
    assert backoff.delay(-5.0) == 0.0
    assert backoff.delay() == 4.0


def test_it_begins_again_after_a_success():
    backoff = Backoff(1.0, 60.0, chance=lambda: 1.0)
    backoff.delay(), backoff.delay()
    backoff.reset()
    assert backoff.delay() == 1.0


@given(st.integers(0, 5000), st.floats(0, 1))
def test_no_number_of_failures_overflows(failures, draw):
    backoff = Backoff(0.5, 60.0, chance=lambda: draw)
    backoff.failures = failures
    assert 0.0 <= backoff.delay() <= 60.0


def test_the_breaker_opens_at_the_threshold_and_says_so_once():
    breaker = Breaker(60.0, threshold=3)
    assert [breaker.failed(t) for t in (1.0, 2.0, 3.0, 4.0)] == [False, False, True, False]
    assert breaker.is_open


def test_while_open_one_attempt_a_reset_is_let_through():
    breaker = Breaker(60.0, threshold=1)
    breaker.failed(0.0)
    assert breaker.allowed_at(10.0) == 60.0
    assert breaker.allowed_at(61.0) == 61.0
    breaker.failed(61.0)
    assert breaker.allowed_at(62.0) == 121.0


def test_it_opens_at_once_when_told_so():
    assert Breaker(60.0).failed(0.0, at_once=True)


def test_a_success_closes_it_and_says_how_long_it_was_open():
    breaker = Breaker(60.0, threshold=1)
    assert breaker.succeeded(0.0) is None
    breaker.failed(10.0)
    assert breaker.succeeded(75.0) == pytest.approx(65.0)
    assert not breaker.is_open
    assert breaker.allowed_at(76.0) == 76.0
    assert breaker.failures == 0


def test_a_flush_lets_the_next_attempt_through():
    breaker = Breaker(60.0, threshold=1)
    breaker.failed(0.0)
    breaker.probe_now()
    assert breaker.allowed_at(1.0) == 1.0
