"""What stands in a mail's subject."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

from asynclog import checks
from asynclog.plain import is_overridden_on

if TYPE_CHECKING:
    from logging.handlers import SMTPHandler

# Where a record keeps the subject that the user's own method gave it.
_ASKED = "_asynclog_subject"
FIELDS = ("app", "environment", "levelname", "name", "exc_type", "place")


class Subjects:
    """Makes the subjects of a sink's mails.

    Args:
        template: A `str.format` template of `FIELDS`; ``None``: ``[app/environment] ERROR
            ValueError in shop.checkout``, or what ``handler`` says.
        app: The application's name.
        environment: Such as ``"production"``.
        handler: The standard handler whose subject is kept.

    Raises:
        OptionValueError: The template names something else, or can't be filled.
        OptionTypeError: Something is not a string.
    """

    def __init__(
        self, *, template: Any = None, app: Any = None, environment: Any = None, handler: SMTPHandler | None = None
    ) -> None:
        self._app = None if app is None else checks.text("app", app)
        self._environment = None if environment is None else checks.text("environment", environment)
        self._template = None if template is None else _checked_template(template)
        self._handler = handler if template is None else None
        self._keeps_prefix = handler is not None
        #: Whether a subclass's own ``getSubject`` is called, which may block.
        self.runs_user_code = self._handler is not None and _overrides_subject(self._handler)

    def of_one(self, record: logging.LogRecord) -> str:
        """Return the subject for a record that goes alone."""
        if self._template is not None:
            # The place is looked for at the traceback's end: not for a subject that doesn't name it.
            return self._template.format(**self._fields(record, with_place="place" in self._template))
        if self._handler is not None:
            return self._from_handler(self._handler, record)
        fields = self._fields(record)
        return self._where(fields) + _headline(fields)

    def of_many(self, first: logging.LogRecord, count: int) -> str:
        """Return the subject for several records, the first of which is given."""
        fields = self._fields(first)
        what = f"{count:,} records, first: {_headline(fields)}"
        if self._keeps_prefix:
            return f"{self.of_one(first)}: {what}"
        if self._template is not None:
            return f"{self.of_one(first)} (first of {count:,} records)"
        return self._where(fields) + what

    def of_group(
        self, first: logging.LogRecord | None, *, levelname: str, name: str, exc_type: str, place: str, more: int = 0
    ) -> str:
        """Return the subject for a group of records, the same for every mail about it.

        Args:
            first: The first record that is kept; ``None``: none is.
            levelname: The group's level.
            name: Its logger.
            exc_type: The exception's type as a traceback prints it; empty without one.
            place: Where it happened.
            more: Groups that share the mail with it.
        """
        short = exc_type.rpartition(".")[2]
        fields = (
            self._fields(first)
            if first is not None
            else {"app": self._app or "", "environment": self._environment or ""}
        )
        fields |= {"levelname": levelname, "name": name, "exc_type": short, "place": place or name}
        rest = f" and {more:,} more" if more else ""
        if self._template is not None:
            return self._template.format(**fields) + rest
        if self._handler is None:
            return self._where(fields) + _headline(fields) + rest
        subject = self._from_handler(self._handler, first) if first is not None else str(self._handler.subject)
        return f"{subject}: {_headline(fields)}{rest}"

    def _from_handler(self, handler: SMTPHandler, record: logging.LogRecord) -> str:
        if self.runs_user_code:
            if _ASKED not in record.__dict__:
                self.ask(record)
            return str(record.__dict__[_ASKED])
        return str(handler.subject)

    def ask(self, record: logging.LogRecord) -> None:
        """Ask a subclass's own ``getSubject`` now, and keep what it says with the record.

        Called where the record is rendered, in the caller's copied context: the method may read the
        request, which is gone when the mail is made.
        """
        handler = self._handler
        assert handler is not None
        try:
            subject = str(handler.getSubject(record))
        except Exception:  # the mail matters more than its subject: the handler's own does
            subject = str(handler.subject)
        record.__dict__[_ASKED] = subject

    def _where(self, fields: dict[str, str]) -> str:
        where = "/".join(part for part in (fields["app"], fields["environment"]) if part)
        return f"[{where}] " if where else ""

    def _fields(self, record: logging.LogRecord, *, with_place: bool = True) -> dict[str, str]:
        return {
            "app": self._app or "",
            "environment": self._environment or "",
            "levelname": str(record.levelname),
            "name": str(record.name),
            "exc_type": exception_name(record),
            "place": place(record) if with_place else "",
        }


def _overrides_subject(handler: SMTPHandler) -> bool:
    from logging.handlers import SMTPHandler  # loads sockets and pickle

    return getattr(type(handler), "getSubject", None) is not SMTPHandler.getSubject or is_overridden_on(
        handler, "getSubject"
    )


def _checked_template(template: Any) -> str:
    checks.text("subject", template)
    try:
        template.format(**dict.fromkeys(FIELDS, "x"))
    except Exception:
        checks.bad_value("subject", template, f"give a str.format template of {', '.join(FIELDS)}")
    return str(template)


def _headline(fields: dict[str, str]) -> str:
    what = " ".join(part for part in (fields["levelname"], fields["exc_type"]) if part)
    return f"{what} in {fields['place']}" if fields["place"] else what


def exception_name(record: logging.LogRecord) -> str:
    """Return the name of a record's exception type, or an empty string."""
    info: Any = record.exc_info
    if not isinstance(info, tuple) or not info or info[0] is None:
        return ""
    return str(getattr(info[0], "__name__", ""))


def place(record: logging.LogRecord) -> str:
    """Return ``module.function`` of the innermost frame, else of the call, else the logger's name."""
    info: Any = record.exc_info
    if isinstance(info, tuple) and len(info) == 3 and info[2] is not None:
        found = _innermost(info[2])
        if found:
            return found
    module, function = getattr(record, "module", None), getattr(record, "funcName", None)
    return _joined(str(module or ""), str(function or "")) or str(record.name or "")


def _innermost(traceback: Any) -> str:
    while (following := getattr(traceback, "tb_next", None)) is not None:
        traceback = following
    frame = getattr(traceback, "tb_frame", None)
    code = getattr(frame, "f_code", None)
    if code is None:
        return ""
    names = getattr(frame, "f_globals", None)
    module = names.get("__name__") if isinstance(names, dict) else None
    if not isinstance(module, str):
        module = re.split(r"[/\\]", str(code.co_filename))[-1].removesuffix(".py")
    return _joined(module, str(code.co_name))


def _joined(module: str, function: str) -> str:
    return ".".join(part for part in (module, function) if part and part != "<module>")
