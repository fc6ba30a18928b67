"""What an `SMTPSink` is told, checked when it is given: servers, credentials and addresses.

No text that is raised here may hold a password: a URL is quoted without its user part, and one
that cannot be taken apart is not quoted at all beyond its scheme.
"""

from __future__ import annotations

import email.utils
import ipaddress
import re
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn, TypeAlias, cast
from urllib.parse import unquote, urlsplit

from asynclog import checks
from asynclog.errors import OptionTypeError, OptionValueError

Security: TypeAlias = Literal["tls", "starttls", "none"]

_SECURITIES = ("tls", "starttls", "none")
_SCHEMES = ("smtp", "smtps")
_CONTROL = re.compile(r"[\x00-\x20\x7f]")
_HOST = re.compile(r"[A-Za-z0-9._\-:%\u0080-\U0010ffff]+")
# Anything goes in a local part but what would end the address on the command line.
_ADDRESS = re.compile(r"[^\s<>\"(),:;@\[\]\\\x00-\x1f\x7f]{1,64}@[^\s<>\"(),:;@\[\]\\\x00-\x1f\x7f]{1,253}")
_LITERAL = re.compile(r"[^\s<>\"(),:;@\[\]\\\x00-\x1f\x7f]{1,64}@\[[0-9A-Za-z.:]+\]")


@dataclass(frozen=True, slots=True)
class Server:
    """A mail server to try.

    Attributes:
        host: Name or address.
        port: TCP port.
        security: ``"tls"``: from the start; ``"starttls"``: required; ``"none"``: plain text.
        username: Who logs in; ``None``: nobody.
        password: What with; ``None`` where a token is used or nobody logs in.
    """

    host: str
    port: int
    security: Security
    username: str | None = None
    password: str | None = field(default=None, repr=False)


def _own_name() -> str:
    """Return the host's name if it has a domain; never looked up, which can hang."""
    name = re.sub(r"[^A-Za-z0-9.-]", "", socket.gethostname()).strip(".-")
    return name if "." in name and len(name) <= 253 else ""


@dataclass(frozen=True, slots=True)
class Connecting:
    """How a mail server is reached.

    Attributes:
        servers: Tried in this order.
        timeout: Seconds over a whole mail: name look-up, connection, TLS, login and sending.
        reply_timeout: Seconds for each reply besides; ``None``: only the whole counts.
        tls_context: Checks the servers' certificates; ``None`` where no server uses TLS.
        token_provider: Returns an OAuth2 token for XOAUTH2; may be a coroutine function.
        own_name: What EHLO says; empty: this host's address, since its name has no domain.
    """

    servers: tuple[Server, ...]
    timeout: float
    reply_timeout: float | None = None
    tls_context: ssl.SSLContext | None = None
    token_provider: Callable[[], Any] | None = None
    own_name: str = field(default_factory=_own_name)


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine: mail to it leaves no wire to listen on."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def connecting(
    url: Any,
    *,
    security: Any = None,
    username: Any = None,
    password: Any = None,
    token_provider: Any = None,
    timeout: Any = 60.0,
    tls_context: Any = None,
) -> Connecting:
    """Check the options that say how a mail server is reached.

    Raises:
        OptionValueError: A URL, port or word can't be used, or two options disagree.
        OptionTypeError: An option is of the wrong type.
    """
    if security is not None:
        checks.choice("security", security, _SECURITIES)
    _check_credential("username", username)
    _check_credential("password", password)
    if token_provider is not None and not callable(token_provider):
        raise OptionTypeError("token_provider is not callable: give a function that returns an OAuth2 token")
    if tls_context is not None and not isinstance(tls_context, ssl.SSLContext):
        checks.bad_type("tls_context", tls_context, "give an ssl.SSLContext")
    urls = [url] if isinstance(url, str) else url
    if not isinstance(urls, Sequence) or isinstance(urls, (bytes, bytearray)):
        checks.bad_type("url", url, 'give a URL such as "smtps://mail.example.com", or a list of them')
    if not urls:
        checks.bad_value("url", url, "give at least one URL")
    servers = tuple(
        _with_credentials(_server(one, cast("Security | None", security)), username, password, token_provider)
        for one in urls
    )
    needs_tls = any(server.security != "none" for server in servers)
    if tls_context is not None and not needs_tls:
        checks.bad_value(
            "tls_context", tls_context, "no server here uses TLS: leave it out, or ask for smtps:// or starttls"
        )
    if needs_tls and tls_context is None:
        # Made here and not by the worker: a child forked while a thread loads certificates hangs
        # in OpenSSL.
        tls_context = ssl.create_default_context()
    return Connecting(servers, checks.seconds("timeout", timeout, positive=True), None, tls_context, token_provider)


def _server(url: Any, security: Security | None) -> Server:
    if not isinstance(url, str):
        raise OptionTypeError(f"url holds a {type(url).__name__}: give URLs such as 'smtps://mail.example.com'")
    if _CONTROL.search(url):
        _bad_url(url, "it holds spaces or control characters")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        _bad_url(url, "its host or port can't be read; special characters in a password are written %XX")
    if parts.scheme not in _SCHEMES:
        _bad_url(url, "it has to start with smtp:// or smtps://")
    if not host or not _HOST.fullmatch(host):
        _bad_url(url, "it names no host; special characters in a password are written %XX")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        _bad_url(url, "nothing may follow host and port; special characters in a password are written %XX")
    if port == 0:
        _bad_url(url, "the port has to be from 1 to 65535")
    chosen = _agreed(url, parts.scheme, host, security)
    user = None if parts.username is None else _unquoted("username", parts.username)
    secret = None if parts.password is None else _unquoted("password", parts.password)
    return Server(host, port or _default_port(chosen, host), chosen, user or None, secret)


def _agreed(url: str, scheme: str, host: str, security: Security | None) -> Security:
    if scheme == "smtps":
        if security not in (None, "tls"):
            _bad_url(url, f'smtps:// is TLS from the start, but security="{security}" was given: write smtp://')
        return "tls"
    if security == "tls":
        _bad_url(url, 'smtp:// starts in plain text, but security="tls" was given: write smtps://')
    if security is not None:
        return security
    return "none" if is_loopback(host) else "starttls"


def _default_port(security: Security, host: str) -> int:
    # RFC 8314 for 465, RFC 6409 for 587; a relay on this host or without TLS listens on 25.
    if security == "tls":
        return 465
    return 25 if security == "none" or is_loopback(host) else 587


def _with_credentials(server: Server, username: Any, password: Any, token_provider: Any) -> Server:
    for name, ours, theirs in (("username", username, server.username), ("password", password, server.password)):
        if ours is not None and theirs is not None and ours != theirs:
            raise OptionValueError(f"{name}: the URL of {server.host} has another one: give it once")
    user = server.username if username is None else username
    secret = server.password if password is None else password
    if token_provider is not None and secret is not None:
        raise OptionValueError("token_provider: a password is given too: give one of them")
    if user is None and (secret is not None or token_provider is not None):
        raise OptionValueError("username: missing, though a password or token_provider is given")
    if user is not None and secret is None and token_provider is None:
        raise OptionValueError("password: missing, though a username is given: give it or a token_provider")
    return Server(server.host, server.port, server.security, user, secret)


def _check_credential(name: str, value: Any) -> None:
    # checks.text quotes the value; a credential is never quoted.
    if value is None:
        return
    if not isinstance(value, str):
        raise OptionTypeError(f"{name} is of type {type(value).__name__}: give a string")
    if not value and name == "username":
        raise OptionValueError(f"{name} is empty: leave it out where nobody logs in")
    if not _encodes(value) or "\0" in value:
        raise OptionValueError(f"{name} can't be encoded as UTF-8 without NUL characters")


def _encodes(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _unquoted(name: str, value: str) -> str:
    plain = unquote(value, errors="surrogateescape")
    _check_credential(name, plain or None)
    return plain


def _bad_url(url: str, fix: str) -> NoReturn:
    # From None: what urllib raises quotes the URL, password and all.
    raise OptionValueError(f"url={shown_url(url)!r}: {fix}") from None


def shown_url(url: str) -> str:
    """Return a URL that can be shown: without its user part, and only its scheme if that is unclear."""
    scheme, separator, rest = url.partition("://")
    known = scheme if scheme.lower() in _SCHEMES and separator else ""
    host = rest.rpartition("@")[2]
    # A host and a number: anything else could be a password whose "@host" was forgotten.
    if known and re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?/?", host):
        return f"{known}://{'***@' if '@' in rest else ''}{host}"
    if separator and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme) and not known:
        return f"{scheme}://…"
    return f"{known}://…" if known else "…"


# -- addresses -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Address:
    """A mail address.

    Attributes:
        header: As it was given, with a display name perhaps.
        mailbox: The bare ``local@domain``.
    """

    header: str
    mailbox: str

    def ascii_mailbox(self) -> str | None:
        """Return the mailbox with its domain in IDNA; ``None`` if the local part isn't ASCII."""
        return ascii_mailbox(self.mailbox)


def ascii_mailbox(mailbox: str) -> str | None:
    """Return a mailbox with its domain in IDNA; ``None`` where the local part isn't ASCII."""
    if mailbox.isascii():
        return mailbox
    local, _, domain = mailbox.rpartition("@")
    if not local.isascii():
        return None
    try:
        return f"{local}@{domain.encode('idna').decode('ascii')}"
    except UnicodeError:
        return None


def id_host(mailbox: str) -> str:
    """Return what stands after the ``@`` of a ``Message-ID``: the sender's domain, if it is one."""
    domain = (ascii_mailbox(mailbox) or "").rpartition("@")[2]
    return domain if "@" in mailbox and re.fullmatch(r"[A-Za-z0-9.-]{1,200}", domain) else "asynclog.invalid"


def address(name: str, value: Any) -> Address:
    """Check one address: ``local@domain`` or ``Name <local@domain>``."""
    fix = 'give an address such as "ops@example.com" or "Ops <ops@example.com>"'
    text = checks.text(name, value)
    if re.search(r"[\x00-\x1f\x7f]", text) or not _encodes(text):
        checks.bad_value(name, value, fix)
    # An address literal is asked about first: newer versions of getaddresses refuse it.
    found = [("", text)] if _LITERAL.fullmatch(text) else email.utils.getaddresses([text])
    if len(found) != 1:
        checks.bad_value(name, value, fix)
    mailbox = found[0][1]
    if not (_ADDRESS.fullmatch(mailbox) or _LITERAL.fullmatch(mailbox)) or not _domain_is_sane(mailbox):
        checks.bad_value(name, value, fix)
    return Address(text, mailbox)


def _domain_is_sane(mailbox: str) -> bool:
    domain = mailbox.rpartition("@")[2]
    if domain.startswith("["):
        return True
    if not domain.isascii():
        try:
            domain = domain.encode("idna").decode("ascii")
        except UnicodeError:
            return False
    return all(
        label and not label.startswith("-") and not label.endswith("-") for label in domain.removesuffix(".").split(".")
    )


def addresses(name: str, value: Any) -> tuple[Address, ...]:
    """Check one address or several; an address that stands twice counts once."""
    many = [value] if isinstance(value, str) else value
    if not isinstance(many, Sequence) or isinstance(many, (bytes, bytearray)):
        checks.bad_type(name, value, "give an address or a list of them")
    if not many:
        checks.bad_value(name, value, "give at least one address")
    found: dict[str, Address] = {}
    for item in many:
        one = address(name, item)
        found.setdefault(one.mailbox, one)
    return tuple(found.values())
