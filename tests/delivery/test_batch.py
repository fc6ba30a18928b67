"""When a batch is due."""

import pytest

from asynclog.delivery.batch import BatchPolicy

POLICY = BatchPolicy(records=5, age=10.0)


@pytest.mark.parametrize(
    ("now", "waiting", "last_sent", "due"),
    [
        (100.0, 1, None, 100.0),  # the first ever does not wait
        (100.0, 1, 95.0, 105.0),  # company is waited for after something was sent
        (100.0, 4, 95.0, 105.0),
        (100.0, 5, 95.0, 100.0),  # a full batch is due at once
        (100.0, 50, 95.0, 100.0),
        (100.0, 1, 90.0, 100.0),  # exactly at its age
    ],
)
def test_due_at(now, waiting, last_sent, due):
    assert POLICY.due_at(now, waiting, last_sent) == due


def test_the_first_after_a_quiet_spell_never_waits():
    assert POLICY.due_at(1000.0, 1, 5.0) <= 1000.0


def test_without_an_age_everything_is_due_at_once():
    assert BatchPolicy(1000, 0.0).due_at(7.0, 1, 7.0) <= 7.0
