"""Delivers records as mail."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from asynclog import checks
from asynclog.render.subjects import Subjects
from asynclog.sink_thread import SinkThread
from asynclog.sinks import smtp_options
from asynclog.sinks.base import Sink
from asynclog.sinks.smtp_delivery import MailDelivery
from asynclog.sinks.smtp_digest import DigestMails
from asynclog.sinks.smtp_options import Connecting, Security
from asynclog.sinks.smtp_style import LEAD_UP, STYLE_OPTIONS, UNSET, MailStyle, style_of
from asynclog.values import Batch, Part

if TYPE_CHECKING:
    import ssl
    from logging.handlers import SMTPHandler

    from asynclog.render import mail as mails

#: The keywords that are about the mails and not about servers and addresses.
MAIL_OPTIONS = frozenset({"subject", "app", "environment", "digest", "rate", "burst"}) | STYLE_OPTIONS

_DEFAULT_RATE = "30/hour"
_UNSET: Any = UNSET
_BATCH_RECORDS = 1000
#: Mail is for people: what comes within ten seconds of the first shares a mail.
_BATCH_AGE = 10.0


# What delivering by mail imports. Loaded when a sink is made and not by the worker at the first record:
# among eight threads that compute, that one thread was not done with it before they were, 14 s later;
# and no fork may happen meanwhile, since a child inherits the locks of imports that nobody in it ends.
_LIBRARIES = ("aiosmtplib", "asynclog.render.digest_mail", "jinja2")


def load_libraries() -> None:
    """Import what delivering by mail needs, unless that was done."""
    for name in _LIBRARIES:
        importlib.import_module(name)


class SMTPSink(Sink):
    """Deliver records as mail, over TLS unless told otherwise.

    ``smtps://`` is TLS from the start (port 465); ``smtp://`` means STARTTLS required (port 587),
    except to this host itself, where it is plain text (port 25). There is never a silent downgrade.

    Args:
        url: ``smtps://[user:password@]host[:port]`` or ``smtp://…``; of several, the first that
            answers is used. Special characters in a password are written ``%XX``.
        sender: The ``From`` address, ``ops@example.com`` or ``Ops <ops@example.com>``.
        recipients: One ``To`` address or several.
        security: ``"tls"``, ``"starttls"`` or ``"none"`` (plain text, port 25); default: by the
            URL. One that disagrees with the URL is an error.
        username: Who logs in; default: who the URL names, or nobody.
        password: What with, by CRAM-MD5, PLAIN or LOGIN, whichever the server offers.
        token_provider: Function or coroutine function that returns an OAuth2 access token, for
            XOAUTH2; called once for each connection, a plain function on a thread of the sink's own.
        timeout: Seconds over the whole mail: name look-up, connection, TLS, login and sending;
            default 60.
        tls_context: Checks certificates in place of `ssl.create_default_context`.
        subject: A `str.format` template with ``app``, ``environment``, ``levelname``, ``name``,
            ``exc_type`` and ``place``; default ``[app/environment] ERROR ValueError in
            shop.checkout``.
        app: The application's name, for subject and ``X-Asynclog-App``.
        environment: Such as ``"production"``, for the subject.
        digest: Storm control: the first error leaves at once, what follows is counted by group and
            leaves as digests with exact numbers; ``False``: one mail a record. Set it before the
            sink is wrapped.
        rate: Mails that may leave, such as ``"30/hour"`` (the default); ``None``: any number, the
            default with ``digest=False``.
        burst: Mails that may leave at once before the rate counts; default 10.
        digest_interval: Seconds between the mails of a group, at first and at most; default
            ``(60, 1800)``.
        fingerprint: Called with a record, returns the name of its group or ``None`` for the default
            (exception and innermost frames of the app, or logger and template); runs on a thread
            of asynclog's, in the caller's context.
        redact: What hides secrets: ``True`` (the default): `asynclog.render.redact.Redactor` with
            its names and patterns; ``False``: nothing; names to hide besides; a function from text
            to text; or a `Redactor`.
        context: A function without arguments that returns a dictionary of facts about the request,
            or several; called where a record at ERROR or above is logged. See
            `asynclog.integrations.facts`.
        lead_up: Earlier records of the same request that an error's mail shows: those that a handler
            of the same `wrap` takes; default 20 where handlers are wrapped together, of which
            another takes lower levels, and 0 elsewhere. Given to `install`: those that any handler
            takes that it wrapped. Given there or for a handler that is wrapped alone, it costs
            their records the fast path.
        rich: Whether a lone error's mail is laid out by the templates too (the default), or is the
            formatted text alone.
        templates: Directory of Jinja2 templates that take the place of asynclog's own by name.
        level: Records below it are not let in; default ``NOTSET``.
        formatter: Makes the text of a mail.
        filters: Filters or functions of a record.
        name: The handler's name.

    Raises:
        OptionValueError: An option has a value that it can't take; passwords are never quoted.
        OptionTypeError: An option is of the wrong type.
    """

    batch_records = _BATCH_RECORDS
    batch_age = _BATCH_AGE

    #: What a report says of this sink's TLS, where it is less than a new sink's.
    tls_note: str | None = None

    _renderer: mails.MailRenderer

    def __init__(
        self,
        url: str | Sequence[str],
        *,
        sender: str,
        recipients: str | Sequence[str],
        security: Security | None = None,
        username: str | None = None,
        password: str | None = None,
        token_provider: Callable[[], Any] | None = None,
        timeout: float = 60.0,
        tls_context: ssl.SSLContext | None = None,
        subject: str | None = None,
        app: str | None = None,
        environment: str | None = None,
        digest: bool = True,
        rate: str | None = _UNSET,
        burst: int = 10,
        digest_interval: tuple[float, float] = _UNSET,
        fingerprint: Callable[[logging.LogRecord], str | None] | None = _UNSET,
        redact: Any = _UNSET,
        context: Any = _UNSET,
        lead_up: int = _UNSET,
        rich: bool = _UNSET,
        templates: str | os.PathLike[str] | None = _UNSET,
        level: int | str = logging.NOTSET,
        formatter: logging.Formatter | None = None,
        filters: Iterable[Any] = (),
        name: str | None = None,
    ) -> None:
        super().__init__(level=level, formatter=formatter, filters=filters, name=name)
        how = smtp_options.connecting(
            url,
            security=security,
            username=username,
            password=password,
            token_provider=token_provider,
            timeout=timeout,
            tls_context=tls_context,
        )
        from_ = smtp_options.address("sender", sender)
        to = smtp_options.addresses("recipients", recipients)
        subjects = Subjects(template=subject, app=app, environment=environment)
        style = MailStyle(digest_interval, fingerprint, redact, context, lead_up, rich, templates)
        load_libraries()
        from asynclog.render import mail as mails

        renderer = mails.MailRenderer(
            from_.header, ", ".join(one.header for one in to), subjects, smtp_options.id_host(from_.mailbox), app
        )
        self._remember(subject, app, environment)
        self._set_limits(digest, rate, burst)
        self._set_style(style)
        self._prepare(how, from_.mailbox, tuple(one.mailbox for one in to), renderer)

    @classmethod
    def from_handler(
        cls,
        handler: SMTPHandler,
        *,
        subject: str | None = None,
        app: str | None = None,
        environment: str | None = None,
        digest: bool = True,
        rate: str | None = _UNSET,
        burst: int = 10,
        **style: Any,
    ) -> Self | None:
        """Make a sink that sends what a standard `SMTPHandler` sends, with its settings.

        Its TLS behaviour stays: plain text without credentials, STARTTLS without a certificate
        check with ``secure``; `tls_note` says so. Its ``timeout`` is for each reply; 60 s count
        over the whole mail. Level, formatter and filters are the handler's.

        Args:
            handler: A `logging.handlers.SMTPHandler`.
            subject: In place of the handler's subject; as for the class.
            app: As for the class.
            environment: As for the class.
            digest: As for the class.
            rate: As for the class.
            burst: As for the class.
            style: ``digest_interval``, ``fingerprint``, ``redact``, ``context``, ``lead_up``,
                ``rich`` and ``templates``, as for the class; but a lone error's mail stays the
                standard library's, byte for byte, unless ``rich=True`` or ``redact`` is given.

        Returns:
            ``None`` where a sink can't honour what a subclass overrides or how it is set up: it has
            to run as it is.

        Raises:
            OptionValueError: A keyword has a value that it can't take.
            OptionTypeError: A keyword is of the wrong type.
        """
        from asynclog.sinks.smtp_from_handler import settings_of  # needs logging.handlers

        subjects = Subjects(template=subject, app=app, environment=environment, handler=handler)
        check_mail_options(style)
        settings = settings_of(handler)
        if settings is None:
            return None
        sink = cls.__new__(cls)
        Sink.__init__(sink, level=handler.level, formatter=handler.formatter, filters=handler.filters)
        sink._remember(subject, app, environment, handler)
        sink._set_limits(digest, rate, burst)
        sink._set_style(style_of(style))
        load_libraries()
        from asynclog.render import mail as mails

        renderer = mails.MailRenderer(
            settings.from_header,
            settings.to_header,
            subjects,
            smtp_options.id_host(settings.sender),
            app,
            mails.STDLIB_POLICY,
        )
        sink._prepare(settings.how, settings.sender, settings.recipients, renderer)
        sink.tls_note = settings.tls_note
        return sink

    def _remember(self, subject: Any, app: Any, environment: Any, handler: SMTPHandler | None = None) -> None:
        self._words = {"subject": subject, "app": app, "environment": environment}
        self._original = handler

    def configure(self, **options: Any) -> None:
        """Change some of the mail keywords; the others stay as they were given.

        Args:
            options: ``subject``, ``app``, ``environment``, ``digest``, ``rate``, ``burst``,
                ``digest_interval``, ``fingerprint``, ``redact``, ``context``, ``lead_up``, ``rich``,
                ``templates``, as for the class. With ``digest`` alone the rate is that mode's default,
                unless one was given. A sink that is wrapped already goes on as it began, as far as
                pace, grouping and facts go.

        Raises:
            OptionValueError: An option has a value that it can't take.
            OptionTypeError: There is no such option, or one is of the wrong type.
        """
        check_mail_options(options)
        words = {name: options.get(name, value) for name, value in self._words.items()}
        limits = {name: options.get(name, value) for name, value in self._limits.items()}
        style = style_of({name: options.get(name, getattr(self._style, name)) for name in STYLE_OPTIONS})
        style.check_digest(checks.flag("digest", limits["digest"]))
        subjects = Subjects(
            template=words["subject"], app=words["app"], environment=words["environment"], handler=self._original
        )
        self._renderer = dataclasses.replace(self._renderer, subjects=subjects, app=words["app"])
        self._words = words
        self._set_limits(**limits)
        self._set_style(style)
        self._digests = self._digest_mails()

    def _set_limits(self, digest: Any, rate: Any, burst: Any) -> None:
        self._limits = {"digest": digest, "rate": rate, "burst": burst}
        self.digest = checks.flag("digest", digest)
        # One mail a record is one record a batch: the lane's bucket counts batches, and what came
        # of a mail is known before the next one leaves.
        self.batch_records, self.batch_age = (_BATCH_RECORDS, _BATCH_AGE) if digest else (1, 0.0)
        if rate is _UNSET:
            rate = _DEFAULT_RATE if digest else None
        #: Mails and the seconds that they may leave in; the lane reads it.
        self.rate = checks.rate("rate", rate)
        self.burst = checks.integer("burst", burst, minimum=1)

    def _set_style(self, style: MailStyle) -> None:
        style.check_digest(self.digest)
        self._style = style
        self.folds = self.digest
        self.digest_interval = style.interval
        self.fingerprint = style.given("fingerprint", None)
        #: Whether a lone error's mail is laid out by the templates.
        self.rich = style.given("rich", self._original is None and self.digest)
        # What a standard handler would have sent is not touched, unless somebody asked for it.
        is_asked = self._original is None or self.rich or style.redact is not UNSET
        self.redactor = style.redactor if is_asked else None
        self.context = style.providers
        self.lead_up = style.given("lead_up", LEAD_UP) if self.digest else 0
        self.lead_up_given = style.lead_up is not UNSET and self.lead_up > 0

    def _digest_mails(self) -> DigestMails:
        digests = DigestMails(self._renderer, self._style, self._words["environment"], self._tell)
        if self.digest:
            with contextlib.suppress(Exception):  # a build without its templates: told with the first mail
                digests.prepare()
        return digests

    def _tell(self, kind: str, text: str) -> None:
        if self.tell is not None:
            self.tell(kind, text)

    def _prepare(self, how: Connecting, sender: str, recipients: tuple[str, ...], renderer: mails.MailRenderer) -> None:
        self.label = f"mail:{how.servers[0].host}"
        self._how = how
        self._sender = sender
        self._recipients = recipients
        self._renderer = renderer
        self._digests = self._digest_mails()
        self.after_fork()

    sends_mail = True

    @property
    def asks(self) -> bool:  # type: ignore[override]
        """Whether the wrapped handler has a ``getSubject`` of its own, which may read the request."""
        return self._renderer.subjects.runs_user_code

    @property
    def runs_user_code(self) -> bool:  # type: ignore[override]
        """Whether code of the user's wants the caller's context: for the subject, or the group."""
        return self.asks or self.fingerprint is not None

    def ask(self, record: logging.LogRecord) -> None:
        """Ask the wrapped handler for the subject while the caller's context is at hand."""
        self._renderer.subjects.ask(record)

    # -- the worker's side -------------------------------------------------------------------

    def after_fork(self) -> None:
        """Forget the parent's connection and thread."""
        self._thread = SinkThread(self.label)
        self._delivery = MailDelivery(self._how, self._sender, self._recipients, self._thread)

    async def open(self) -> None:
        """Start the thread, if there is user code for it to run: at exit it might no longer start."""
        if self.digest or self._how.token_provider is not None or self._renderer.subjects.runs_user_code:
            self._thread.start()

    async def aclose(self) -> None:
        """Say goodbye to the server, briefly, and end the thread."""
        try:
            await self._delivery.aclose()
        finally:
            self._thread.stop()

    async def deliver(self, batch: Batch) -> Sequence[Part]:
        """Send a batch as one mail, or as one a record, and say what became of each record."""
        if batch.digest is not None and (self.rich or not batch.digest.is_lone):
            return await self._delivery.deliver_digest(batch, self._digests)
        return await self._delivery.deliver_texts(batch, self._renderer, one_mail=self.digest)


def check_mail_options(options: Mapping[str, Any]) -> None:
    """Check mail keywords that are given to something other than a sink.

    Raises:
        OptionValueError: An option has a value that it can't take.
        OptionTypeError: There is no such option, or one is of the wrong type.
    """
    unknown = options.keys() - MAIL_OPTIONS
    if unknown:
        checks.unknown_options("SMTPSink.configure()", unknown, MAIL_OPTIONS)
    Subjects(template=options.get("subject"), app=options.get("app"), environment=options.get("environment"))
    style_of(options).check_digest(checks.flag("digest", options.get("digest", True)))
    checks.rate("rate", options.get("rate"))
    checks.integer("burst", options.get("burst", 1), minimum=1)
