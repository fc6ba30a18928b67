"""Whatever happens to records and mails, the counts add up, and no more mails go than the pace allows."""

import collections
import logging

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from asynclog.delivery.fingerprint import Fingerprint
from asynclog.delivery.storm import Storm, StormOptions
from asynclog.ledger import DEAD_LETTERED, DELIVERED, DROPPED, UNCOUNTED, Ledger
from asynclog.values import Item, SharedOutcome

WALL = 1_700_000_000.0
NAMES = [f"g{number}" for number in range(9)]
LEVELS = [logging.WARNING, logging.ERROR, logging.CRITICAL]
LANES = ["alone", "delivered elsewhere", "dropped elsewhere", "later elsewhere", "nowhere"]


class Counting(RuleBasedStateMachine):
    """Beside the storm control stands a list of all records, and for each where it is."""

    def __init__(self):
        super().__init__()
        self.now = 0.0
        self.prints = {name: Fingerprint(name, name) for name in NAMES}
        self.logged = []  # group and level of each counted record
        self.composed = collections.Counter()
        self.stopped_with = collections.Counter()
        self.announced = 0
        self.rejected = 0
        self.given_up = 0
        self.on_the_way = []
        self.being_rendered = []
        self.forced = 0
        self.mailed_at = []
        self.lane, self.total = Ledger(), Ledger()
        self.elsewhere = []

    @initialize(
        groups=st.integers(1, 10), rate=st.sampled_from([None, (30, 3600.0), (3, 600.0)]), burst=st.integers(1, 10)
    )
    def begin(self, groups, rate, burst):
        self.options = StormOptions(groups=groups, rate=rate, burst=burst, kept_bytes=2000, host="h")
        self.storm = Storm(self.options)

    # -- what happens -----------------------------------------------------------------------------

    @rule(
        name=st.sampled_from(NAMES),
        level=st.sampled_from(LEVELS),
        count=st.integers(1, 300),
        lanes=st.sampled_from(LANES),
        late=st.booleans(),
    )
    def log(self, name, level, count, lanes, late):
        for _ in range(count):
            self.log_one(name, level, lanes, late)

    def log_one(self, name, level, lanes, late):
        shared = None
        if lanes == "nowhere":
            shared = UNCOUNTED
        elif lanes != "alone":
            shared = SharedOutcome(2)
            if lanes == "later elsewhere":
                self.elsewhere.append((shared, level))
            else:
                self.total.settle_shared(
                    shared, DELIVERED if lanes.startswith("del") else DROPPED, 1, "elsewhere", level
                )
        if shared is not UNCOUNTED:
            self.logged.append((name, level))
            self.total.accepted += 1
            self.lane.accepted += 1
        fingerprint = self.prints[name]
        if self.storm.observe(fingerprint, self.now, WALL + self.now, level, 1, shared):
            self.being_rendered.append((fingerprint, self.now))
            if not late:
                self.render()

    @precondition(lambda self: self.being_rendered)
    @rule()
    def render(self):
        while self.being_rendered:
            fingerprint, at = self.being_rendered.pop()
            record = logging.makeLogRecord({"created": WALL + at})
            self.storm.keep(fingerprint, Item(record, "text", 150))

    @precondition(lambda self: self.elsewhere)
    @rule()
    def settle_elsewhere(self):
        for shared, level in self.elsewhere:
            self.total.settle_shared(shared, DELIVERED, 1, "", level)
        self.elsewhere = []

    @rule(seconds=st.sampled_from([0.0, 0.5, 9.0, 11.0, 45.0, 61.0, 130.0, 301.0, 2000.0]))
    def let_time_pass(self, seconds):
        self.now += seconds

    @rule()
    def send_what_is_due(self):
        while (at := self.storm.due_at(self.now)) is not None and at <= self.now:
            mail = self.storm.compose(self.now, WALL + self.now)
            assert mail is not None
            self.check(mail)

    @precondition(lambda self: (self.storm.due_at(self.now) or 0) > self.now)
    @rule()
    def nothing_is_sent_before_it_is_due(self):
        assert self.storm.compose(self.now, WALL + self.now) is None

    @rule()
    def flush(self):
        mail = self.storm.compose(self.now, WALL + self.now, flush=True)
        if mail is not None:
            self.forced += 1
            self.check(mail)
        assert self.storm.held == 0

    def check(self, mail):
        assert mail.groups
        assert mail.count == sum(group.count for group in mail.groups)
        assert len({group.id for group in mail.groups}) == len(mail.groups)
        assert all(group.since <= group.last_seen <= WALL + self.now for group in mail.groups)
        for group in mail.groups:
            self.composed[group.id] += group.count
        self.mailed_at.append(self.now)
        self.on_the_way.append(mail)

    @precondition(lambda self: self.on_the_way)
    @rule(data=st.data())
    def accept(self, data):
        mail = self.on_the_way.pop(data.draw(st.integers(0, len(self.on_the_way) - 1)))
        settlement = self.storm.accepted(mail, self.now)
        assert settlement.count == mail.count
        settlement.settle(DELIVERED, self.lane, self.total)
        self.announced += mail.count

    @precondition(lambda self: self.on_the_way)
    @rule(data=st.data())
    def fail(self, data):
        mail = data.draw(st.sampled_from(self.on_the_way))
        self.storm.failed(mail, self.now)

    @precondition(lambda self: self.on_the_way)
    @rule()
    def reject(self):
        mail = self.on_the_way.pop(0)
        self.storm.rejected(mail, self.now).settle(DEAD_LETTERED, self.lane, self.total)
        self.rejected += mail.count

    @rule()
    def stop(self):
        for name, group in self.storm._groups.items():
            self.stopped_with[name] += group.held.count
        settlement = self.storm.give_up()
        self.given_up += settlement.count
        settlement.settle(DROPPED, self.lane, self.total, "exit_timeout")
        self.on_the_way = []

    # -- what always holds ------------------------------------------------------------------------

    @invariant()
    def the_counts_add_up(self):
        if not hasattr(self, "storm"):
            return
        assert self.storm.outstanding == sum(mail.count for mail in self.on_the_way)
        assert self.announced + self.rejected + self.given_up + self.storm.pending() == len(self.logged)

    @invariant()
    def the_counts_of_each_group_add_up(self):
        if not hasattr(self, "storm"):
            return
        held = {name: group.held.count for name, group in self.storm._groups.items()}
        found = self.composed + self.stopped_with + collections.Counter(held)
        logged = collections.Counter(name for name, _ in self.logged)
        if self.options.groups >= len(NAMES):
            assert found == logged
        else:
            assert all(found[name] <= logged[name] for name in NAMES)
            assert found.total() == logged.total()

    @invariant()
    def the_ledgers_add_up(self):
        if not hasattr(self, "storm"):
            return
        lane, total = self.lane.snapshot(), self.total.snapshot()
        assert lane["pending"] == self.storm.pending()
        assert lane["delivered"] == self.announced
        assert sum(lane["dropped_levels"].values()) == self.given_up
        assert total["pending"] >= 0
        unsettled = self.storm.pending() + len(self.elsewhere)
        assert max(self.storm.pending(), len(self.elsewhere)) <= total["pending"] <= unsettled

    @invariant()
    def the_pace_is_kept(self):
        if not hasattr(self, "storm") or self.options.rate is None or not self.mailed_at:
            return
        count, period = self.options.rate
        allowed = self.options.burst + self.forced + (self.mailed_at[-1] - self.mailed_at[0]) * count / period
        assert len(self.mailed_at) <= allowed + 1e-6

    @invariant()
    def groups_are_bounded(self):
        if hasattr(self, "storm"):
            assert len(self.storm._groups) <= self.options.groups + 1

    def teardown(self):
        if not hasattr(self, "storm"):
            return
        self.render()
        for _ in range(200):
            self.now += 3600.0
            self.send_what_is_due()
            while self.on_the_way:
                mail = self.on_the_way.pop()
                self.storm.accepted(mail, self.now).settle(DELIVERED, self.lane, self.total)
                self.announced += mail.count
            if self.storm.due_at(self.now) is None:
                break
        self.the_counts_add_up()
        assert self.storm.pending() == 0, "with time alone everything is announced"
        assert self.storm._kept == 0
        self.settle_elsewhere()
        assert self.total.snapshot()["pending"] == 0


Counting.TestCase.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
TestCounting = Counting.TestCase
