"""One connection to Redis for everything a process asks: commands go out as they come.

Redis answers in the order it was asked. So whoever asks need not wait for the answers of others,
and what is asked in one turn of the event loop shares one write. redis-py makes the connection
(TLS, authentication, RESP3, the database); from then on its bytes are read here, since redis-py's
own way costs a lock, two tasks and a timeout for each command. Measured, a script alone and with
31 others in its turn, client and server together: 134 and 27 µs through redis-py's pipelines,
60 and 17 µs so.

A command is sent once, or not at all. Whatever is under way when the connection ends fails.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import hiredis
from redis._parsers.base import BaseParser
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as Ended
from redis.exceptions import InvalidResponse
from redis.exceptions import TimeoutError as Silent

from shared.tasks import is_cancelled

Command = tuple[str | bytes | int | float, ...]

# How often to look for an answer that does not come, as a part of what it may take.
_LOOK: Final = 0.1
_MORE: Final = object()


class Watcher:
    """Hears of a store's connection, in the order in which things come over it."""

    def made(self, wire: "Wire") -> None:
        """There is a connection. Whoever watches from the start asks the first thing on it."""

    def pushed(self, message: list[Any]) -> None:
        """Redis says something without having been asked."""

    def lost(self) -> None:
        """The connection has ended."""


class Wire(asyncio.Protocol):
    """One connection's commands and answers, from when it is made to when it ends.

    Redis speaks in order: whatever it had to say up to the moment `proved` has come. That is when
    the newest command was asked that it has answered, and not with an error; `asked` is when the
    newest of all was. Both are seconds of the clock.

    Args:
        timeout: seconds after which a command without an answer ends the connection.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        transport: asyncio.WriteTransport,
        timeout: float,
        watcher: Watcher,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transport, self._timeout, self._clock = transport, timeout, clock
        self.watcher = watcher
        self.asked = self.proved = -math.inf
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(
            protocolError=InvalidResponse, replyError=BaseParser.parse_error, notEnoughData=_MORE
        )
        self._unsent: list[bytes] = []
        # Of every command that has no answer yet, with when it was asked.
        self._asked: deque[tuple[asyncio.Future[Any], float]] = deque()
        self._watch: asyncio.TimerHandle | None = None
        self._is_late = False
        self._fault: Exception | None = None
        transport.set_protocol(self)

    @property
    def is_open(self) -> bool:
        """Whether anything can be asked."""
        return self._fault is None and not self._transport.is_closing()

    def ask(self, command: Command) -> asyncio.Future[Any]:
        """Send a command with the others of this turn. Its answer may be a RedisError, raised."""
        answer: asyncio.Future[Any] = self._loop.create_future()
        packed = hiredis.pack_command(command)  # type: ignore[arg-type]
        if not self.is_open:
            answer.set_exception(self._fault or Ended("the connection has ended"))
            return answer
        if not self._unsent:
            self._loop.call_soon(self._send)
        self._unsent.append(packed)
        self.asked = self._clock()
        self._asked.append((answer, self.asked))
        if self._watch is None:
            self._watch = self._loop.call_later(_LOOK * self._timeout, self._look)
        return answer

    def close(self, fault: Exception | None = None) -> None:
        """End the connection, and with it whatever waits for an answer."""
        if self._fault is None:
            self._fault = fault or Ended("the connection was closed")
            self.watcher.lost()
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        # Not a goodbye: what has not been sent will not be.
        self._transport.abort()
        self._unsent.clear()
        asked, self._asked = self._asked, deque()
        for answer, _ in asked:
            if not answer.done():
                answer.set_exception(self._fault)

    def connection_lost(self, exc: Exception | None) -> None:
        reason = type(exc).__name__ if exc is not None else "closed by the server"
        self.close(Ended(f"the connection ended ({reason})"))

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not _MORE:
                self._take(reply)
        except (InvalidResponse, IndexError) as error:
            # What follows cannot be told apart any more.
            self.close(Ended(f"not Redis' protocol ({type(error).__name__})"))

    def _take(self, reply: Any) -> None:
        if type(reply) is hiredis.PushNotification:
            self.watcher.pushed(reply)
            return
        answer, asked = self._asked.popleft()
        if not isinstance(reply, Exception):
            self.proved = asked
        if answer.done():
            return  # its waiter was cancelled
        if isinstance(reply, Exception):
            answer.set_exception(reply)
        else:
            answer.set_result(reply)

    def _send(self) -> None:
        unsent, self._unsent = self._unsent, []
        if unsent and self.is_open:
            self._transport.write(b"".join(unsent))

    def _look(self) -> None:
        """The oldest first: if it has waited too long, so will the others."""
        self._watch = None
        if not self._asked:
            # All were answered, so what was late before says nothing of what comes.
            self._is_late = False
            return
        late, self._is_late = self._is_late, self._clock() - self._asked[0][1] > self._timeout
        if late and self._is_late:
            self.close(Silent("no answer in time"))
        else:
            # Once is not enough: of a loop that stood still, the answers may lie in the socket.
            self._watch = self._loop.call_later(_LOOK * self._timeout, self._look)


class Pipeline:
    """A connection that is made when it is needed, and made anew after it ended.

    Args:
        make: an unconnected connection of redis-py.
        timeout: seconds for an answer.
    """

    def __init__(self, make: Callable[[], AbstractConnection], timeout: float) -> None:
        self._make, self._timeout = make, timeout
        self._watcher = Watcher()
        self._wire: Wire | None = None
        # Held for as long as its transport is in use: it closes it when it goes.
        self._connection: AbstractConnection | None = None
        self._connecting: asyncio.Task[Wire] | None = None
        self._closed = False

    def watch(self, watcher: Watcher) -> None:
        """Have somebody hear of the connection there is, and of those to come."""
        self._watcher = watcher
        if self._wire is not None and self._wire.is_open:
            self._wire.watcher = watcher
            watcher.made(self._wire)

    async def do(self, *command: str | bytes | int | float) -> Any:
        """Run one command.

        Raises:
            RedisError: as redis-py has it. After one of the connection, it may or may not have run.
        """
        wire = self._wire
        if wire is None or not wire.is_open:
            wire = await self._connected()
        return await wire.ask(command)

    async def close(self) -> None:
        """End the connection for good."""
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait({self._connecting})
        await self._drop()

    async def _connected(self) -> Wire:
        # Whoever comes meanwhile waits for the same one; whoever goes does not take it along.
        if self._closed:
            raise Ended("the connection was closed")
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._connect())
            self._connecting.add_done_callback(self._made)
        try:
            return await asyncio.shield(self._connecting)
        except asyncio.CancelledError:
            if is_cancelled():
                raise
            raise Ended("the connection was closed") from None

    def _made(self, task: asyncio.Task[Wire]) -> None:
        self._connecting = None
        if not task.cancelled():
            task.exception()  # all who waited may have gone

    async def _connect(self) -> Wire:
        await self._drop()
        connection = self._make()
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        writer = connection._writer  # it has no public name
        assert writer is not None  # noqa: S101 - connected
        self._connection = connection
        self._wire = Wire(writer.transport, self._timeout, self._watcher)
        self._watcher.made(self._wire)
        return self._wire

    async def _drop(self) -> None:
        connection, wire = self._connection, self._wire
        self._connection = self._wire = None
        if wire is not None:
            # Its end is told before the next one is made.
            wire.close()
        if connection is not None:
            await connection.disconnect(nowait=True)
