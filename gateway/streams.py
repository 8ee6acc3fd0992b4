"""Streams: live events from the bus, completed from the lookup's log.

Nothing missed, nothing twice: a stream first subscribes, then reads the log, then writes only
what follows the last event it sent. A gap in the sequence, a lost connection to the bus, and
every heartbeat make it read the log again, which also covers a service that died between writing
an event down and publishing it.
"""

import asyncio
import itertools
import random
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Final

from aiohttp import web

from gateway.sse import Head, head_of
from shared.bus import Bus
from shared.errors import StoreUnavailable
from shared.lookups import Lookups
from shared.messages import TERMINAL

ORIGIN: Final = "gateway"
HEARTBEAT_S: Final = 10.0
# Thousands of streams are not all woken at once, but in so many turns.
TURNS: Final = 10
# A lookup has a dozen events; a client that lets so many lie is not reading.
MAX_PENDING: Final = 64


class Signal(Enum):
    """What a stream hears beside events."""

    # Look into the log.
    READ = 1
    # This gateway stops.
    LEAVE = 2


Told = tuple[Head, bytes]


class Stream:
    """One client's view of one lookup, fed by the relay."""

    __slots__ = ("_pending", "_waiter", "task_id", "turn")

    def __init__(self, task_id: str, turn: int) -> None:
        self.task_id, self.turn = task_id, turn
        self._pending: deque[Told | Signal] = deque()
        self._waiter: asyncio.Future[None] | None = None

    def offer(self, item: Told | Signal) -> None:
        """Hand on an event. Of a client that lets too many lie, the log keeps the rest."""
        if len(self._pending) < MAX_PENDING:
            self._pending.append(item)
        elif item is Signal.LEAVE:
            self._pending[-1] = item
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def next(self) -> Told | Signal:
        """The next event or signal."""
        while not self._pending:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._pending.popleft()


class Relay:
    """This gateway's ear on the bus: every event of the origin `gateway`, to whom it concerns."""

    def __init__(self, bus: Bus, lookups: Lookups) -> None:
        self._lookups = lookups
        self._streams: dict[str, set[Stream]] = {}
        self._turns = itertools.cycle(range(TURNS))
        self._leaving = False
        bus.listen(f"{ORIGIN}.#", self._on_event, self.wake)

    async def _on_event(self, key: str, body: bytes) -> None:
        """Hand an event to its streams. The key is `gateway.<task_id>.<type>`."""
        streams = self._streams.get(key.split(".")[1])
        if streams:
            item = (head_of(body), body)
            for stream in streams:
                stream.offer(item)

    def wake(self, signal: Signal = Signal.READ) -> None:
        """Have every stream read its log, or leave; then those leave too that come later."""
        self._leaving = self._leaving or signal is Signal.LEAVE
        for streams in self._streams.values():
            for stream in streams:
                stream.offer(signal)

    async def beat(self) -> None:
        """One ticker for all streams, for as long as the gateway lives."""
        for turn in itertools.cycle(range(TURNS)):
            await asyncio.sleep(HEARTBEAT_S / TURNS)
            for streams in self._streams.values():
                for stream in streams:
                    if stream.turn == turn:
                        stream.offer(Signal.READ)

    @contextmanager
    def subscribed(self, task_id: str) -> Iterator[Stream]:
        """A stream that gathers a lookup's events from now on."""
        stream = Stream(task_id, next(self._turns))
        if self._leaving:
            stream.offer(Signal.LEAVE)
        streams = self._streams.setdefault(task_id, set())
        streams.add(stream)
        try:
            yield stream
        finally:
            streams.discard(stream)
            if not streams:
                self._streams.pop(task_id, None)

    async def follow(self, stream: Stream, seen: int) -> AsyncIterator[Told | Signal | None]:
        """The events after `seen`, each once, in order, to the last.

        None in between is a heartbeat; LEAVE is the end of this gateway, not of the lookup. While
        Redis is away there are heartbeats only.
        """
        item: Told | Signal = Signal.READ
        while item is not Signal.LEAVE:
            if isinstance(item, Signal) or item[0].seq > seen + 1:
                fresh = await self._read(stream, seen)
                if not fresh:
                    yield None
            else:
                fresh = [item]
            for head, body in fresh:
                if head.seq > seen:
                    seen = head.seq
                    yield head, body
                    if head.tipo in TERMINAL:
                        return
            item = await stream.next()
        yield item

    async def _read(self, stream: Stream, seen: int) -> list[Told]:
        try:
            view = await self._lookups.view(stream.task_id, seen)
        except StoreUnavailable:
            # A client sent away would only come back to the same. The event that made this one
            # look may have been the last, so it looks again, at a moment of its own.
            pause = random.uniform(1, 3)  # noqa: S311
            asyncio.get_running_loop().call_later(pause, stream.offer, Signal.READ)
            return []
        return [(head_of(body), body) for body in view.events] if view is not None else []


RELAY: Final = web.AppKey("relay", Relay)
