"""Whatever the server does, the counts of the mails that it took and of what is left add up."""

import collections

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from asynclog.values import Delivered, Lost, Rejected, RetryLater
from tests.delivery.test_storm_lane import Stepped

NAMES = ["alpha", "beta", "gamma", "poison"]
ANSWERS = {
    "healthy": Delivered(),
    "later": RetryLater("451 later"),
    "login": RetryLater("535 who are you", circuit=True),
    "hint": RetryLater("450 slow down", after=30.0),
    "refused": Rejected("554 no"),
    "lost": Lost("too_old"),
}


def to_all_but_poison(batch):
    """Take everything but mails with one text in them, as a filter of the server's would."""
    return RetryLater("451 no") if any("poison" in item.text for item in batch.items) else Delivered()


class Mailing(RuleBasedStateMachine):
    """A lane, and beside it what was logged."""

    def __init__(self):
        super().__init__()
        self.one = Stepped(retry_max=60.0, breaker_reset=60.0)
        self.logged = collections.Counter()
        self.given_up = 0

    @rule(name=st.sampled_from(NAMES), count=st.integers(1, 40))
    def log(self, name, count):
        self.one.log(*[f"{name} broken"] * count)
        self.logged[name] += count

    @rule(answer=st.sampled_from([*ANSWERS, "filter"]))
    def let_the_server_answer(self, answer):
        self.one.sink.go_down(to_all_but_poison if answer == "filter" else ANSWERS[answer])

    @rule(seconds=st.sampled_from([0.0, 1.0, 20.0, 70.0, 400.0, 2000.0]))
    def let_time_pass(self, seconds):
        self.one.until(seconds)

    @rule()
    def flush(self):
        if self.one.flush():
            assert self.one.lane.remaining() == 0

    @rule()
    def stop_and_start_again(self):
        left = self.one.lane.remaining()
        self.one.lane.give_up("exit_timeout")
        self.given_up += left
        assert self.one.lane.remaining() == 0

    @invariant()
    def the_counts_add_up(self):
        counts = self.one.check()
        logged = self.logged.total()
        assert counts["accepted"] == logged
        assert counts["delivered"] == sum(self.one.sink.counts.values())
        settled = counts["delivered"] + counts["dead_lettered"] + sum(counts["dropped"].values())
        assert settled + self.one.lane.remaining() == logged
        assert counts["dropped"].get("exit_timeout", 0) == self.given_up

    @invariant()
    def a_mail_says_what_its_groups_add_up_to(self):
        for batch in self.one.sink.taken:
            assert batch.digest.count == sum(group.count for group in batch.digest.groups)

    def teardown(self):
        self.one.sink.come_back()
        self.one.until(4 * 3600.0)
        self.the_counts_add_up()
        assert self.one.lane.remaining() == 0, "with a server that works and time, everything is settled"


Mailing.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestMailing = Mailing.TestCase
