"""A made-up run for the tests of what is made of one."""

import random
from email.message import EmailMessage

from asynclog.trial.accounts import Mail, asynclog_account, nowhere_account, stdlib_account
from asynclog.trial.load import Sample
from asynclog.trial.measure import measure
from asynclog.trial.memory import Memory
from asynclog.trial.plan import phases, requests
from asynclog.trial.run import Outcome

NASTY = "</pre><script>alert(1)</script>"


def mail(app, number, count, body="body"):
    head = f"From: {app}@shop.example\r\nSubject: =?utf-8?q?=3Cb=3Ef=C3=A4iled?=\r\nMessage-ID: <{number}@{app}>\r\n"
    content = f"{head}X-Asynclog-Count: {count}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{body}\r\n"
    return Mail(number - 0.5, f"{app}@shop.example", ("admin@shop.example",), content.encode())


def rich_mail(number, count, text, html):
    message = EmailMessage()
    message["From"], message["Subject"] = "asynclog@shop.example", "rich"
    message["Message-ID"], message["X-Asynclog-Count"] = f"<{number}@asynclog>", str(count)
    message.set_content(text)
    message.add_alternative(html, subtype="html")
    return Mail(number - 0.5, "asynclog@shop.example", ("admin@shop.example",), message.as_bytes())


def outcome(*, lost=0, failing=0):
    """Make a run in which asynclog lost some records and some of its requests failed."""
    draw = random.Random(1)
    plan = phases(10)
    samples = []
    for due in requests(20, 10, 4):
        failed = due.app == 3 and failing > 0
        failing -= failed
        status = 0 if failed else 500 if due.raises else 200
        samples.append(Sample(due.app, due.at, 0.0001, draw.uniform(0.002, 0.02), status, due.raises))
    ours = (mail("asynclog", 0, 1, NASTY), mail("asynclog", 1, 19 - lost))
    theirs = tuple(mail("stdlib", number, 1) for number in range(15))
    final = {"accepted": 20, "delivered": 20, "dropped": {}, "dead_lettered": 0, "spooled": 0, "pending": 0}
    return Outcome(
        seconds=10.0,
        rate=20.0,
        plan=plan,
        samples=tuple(samples),
        measured=measure(plan, samples),
        accounts={
            "nowhere": nowhere_account(20, ()),
            "again": nowhere_account(20, ()),
            "stdlib": stdlib_account(20, theirs, "--- Logging error ---\n" * 5),
            "asynclog": asynclog_account(20, ours, final, ""),
        },
        mails={"nowhere": (), "again": (), "stdlib": theirs, "asynclog": ours},
        stderr={"nowhere": "", "again": "", "stdlib": "", "asynclog": "asynclog: alarm <b>"},
        stats={"accepted": 20},
        memory={key: Memory(30 << 20, 31 << 20) for key in ("nowhere", "again", "stdlib", "asynclog")},
    )
