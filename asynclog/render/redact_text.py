"""Values that stand beside their names in a text: ``password=…``, ``"token": "…"``, ``Cookie: …``.

One pass from left to right. Each step goes on behind what it hid or looked at, and every expression
is bounded or doesn't go back, so the time is linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from asynclog.render.secrets import MASK

# A name, perhaps in quotes, and what divides it from its value; the value's own quote comes after.
_NAME = re.compile(
    r"""(?<![\w.\-])([\w.\-]{1,256}+)(\\{0,3}["'])?[ \t]{0,4}+"""
    r"""(=>|%3[dD]|[=:](?!=)|,(?=[ \t]{0,4}\\{0,3}b?["']))[ \t]{0,4}+"""
)
_QUOTE = re.compile(r"""[bBrRfFuU]{0,2}(\\{0,3})(["'])""")
# What JSON and Python write for a value that is none.
_NOTHING = re.compile(r"(?:null|none|true|false|undefined)(?![\w.\-])|['\"]?(?=[\s,;&)}\]]|\Z)", re.IGNORECASE)
_NUMBER = re.compile(r"-?[0-9]{1,40}(?:\.[0-9]{1,40})?(?![^\s,;&)}\]>])")
_WORD = re.compile(r"[^\s&,;\"'`<]++")
_LINE = re.compile(r"[^\r\n]*+")
_ONE_TOKEN = re.compile(r"(?:bearer|basic|token|negotiate|apikey|key)[ \t]{1,4}+[^\s,;\"']++", re.IGNORECASE)
_BRACKET = re.compile(r"[\[\](){}\r\n]|(\\{0,3})([\"'])")
_PAIRS = {"[": "]", "(": ")", "{": "}"}
_ENDS = {mark: re.compile(f"[{mark}\r\n]") for mark in "\"'"}
_BEFORE_KEY = re.compile(r"(?:api|access|private|secret|signing|encryption)[ ]\Z", re.IGNORECASE)
_FRAME = re.compile(r'  File "[^"\n]{1,500}", line \d+')
_LONGEST_LINE = 500


def hide_named_values(text: str, hides: Callable[[str], bool]) -> str:
    """Return a text in which the values of hidden names are masked.

    Args:
        text: The text.
        hides: Says whether the value under a name is hidden.
    """
    parts: list[str] = []
    done = position = 0
    while (match := _NAME.search(text, position)) is not None:
        position = match.end()
        name = match[1]
        if text[max(match.start() - 1, 0)] == "%":
            name = name[2:]  # "%3Ftoken%3D…": the escape's digits are not the name's
        if not hides(name) and not _is_api_key(text, match.start(), name):
            # The value may be the next name: "error: password=…".
            continue
        if match[3] == "," and not (match[2] and _opens_a_pair(text, match.start())):
            continue
        if not _QUOTE.match(text, position) and _is_code(text, match.start()):
            continue
        found = _value(text, position, name)
        if found is None:
            continue
        start, end = found
        parts += [text[done:start], MASK]
        done = position = end
    if not parts:
        return text
    parts.append(text[done:])
    return "".join(parts)


def _value(text: str, start: int, name: str) -> tuple[int, int] | None:
    """Return where a value begins and ends; ``None`` where there is nothing to hide."""
    if text.startswith(MASK, start):
        return start, start + len(MASK)
    quote = _QUOTE.match(text, start)
    if quote is not None:
        end = _closing(text, quote.end(), quote[1] + quote[2])
        return (quote.end(), end) if end > quote.end() else None
    if _NOTHING.match(text, start):
        return None
    if text[start : start + 1] in _PAIRS:
        return start, _balanced(text, start)
    lower = name.lower()
    scheme = _ONE_TOKEN.match(text, start)
    if scheme is not None:
        return scheme.span()
    if lower.endswith(("authorization", "cookie", "cookies")):
        # They hold spaces, commas and semicolons: to the end of the line.
        line = _LINE.match(text, start)
        return None if line is None else line.span()
    number = _NUMBER.match(text, start)
    if number is not None:
        return None if lower.endswith("tokens") else number.span()
    word = _WORD.match(text, start)
    if word is None:
        return None
    end = word.end()
    # f(password=hunter2) and <User token=abc>: the brackets belong to what is around.
    while end > start + 1 and text[end - 1] in ")]}>":
        end -= 1
    return start, end


def _closing(text: str, start: int, quote: str) -> int:
    """Return where a quoted value ends: at its quote, else at the end of the line."""
    before = len(quote) - 1
    position = start
    while (match := _ENDS[quote[-1]].search(text, position)) is not None:
        end = match.start()
        if match[0] in "\r\n":
            return end
        slashes = 0
        while end - slashes > start and text[end - slashes - 1] == "\\" and slashes < 64:
            slashes += 1
        # As many backslashes as before the opening one; in plain JSON and Python none, or pairs.
        if slashes == before or (before == 0 and slashes % 2 == 0):
            return end - before
        position = match.end()
    return len(text)


def _balanced(text: str, start: int) -> int:
    """Return where a bracket's contents end: behind its partner, else at the end of the line."""
    waiting: list[str] = []
    position = start
    while (match := _BRACKET.search(text, position)) is not None:
        position = match.end()
        mark = match[0]
        if match[2]:
            position = min(_closing(text, position, mark) + len(mark), len(text))
        elif mark in _PAIRS:
            waiting.append(_PAIRS[mark])
        elif mark in "\r\n":
            # A value in brackets over several lines is rare, an open bracket in a sentence is not.
            return match.start()
        elif waiting and waiting[-1] == mark:
            waiting.pop()
            if not waiting:
                return position
    return len(text)


def _is_api_key(text: str, start: int, name: str) -> bool:
    """Say whether a name is the second word of "api key"."""
    return name.lower() in ("key", "keys") and _BEFORE_KEY.search(text[max(start - 12, 0) : start]) is not None


def _opens_a_pair(text: str, start: int) -> bool:
    """Say whether a name in quotes is the first of a pair, as headers are listed: ``('cookie', '…')``."""
    before = text[max(start - 10, 0) : start].rstrip("\\\"'bB")
    # A pair in JSON is a list within a list; ['password', 'email'] are fields that are missing.
    return before.endswith("(") or (before.endswith("[") and before[:-1].rstrip().endswith(("[", ",")))


def _is_code(text: str, start: int) -> bool:
    """Say whether a name stands in a traceback's source line and outside of a string there.

    What follows is code then: ``password = form.password`` is no secret and worth reading. A string
    in quotes is hidden as everywhere.
    """
    line = text.rfind("\n", max(start - _LONGEST_LINE, 0), start)
    if line < 0 or not text.startswith("    ", line + 1):
        return False
    before = text.rfind("\n", max(line - _LONGEST_LINE, 0), line)
    if (before < 0 and line >= _LONGEST_LINE) or _FRAME.match(text, before + 1) is None:
        return False
    return text.count('"', line, start) % 2 == 0 and text.count("'", line, start) % 2 == 0
