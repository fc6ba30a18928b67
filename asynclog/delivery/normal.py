"""The template behind a message that was put together before it was logged."""

from __future__ import annotations

import re
from typing import Final

# What differs from record to record although the message is the same. In this order: what is
# longer and more specific first.
_VARYING: Final = re.compile(
    r"""
    [\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64}){1,8}               # mail address
    | \b[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}\b           # UUID
    | \b0x[0-9a-f]+\b                                             # address of an object
    | \b[0-9a-f]{1,4}(?:::?[0-9a-f]{1,4}){2,7}(?:%\w+)?\b        # IPv6 address, MAC address, time of day
    | \b(?=[0-9a-z_-]*\d)(?=[0-9a-z_-]*[a-z])[0-9a-z_-]{12,}\b    # long id of letters and digits
    | \b(?=[0-9a-f]*\d)[0-9a-f]{7,}\b                             # hash
    | [-+]?\d+(?:[.,:_]\d+)*(?:e[-+]?\d+)?                        # number, date, dotted address
    """,
    re.VERBOSE | re.IGNORECASE,
)
_MARK: Final = "#"
#: Characters that tell one template from another: the rest is only more of the same.
TEMPLATE_LENGTH: Final = 500


def normal_template(message: str) -> str:
    """Return a message with ``#`` in place of numbers, ids, hashes and addresses."""
    return _VARYING.sub(_MARK, message[:TEMPLATE_LENGTH])
