"""The shop: what its checkout raises, and when its database is down."""

import json

import pytest

from asynclog.trial.shop import Database, DatabaseUnavailableError, OutOfStockError, checkout

BASKET = {8: 1, 7: 1}


def test_a_checkout_fails_for_want_of_a_teapot_while_the_database_is_up():
    with pytest.raises(OutOfStockError, match="1 of Teapot asked for, 0 left"):
        checkout(BASKET, Database())


def test_every_checkout_fails_with_one_error_while_the_database_is_down_and_with_the_usual_one_before_and_after(
    tmp_path,
):
    now = 0.0
    database = Database(tmp_path / "outage.json", clock=lambda: now)
    with pytest.raises(OutOfStockError):
        checkout(BASKET, database)
    (tmp_path / "outage.json").write_text(json.dumps([5.0, 8.0]))
    for now, error in ((4.9, OutOfStockError), (5.0, DatabaseUnavailableError), (7.9, DatabaseUnavailableError)):
        with pytest.raises(error):
            checkout(BASKET, database)
    now = 8.0
    with pytest.raises(OutOfStockError):
        checkout(BASKET, database)
