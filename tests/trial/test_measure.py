"""The numbers that are made of the samples."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynclog.trial.load import Sample
from asynclog.trial.measure import compare, measure, needless_failures, percentile, summary
from asynclog.trial.plan import APPS, PATIENCE, phases


def sample(app=0, due=0.0, latency=0.01, status=200, raises=False):
    return Sample(app, due, 0.0, latency, status, raises)


def four_apps(latency_of, seconds=10, rate=50, seed=1):
    draw = random.Random(seed)
    return [
        sample(app, number / rate, latency_of(APPS[app].key, draw))
        for number in range(seconds * rate)
        for app in range(4)
    ]


@pytest.mark.parametrize(
    ("count", "share", "expected"),
    [(100, 0.99, 99), (100, 0.5, 50), (1, 0.99, 1), (2, 0.5, 1), (3, 0.5, 2), (1000, 0.99, 990), (101, 1, 101)],
)
def test_percentile_is_the_nearest_rank(count, share, expected):
    assert percentile(list(range(1, count + 1)), share) == expected


@given(st.lists(st.floats(0, 100), min_size=1), st.floats(0.01, 1))
def test_percentile_is_the_smallest_value_that_enough_are_not_above(values, share):
    values.sort()
    found = percentile(values, share)
    assert sum(value <= found for value in values) >= share * len(values)
    below = [value for value in values if value < found]
    assert len(below) < share * len(values)


def test_a_request_that_failed_at_once_counts_as_slow_as_its_client_is_patient():
    one = summary([sample(latency=0.001), sample(latency=0.001, status=0), sample(latency=12.0, status=0)])
    assert (one.requests, one.failed, one.p50, one.worst) == (3, 2, PATIENCE, 12.0)


@pytest.mark.parametrize(
    ("status", "raises", "failed"), [(200, False, False), (500, False, True), (500, True, False), (200, True, True)]
)
def test_a_wrong_answer_is_a_failure(status, raises, failed):
    assert sample(status=status, raises=raises).failed is failed


def test_equal_apps_are_within_and_an_app_three_times_as_slow_is_not():
    def equal(_, draw):
        return draw.uniform(0.002, 0.003)

    def slower(key, draw):
        return equal(key, draw) * (3 if key == "asynclog" else 1)

    plan = phases(10)
    assert all(one.within for one in measure(plan, four_apps(equal)).comparisons.values())
    assert not any(one.within for one in measure(plan, four_apps(slower)).comparisons.values())


def test_the_spread_covers_the_ratio_of_an_identical_app_nearly_always():
    inside = 0
    for seed in range(40):
        samples = four_apps(lambda _, draw: 0.002 + draw.expovariate(1000), seed=seed)
        one = compare({app.key: [s for s in samples if s.app == number] for number, app in enumerate(APPS)})
        inside += one.low <= one.asynclog <= one.high
    assert inside >= 30


def test_every_request_is_counted_once():
    measured = measure(phases(10), four_apps(lambda *_: 0.01))
    assert sum(one.requests for by_app in measured.summaries.values() for one in by_app.values()) == 2000


def test_only_failures_beyond_those_of_the_app_that_logs_nowhere_are_held_against_asynclog():
    samples = four_apps(lambda *_: 0.01)

    def with_failures(**numbers):
        failing = {APPS.index(app): numbers.get(app.key, 0) for app in APPS}
        mine = list(samples)
        for index, one in enumerate(mine):
            if failing[one.app]:
                failing[one.app] -= 1
                mine[index] = sample(one.app, one.due, one.latency, status=0)
        return needless_failures(measure(phases(10), mine))

    assert with_failures() == 0
    assert with_failures(nowhere=3, asynclog=3) == 0
    assert with_failures(again=3, asynclog=5) == 2
    assert with_failures(stdlib=9) == 0


def test_p999_is_said_of_a_thousand_requests_and_not_of_fewer():
    samples = [sample(latency=number / 1000) for number in range(1, 1001)]
    assert summary(samples).p999 == 0.999
    assert summary(samples[:-1]).p999 is None


def test_all_states_together_have_every_request_of_an_app():
    samples = four_apps(lambda _, draw: draw.uniform(0.001, 0.002), seconds=20)
    measured = measure(phases(20), samples)
    for number, app in enumerate(APPS):
        assert measured.overall[app.key] == summary(one for one in samples if one.app == number)
        assert measured.overall[app.key].p999 is not None
        assert all(by_app[app.key].p999 is None for by_app in measured.summaries.values())
