"""Keeps a trial's app on this machine: connections to anywhere else are refused, and counted.

By an audit hook: it hears of every connection and name look-up that Python's own sockets make,
whoever makes them, and an exception from it is what the caller gets. What it can't hear of is a C
library that connects by itself (PostgreSQL's libpq, say) and other programs that the app starts.
Patching `socket.socket` instead would miss what was imported from it before.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

_HOSTS_FILE = "/etc/hosts"


class Guard:
    """Refuses what would leave this machine.

    Args:
        allowed: Hosts, or ``host:port``, that may be reached all the same. Their names are looked
            up here, once.

    Attributes:
        refused: What was asked for, ``host:port`` or ``host``, to how often.
    """

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self.refused: Counter[str] = Counter()
        # What this machine answers for itself: no look-up of these leaves it.
        known = _known_names(_HOSTS_FILE)
        self._names = {"", "localhost", *known}
        self._here = {name for name, address in known.items() if _is_here(address)}
        self._allowed: set[tuple[str, int | None]] = set()
        for one in allowed:
            host, port = split(one)
            self._names.add(host)
            self._allowed.add((host, port))
            self._allowed |= {(address, port) for address in _addresses(host)}
        self._checks: Mapping[str, Callable[..., None]] = {
            "socket.connect": self._connecting,
            "socket.sendto": self._connecting,
            "socket.sendmsg": self._connecting,
            "socket.getaddrinfo": self._looking_up,
            "socket.gethostbyname": self._looking_up,
            "socket.gethostbyaddr": self._naming,
            "socket.getnameinfo": self._naming,
        }

    def start(self) -> None:
        """Refuse from now on, for as long as this process lives."""
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        # Every import and `open` comes by here too.
        check = self._checks.get(event)
        if check is not None:
            check(*arguments)

    def _connecting(self, sock: Any, address: Any, *_: Any) -> None:
        # A Unix socket ends on this machine; a datagram on a connected socket has no address.
        if sock.family not in {socket.AF_INET, socket.AF_INET6} or not isinstance(address, tuple):
            return
        host, port = str(address[0]), address[1]
        if _is_here(host) or host.lower() in self._here or self._allows(host, port):
            return
        self._count(f"{host}:{port}")
        raise ConnectionRefusedError(f"asynclog bench refuses {host}:{port}: nothing leaves the machine; see --allow")

    def _looking_up(self, host: Any, *port: Any) -> None:
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else host or ""
        if _is_address(name) or name.rstrip(".").lower() in self._names:
            return
        self._count(f"{name}:{port[0]}" if port and port[0] else name)
        raise socket.gaierror(
            socket.EAI_NONAME, f"asynclog bench does not look {name} up: nothing leaves the machine; see --allow"
        )

    def _naming(self, asked: Any) -> None:
        host = asked[0] if isinstance(asked, tuple) else asked
        if _is_address(host) and not _is_here(host) and not any(host == one for one, _ in self._allowed):
            self._count(host)
            raise socket.gaierror(socket.EAI_NONAME, f"asynclog bench does not look {host} up: see --allow")
        self._looking_up(host)

    def _allows(self, host: str, port: int) -> bool:
        return (host, None) in self._allowed or (host, port) in self._allowed

    def _count(self, what: str) -> None:
        # One thread's count may be lost to another's; it is told as a hint and not as an account.
        self.refused[what] += 1


def split(allowed: str) -> tuple[str, int | None]:
    """Take ``host`` or ``host:port`` apart; an IPv6 address with a port stands in brackets.

    Raises:
        ValueError: It is neither.
    """
    if allowed.startswith("["):
        host, bracket, rest = allowed[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(allowed)
        port = rest[1:]
    elif allowed.count(":") == 1:
        host, _, port = allowed.partition(":")
    else:
        host, port = allowed, ""
    if not host or any(character in host for character in "/@ ") or (port and not 0 < int(port) < 65536):
        raise ValueError(allowed)
    return host.lower(), int(port) if port else None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _is_here(host: str) -> bool:
    if host in {"", "localhost"}:
        return True
    if not _is_address(host):
        return False
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_loopback or mapped.is_unspecified)


def _addresses(host: str) -> set[str]:
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(host, None)}
    except OSError:
        return set()  # the app will hear the same when it looks it up


def _known_names(path: str) -> dict[str, str]:
    """Return the names of a hosts file, each to its address."""
    known: dict[str, str] = {}
    try:
        with open(path, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                address, *names = line.partition("#")[0].split() or [""]
                known.update((name.lower(), address) for name in names if name.lower() not in known)
    except OSError:
        pass  # there is none: then only "localhost" is known
    return known
