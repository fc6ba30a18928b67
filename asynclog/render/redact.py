"""Redaction: what must not leave in a mail or lie on a disk, found by name and by pattern.

By name, in extras and request facts, in query strings, in ``key=value`` and ``key: value``, in JSON
and in the ``repr`` of a dictionary inside a text. By pattern, anywhere in a text: see
`asynclog.render.secrets`.

Three properties hold for every input, since redaction stands between an error and its mail: it takes
linear time, it never raises, and what is redacted already stays as it is.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from asynclog import checks
from asynclog.captured import CapturedException, CapturedNode
from asynclog.plain import STANDARD_FIELDS
from asynclog.render.carried import LeadUp
from asynclog.render.jsonline import JSONValue, freeze
from asynclog.render.rebuild import plain_record
from asynclog.render.redact_text import hide_named_values
from asynclog.render.secrets import MASK, hide_secrets, may_hold_secrets
from asynclog.render.standin import exc_info

__all__ = ["DEFAULT_NAMES", "MASK", "Redactor", "redactor"]

#: What is hidden by name. A key is taken apart into words (``X-Api-Key``, ``apiKey`` and ``api_key``
#: are the same two); it is hidden if some of its words, joined, are one of these.
DEFAULT_NAMES: Final = frozenset(
    {
        "accesskey",
        "apikey",
        "apikeys",
        "auth",
        "authorization",
        "authtoken",
        "accesstoken",
        "amzsignature",
        "cookie",
        "cookies",
        "credential",
        "credentials",
        "csrf",
        "csrftoken",
        "cvc",
        "cvv",
        "encryptionkey",
        "jsessionid",
        "passphrase",
        "passwd",
        "password",
        "passwords",
        "phpsessid",
        "privatekey",
        "pwd",
        "refreshtoken",
        "secret",
        "secretkey",
        "secrets",
        "session",
        "sessionid",
        "sessid",
        "signingkey",
        "ssn",
        "token",
        "tokens",
        "xsrf",
        "xsrftoken",
    }
)
# Written together with another word: dbpassword, usertoken.
_ENDINGS = ("password", "passwd", "passphrase", "token", "secret", "apikey", "privatekey", "sessionid", "cookie")
# Such a last word says that the value is about the secret and not the secret.
_ABOUT = frozenset(
    ("age", "attempts", "count", "duration", "expired", "expires", "expiry", "len", "length", "size", "timeout", "type")
)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z]+")
_LONGEST_KEY = 256
_KNOWN_KEYS = 2_048
# How many texts that held nothing are known again, and of what length: tracebacks, of which most repeat.
_KNOWN_TEXTS = 64
_KNOWN_LENGTHS = range(200, 16_000)
# Beside what a reader of a mail looks at: longer extras are cut by `freeze`.
_EXTRAS_BUDGET = 64 * 1024
_UNREDACTABLE = "[asynclog: left out, it could not be redacted]"


class Redactor:
    """Hides secrets in texts, mappings, records and captured exceptions.

    Args:
        names: Names to hide besides `DEFAULT_NAMES`, such as ``["iban"]``. Case, ``-`` and ``_``
            make no difference.
        patterns: Regular expressions besides those that are built in, as strings or compiled; what
            they match is hidden. Their running time is yours to watch.
        function: Called last with each text; returns the text to use. Where it raises or returns
            something else, the whole text is left out.
        defaults: Whether `DEFAULT_NAMES` and the built-in patterns apply; default True.

    Raises:
        OptionTypeError: An option is of the wrong type.
        OptionValueError: A name is empty, or a pattern is no regular expression.
    """

    def __init__(
        self,
        names: Iterable[str] = (),
        patterns: Iterable[str | re.Pattern[str]] = (),
        *,
        function: Callable[[str], str] | None = None,
        defaults: bool = True,
    ) -> None:
        own = frozenset(_checked_names("names", names))
        self._defaults = checks.flag("defaults", defaults)
        self._names = own | DEFAULT_NAMES if self._defaults else own
        self._patterns = _checked_patterns(patterns)
        self._function = None if function is None else checks.function("function", function)
        # A text in which none of these occurs holds no name. Of the built-in names the shortest
        # distinctive part, so that the look stays short.
        clues = {"pass", "pwd", "token", "auth", "cookie", "secret", "sess", "srf", "credential", "cv", "ssn"}
        clues |= {"key", "signature"}
        self._clues = tuple(sorted((clues if self._defaults else set()) | {_clue(name) for name in own}))
        self._keys: dict[str, bool] = {}
        # Texts without secrets, and none that held one: those are not kept longer than they have to be.
        self._clean: set[str] = set()

    def __repr__(self) -> str:
        return f"<Redactor, {len(self._names)} names, {len(self._patterns)} patterns of its own>"

    # -- texts -------------------------------------------------------------------------------

    def text(self, text: str) -> str:
        """Return a text without secrets."""
        if type(text) is str and text in self._clean:
            return text
        try:
            found = self._text(text)
        except Exception:
            # Only a user's pattern or function can get here, and then nothing is known of the text.
            return _UNREDACTABLE
        # A user's function may say something else the next time.
        if self._function is None and type(text) is str and len(text) in _KNOWN_LENGTHS and found == text:
            if len(self._clean) >= _KNOWN_TEXTS:
                self._clean.clear()
            self._clean.add(text)
        return found

    def _text(self, text: str) -> str:
        if self._defaults and may_hold_secrets(text):
            text = hide_secrets(text)
        for pattern in self._patterns:
            text = pattern.sub(MASK, text)
        lower = text.lower()
        for clue in self._clues:  # any() costs three times as much
            if clue in lower:
                text = hide_named_values(text, self.hides)
                break
        if self._function is not None:
            changed = self._function(text)
            text = changed if isinstance(changed, str) else _UNREDACTABLE
        return text

    def hides(self, key: str) -> bool:
        """Say whether the value under a name is hidden."""
        known = self._keys.get(key)
        if known is None:
            known = self._asks(key)
            if len(self._keys) >= _KNOWN_KEYS:
                self._keys = {}
            self._keys[key] = known
        return known

    def _asks(self, key: str) -> bool:
        words = [word.lower() for word in _WORD.findall(key[-_LONGEST_KEY:])]
        if len(words) > 1 and words[-1] in _ABOUT and "".join(words) not in self._names:
            return False
        if self._defaults and any(word.endswith(_ENDINGS) for word in words):
            return True
        for start in range(len(words)):
            joined = ""
            for word in words[start : start + 6]:
                joined += word
                if joined in self._names:
                    return True
        return False

    # -- values ------------------------------------------------------------------------------

    def mapping(self, values: Mapping[str, Any]) -> dict[str, JSONValue]:
        """Return plain values without secrets: strings, numbers, lists and dictionaries of them."""
        try:
            frozen = freeze(values if isinstance(values, dict) else dict(values), _EXTRAS_BUDGET)
        except Exception:
            return {"asynclog": _UNREDACTABLE}
        found = self.value(frozen)
        return found if isinstance(found, dict) else {"asynclog": _UNREDACTABLE}

    def value(self, value: JSONValue, *, in_list: bool = False) -> JSONValue:
        """Return a plain value without secrets."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(name): self._named(name, one) for name, one in value.items()}
        if isinstance(value, list):
            # Headers come as a list of pairs.
            if in_list and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], str):
                return [self.text(value[0]), self._named(value[0], value[1])]
            return [self.value(one, in_list=True) for one in value]
        return value

    def _named(self, name: str, value: JSONValue) -> JSONValue:
        if not self.hides(name) or value is None or isinstance(value, bool) or value in ("", [], {}):
            return self.value(value)
        # max_tokens=512 is a number of tokens, a PIN is a number too.
        if isinstance(value, (int, float)) and name.lower().endswith("tokens"):
            return value
        return MASK

    # -- records -----------------------------------------------------------------------------

    def record(self, record: logging.LogRecord, captured: CapturedException | None = None) -> logging.LogRecord:
        """Return a copy of a record whose message, texts, extras and exception hold no secrets.

        The message is merged: arguments can't be told apart from the words around them otherwise.

        Args:
            record: The record.
            captured: Its exception, where that is known; else a lone stand-in with its type,
                message and frames takes its place.
        """
        fields = dict(record.__dict__)
        fields["msg"], fields["args"] = self.text(_message(record)), None
        for name in ("message", "exc_text", "stack_info"):
            if fields.get(name):
                fields[name] = self.text(str(fields[name]))
        fields["exc_info"] = self._exc_info(record.exc_info, captured)
        extras = {name: value for name, value in fields.items() if name not in STANDARD_FIELDS and name != "message"}
        private = {name: extras.pop(name) for name in list(extras) if str(name).startswith("_asynclog")}
        for name in (*extras, *private):
            del fields[name]
        for name, value in private.items():
            fields[name] = self._private(value)
        return plain_record({**fields, **(self.mapping(extras) if extras else {})})

    def _private(self, value: Any) -> Any:
        """Return what asynclog gave a record: request facts, and the records that led up to it."""
        if isinstance(value, dict):
            return self.mapping(value)
        if isinstance(value, tuple):
            return tuple(self.lead_up(one) if isinstance(one, LeadUp) else one for one in value)
        return self.text(value) if isinstance(value, str) else value

    def lead_up(self, record: LeadUp) -> LeadUp:
        """Return a record that led up to another without secrets, its message merged."""
        return record._replace(msg=self.text(record.text()), args=None)

    def _exc_info(self, info: Any, captured: CapturedException | None) -> Any:
        if captured is not None:
            return exc_info(self.exception(captured))
        if not isinstance(info, tuple) or len(info) != 3 or not isinstance(info[0], type):
            return info
        node = CapturedNode(info[0], self.text(_text(info[1])), [], True)
        kind, instance, _ = exc_info(CapturedException([node], [], 0, len(node.text)))
        return (kind, instance, info[2])

    def exception(self, captured: CapturedException) -> CapturedException:
        """Return a captured exception whose messages and notes hold no secrets; frames hold none."""
        nodes = [self._node(node) for node in captured.nodes]
        return CapturedException(nodes, captured.frames, captured.frame_count, captured.text_size)

    def _node(self, node: CapturedNode) -> CapturedNode:
        copy = CapturedNode(node.exc_type, self.text(node.text), node.frames, node.suppress)
        for name in CapturedNode.__slots__:
            if name not in ("exc_type", "text", "frames", "suppress"):
                setattr(copy, name, getattr(node, name))
        if isinstance(node.notes, tuple):
            copy.notes = tuple(self.text(note) for note in node.notes)
        elif node.notes is not None:
            copy.notes = (self.text(str(node.notes)),)
        return copy


def redactor(name: str, value: Any) -> Redactor | None:
    """Check a ``redact=`` option.

    Args:
        name: The option's name, for the error.
        value: ``True``: the defaults; ``False`` or ``None``: nothing is hidden; names to hide
            besides the defaults; a function from text to text, called after the defaults; or a
            `Redactor`.

    Raises:
        OptionTypeError: It is none of these.
        OptionValueError: A name is empty.
    """
    if value is None or value is False:
        return None
    if value is True:
        return Redactor()
    if isinstance(value, Redactor):
        return value
    if callable(value):
        return Redactor(function=value)
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes, bytearray, Mapping)):
        return Redactor(_checked_names(name, value))
    return checks.bad_type(name, value, "give True, False, a list of names to hide, a function, or a Redactor")


def _checked_names(option: str, names: Any) -> list[str]:
    if isinstance(names, (str, bytes, bytearray)) or not isinstance(names, Iterable):
        checks.bad_type(option, names, 'give a list of names such as ["iban"]')
    found = []
    for name in names:
        words = "".join(_WORD.findall(checks.text(option, name))).lower()
        if not words:
            checks.bad_value(option, name, "give names with letters in them")
        found.append(words)
    return found


def _clue(name: str) -> str:
    # A name of several words may be written with anything between them; its first letters are
    # written together in all spellings but the oddest.
    return name[:2]


def _checked_patterns(patterns: Any) -> tuple[re.Pattern[str], ...]:
    if isinstance(patterns, (str, bytes)) or not isinstance(patterns, Iterable):
        checks.bad_type("patterns", patterns, "give a list of regular expressions")
    found = []
    for pattern in patterns:
        if isinstance(pattern, re.Pattern) and isinstance(pattern.pattern, str):
            found.append(pattern)
        elif isinstance(pattern, str) and pattern:
            try:
                found.append(re.compile(pattern))
            except re.error as error:
                checks.bad_value("patterns", pattern, f"give regular expressions; this one is none: {error}")
        else:
            checks.bad_type("patterns", pattern, "give regular expressions, as strings or compiled")
    return tuple(found)


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception as error:
        return f"<{type(value).__name__} whose str raises {type(error).__name__}>"


def _message(record: logging.LogRecord) -> str:
    try:
        return str(record.getMessage())
    except Exception as error:
        return f"{record.msg if type(record.msg) is str else ''} <arguments that do not fit: {type(error).__name__}>"
