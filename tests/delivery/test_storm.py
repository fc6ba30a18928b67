"""The pace of storm control, sentence by sentence."""

import logging

import pytest

import asynclog
from asynclog.delivery.fingerprint import Fingerprint
from asynclog.delivery.storm import Storm, StormOptions
from asynclog.ledger import UNCOUNTED
from asynclog.values import Item

WALL = 1_700_000_000.0


class Run:
    """A storm control whose mails are all accepted as soon as they are due, and the mails."""

    def __init__(self, **options):
        options.setdefault("host", "web-1")
        self.storm = Storm(StormOptions(**options))
        self.now = 0.0
        self.mails = []
        self.prints = {}

    def print_of(self, name):
        return self.prints.setdefault(name, Fingerprint(name, f"shop.{name}", "ValueError", "ValueError", "shop"))

    def log(self, name="a", count=1, levelno=logging.ERROR, process=1, shared=None):
        for _ in range(count):
            fingerprint = self.print_of(name)
            if self.storm.observe(fingerprint, self.now, WALL + self.now, levelno, process, shared):
                self.storm.keep(fingerprint, item(self.now))

    def until(self, now):
        """Let time pass, sending what is due when it is due."""
        while True:
            at = self.storm.due_at(self.now)
            if at is None or max(at, self.now) > now:
                break
            self.now = max(self.now, at)
            mail = self.storm.compose(self.now, WALL + self.now)
            if mail is not None:
                self.storm.accepted(mail, self.now)
                self.mails.append((self.now, mail))
        self.now = now

    def log_every(self, seconds, until, name="a", **more):
        while self.now + seconds <= until:
            self.until(self.now + seconds)
            self.log(name, **more)
        self.until(until)

    @property
    def times(self):
        return [at for at, _ in self.mails]

    @property
    def kinds(self):
        return [mail.kind for _, mail in self.mails]


def item(now, size=100):
    record = logging.LogRecord("shop", logging.ERROR, "/srv/shop.py", 1, "broken", (), None)
    record.created = WALL + now
    return Item(record, "broken", size)


@pytest.fixture
def run():
    return Run()


def test_the_first_of_a_group_leaves_at_once(run):
    run.log()
    assert run.storm.due_at(0.0) <= 0.0
    run.until(0.0)
    [(at, mail)] = run.mails
    assert (at, mail.kind, mail.count, mail.is_lone) == (0.0, "first", 1, True)
    [group] = mail.groups
    assert (group.place, group.exc_type, group.hosts, group.processes) == ("shop.a", "ValueError", ("web-1",), (1,))
    assert group.next_mail == WALL + 60.0
    assert group.over_since is None
    assert len(mail.items) == 1


def test_groups_that_open_within_ten_seconds_share_one_mail(run):
    for number in range(50):
        run.until(number / 50)
        run.log(f"g{number}")
    run.until(15.0)
    assert run.times == [0.0, 10.0]
    assert [len(mail.groups) for _, mail in run.mails] == [1, 49]
    assert run.mails[1][1].count == 49


def test_a_group_that_opens_later_leaves_at_once(run):
    run.log("a")
    run.until(25.0)
    run.log("b")
    run.until(26.0)
    assert run.times == [0.0, 25.0]


def test_a_different_outage_five_minutes_into_one_gets_its_own_first_mail(run):
    for number in range(50):
        run.until(number / 50)
        run.log(f"g{number}", 20)
    for second in range(2, 301):
        run.until(float(second))
        for number in range(50):
            run.log(f"g{number}")
    before = len(run.mails)
    run.log("different")
    run.until(301.0)
    first = [(at, mail) for at, mail in run.mails[before:] if "different" in [group.id for group in mail.groups]]
    assert len(first) == 1
    at, mail = first[0]
    assert at == 300.0
    assert not mail.is_shared
    assert mail.kind == "first"


def test_the_interval_between_digests_grows_from_one_minute_to_thirty(run):
    run.log()
    run.log_every(5.0, 8000.0)
    assert run.times == [0.0, 60.0, 180.0, 420.0, 900.0, 1860.0, 3660.0, 5460.0, 7260.0]
    assert run.kinds == ["first"] + ["digest"] * 8
    assert [group.next_mail - WALL for _, mail in run.mails for group in mail.groups][:4] == [60.0, 180.0, 420.0, 900.0]


def test_digests_count_exactly_what_came_since_the_last_mail(run):
    run.log()
    run.log_every(5.0, 600.0)
    assert [mail.count for _, mail in run.mails] == [1, 11, 24, 48]
    assert [mail.groups[0].total for _, mail in run.mails] == [1, 12, 36, 84]
    assert run.storm.held == 121 - 84


def test_a_short_burst_is_two_mails_of_which_the_second_says_that_it_is_over(run):
    run.log(count=10)
    run.until(5.0)
    run.log(count=3)
    run.until(7200.0)
    assert run.kinds == ["first", "over"]
    over = run.mails[1][1].groups[0]
    assert over.over_since == WALL + 5.0
    assert over.next_mail is None
    assert run.mails[1][0] == 65.0
    assert [mail.count for _, mail in run.mails] == [10, 3]


def test_a_lone_error_gets_no_last_word(run):
    run.log()
    run.until(7200.0)
    assert run.kinds == ["first"]


def test_a_group_that_sent_a_digest_gets_a_last_mail(run):
    run.log()
    run.log_every(5.0, 100.0)
    run.until(7200.0)
    assert run.kinds == ["first", "digest", "over"]
    at, mail = run.mails[-1]
    assert at == 100.0 + 120.0  # quiet for the interval, which is 2 minutes by now
    assert mail.is_over
    assert mail.groups[0].over_since == WALL + 100.0
    assert mail.count == 9


def test_the_last_word_alone_counts_nothing(run):
    run.log()
    run.until(59.0)
    run.log(count=5)
    run.until(7200.0)
    assert run.kinds == ["first", "digest", "over"]
    over = run.mails[-1][1]
    assert (over.count, over.items) == (0, ())
    assert over.groups[0].total == 6
    assert over.groups[0].over_since == WALL + 59.0


def test_quiet_is_five_minutes_at_most(run):
    run.log()
    run.log_every(5.0, 4000.0)
    run.until(9000.0)
    assert run.times[-1] == 4300.0
    assert run.kinds[-1] == "over"


def test_after_quiet_a_group_returns_at_once_and_its_interval_is_the_shortest_again(run):
    run.log()
    run.log_every(5.0, 2000.0)
    run.until(3000.0)
    before = len(run.mails)
    run.log()
    run.log_every(5.0, 3200.0)
    assert [(at, mail.kind) for at, mail in run.mails[before:]] == [
        (3000.0, "again"),
        (3060.0, "digest"),
        (3180.0, "digest"),
    ]


def test_a_group_that_returns_waits_for_the_shortest_interval_at_least(run):
    run.log()
    run.log_every(5.0, 100.0)
    run.until(220.0)
    assert run.kinds[-1] == "over"
    run.until(230.0)
    run.log()
    run.until(500.0)
    assert run.times[-1] == 280.0


def test_ten_times_the_rate_of_the_last_mail_is_news_at_once(run):
    run.log()
    run.log_every(1.0, 200.0)
    assert run.kinds[-1] == "digest"
    before = len(run.mails)
    run.log_every(0.05, 215.0)
    (at, mail), *more = run.mails[before:]
    assert mail.kind == "news"
    assert 204.0 < at < 206.0  # a hundred records in ten seconds, where ten came before
    assert more == []


def test_nine_times_the_rate_is_no_news(run):
    run.log()
    run.log_every(1.0, 200.0)
    run.log_every(1 / 9, 350.0)
    assert "news" not in run.kinds


def test_news_comes_once_in_an_interval_and_the_interval_goes_on(run):
    run.log()
    run.log_every(1.0, 200.0)
    run.log_every(0.05, 240.0)
    run.log_every(0.004, 300.0)
    assert run.kinds == ["first", "digest", "digest", "news"]
    run.log_every(0.05, 421.0)
    assert (run.times[-1], run.kinds[-1]) == (420.0, "digest")
    assert sum(mail.count for _, mail in run.mails) == run.mails[-1][1].groups[0].total


def test_a_bucket_caps_all_mails_and_digests_leave_its_reserve(run):
    for number in range(400):
        run.until(number * 11.0)
        run.log(f"g{number}", 2)
    hours = 400 * 11.0 / 3600
    assert len(run.mails) <= 10 + 30 * hours + 1


def test_the_reserve_is_for_new_groups_and_critical():
    run = Run(rate=(1, 1e9), burst=5)
    run.log("a")
    run.log_every(5.0, 50_000.0, "a")
    assert run.kinds == ["first", "digest"]  # three tokens are left: no digest may take them
    run.log("b")
    run.until(50_001.0)
    assert run.kinds == ["first", "digest", "first"]
    assert {group.id for group in run.mails[-1][1].groups} == {"a", "b"}  # what waited goes along
    run.log_every(5.0, 51_000.0, "a")
    assert len(run.mails) == 3
    run.log("a", levelno=logging.CRITICAL)
    run.until(51_001.0)
    assert run.kinds == ["first", "digest", "first", "digest"]
    run.until(51_100.0)
    run.log("c")
    run.until(51_200.0)
    assert len(run.mails) == 5
    run.log("d")
    run.until(60_000.0)
    assert len(run.mails) == 5  # nothing left even for a new group


def test_over_the_rate_groups_share_one_mail():
    run = Run(rate=(6, 3600.0), burst=6)
    for number in range(5):
        run.log(f"g{number}")
        run.until(run.now + 20.0)
    assert len(run.mails) == 5
    for _ in range(700):
        run.until(run.now + 1.0)
        for number in range(5):
            run.log(f"g{number}")
    assert len(run.mails) == 5
    run.until(2500.0)
    shared = run.mails[5][1]
    assert len(shared.groups) == 5
    assert shared.thread == ""
    assert sum(mail.count for _, mail in run.mails) == 5 + 5 * 700


def test_without_a_rate_there_is_no_bucket():
    run = Run(rate=None)
    for number in range(100):
        run.log(f"g{number}")
        run.until(run.now + 11.0)
    assert len(run.mails) == 100


def test_a_storm_of_fifty_groups_is_at_most_twenty_mails_in_the_hour_that_follows(run):
    logged = 0
    for tick in range(600):
        run.until(tick / 10)
        for number in range(50):
            run.log(f"g{number}")
            logged += 1
    run.until(3660.0)
    assert len(run.mails) <= 20
    assert sum(mail.count for _, mail in run.mails) == logged
    assert run.storm.pending() == 0
    assert run.mails[-1][1].is_over
    totals = {group.id: group.total for _, mail in run.mails for group in mail.groups}
    assert totals == {f"g{number}": 600 for number in range(50)}


def test_groups_that_were_announced_together_stay_in_one_thread(run):
    for name in "abc":
        run.log(name)
    run.until(1.0)
    run.log_every(5.0, 50.0, "a")
    run.log("b")
    run.log_every(5.0, 100.0, "a")
    run.until(4000.0)
    threads = {mail.thread for _, mail in run.mails}
    assert len(threads) == 1
    assert "" not in threads


def test_a_flush_sends_everything_held_in_one_mail(run):
    for name in "abc":
        run.log(name)
        run.until(run.now + 20.0)
    run.log("a", 5)
    run.log("d")
    mail = run.storm.compose(run.now, WALL + run.now, flush=True)
    assert mail.count == 6
    assert {group.id for group in mail.groups} == {"a", "d"}
    assert run.storm.held == 0
    assert run.storm.compose(run.now, WALL, flush=True) is None


def test_a_mail_that_failed_keeps_its_numbers_and_later_records_go_to_a_later_one(run):
    run.log(count=3)
    mail = run.storm.compose(0.0, WALL)
    run.storm.failed(mail, 1.0)
    run.log(count=4)
    assert (run.storm.outstanding, run.storm.held) == (3, 4)
    assert mail.count == 3
    settlement = run.storm.accepted(mail, 2820.0)
    assert settlement.count == 3
    assert run.storm.pending() == 4
    with pytest.raises(KeyError):
        run.storm.failed(mail, 2821.0)


def test_the_interval_counts_from_when_a_mail_was_accepted(run):
    run.log(count=3)
    mail = run.storm.compose(0.0, WALL)
    for second in range(600):
        run.now = float(second)
        run.log()
    run.now = 600.0
    run.storm.accepted(mail, 600.0)
    assert run.storm.due_at(600.0) == 660.0


def test_a_group_that_returned_while_its_mail_was_held_up_waits_for_the_shortest_interval(run):
    run.log(count=3)
    mail = run.storm.compose(0.0, WALL)
    run.now = 590.0
    run.log()
    run.now = 600.0
    run.storm.accepted(mail, 600.0)
    assert run.storm.due_at(600.0) == 660.0


def test_a_rejected_mail_takes_its_records_along(run):
    run.log(count=3)
    mail = run.storm.compose(0.0, WALL)
    assert run.storm.rejected(mail, 1.0).count == 3
    run.log(count=2)
    run.until(1000.0)
    assert run.mails[-1][1].groups[0].total == 2


def test_giving_up_returns_what_is_held_and_what_is_on_its_way(run):
    run.log(count=3)
    run.storm.compose(0.0, WALL)
    run.log(count=2)
    assert run.storm.give_up().count == 5
    assert run.storm.pending() == 0
    assert run.storm.due_at(1.0) is None


def test_a_group_keeps_its_first_and_its_newest_records_whole(run):
    run.log()
    run.until(1.0)
    for second in range(2, 50):
        run.until(float(second))
        run.log(count=20)
    run.until(61.0)
    [group] = run.mails[1][1].groups
    assert [item.record.created - WALL for item in group.first_items] == [2.0, 2.0]
    assert [item.record.created - WALL for item in group.last_items] == [48.0, 49.0]


def test_a_group_is_not_announced_before_its_record_was_rendered(run):
    fingerprint = run.print_of("slow")
    assert run.storm.observe(fingerprint, 0.0, WALL, logging.ERROR)
    assert run.storm.due_at(0.0) is None
    run.storm.keep(fingerprint, item(0.0))
    assert run.storm.due_at(0.0) <= 0.0


def test_a_record_that_could_not_be_rendered_is_announced_without_it(run):
    fingerprint = run.print_of("slow")
    assert run.storm.observe(fingerprint, 0.0, WALL, logging.ERROR)
    run.storm.keep(fingerprint, None)
    run.until(0.0)
    assert (run.mails[0][1].count, run.mails[0][1].items) == (1, ())


def test_records_kept_whole_are_bounded_by_bytes():
    run = Run(kept_bytes=1000)
    for number in range(100):
        fingerprint = run.print_of(f"g{number}")
        if run.storm.observe(fingerprint, 0.0, WALL, logging.ERROR):
            run.storm.keep(fingerprint, item(0.0, 300))
    run.until(30.0)
    assert sum(item.size for _, mail in run.mails for item in mail.items) <= 1000
    assert sum(mail.count for _, mail in run.mails) == 100
    run.log("later")
    run.until(40.0)
    assert len(run.mails[-1][1].items) == 1  # the room is free again once the mails are out


def test_groups_past_the_bound_are_counted_as_other():
    run = Run(groups=10)
    for number in range(30):
        run.log(f"g{number}", 3)
    run.until(20.0)
    mails = [mail for _, mail in run.mails]
    assert sum(mail.other_count for mail in mails) == 60
    assert sum(mail.count for mail in mails) == 90
    assert [group.is_other for group in mails[0].groups].count(True) == 1


def test_the_group_that_was_quiet_longest_makes_room():
    run = Run(groups=10)
    for number in range(10):
        run.log(f"g{number}")
        run.until(run.now + 20.0)
    run.log("new")
    run.until(run.now + 20.0)
    assert run.mails[-1][1].groups[0].id == "new"
    run.log("g0")  # forgotten, so it is new again
    run.until(run.now + 20.0)
    assert (run.mails[-1][1].groups[0].id, run.mails[-1][1].kind) == ("g0", "first")
    run.log("g9", 2)
    assert run.storm.held == 2


def test_a_record_that_counts_nowhere_is_mailed_and_not_counted(run):
    run.log("drops", shared=UNCOUNTED)
    run.until(0.0)
    [(_, mail)] = run.mails
    assert (mail.count, len(mail.items)) == (0, 1)
    assert run.storm.pending() == 0


@pytest.mark.parametrize("interval", [60, (60,), (0, 60), (1800, 60), ("60", 1800), (60, float("inf"))])
def test_an_interval_has_to_be_two_growing_numbers(interval):
    with pytest.raises((asynclog.OptionValueError, asynclog.OptionTypeError), match="digest_interval"):
        StormOptions(interval=interval)


def test_mails_of_an_hour_say_from_which_processes(run):
    for process in range(30):
        run.log(process=process)
    run.until(0.0)
    assert run.mails[0][1].groups[0].processes == tuple(range(1, 21))
