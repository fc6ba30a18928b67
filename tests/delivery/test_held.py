"""Records folded into counts settle as if each had been kept."""

from hypothesis import given
from hypothesis import strategies as st

from asynclog.delivery.held import Held, Settlement
from asynclog.ledger import DEAD_LETTERED, DELIVERED, DROPPED, UNCOUNTED, Ledger
from asynclog.values import SharedOutcome

OUTCOMES = st.sampled_from([DELIVERED, DEAD_LETTERED, DROPPED])


def test_records_of_a_single_lane_settle_in_lane_and_in_all():
    held, lane, total = Held(), Ledger(), Ledger()
    for _ in range(1000):
        held.add(None, 40)
    assert held.count == 1000
    held.settle(DROPPED, lane, total, "exit_timeout")
    assert lane.dropped == total.dropped == {"exit_timeout": 1000}
    assert total.dropped_levels == {40: 1000}
    held.settle(DROPPED, lane, total, "exit_timeout")
    assert total.dropped == {"exit_timeout": 1000}


def test_what_counts_nowhere_is_not_counted():
    held, lane, total = Held(), Ledger(), Ledger()
    held.add(UNCOUNTED, 40)
    held.settle(DELIVERED, lane, total)
    assert (held.count, lane.delivered, total.delivered) == (0, 0, 0)


def test_no_object_is_kept_once_the_other_lanes_have_settled():
    held, file, mail, total = Held(), Ledger(), Ledger(), Ledger()
    for number in range(10_000):
        shared = SharedOutcome(2)
        held.add(shared, 40)
        outcome, reason = (DROPPED, "lane_full") if number % 10 == 0 else (DELIVERED, "")
        file.settle(outcome, 1, reason, 40)
        total.settle_shared(shared, outcome, 1, reason, 40)
        assert held.objects <= 64
    held.settle(DELIVERED, mail, total)
    assert mail.delivered == 10_000
    assert (total.delivered, total.dropped) == (9_000, {"lane_full": 1_000})


def test_two_lanes_that_fold_keep_no_object_either():
    one, other, lanes, total = Held(), Held(), (Ledger(), Ledger()), Ledger()
    for _ in range(10_000):
        shared = SharedOutcome(2)
        one.add(shared, 40)
        other.add(shared, 40)
        assert one.objects <= 64
        assert other.objects <= 64
    one.settle(DELIVERED, lanes[0], total)
    assert (lanes[0].delivered, total.delivered) == (10_000, 0)
    other.settle(DROPPED, lanes[1], total, "exit_timeout")
    assert total.dropped == {"exit_timeout": 10_000}


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.booleans(), OUTCOMES), max_size=300),
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 2), OUTCOMES), max_size=6),
    st.booleans(),
)
def test_in_all_the_worst_of_a_records_lanes_wins(records, order, late):
    """Two lanes that fold, with three groups each, and a third that settles record by record."""
    places = [[Held() for _ in range(3)] for _ in range(2)]
    lanes, total = (Ledger(), Ledger()), Ledger()
    outcome_of = {}
    waiting = []
    for first, second, in_third, outcome in records:
        shared = SharedOutcome(2 + in_third)
        places[0][first].add(shared, 40)
        places[1][second].add(shared, 40)
        if in_third and late:
            waiting.append((shared, outcome))
        elif in_third:
            total.settle_shared(shared, outcome, 1, "r", 40)
    rest = [(lane, group, DELIVERED) for lane in range(2) for group in range(3)]
    for lane, group, outcome in [*order, *rest]:
        if (lane, group) not in outcome_of:
            outcome_of[lane, group] = outcome
            Settlement([places[lane][group]]).settle(outcome, lanes[lane], total, "r")
    for shared, outcome in waiting:
        total.settle_shared(shared, outcome, 1, "r", 40)
    expected = Ledger()
    for first, second, in_third, outcome in records:
        worst = max(outcome_of[0, first], outcome_of[1, second], outcome if in_third else 0)
        expected.settle(worst, 1, "r", 40)
    assert total.snapshot() == {**expected.snapshot(), "accepted": 0, "pending": total.snapshot()["pending"]}
    assert sum(lane.delivered + lane.dead_lettered + sum(lane.dropped.values()) for lane in lanes) == 2 * len(records)
