"""What a sink's parts mean for the records."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynclog.delivery.outcome import Work, failed, sort_out
from asynclog.testing import make_batch
from asynclog.values import Delivered, Lost, Part, Rejected, RetryLater

LATER = RetryLater("busy")
NEVER = Rejected("no such user")


def work(n=3, **fields):
    return Work(make_batch(*(f"m{i}" for i in range(n)), batch_id="b"), **fields)


def test_all_delivered():
    one = work()
    found = sort_out(one, [Part(Delivered(), one.batch.items)])
    assert tuple(found.delivered) == one.batch.items
    assert (found.rest, found.retry, found.rejected) == ([], None, [])


def test_a_retry_of_the_whole_keeps_the_batchs_id_and_counts_the_attempt():
    one = work()
    found = sort_out(one, [Part(LATER, one.batch.items)])
    (rest,) = found.rest
    assert rest.batch.id == "b"
    assert rest.batch.attempt == 1
    assert rest.batch.items == one.batch.items
    assert found.retry == LATER


def test_a_retry_of_some_gets_an_id_of_its_own():
    one = work()
    first, second, third = one.batch.items
    found = sort_out(one, [Part(Delivered(), (first,)), Part(LATER, (second, third))])
    (rest,) = found.rest
    assert rest.batch.id != "b"
    assert rest.batch.items == (second, third)
    assert not rest.counted


def test_a_record_that_one_recipient_took_is_delivered_and_never_counted_again():
    one = work(1)
    items = one.batch.items
    found = sort_out(one, [Part(Delivered(), items, ("a",)), Part(LATER, items, ("b",)), Part(NEVER, items, ("c",))])
    assert found.delivered == list(items)
    assert found.rejected == []
    (rest,) = found.rest
    assert rest.counted
    assert rest.batch.recipients == ("b",)
    assert rest.pending() == 0
    assert [kind for kind, _ in found.reports] == ["rejected"]
    again = sort_out(rest, [Part(NEVER, rest.batch.items, ("b",))])
    assert (again.delivered, again.rejected, again.rest) == ([], [], [])
    assert len(again.reports) == 1


def test_recipients_that_wait_in_two_parts_wait_together_and_count_once():
    one = work(2)
    items = one.batch.items
    found = sort_out(one, [Part(LATER, items, ("a",)), Part(LATER, items, ("b",))])
    (rest,) = found.rest
    assert rest.batch.recipients == ("a", "b")
    done = sort_out(rest, [Part(Delivered(), rest.batch.items)])
    assert len(done.delivered) == 2


def test_a_part_without_recipients_means_those_that_the_batch_had():
    from dataclasses import replace

    one = work(1)
    one = replace(one, batch=replace(one.batch, recipients=("b",)))
    (rest,) = sort_out(one, [Part(LATER, one.batch.items)]).rest
    assert rest.batch.recipients == ("b",)
    (rest,) = failed(one, "raised").rest
    assert rest.batch.recipients == ("b",)


def test_rejected_for_one_and_waiting_for_another_is_not_settled_yet():
    one = work(1)
    items = one.batch.items
    found = sort_out(one, [Part(NEVER, items, ("a",)), Part(LATER, items, ("b",))])
    assert found.rejected == []
    (rest,) = found.rest
    assert not rest.counted
    assert sort_out(rest, [Part(NEVER, rest.batch.items, ("b",))]).rejected == list(items)


def test_a_record_that_the_sink_forgets_is_retried():
    one = work(3)
    found = sort_out(one, [Part(Delivered(), one.batch.items[:2])])
    (rest,) = found.rest
    assert rest.batch.items == one.batch.items[2:]
    assert "did not say" in found.retry.reason


def test_an_empty_answer_retries_everything():
    one = work(2)
    assert sort_out(one, ()).rest[0].batch.items == one.batch.items


def test_a_lost_record_is_neither_retried_nor_rejected():
    one = work(2)
    first, second = one.batch.items
    found = sort_out(one, [Part(Delivered(), (first,)), Part(Lost("handler_error", "it broke"), (second,))])
    assert found.lost == [(second, "handler_error")]
    assert found.reports == [("handler_error", "1 records were lost: it broke")]
    assert found.rest == []


def test_records_that_are_not_the_batchs_own_are_left_alone():
    one, other = work(1), work(1)
    found = sort_out(one, [Part(Delivered(), (*one.batch.items, *other.batch.items))])
    assert tuple(found.delivered) == one.batch.items


@pytest.mark.parametrize("answer", [None, [None], ["delivered"], 7])
def test_an_answer_that_is_no_list_of_parts_is_an_error(answer):
    with pytest.raises(TypeError):
        sort_out(work(), answer)


def test_a_login_failure_among_several_is_what_the_lane_hears():
    one = work(2)
    first, second = one.batch.items
    circuit = RetryLater("login", circuit=True)
    assert sort_out(one, [Part(LATER, (first,)), Part(circuit, (second,))]).retry == circuit


VERDICTS = st.sampled_from([Delivered(), LATER, NEVER, Lost("x")])
WHO = st.sampled_from([None, ("a",), ("b",), ("a", "b")])


@given(st.integers(1, 6), st.data(), st.booleans())
def test_whatever_a_sink_says_each_record_has_one_outcome_or_is_retried_once(n, data, counted):
    one = work(n, counted=counted)
    items = one.batch.items
    chosen = st.lists(st.sampled_from(items), min_size=1, max_size=n)
    parts = data.draw(st.lists(st.builds(lambda v, i, w: Part(v, tuple(i), w), VERDICTS, chosen, WHO), max_size=6))
    found = sort_out(one, parts)
    settled = [*found.delivered, *found.rejected, *(item for item, _ in found.lost)]
    waiting = [item for rest in found.rest if not rest.counted for item in rest.batch.items]
    assert sorted(map(id, settled + waiting)) == ([] if counted else sorted(map(id, items)))
    ids = [rest.batch.id for rest in found.rest]
    assert len(set(ids)) == len(ids)
    assert (found.retry is not None) == bool(found.rest)
