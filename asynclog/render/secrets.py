"""Secrets that can be told by their form, wherever they stand in a text.

Each expression starts at a literal or at the beginning of a run, and repeats without going back
(``++``) or within a bound: a megabyte made to hurt takes a fraction of a second.
"""

from __future__ import annotations

import base64
import re
from typing import Final

#: What stands where a secret stood.
MASK: Final = "[redacted]"

_BEGIN = re.compile(r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
_END = re.compile(r"-----END (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
# A block that was cut short: as far as it looks like base64.
_KEY_LINES = re.compile(r"(?:(?:\s|\\[nr]){0,8}+[A-Za-z0-9+/=]{16,}+)*+")
_LONGEST_KEY = 16_384

# Up to the last "@" before the path: a password may hold one.
_URL = re.compile(r"://([^\s/?#:@\"'<>]{0,256}+):([^\s/?#\"'<>]{1,512})@")
_SCHEME = re.compile(r"\b(bearer|basic)([ \t]{1,4}+)([A-Za-z0-9._~+/=\-]{6,}+)", re.IGNORECASE)
_JWT = re.compile(r"(?<![A-Za-z0-9_\-])eyJ[A-Za-z0-9_\-]{5,}+\.[A-Za-z0-9_\-]{5,}+(?:\.[A-Za-z0-9_\-]*+){0,3}+")
# Key ids and tokens that their makers gave a prefix to be found by.
_PREFIXED = re.compile(
    r"(?<![A-Za-z0-9_])(?:"
    r"(?:AKIA|ASIA|AGPA|AIDA|AROA|ANPA|ANVA)[A-Z0-9]{16}(?![A-Za-z0-9])"
    r"|gh[pousr]_[A-Za-z0-9]{20,}+|github_pat_[A-Za-z0-9_]{20,}+|glpat-[A-Za-z0-9_\-]{16,}+"
    r"|xox[abeoprs]-[A-Za-z0-9\-]{10,}+|[rs]k_(?:live|test)_[A-Za-z0-9]{10,}+)"
)
# Four groups of four, American Express and Diners Club as they are printed, or no groups at all;
# never a part of a longer number, a decimal or an identifier.
_CARD = re.compile(
    r"(?<![\w.\-])(?:[0-9]{4}([ \-])[0-9]{4}\1[0-9]{4}\1[0-9]{4}|3[0-9]{3}([ \-])[0-9]{6}\2[0-9]{4,5}|[0-9]{14,16})"
    r"(?![\w\-]|\.[0-9])"
)
_DIGITS = re.compile(r"[0-9]{4}[ \-]?[0-9]{4}")
# Every digit as "0" and all else as no digit: four in a row are a literal then, which is found six times as fast.
_AS_ZERO = bytes(48 if 48 <= byte <= 57 else 0 for byte in range(256))
# The ids of AWS, which begin AKIA, ASIA, AGPA, AIDA, AROA, ANPA or ANVA: one search, from A to A, for seven.
_AWS = re.compile("A[KSGIRN][IPDOV]A")
_CLUES = ("://", "-----BEGIN ", "eyJ", "gh", "glpat-", "xox", "k_live_", "k_test_")


def may_hold_secrets(text: str) -> bool:
    """Look quickly whether a text could hold any of them; most hold none."""
    # Loops and not any(): its generator costs three times the search in most texts.
    for clue in _CLUES:
        if clue in text:
            return True
    if b"0000" in text.encode("utf-8", "replace").translate(_AS_ZERO) and _DIGITS.search(text) is not None:
        return True
    lower = text.lower()
    return "bearer" in lower or "basic" in lower or _AWS.search(text) is not None


def hide_secrets(text: str) -> str:
    """Return a text without private keys, credentials in URLs, tokens and card numbers."""
    if "-----BEGIN " in text:
        text = _hide_private_keys(text)
    if "://" in text:
        text = _URL.sub(rf"://\1:{MASK}@", text)
    text = _SCHEME.sub(_after_scheme, text)
    if "eyJ" in text:
        text = _JWT.sub(MASK, text)
    text = _PREFIXED.sub(MASK, text)
    return _CARD.sub(_card, text)


def _hide_private_keys(text: str) -> str:
    parts = []
    position = 0
    while (begin := _BEGIN.search(text, position)) is not None:
        parts += [text[position : begin.start()], MASK]
        end = _END.search(text, begin.end(), _limit(text, begin.end()))
        if end is None:
            end = _KEY_LINES.match(text, begin.end())
            assert end is not None  # it matches nothing at all too
        position = end.end()
    parts.append(text[position:])
    return "".join(parts)


def _limit(text: str, start: int) -> int:
    # Not beyond the next block: else many that begin and never end would each be read to the end.
    following = text.find("-----BEGIN ", start, start + _LONGEST_KEY)
    return start + _LONGEST_KEY if following < 0 else following


def _after_scheme(match: re.Match[str]) -> str:
    word, space, token = match.groups()
    # "Basic authentication failed" and "bearer credentials" are no secrets.
    hides = _is_basic(token) if word.lower() == "basic" else (len(token) >= 20 or any(map(str.isdigit, token)))
    return f"{word}{space}{MASK}" if hides else match[0]


def _is_basic(token: str) -> bool:
    try:
        return b":" in base64.b64decode(token[:4096] + "=" * (-len(token[:4096]) % 4))
    except ValueError:
        return False


def _card(match: re.Match[str]) -> str:
    digits = match[0].replace(" ", "").replace("-", "")
    return MASK if _is_known(digits) and _luhn(digits) else match[0]


def _is_known(digits: str) -> bool:
    """Say whether a number has the prefix and length of a card of some brand."""
    two, three, four, length = int(digits[:2]), int(digits[:3]), int(digits[:4]), len(digits)
    if length == 16:
        return (
            digits[0] == "4"
            or 51 <= two <= 55
            or 2221 <= four <= 2720
            or four == 6011
            or two == 65
            or 644 <= three <= 649
            or 3528 <= four <= 3589
            or two == 62
        )
    if length == 15:
        return two in (34, 37)
    return length == 14 and (two in (36, 38, 39) or 300 <= three <= 305)


def _luhn(digits: str) -> bool:
    total = 0
    for index, digit in enumerate(reversed(digits)):
        number = int(digit)
        if index % 2:
            number = number * 2 - 9 * (number > 4)
        total += number
    return total % 10 == 0
