"""The wire under one mail after the other, once aiosmtplib has connected, secured and logged in.

aiosmtplib's own protocol awaits each command's reply before the next, and drops what comes
meanwhile: no pipelining can be done with it. A command costs it a lock, a wait with a task or a
timeout, and two passes of the loop besides; a mail has four. This one is put in its place by
`asyncio.Transport.set_protocol`. It writes what the conversation answers from where the reply is
read, so a mail is one wait, whatever is said meanwhile: fewer system calls, each of which would let
go of the interpreter lock and wait for it anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any

from asynclog.sinks.smtp_transaction import Conversation

# As aiosmtplib bounds it: generous over any real reply, and memory is bounded where one never ends.
_LONGEST_REPLY = 32 * 1024


class NoReply(Exception):  # noqa: N818  # what a server said, not what went wrong here
    """What came is no SMTP reply."""


class Line(asyncio.Protocol):
    """Carries out one conversation after the other over a connection that stands.

    What the server says while nothing is asked is thrown away, also what it says in one segment with
    an answer: no reply may be taken for another command's.

    Args:
        transport: The connection, of which this becomes the protocol.
        timeout: Seconds for each reply; ``None``: the caller's deadline alone counts.
    """

    def __init__(self, transport: Any, timeout: float | None) -> None:
        self._transport = transport
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._replies = _Replies()
        self._conversation: Conversation | None = None
        self._done: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        # It has a state of its own to end when the connection does.
        self._before = transport.get_protocol()
        transport.set_protocol(self)

    async def carry_out(self, conversation: Conversation) -> None:
        """Say what a conversation has to say, to its end.

        Raises:
            Exception: What the conversation raised; `ConnectionError`: the connection is gone;
                `TimeoutError`: a reply did not come in time; `NoReply`: what came is none.
        """
        if self._transport.is_closing():
            raise ConnectionResetError("the connection is closed")
        first = conversation.begin()
        if conversation.is_over:
            return
        self._conversation = conversation
        done = self._done = self._loop.create_future()
        self._say(first)
        _acknowledge_at_once(self._transport)
        if self._timeout is not None:
            self._timer = self._loop.call_at(self._due, self._look_at_clock)
        try:
            await done
        finally:
            self._conversation = self._done = None
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def _say(self, data: bytes) -> None:
        self._wait_for_replies()
        self._transport.write(data)

    def _wait_for_replies(self) -> None:
        # A server may hold its replies back until it has worked through all that came together.
        conversation = self._conversation
        if conversation is not None and self._timeout is not None:
            self._due = self._loop.time() + self._timeout * conversation.outstanding
            if self._timer is not None and self._timer.when() > self._due:  # fewer replies than it was set for
                self._timer.cancel()
                self._timer = self._loop.call_at(self._due, self._look_at_clock)

    def _look_at_clock(self) -> None:
        # One timer a conversation, moved on when it fires: most are cancelled before.
        if self._loop.time() < self._due:
            self._timer = self._loop.call_at(self._due, self._look_at_clock)
        else:
            self._fail(TimeoutError("no answer in time"))

    # -- called by the loop ------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Take the server's words."""
        conversation = self._conversation
        if conversation is None:
            return  # nobody asked
        replies = self._replies
        try:
            replies.feed(data)
            while self._conversation is not None and (reply := replies.take()) is not None:
                answer = conversation.answer(*reply)
                if conversation.is_over:
                    self._finish()
                elif answer:
                    replies.clear()  # what nobody asked for yet
                    self._say(answer)
                else:
                    self._wait_for_replies()
        except Exception as error:
            self._fail(error)

    def eof_received(self) -> bool:
        """Take the server's hanging up; the transport closes then."""
        self._fail(ConnectionResetError("the server hung up"))
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Take the connection's end."""
        self._fail(exc or ConnectionResetError("the connection is lost"))
        self._before.connection_lost(exc)

    def _finish(self) -> None:
        self._conversation = None
        self._replies.clear()
        if self._done is not None and not self._done.done():
            self._done.set_result(None)

    def _fail(self, error: Exception) -> None:
        conversation = self._conversation
        if conversation is None:
            return
        if conversation.ends_with(error):
            self._finish()
            return
        self._conversation = None
        self._replies.clear()
        if self._done is not None and not self._done.done():
            self._done.set_exception(error)


# Linux alone has it. A server that sends the replies to commands that came together one by one, with
# Nagle's algorithm on, holds back the second until the first is acknowledged: 40 ms later.
_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)


def _acknowledge_at_once(transport: Any) -> None:
    sock = transport.get_extra_info("socket")
    if _QUICKACK is not None and sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)


class _Replies:
    """What came, as replies; each line is looked at once, however it comes."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._scanned = 0
        self._texts: list[str] = []
        self._size = 0

    def feed(self, data: bytes) -> None:
        """Take what came."""
        self._buffer += data

    def take(self) -> tuple[int, str] | None:
        """Take the first whole reply out; ``None``: it is not all there.

        Raises:
            NoReply: It is none.
        """
        buffer = self._buffer
        while (end := buffer.find(b"\n", self._scanned)) >= 0:
            line = bytes(buffer[:end])
            del buffer[: end + 1]
            self._scanned = 0
            self._size += end
            if not line[:3].isdigit():
                raise NoReply(line.decode("utf-8", "replace"))
            self._texts.append(line[4:].strip(b" \t\r").decode("utf-8", "surrogateescape"))
            if self._size > _LONGEST_REPLY:
                break
            if line[3:4] != b"-":
                text, self._texts, self._size = "\n".join(self._texts), [], 0
                return int(line[:3]), text
        self._scanned = len(buffer)
        if self._size + len(buffer) > _LONGEST_REPLY:
            raise NoReply("the reply is too long")
        return None

    def clear(self) -> None:
        """Forget what came."""
        self.__init__()  # type: ignore[misc]
