"""The plan of a run: when what happens."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asynclog.trial.plan import ONE_IN, outage, phase_at, phases, requests

rates = st.floats(2, 200)
durations = st.floats(5, 15)
unhurried = settings(deadline=None, max_examples=40)


def test_phases_follow_one_another_without_a_gap_and_fill_the_run():
    plan = phases(60)
    assert [phase.behaviour for phase in plan] == ["healthy", "slow", "refusing", "silent", "healthy"]
    assert plan[0].start == 0
    assert plan[-1].end == 60
    assert all(before.end == after.start for before, after in zip(plan, plan[1:], strict=False))


def test_a_storms_first_mail_finds_a_healthy_server_and_its_first_digest_comes_within_a_minutes_run():
    plan = phases(60)
    start, end = outage(plan)
    assert phase_at(plan, start).behaviour == "healthy"
    assert end - start > 10
    assert end <= plan[1].end


def test_before_a_storm_nothing_raises_and_from_then_on_the_same_as_without_one():
    usual, storm = list(requests(20, 10, 4)), list(requests(20, 10, 4, raising_from=3.0))
    assert [due.at for due in usual] == [due.at for due in storm]
    assert {due.raises for due in storm if due.at < 3.0} == {False}
    assert [due for due in usual if due.at >= 3.0] == [due for due in storm if due.at >= 3.0]


def test_a_request_belongs_to_the_phase_in_which_it_was_due():
    plan = phases(50)
    assert [phase_at(plan, due).key for due in (0, 9.99, 10, 49.9, 50)] == [
        "healthy",
        "healthy",
        "slow",
        "recovered",
        "recovered",
    ]


@unhurried
@given(rates, durations, st.integers(1, 5))
def test_every_app_is_asked_for_the_same_in_even_slots(rate, seconds, apps):
    plan = list(requests(rate, seconds, apps))
    rounds = [plan[start : start + apps] for start in range(0, len(plan), apps)]
    assert len(rounds) == round(rate * seconds)
    for asked in rounds:
        assert sorted(due.app for due in asked) == list(range(apps))
        assert len({due.raises for due in asked}) == 1
    gaps = [after.at - before.at for before, after in zip(plan, plan[1:], strict=False)]
    assert all(gap == pytest.approx(1 / (rate * apps), abs=1e-6) for gap in gaps)


@unhurried
@given(rates, durations)
def test_one_request_in_ten_raises_in_every_ten(rate, seconds):
    raising = [due.raises for due in requests(rate, seconds, 1)]
    for start in range(0, len(raising) - ONE_IN, ONE_IN):
        assert sum(raising[start : start + ONE_IN]) == 1


@unhurried
@given(rates, durations)
def test_every_app_is_asked_in_every_phase_whatever_order_is_drawn(rate, seconds):
    plan = phases(seconds)
    asked = {(phase_at(plan, due.at).key, due.app) for due in requests(rate, seconds, 4)}
    assert len(asked) == 4 * len(plan)


def test_no_app_always_comes_after_the_same_neighbour():
    plan = list(requests(50, 10, 4))
    neighbours = {(a.app, b.app) for a, b in zip(plan, plan[1:], strict=False) if a.app != b.app}
    assert len(neighbours) == 12


@unhurried
@given(rates, durations, st.floats(0, 1))
def test_the_share_that_raises_is_kept_to_within_one_request_and_in_every_ten(rate, seconds, share):
    raising = [due.raises for due in requests(rate, seconds, 1, share=share)]
    whole = len(raising) - len(raising) % 10
    assert abs(sum(raising[:whole]) - share * whole) <= 1
    for start in range(0, whole, 10):
        assert abs(sum(raising[start : start + 10]) - 10 * share) <= 1


def test_every_request_of_a_round_has_its_number():
    assert [due.number for due in requests(10, 1, 2)] == [number for number in range(10) for _ in range(2)]
