"""Which group a record belongs to.

The key is equal across processes, hosts, restarts and checkouts in other directories, so it holds
no path, no line number, no id and no text that changes from record to record:

* with an exception: the root cause's type, the outer type, and of the innermost three app frames
  the module, the qualified name and the text of the source line;
* for an exception group: the set of its leaves' keys;
* without: logger, level, template and call site.

It is made once for a position (which code objects, at which instructions) and is a dictionary
look-up after that. Whoever knows better says so: ``extra={"asynclog_group": …}`` on a record, else
a ``fingerprint`` function.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from types import CodeType
from typing import Any, Final

from asynclog.captured import SLOTS_PER_FRAME, CapturedException, CapturedNode, Frames
from asynclog.delivery.normal import TEMPLATE_LENGTH, normal_template
from asynclog.delivery.positions import file_stem, frame_keys, line_key, type_name
from asynclog.digest import OTHER_ID
from asynclog.render.frames import Generations
from asynclog.render.rebuild import rebuild
from asynclog.values import Captured

_KEPT: Final = 4_096
# Innermost frames that a look-up goes by; where they hold fewer than three functions of the app,
# all of them are.
_TAIL: Final = 32 * SLOTS_PER_FRAME
_MAX_LEAVES: Final = 200


class Fingerprint:
    """A record's group, and what is the same for all records of it.

    Attributes:
        id: 16 hex digits, equal on every host.
        place: Where it happened, as in ``"shop.checkout"``.
        exc_type: The type of the logged exception, as a traceback prints it; empty without one.
        root_type: The type of the exception that it all began with; empty without one.
        logger: The name of the logger that the first record came from.
    """

    __slots__ = ("exc_type", "id", "logger", "place", "root_type")

    def __init__(self, id: str, place: str = "", exc_type: str = "", root_type: str = "", logger: str = "") -> None:
        self.id = id
        self.place = place
        self.exc_type = exc_type
        self.root_type = root_type
        self.logger = logger

    def __repr__(self) -> str:
        return f"<Fingerprint {self.id} {self.exc_type or self.logger} in {self.place}>"


#: The group of what found no room among the groups.
OTHER: Final = Fingerprint(OTHER_ID)


class _Position:
    """The key and place of some frames; it holds what the cache's keys name by id."""

    __slots__ = ("held", "is_whole", "key", "place")

    def __init__(self, key: str, place: str, is_whole: bool, held: object) -> None:
        self.key = key
        self.place = place
        self.is_whole = is_whole
        self.held = held


class Fingerprinter:
    """Finds the group of records.

    Args:
        override: Called with the record, returns the name of its group, or ``None`` for the
            default. It may raise: the default stands in then.
        on_error: Told what ``override`` raised, or looking at the record did.
    """

    def __init__(
        self,
        override: Callable[[logging.LogRecord], str | None] | None = None,
        on_error: Callable[[BaseException], object] | None = None,
    ) -> None:
        self._override = override
        self._on_error = on_error
        self._positions: Generations[_Position] = Generations(_KEPT)
        self._raised: Generations[tuple[object, Fingerprint]] = Generations(_KEPT)
        self._logged: Generations[Fingerprint] = Generations(_KEPT)
        self._named: Generations[Fingerprint] = Generations(_KEPT)

    def of(self, fields: dict[str, Any], captured: Captured | CapturedException | None) -> Fingerprint:
        """Return the group of a record; a record that is odd in any way gets its logger's.

        Args:
            fields: The record's attributes, as an entry carries them.
            captured: What was captured beyond them.
        """
        try:
            return self._of(fields, captured)
        except Exception as error:  # an attribute of an unexpected type: it costs a group and not the record
            if self._on_error is not None:
                self._on_error(error)
            logger = fields.get("name")
            logger = logger if type(logger) is str else ""
            return Fingerprint(_hash("odd", logger), logger=logger)

    def _of(self, fields: dict[str, Any], captured: Captured | CapturedException | None) -> Fingerprint:
        name = fields.get("asynclog_group")
        if name is None and self._override is not None:
            name = self._ask(fields, captured)
        exception = captured.exception if isinstance(captured, Captured) else captured
        found = self._of_message(fields, captured) if exception is None else self._of_exception(fields, exception)
        return found if name is None else self._by_name(str(name)[:500], found)

    def _ask(self, fields: dict[str, Any], captured: Captured | CapturedException | None) -> str | None:
        full = captured
        if isinstance(captured, CapturedException):
            full = Captured()
            full.exception = captured
        assert self._override is not None
        try:
            # A copy: what the function does to the record must not reach the mail.
            name = self._override(rebuild(fields.copy(), full, live=False))  # type: ignore[arg-type]
            return None if name is None else str(name)
        except BaseException as error:  # the user's code, on a thread of ours: nothing may pass
            if self._on_error is not None:
                self._on_error(error)
            return None

    def _by_name(self, name: str, default: Fingerprint) -> Fingerprint:
        found = self._named.get(name)
        if found is None:
            found = Fingerprint(
                _hash("named", name), default.place, default.exc_type, default.root_type, default.logger
            )
            self._named.put(name, found)
        return found

    # -- without an exception ---------------------------------------------------------------------

    def _of_message(self, fields: dict[str, Any], captured: Captured | CapturedException | None) -> Fingerprint:
        template = captured.template if isinstance(captured, Captured) else None
        is_built = template is None and not fields["args"]
        if template is None:
            template = fields["msg"]
            if type(template) is not str:
                template, is_built = _event(template), True
        if len(template) > TEMPLATE_LENGTH:  # the cache holds thousands of them
            template = template[:TEMPLATE_LENGTH]
        site = (fields["name"], fields["levelno"], fields["pathname"], fields["lineno"])
        found = self._logged.get((template, site))
        if found is None and is_built:
            # A message that was put together before it was logged is its own template: without
            # this every order number would be a group. Kept under the normal form only, else a
            # flood of them would empty the cache.
            template = normal_template(template)
            found = self._logged.get((template, site))
        if found is None:
            found = self._logged_first(fields, template)
            self._logged.put((template, site), found)
        return found

    def _logged_first(self, fields: dict[str, Any], template: str) -> Fingerprint:
        logger, path, function = str(fields["name"]), str(fields["pathname"]), str(fields["funcName"])
        module = file_stem(path)
        line = line_key(path, fields["lineno"], None, None)
        place = f"{module}.{function}" if function and not function.startswith("<") else module
        key = _hash("logged", logger, str(fields["levelno"]), template, module, function, line)
        return Fingerprint(key, place, logger=logger)

    # -- with an exception ------------------------------------------------------------------------

    def _of_exception(self, fields: dict[str, Any], exception: CapturedException) -> Fingerprint:
        outer = exception.nodes[0]
        root = outer if outer.members is not None else exception.root_cause()
        if root.members is not None:
            return self._of_group(fields, exception, root)
        frames = exception.frames if root is outer else root.frames
        position = self._position(root.exc_type, frames or exception.frames)
        key = (id(outer.exc_type), id(root.exc_type), position.key)
        found = self._raised.get(key)
        if found is None:
            types = type_name(outer.exc_type), type_name(root.exc_type)
            made = Fingerprint(_hash("raised", *types, position.key), position.place, *types, str(fields["name"]))
            found = ((outer.exc_type, root.exc_type), made)  # holds what the key names by id
            self._raised.put(key, found)
        return found[1]

    def _of_group(self, fields: dict[str, Any], exception: CapturedException, group: CapturedNode) -> Fingerprint:
        leaves: list[CapturedNode] = []
        seen, todo = {id(group)}, list(reversed(group.members or ()))
        while todo and len(leaves) < _MAX_LEAVES:
            node = exception.nodes[todo.pop()]
            if id(node) in seen:
                continue
            seen.add(id(node))
            if node.members is None:
                leaves.append(node)
            else:
                todo.extend(reversed(node.members))
        keys, place = set(), ""
        for leaf in leaves:
            position = self._position(leaf.exc_type, leaf.frames)
            keys.add(f"{type_name(leaf.exc_type)}\x1f{position.key}")
            place = place or position.place
        place = place or self._position(group.exc_type, exception.frames).place
        names = type_name(exception.nodes[0].exc_type), type_name(leaves[0].exc_type if leaves else group.exc_type)
        key = (names[0], *sorted(keys))
        found = self._raised.get(key)
        if found is None:
            found = (None, Fingerprint(_hash("group", *key), place, *names, str(fields["name"])))
            self._raised.put(key, found)
        return found[1]

    def _position(self, kind: type, frames: Frames) -> _Position:
        tail = frames if len(frames) <= _TAIL else frames[-_TAIL:]
        at = (kind is RecursionError, *map(id, tail[::SLOTS_PER_FRAME]), *tail[1::SLOTS_PER_FRAME])
        found = self._positions.get(at)
        if found is None:
            found = _first_position(kind, tail, is_all=tail is frames)
            self._positions.put(at, found)
        return found if found.is_whole else self._long_position(kind, frames)

    def _long_position(self, kind: type, frames: Frames) -> _Position:
        """Return the position of a stack whose innermost frames are not enough, such as a deep recursion."""
        at = ("all", kind is RecursionError, *map(id, frames[::SLOTS_PER_FRAME]), *frames[1::SLOTS_PER_FRAME])
        found = self._positions.get(at)
        if found is None:
            found = _first_position(kind, frames, is_all=True)
            self._positions.put(at, found)
        return found


def _first_position(kind: type, frames: Frames, *, is_all: bool) -> _Position:
    codes: list[CodeType] = frames[::SLOTS_PER_FRAME]
    found = frame_keys(frames, as_cycle=kind is RecursionError, is_all=is_all)
    if found is None:
        return _Position("", "", False, codes)
    keys, place = found
    return _Position("\x1e".join(keys), place, True, codes)


def _event(message: Any) -> str:
    """Return what stands for the template of a message that is no string: structlog's event, or the names in it."""
    if type(message) is dict:
        event = message.get("event")
        return event if type(event) is str else " ".join(sorted(str(name) for name in message))
    return type_name(type(message))


def _hash(*parts: str) -> str:
    text = "\x1d".join(parts).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=8).hexdigest()
