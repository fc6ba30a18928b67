"""What a standard `SMTPHandler` is set up to do, in an `SMTPSink`'s terms."""

from __future__ import annotations

import email.utils
import logging
import re
import ssl
from dataclasses import dataclass
from logging.handlers import SMTPHandler
from typing import Any

from asynclog.plain import is_overridden_on
from asynclog.sinks.smtp_options import Connecting, Security, Server, is_loopback

_WHOLE_MAIL = 60.0
# What a subclass may not override for its handler to become a sink: a sink calls none of these.
_HOOKS = ("emit", "handle", "handleError", "format", "flush", "close", "acquire", "release", "createLock")
_BROKEN = re.compile(r"[\s<>\"\x00-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a standard handler was told.

    Attributes:
        how: How the server is reached.
        sender: The envelope's sender.
        recipients: The envelope's recipients.
        from_header: The ``From`` header as the handler writes it.
        to_header: The ``To`` header as the handler writes it.
        tls_note: What to say of its TLS; ``None``: nothing.
    """

    how: Connecting
    sender: str
    recipients: tuple[str, ...]
    from_header: str
    to_header: str
    tls_note: str | None


def settings_of(handler: logging.Handler) -> Settings | None:
    """Return a handler's settings; ``None`` where a sink can't do what the handler does."""
    if not isinstance(handler, SMTPHandler) or _overrides_a_hook(handler):
        return None
    try:
        return _settings(handler)
    except Exception:
        # Whatever it is, a handler that can't work as it is set up goes on failing by itself, and
        # its failures are counted there.
        return None


def _overrides_a_hook(handler: SMTPHandler) -> bool:
    return any(
        getattr(type(handler), name) is not getattr(SMTPHandler, name) or is_overridden_on(handler, name)
        for name in _HOOKS
    )


def _settings(handler: Any) -> Settings | None:
    host, port = handler.mailhost, int(handler.mailport or 25)
    from_header, to_header = handler.fromaddr, ",".join(handler.toaddrs)
    if not isinstance(host, str) or not host or _BROKEN.search(host) or not 0 < port < 65536:
        return None
    if any(not isinstance(one, str) or "\r" in one or "\n" in one for one in (from_header, to_header)):
        return None
    # The envelope as smtplib takes it from the headers: ["a@x.org, b@x.org"] is two recipients.
    sender = email.utils.getaddresses([from_header])[0][1]
    recipients = tuple(dict.fromkeys(found for _, found in email.utils.getaddresses([to_header])))
    if not recipients or any(not one or _BROKEN.search(one) for one in (sender, *recipients)):
        return None
    security, context, note = _security(handler)
    credentials = (handler.username, handler.password) if handler.username else (None, None)
    how = Connecting(
        (Server(host, port, security, *credentials),),
        _WHOLE_MAIL,
        None if handler.timeout is None else float(handler.timeout),
        context,
    )
    return Settings(how, sender, recipients, from_header, to_header, note)


def _security(handler: Any) -> tuple[Security, ssl.SSLContext | None, str | None]:
    """Return exactly the handler's TLS: STARTTLS with credentials and ``secure`` only, unverified."""
    if not handler.username:
        if is_loopback(handler.mailhost):
            return "none", None, None
        ignored = "" if handler.secure is None else " (its secure= counts only with credentials)"
        return "none", None, f"plain text, as the handler had it{ignored}"
    if handler.secure is None:
        return "none", None, "plain text, password included, as the handler had it"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    keyfile, certfile = (*handler.secure, None, None)[:2]
    if keyfile is not None or certfile is not None:
        # Without a certificate this raises, as it does in the handler.
        context.load_cert_chain(certfile, keyfile)
    return "starttls", context, "STARTTLS without certificate check, as the handler had it"
