"""The keywords of `wrap` and `install`, sorted out and checked before anything is touched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from asynclog import checks
from asynclog.errors import OptionTypeError
from asynclog.options import LANE_OPTIONS, QUEUE_OPTIONS, LaneOptions, QueueOptions, take
from asynclog.sinks.smtp import MAIL_OPTIONS, check_mail_options

_KNOWN = QUEUE_OPTIONS | LANE_OPTIONS | MAIL_OPTIONS


@dataclass(frozen=True, slots=True)
class Keywords:
    """Keywords by what they are about.

    Attributes:
        queue: For `asynclog.RecordQueue`.
        lane: For `asynclog.QueueListener`.
        mail: For the lanes that send mail.
    """

    queue: Mapping[str, Any] = field(default_factory=dict)
    lane: Mapping[str, Any] = field(default_factory=dict)
    mail: Mapping[str, Any] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.queue or self.lane or self.mail)

    def names(self) -> list[str]:
        """Return every keyword that was given."""
        return [*self.queue, *self.lane, *self.mail]


def sort_out(where: str, options: Mapping[str, Any], more: Iterable[str] = ()) -> Keywords:
    """Sort keywords and check every value.

    Args:
        where: The function that they were given to, for error texts.
        options: The keywords.
        more: What that function takes besides, for error texts.

    Raises:
        OptionTypeError: There is no such option, or one is of the wrong type.
        OptionValueError: An option has a value that it can't take.
    """
    unknown = options.keys() - _KNOWN
    if unknown:
        checks.unknown_options(where, unknown, _KNOWN | set(more))
    take(QueueOptions, QUEUE_OPTIONS, options)
    take(LaneOptions, LANE_OPTIONS, options)
    keywords = Keywords(*({n: v for n, v in options.items() if n in names} for names in _BY_KIND))
    check_mail_options(keywords.mail)
    return keywords


_BY_KIND = (QUEUE_OPTIONS, LANE_OPTIONS, MAIL_OPTIONS)


def refuse_mail_options(mail: Mapping[str, Any], handlers: Iterable[Any]) -> None:
    """Raise for mail keywords that fit no handler."""
    if not mail:
        return
    name = min(mail)
    kinds = ", ".join(sorted({type(handler).__name__ for handler in handlers}))
    raise OptionTypeError(
        f"{name}={checks.shown(mail[name])}: it is about mail, and none of the handlers here is served by an"
        f" SMTPSink{kinds and f' ({kinds})'}: leave it out, or give a standard SMTPHandler or an asynclog.SMTPSink"
    )
