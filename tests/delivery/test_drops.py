"""The news of dropped records."""

import logging

from asynclog.delivery.drops import ANNOUNCE_EVERY, DropNews
from asynclog.ledger import DROPPED, Ledger


def test_no_news_without_drops():
    assert DropNews(0.0).seconds_left(Ledger(), 1e6) is None


def test_they_are_told_together_and_only_once():
    ledger, news = Ledger(), DropNews(0.0)
    ledger.settle(DROPPED, 3, "queue_full", logging.INFO)
    ledger.settle(DROPPED, 1, "lane_full", logging.ERROR)
    assert news.seconds_left(ledger, 4.0) == ANNOUNCE_EVERY - 4.0
    record = news.tell(ledger, 12.0)
    assert record.getMessage() == "asynclog dropped 4 records (lane_full: 1, queue_full: 3) in 12 s"
    assert record.levelno == logging.ERROR
    assert news.seconds_left(ledger, 1e6) is None


def test_the_level_and_the_counts_are_of_what_is_new():
    ledger, news = Ledger(), DropNews(0.0)
    ledger.settle(DROPPED, 1, "lane_full", logging.ERROR)
    news.tell(ledger, 20.0)
    ledger.settle(DROPPED, 2, "queue_full", logging.DEBUG)
    record = news.tell(ledger, 40.0)
    assert record.levelno == logging.DEBUG
    assert record.getMessage() == "asynclog dropped 2 records (queue_full: 2) in 20 s"


def test_what_no_lane_wanted_is_no_news():
    ledger, news = Ledger(), DropNews(0.0)
    ledger.settle(DROPPED, 5, "refused", logging.INFO)
    assert news.seconds_left(ledger, 100.0) is None
