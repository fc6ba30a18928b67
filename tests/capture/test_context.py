"""Facts of the request: asked for where a person will read them, bounded, and never in the way."""

from __future__ import annotations

import json
import logging

import pytest

from asynclog.capture.context import FACTS_BUDGET, providers, take_facts
from asynclog.errors import OptionTypeError


def nothing_noted(reason, text):
    raise AssertionError((reason, text))


def test_facts_are_plain_copies_of_what_the_providers_say():
    shared = {"user": {"id": 5}}
    found = take_facts(logging.ERROR, [lambda: shared, lambda: None, lambda: {"at": {1}, "o": object}], nothing_noted)
    shared["user"]["id"] = 6
    assert found["user"] == {"id": 5}
    assert json.loads(json.dumps(found)) == found


def test_what_a_provider_changes_after_it_was_asked_does_not_show():
    shared = {"n": [1]}

    def second():
        shared["n"].append(2)
        return {}

    assert take_facts(logging.ERROR, [lambda: shared, second], nothing_noted) == {"n": [1]}


def test_records_below_the_level_ask_nobody():
    asked = []
    assert take_facts(logging.WARNING, [lambda: asked.append(1)], nothing_noted) is None
    assert take_facts(logging.INFO, [lambda: asked.append(1)], nothing_noted, level=logging.INFO) is None
    assert len(asked) == 1


@pytest.mark.parametrize(
    "bad", [lambda: 1 / 0, lambda: 7, lambda: (_ for _ in ()).throw(GeneratorExit), lambda: [1, 2]]
)
def test_a_provider_that_fails_is_counted_and_the_others_are_heard(bad):
    noted = []
    found = take_facts(logging.ERROR, [bad, lambda: {"a": 1}], lambda *what: noted.append(what))
    assert found == {"a": 1}
    assert [reason for reason, _ in noted] == ["context_error"]


def test_a_signal_in_a_provider_passes():
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        take_facts(logging.ERROR, [interrupted], nothing_noted)


def test_facts_are_bounded_in_all():
    many = [lambda n=n: {f"k{n}": "x" * 100_000} for n in range(20)]
    assert len(json.dumps(take_facts(logging.ERROR, many, nothing_noted))) < FACTS_BUDGET * 2


def test_the_option_takes_a_function_or_several():
    one = dict
    assert providers("context", None) == ()
    assert providers("context", one) == (one,)
    assert providers("context", [one, one]) == (one, one)
    for bad in (7, "request", {"a": 1}, [one, 7]):
        with pytest.raises(OptionTypeError, match="context"):
            providers("context", bad)


def test_a_provider_with_a_level_of_its_own_is_asked_from_there_on():
    def early():
        return {"early": 1}

    early.level = logging.WARNING

    def late():
        return {"late": 1}

    asked = providers("context", [early, late])
    notes: list[str] = []
    facts = [take_facts(level, asked, lambda kind, _: notes.append(kind)) for level in (20, 30, 40)]
    assert facts == [None, {"early": 1}, {"early": 1, "late": 1}]
    assert notes == []


def test_a_provider_whose_level_is_no_number_is_refused():
    def wrong():
        return None

    wrong.level = "loud"
    with pytest.raises(OptionTypeError, match="context: the level"):
        providers("context", wrong)
