"""A %-format of names turned into one of positions.

``"%(levelname)s %(message)s" % fields`` needs ``message`` and ``asctime`` among the fields. To put them
there costs more than the formatting: a record's dictionary shares its keys with all others until a
key is added, then it becomes a table of its own, of more than a kilobyte. So the names are looked
up one by one, by an expression that is compiled once for each format.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

#: Makes a record's first line of its fields, its message and its time.
FirstLine = Callable[[dict[str, Any], str, str], str]

# As in CPython's own %-formatting of a mapping, without "*", which it refuses there.
_PIECE = re.compile(r"%(?:%|\((?P<name>[A-Za-z_]\w*)\)(?P<rest>[#0\- +]*\d*(?:\.\d+)?[hlL]?[diouxXeEfFgGcrsa]))")


def pieces_of(template: str) -> list[str | tuple[str, str]] | None:
    """Take a %-format apart: texts, and names with how they are converted, such as ``("levelno", "05d")``.

    Returns:
        ``None`` where it holds anything out of the ordinary, or no name at all.
    """
    pieces: list[str | tuple[str, str]] = []
    at = 0
    for found in _PIECE.finditer(template):
        pieces += [template[at : found.start()], "%" if found["name"] is None else (found["name"], found["rest"])]
        at = found.end()
    pieces.append(template[at:])
    if "%" in _PIECE.sub("", template) or not any(isinstance(piece, tuple) for piece in pieces):
        return None
    return [piece for piece in pieces if piece]


def compile_percent(template: str) -> FirstLine | None:
    """Compile a %-format; ``None`` where it holds anything out of the ordinary."""
    names: list[str] = []

    def positional(match: re.Match[str]) -> str:
        if match["name"] is None:
            return "%%"
        names.append(match["name"])
        return f"%{match['rest']}"

    if "%" in _PIECE.sub("", template):
        return None
    template = _PIECE.sub(positional, template)
    if not names:
        return None
    if names == ["message"] and template == "%s":
        return lambda _fields, message, _asctime: message
    looked_up = ", ".join(name if name in ("message", "asctime") else f"fields[{name!r}]" for name in names)
    # Built of checked names only. Rejected: operator.itemgetter, which can't mix fields with the two
    # values that are not among them.
    line: FirstLine = eval(f"lambda fields, message, asctime: template % ({looked_up},)", {"template": template})  # noqa: S307
    return line
