"""Request facts of Flask and Quart: what a reader needs, and no secrets."""

from __future__ import annotations

import flask
import pytest
import quart

from asynclog.integrations.facts import current_request, request_facts

URL = "/orders/7?page=2&token=s3cr3t"
HEADERS = {"User-Agent": "curl/8 token=s3cr3t", "Cookie": "session=s3cr3t", "Authorization": "Bearer s3cr3t0123"}
EXPECTED = {
    "method": "POST",
    "path": "/orders/7",
    "route": "/orders/<int:order>",
    "endpoint": "order",
    "query": "page=2&token=[redacted]",
    "user_agent": "curl/8 token=[redacted]",
}


def test_outside_of_a_request_there_are_none():
    assert request_facts() == {}
    assert current_request() is None


def test_flask():
    app = flask.Flask("shop")
    seen = []

    @app.post("/orders/<int:order>")
    def order(order):
        seen.extend([request_facts(), current_request() is flask.request._get_current_object()])
        return ""

    app.test_client().post(URL, headers=HEADERS, data="password=s3cr3t")
    assert seen == [EXPECTED | {"remote_addr": "127.0.0.1"}, True]


async def test_quart():
    app = quart.Quart("shop")
    seen = []

    @app.post("/orders/<int:order>")
    async def order(order):
        seen.extend([request_facts(), current_request() is quart.request._get_current_object()])
        return ""

    await app.test_client().post(URL, headers=HEADERS, data=b"password=s3cr3t")
    seen[0].pop("remote_addr", None)
    assert seen == [EXPECTED, True]


@pytest.mark.parametrize("url", ["/absent?x=\udcff", "/" + "a" * 5_000, "/a?b=%FF"])
def test_a_request_without_a_route_and_with_odd_text_has_facts(url):
    app = flask.Flask("shop")
    with app.test_request_context(url.encode("utf-8", "replace").decode()):
        found = request_facts()
    assert "route" not in found
    assert found["method"] == "GET"
    assert all(type(value) is str and len(value) <= 520 for value in found.values())
