"""The exceptions that asynclog raises, all when an option is given and never at a record.

Each is caught twice: as `AsynclogError`, and as the builtin that people catch already.
"""

from __future__ import annotations


class AsynclogError(Exception):
    """Base class of every exception that asynclog raises."""


class OptionValueError(AsynclogError, ValueError):
    """An option has a value that it cannot take."""


class OptionTypeError(AsynclogError, TypeError):
    """An option has a value of the wrong type, or there is no such option."""


class QueueEmptyError(AsynclogError):
    """`RecordQueue.get` found no record in time; also a `queue.Empty` where it is raised."""
