"""Gets one mail after the other to the first server that takes it, over a connection kept meanwhile."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from asynclog.render.mail import Mail
from asynclog.sink_thread import SinkThread
from asynclog.sinks.smtp_options import Connecting, Server
from asynclog.sinks.smtp_session import IDLE, Session
from asynclog.sinks.smtp_verdicts import Sent, SessionError
from asynclog.values import RetryLater

#: Seconds for which a server gets a command at a time after commands that went together have failed.
_SPARED = 3600.0


class Mailer:
    """Sends mails, one at a time, on one loop.

    Args:
        how: Servers, credentials and time limits.
        thread: Where a token provider that blocks is called.
    """

    def __init__(self, how: Connecting, thread: SinkThread) -> None:
        self._how = how
        self._thread = thread
        self._session: Session | None = None
        self._busy: Session | None = None
        self._failed: Server | None = None
        # Servers that announced PIPELINING and did not get on with it, and until when they are spared it.
        self._spared: dict[Server, float] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._leaving: set[asyncio.Task[None]] = set()

    async def send(self, mail: Mail, sender: str, recipients: Sequence[str]) -> Sent:
        """Offer a mail, within the deadline of the scope that this is called in.

        Raises:
            SessionError: It could not be offered; its verdict says what to do.
        """
        self._busy = None
        again: Server | None = None
        while True:
            session = self._take() or await self._open()
            try:
                sent = await self._offer(session, mail, sender, recipients)
            except SessionError as error:
                if error.out_of_step:
                    again = session.server  # at most once for each server
                    self._spare(again)
                elif not error.reusable:
                    raise
                # Else the kept connection had gone, and nothing of this mail was said: not a failure.
            else:
                if session.server == again and not sent.accepted:
                    del self._spared[again]  # refused either way: it was not for the pipelining
                return sent

    def _spare(self, server: Server) -> None:
        self._spared[server] = asyncio.get_running_loop().time() + _SPARED

    def _pipelines(self, server: Server) -> bool:
        until = self._spared.get(server)
        if until is not None and asyncio.get_running_loop().time() >= until:
            del self._spared[server]
        return server not in self._spared

    async def get_ready(self) -> None:
        """Have a connection stand, within the deadline of the scope that this is called in.

        Raises:
            SessionError: None could be made; its verdict says what to do.
        """
        self._busy = None
        session = self._take() or await self._open()
        self._busy = None  # nothing is asked of it yet
        self._keep(session)

    async def _offer(self, session: Session, mail: Mail, sender: str, recipients: Sequence[str]) -> Sent:
        self._busy = session
        try:
            sent = await session.send(mail, sender, recipients)
        except BaseException as error:
            if not isinstance(error, SessionError) or not error.out_of_step:
                self._failed = session.server
                if session.may_be_out_of_step:
                    # For the next attempt. A proxy that can't do what it announces may reset the
                    # connection, or throw the commands away that it did not ask for.
                    self._spare(session.server)
            raise
        self._failed = None
        if sent.accepted:
            self._keep(session)
        else:
            # A refusal leaves the protocol in order, in theory; a new connection needs no theory.
            self._leave(session)
        return sent

    def overdue(self) -> RetryLater:
        """Return the verdict for a deadline that passed during `send`."""
        if self._busy is None:
            return RetryLater("no time left before a mail server was asked")
        return self._busy.overdue()

    # -- connections -------------------------------------------------------------------------

    async def _open(self) -> Session:
        # A server that failed in the middle of a mail comes last, else a living second one would
        # never be asked.
        servers = sorted(self._how.servers, key=lambda server: server is self._failed)
        failures = []
        for index, server in enumerate(servers):
            token = None if self._how.token_provider is None else self._token
            session = self._busy = Session(server, self._how, token, pipelines=self._pipelines(server))
            import anyio

            left = anyio.current_effective_deadline() - anyio.current_time()
            try:
                with anyio.move_on_after(left / (len(servers) - index)):
                    await session.start()
                    return session
                failures.append(session.overdue())
            except SessionError as error:
                failures.append(error.verdict)
        raise SessionError(
            RetryLater(
                "; ".join(failure.reason for failure in failures),
                failures[0].after if len(failures) == 1 else None,
                all(failure.circuit for failure in failures),
            )
        )

    def _take(self) -> Session | None:
        """Return the kept connection, if it is fit for another mail."""
        session, self._session = self._session, None
        self._stop_timer()
        if session is None:
            return None
        if self._loop is asyncio.get_running_loop() and session.is_usable:
            return session
        session.discard()
        return None

    def _keep(self, session: Session) -> None:
        self._session = session
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(IDLE, self._leave_idle)

    def _leave_idle(self) -> None:
        self._timer = None
        session, self._session = self._session, None
        if session is not None:
            self._leave(session)

    def _leave(self, session: Session) -> None:
        """Say QUIT without holding up the next mail."""
        task = asyncio.get_running_loop().create_task(session.quit())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def aclose(self) -> None:
        """Say QUIT and close; a cancellation closes at once."""
        self._stop_timer()
        session, self._session = self._session, None
        if self._busy is not None and self._busy is not session:
            self._busy.discard()
        if session is not None:
            self._leave(session)
        leaving = [task for task in self._leaving if task.get_loop() is asyncio.get_running_loop()]
        if leaving:
            try:
                await asyncio.wait(leaving)
            except BaseException:
                for task in leaving:
                    task.cancel()
                raise

    # -- tokens ------------------------------------------------------------------------------

    async def _token(self) -> str:
        provider = self._how.token_provider
        try:
            token: Any = await self._called(provider) if provider is not None else None
        except (Exception, SystemExit) as error:
            # Only the type: the text may hold what the provider was given.
            raise SessionError(RetryLater(f"token_provider raised {type(error).__name__}")) from None
        if isinstance(token, bytes):
            token = token.decode("utf-8", "replace")
        if not isinstance(token, str) or not token:
            raise SessionError(RetryLater(f"token_provider returned {type(token).__name__} and no token"))
        return token

    async def _called(self, provider: Callable[[], Any]) -> Any:
        if inspect.iscoroutinefunction(provider) or inspect.iscoroutinefunction(type(provider).__call__):
            result = provider()
        else:
            result, error = await self._thread.call(_guarded, provider)
            if error is not None:
                raise error
        return await result if inspect.isawaitable(result) else result


def _guarded(function: Callable[[], Any]) -> tuple[Any, Exception | None]:
    # What is no Exception would end the worker's loop where it is raised again.
    try:
        return function(), None
    except Exception as error:
        return None, error
    except BaseException as error:
        return None, RuntimeError(type(error).__name__)
