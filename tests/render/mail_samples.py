"""Digests by hand, with real exceptions in them: what the tests of the mail look at."""

from __future__ import annotations

import linecache
import logging
import sys
from types import SimpleNamespace
from typing import Any

from asynclog.digest import Digest, GroupReport
from asynclog.render.carried import FACTS, LEAD_UP, LeadUp
from asynclog.render.digest_mail import DigestRenderer
from asynclog.render.mail import SEVEN_BIT_POLICY, MailRenderer
from asynclog.render.mail_view import Around, HeldUp
from asynclog.render.redact import Redactor
from asynclog.render.subjects import Subjects
from asynclog.render.templates_env import Templates
from asynclog.values import Item

NOW = 1_772_330_000.0
REQUEST = {
    "method": "POST",
    "path": "/checkout",
    "route": "/checkout",
    "endpoint": "shop.checkout",
    "remote_addr": "203.0.113.9",
    "query": "cart=17&token=s3cr3t",
}
_format = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s").format


_SOURCES = {
    "/srv/shop/shop/checkout.py": """
def checkout(cart):
    return pay(cart.total, currency="EUR")


def pay(amount, currency):
    return client.charge(amount, currency)
""",
    "/srv/shop/venv/lib/python3.12/site-packages/payments/client.py": """
def charge(amount, currency):
    return request("POST", "/charges", amount, currency)
""",
    "/srv/shop/venv/lib/python3.12/site-packages/payments/transport.py": """
def request(method, path, *body):
    raise ProviderError(text)
""",
}


class ProviderError(ConnectionError):
    """What a library raises."""


ProviderError.__module__ = "payments"


def failure(text: str = "the provider answered 503 Service Unavailable") -> Any:
    """Raise in an app that is a few files that were never written, by way of a library."""
    names: dict[str, Any] = {"ProviderError": ProviderError, "text": text}
    for file, source in _SOURCES.items():
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
        exec(compile(source, file, "exec"), names)
    names["client"] = SimpleNamespace(charge=names["charge"])
    try:
        names["checkout"](SimpleNamespace(total=1250))
    except ProviderError:
        kind, error, traceback = sys.exc_info()
        assert traceback is not None
        return kind, error, traceback.tb_next
    raise AssertionError("nothing was raised")


def item(msg: str = "payment of cart %s failed", *, ago: float = 60.0, exc_info: Any = "sample", **fields: Any) -> Item:
    facts: dict[str, Any] = {"msg": msg, "name": "shop.checkout", "levelno": 40, "levelname": "ERROR"}
    facts |= {
        "args": (17,) if "%s" in msg else (),
        "created": NOW - ago,
        "msecs": (NOW - ago) % 1 * 1000,
        "process": 4711,
    }
    facts["exc_info"] = failure() if exc_info == "sample" else exc_info
    facts[FACTS] = REQUEST
    record = logging.makeLogRecord(facts | fields)
    return Item(record, _format(record), 1000)


def lead_up(ago: float = 60.0) -> tuple[LeadUp, ...]:
    return (
        LeadUp(NOW - ago - 0.4, 20, "INFO", "shop.cart", "cart %s has %s items", (17, 3)),
        LeadUp(NOW - ago - 0.2, 30, "WARNING", "shop.payment", "provider answered after 4.8 s, password=hunter2"),
    )


def group(**fields: Any) -> GroupReport:
    facts: dict[str, Any] = {
        "id": "3f9a1c0b7d2e4855",
        "kind": "digest",
        "place": "shop.checkout.pay",
        "exc_type": "payments.ProviderError",
        "root_type": "payments.ProviderError",
        "logger": "shop.checkout",
        "levelno": 40,
        "count": 4312,
        "total": 4313,
        "first_seen": NOW - 61,
        "last_seen": NOW - 2,
        "since": NOW - 60,
        "rate": 74.3,
        "hosts": ("web-1",),
        "processes": (4711, 4712),
        "next_mail": NOW + 240,
        "first_items": (item(**{LEAD_UP: lead_up()}),),
        "last_items": (item(ago=2.0),),
    }
    return GroupReport(**(facts | fields))


def digest(*groups: GroupReport, **fields: Any) -> Digest:
    groups = groups or (group(),)
    facts: dict[str, Any] = {"serial": 1, "kind": groups[0].kind, "groups": groups, "made_at": NOW}
    facts |= {"count": sum(one.count for one in groups), "thread": "c0ffee0123456789"}
    return Digest(**(facts | fields))


def renderer(
    *, templates: Any = None, redact: bool = True, policy: Any = SEVEN_BIT_POLICY, **fields: Any
) -> DigestRenderer:
    subjects = Subjects(
        template=fields.get("subject"),
        app=fields.get("app", "shop"),
        environment="production",
        handler=fields.get("handler"),
    )
    mails = MailRenderer(
        fields.get("sender", "app@example.com"),
        fields.get("recipients", "ops@example.com"),
        subjects,
        "example.com",
        fields.get("app", "shop"),
        policy,
    )
    return DigestRenderer(
        mails,
        around=Around(fields.get("app", "shop"), "production", "2.4.1"),
        redactor=Redactor() if redact else None,
        templates=Templates(templates) if templates is not None else None,
        on_failure=fields.get("on_failure"),
    )


def held_up() -> HeldUp:
    return HeldUp(NOW - 2820, NOW, "421 too many connections")


def outage() -> Digest:
    """A database that went down: many problems in one mail, one of them over, one with odd text."""
    first = group(kind="first", count=1204, total=1204, last_items=())
    over = group(
        id="aa11bb22cc33dd44", kind="over", place="shop.mail.send", exc_type="TimeoutError", count=0, total=88,
        over_since=NOW - 400, next_mail=None, last_seen=NOW - 400, first_items=(), last_items=(),
    )  # fmt: skip
    long = "connection to server at \u201cdb-1\u201d (10.0.0.5), port 5432 failed: " + "x" * 300
    odd = group(
        id="0123456789abcdef", kind="first", place="shop.catalogue.search_products_by_category_and_price", count=97, total=97,
        exc_type="sqlalchemy.exc.OperationalError", first_items=(item(long, exc_info=None),), last_items=(),
    )  # fmt: skip
    plain = group(
        id="fedcba9876543210", kind="first", place="shop.stock.sync", exc_type="", root_type="", logger="shop.stock", count=12, total=12,
        first_items=(item("stock of %s could not be read", exc_info=None),), last_items=(),
    )  # fmt: skip
    return digest(first, odd, plain, over, thread="")


def samples() -> dict[str, tuple[Digest, HeldUp | None]]:
    """The mails that are looked at, by name."""
    first = group(
        kind="first",
        count=1,
        total=1,
        since=NOW - 0.3,
        last_seen=NOW - 0.3,
        next_mail=NOW + 60,
        last_items=(),
        processes=(4711,),
    )
    over = group(
        kind="over", count=37, total=4350, rate=0.06, next_mail=None, first_seen=NOW - 3700, since=NOW - 3600,
        last_seen=NOW - 3000, over_since=NOW - 3000, first_items=(item(ago=3600.0, **{LEAD_UP: lead_up(3600.0)}),),
        last_items=(item(ago=3000.0),),
    )  # fmt: skip
    return {
        "first": (digest(first), None),
        "digest": (digest(), None),
        "over": (digest(over), held_up()),
        "outage": (outage(), HeldUp(NOW - 200, NOW - 80, "connection refused", is_past=True)),
    }
