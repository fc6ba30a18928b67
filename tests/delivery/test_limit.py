"""The token bucket."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynclog.delivery.limit import TokenBucket


def test_a_burst_goes_at_once_then_the_rate_rules():
    bucket = TokenBucket(30, 3600.0, burst=10)
    for _ in range(10):
        assert bucket.free_at(0.0) == 0.0
        bucket.take(0.0)
    assert bucket.free_at(0.0) == pytest.approx(120.0)
    assert bucket.free_at(120.0) == 120.0


def test_it_never_holds_more_than_the_burst():
    bucket = TokenBucket(60, 60.0, burst=3)
    bucket.take(0.0)
    for _ in range(3):
        assert bucket.free_at(1e6) == 1e6
        bucket.take(1e6)
    assert bucket.free_at(1e6) > 1e6


def test_a_forced_mail_is_owed_but_the_debt_is_bounded():
    bucket = TokenBucket(1, 60.0, burst=2)
    for _ in range(1000):
        bucket.take(0.0)
    assert bucket.free_at(0.0) == pytest.approx(180.0)  # 2 owed and one to come, a minute each


def test_a_clock_that_runs_back_fills_nothing():
    bucket = TokenBucket(1, 1.0, burst=1)
    bucket.take(100.0)
    assert bucket.free_at(50.0) > 50.0


@given(
    st.integers(1, 50),
    st.floats(0.1, 1e4),
    st.integers(1, 20),
    st.lists(st.floats(0, 100), min_size=1, max_size=60),
)
def test_no_window_holds_more_than_the_burst_and_the_rate_allow(count, period, burst, pauses):
    bucket = TokenBucket(count, period, burst)
    now, sent = 0.0, []
    for pause in pauses:
        now = max(now + pause, bucket.free_at(now + pause))
        bucket.take(now)
        sent.append(now)
    for first in range(len(sent)):
        for last in range(first, len(sent)):
            allowed = burst + (sent[last] - sent[first]) * count / period
            assert last - first + 1 <= allowed + 1e-3
