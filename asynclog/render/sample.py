"""Sample mails: what a user's templates are tried with before the first error needs them."""

from __future__ import annotations

from asynclog.render.frames_view import Run
from asynclog.render.mail_view import Fact, GroupView, LeadUpView, MailView, RecordView

_SHORT = (
    Run("text", "ERROR in app: payment failed\nTraceback (most recent call last):"),
    Run("folded", "  … 2 library frames: flask"),
    Run("app", '  File "/srv/shop/checkout.py", line 12, in pay\n    return int(amount)'),
    Run("text", "ValueError: not a number <&>"),
)
_FULL = (*_SHORT[:1], Run("library", '  File "/lib/flask/app.py", line 1, in dispatch'), *_SHORT[2:])


def sample_views() -> tuple[MailView, MailView]:
    """Return a mail about one group that is on, and one about two of which one is over."""
    record = RecordView("The record: 03:02:11.123", _SHORT, (LeadUpView("03:02:11", "INFO", "shop", "began"),), _FULL)
    facts = (Fact("app", "shop"), Fact("host", "web-1"), Fact("next mail", "in 4 min, not before 03:16:20"))
    one = GroupView(
        1,
        "on",
        "4,312× more in 58 s (4,313× in all), still happening (last one 2 s ago)",
        4312,
        "still happening (last one 2 s ago), 4,313× in all",
        "ValueError in shop.checkout",
        "ValueError: not a number <&>",
        "payment failed",
        "web-1",
        facts,
        facts,
        (record,),
    )
    two = GroupView(
        2,
        "over",
        "over since 03:12 (40 min ago), 9× in all",
        0,
        "over since 03:12 (40 min ago), 9× in all",
        "shop.mail",
        "",
        "",
        "",
        facts,
        facts,
        (),
        "Nothing new came.",
    )
    return (
        MailView("[shop] ERROR", one.headline, "on", (), (), (one,), ("Counted in this process.",)),
        MailView("[shop] ERROR and 1 more", "2 problems", "on", facts, (one, two), (one, two), ("Counted.",)),
    )
