"""Who is inside asynclog already: a record that is logged meanwhile by the same thread may not wait."""

from __future__ import annotations

from _thread import get_ident

from asynclog.fork import process_state

# How deep each thread is in asynclog's slow path right now, by ident: a record logged meanwhile by
# the same thread comes from a signal handler, a __del__ or the app's own __str__, and may not wait.
inside: dict[int, int] = {}
#: Threads that wait for room, by ident; a put from a signal handler meanwhile doesn't wait as well.
waiting: set[int] = set()


def enter() -> int:
    """Note that this thread is in asynclog's slow path; return what the way out takes.

    Every way out has these lines in its ``finally``, and no function for them: at the start of one
    a signal's handler may raise, and the thread would count as inside for ever. In here it may, at
    the start and after the calls, but not from the store on, up to the caller's ``try``.
    ::

        if ident in inside:
            inside[ident] -= 1
            if not inside[ident]:
                del inside[ident]
    """
    ident = get_ident()
    inside[ident] = inside.get(ident, 0) + 1
    return ident


class _Reentry:
    """Forgets in a forked child who was inside: idents of threads that are gone are used again."""

    def after_fork(self) -> None:
        own = get_ident()
        depth = inside.get(own)
        inside.clear()
        waiting.clear()
        if depth:
            inside[own] = depth


_reentry = _Reentry()
process_state.register(_reentry)
