"""How mails are paced, grouped and laid out: the keywords of `SMTPSink` about it, checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from asynclog import checks
from asynclog.render.redact import Redactor, redactor

if TYPE_CHECKING:
    from asynclog.render.templates_env import Templates

#: Lead-up records of an error's mail where nothing else is said.
LEAD_UP = 20
UNSET: Any = object()


@dataclass(frozen=True, slots=True)
class MailStyle:
    """Keywords about pace, groups and layout; what is not said is `UNSET`.

    Raises:
        OptionValueError: An option has a value that it can't take.
        OptionTypeError: An option is of the wrong type.
    """

    digest_interval: Any = UNSET
    fingerprint: Any = UNSET
    redact: Any = UNSET
    context: Any = UNSET
    lead_up: Any = UNSET
    rich: Any = UNSET
    templates: Any = UNSET
    #: Checked: the seconds between the mails of a group, at first and at most.
    interval: tuple[float, float] = field(init=False)
    #: Checked: what hides secrets; ``None``: nothing does.
    redactor: Redactor | None = field(init=False)
    providers: tuple[Callable[[], Mapping[str, Any] | None], ...] = field(init=False)
    #: Checked and compiled: the user's templates.
    own_templates: Templates | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        interval = (60.0, 1800.0) if self.digest_interval is UNSET else self.digest_interval
        object.__setattr__(self, "interval", checks.interval("digest_interval", interval))
        if self.fingerprint not in (UNSET, None):
            checks.function("fingerprint", self.fingerprint)
        object.__setattr__(self, "redactor", redactor("redact", True if self.redact is UNSET else self.redact))
        object.__setattr__(self, "providers", checks.functions("context", self.given("context", None)))
        checks.integer("lead_up", self.given("lead_up", LEAD_UP))
        checks.flag("rich", self.given("rich", False))
        if self.given("templates", None) is not None:
            from asynclog.render.templates_env import Templates  # jinja2, which takes as long as all of asynclog

            object.__setattr__(self, "own_templates", Templates(self.templates))

    def given(self, name: str, default: Any) -> Any:
        """Return an option, or the default where it was not given."""
        value = getattr(self, name)
        return default if value is UNSET else value

    def check_digest(self, digest: bool) -> None:
        """Raise for an option that one mail a record has no use for: it would be ignored."""
        if digest:
            return
        for name in ("digest_interval", "fingerprint", "context", "lead_up", "rich", "templates"):
            value = getattr(self, name)
            if value is not UNSET and value is not None and value is not False and value != 0:
                checks.bad_value(name, value, "it is about digests: leave it out, or leave digest=False out")


STYLE_OPTIONS = frozenset(one.name for one in dataclasses.fields(MailStyle) if one.init)


def style_of(options: Mapping[str, Any]) -> MailStyle:
    """Build the style of the keywords that are about it."""
    return MailStyle(**{name: value for name, value in options.items() if name in STYLE_OPTIONS})
