"""What storm control can be told."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field

from asynclog import checks


@dataclass(frozen=True, slots=True)
class StormOptions:
    """How storm control paces mails and what it keeps.

    Args:
        interval: Seconds between the mails of a group, at first and at most; default 60 and 1800.
        rate: Mails that come back to the bucket and the seconds in which they do; default 30 in
            3600; ``None``: no bucket.
        burst: Mails that the bucket holds; default 10.
        groups: Groups that are kept; the records of further ones are counted under "other";
            default 1,000.
        kept_bytes: Estimated bytes that whole records may take; default 8 MiB.
        host: Name of this host in mails; default the system's.

    Raises:
        OptionTypeError: An option is of the wrong type.
        OptionValueError: An option has a value it cannot take.
    """

    interval: tuple[float, float] = (60.0, 1800.0)
    rate: tuple[int, float] | None = (30, 3600.0)
    burst: int = 10
    groups: int = 1000
    kept_bytes: int = 8 * 1024 * 1024
    host: str = field(default_factory=socket.gethostname)

    def __post_init__(self) -> None:
        object.__setattr__(self, "interval", checks.interval("digest_interval", self.interval))
        checks.integer("burst", self.burst, minimum=1)
        checks.integer("groups", self.groups, minimum=1)
        checks.integer("kept_bytes", self.kept_bytes)
