"""Streams: news from the bus, completed from the lookup's log.

Nothing missed, nothing twice: a stream first subscribes, then reads the log, then writes only
what follows the last event it sent. A gap in the sequence, a lost connection to the bus, and
every heartbeat make it read the log again. What is lost without a gap, since it was the last, is
found within a second: then one script looks after all streams that are quiet. That also covers a
service that died between writing an event down and telling it.

And every stream ends. At its lookup's deadline it looks once more, and sees to the end itself
where nobody else has; where the store has lost the lookup, it says so.
"""

import asyncio
import itertools
import math
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from enum import Enum
from typing import Final, Literal, Self

from aiohttp import web

from gateway.sse import Head, head_of
from shared.bus import Bus
from shared.courier import News
from shared.errors import Unavailable
from shared.flow.ending import Endings, failed
from shared.lookups import Lookups, View
from shared.messages import TERMINAL, addressed, encode
from shared.reporter import GATEWAY

ORIGIN: Final = GATEWAY
HEARTBEAT_S: Final = 10.0
# How often to look whether more was written down than was told.
LOOK_S: Final = 1.0
# At so many streams in one script, which Redis is busy with for a millisecond.
LOOKED_AT: Final = 500
# Thousands of streams are not all woken at once, but in so many turns.
TURNS: Final = 10
# How long after its deadline a stream sees to the end of its lookup itself. The sweepers of all
# services are well before.
OVERDUE_S: Final = 2.0
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
    """One client's view of one lookup, fed by the relay. Small, since there are thousands."""

    __slots__ = (
        "_again", "_due", "_pending", "_relay", "_waiter", "is_listed", "is_missing", "is_over",
        "seen", "task_id", "tenant", "turn",
    )  # fmt: skip

    def __init__(self, relay: "Relay", task_id: str, tenant: str, turn: int) -> None:
        self._relay, self.task_id, self.tenant, self.turn = relay, task_id, tenant, turn
        self._pending: list[Told | Signal] = []
        self._waiter: asyncio.Future[None] | None = None
        self._again = False
        # When its lookup has to have ended, by the loop's clock. No timer: it would be a third of
        # what there is to a stream.
        self._due = math.inf
        # Whether the last look found nothing where the lookup should be.
        self.is_missing = False
        # Whether this gateway stands among the listeners of the lookup.
        self.is_listed = False
        # Events that the client has, and whether the last of all is among them.
        self.seen = 0
        self.is_over = False

    def __enter__(self) -> Self:
        self._relay.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._relay.remove(self)

    def offer(self, item: Told | Signal) -> None:
        """Hand on an event. Of a client that lets too many lie, the log keeps the rest."""
        if len(self._pending) < MAX_PENDING:
            self._pending.append(item)
        elif item is Signal.LEAVE:
            self._pending[-1] = item
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def has(self, told: list[Told]) -> int:
        """Take note of what its client is about to have. Returns how many events that is."""
        last = told[-1][0]
        self.seen, self.is_over = last.seq, last.tipo in TERMINAL
        # Of one that has ended nobody is told any more.
        self.is_listed = self.is_listed and not self.is_over
        return self.seen

    @property
    def is_quiet(self) -> bool:
        """Whether it waits for the next event, and none has come."""
        return self._waiter is not None and not self._pending

    async def next(self) -> list[Told] | Signal:
        """The events that have come, one at least, or the next signal."""
        while not self._pending:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        first, told = self._pending[0], list[Told]()
        if isinstance(first, Signal):
            del self._pending[0]
            return first
        for item in self._pending:
            if isinstance(item, Signal):
                break
            told.append(item)
        del self._pending[: len(told)]
        return told

    def look_again(self) -> None:
        """Have it look into the log soon, at a moment of its own."""
        if not self._again:
            self._again = True
            pause = random.uniform(1, 3)  # noqa: S311
            asyncio.get_running_loop().call_later(pause, self._look)

    def look_after(self, seconds: float) -> None:
        """Have it look once more then: its lookup has to have ended."""
        if self._due == math.inf:
            self._due = asyncio.get_running_loop().time() + seconds

    def look_if_due(self, now: float) -> None:
        """Have it look if it is time to."""
        if now >= self._due:
            self._due = math.inf
            self.offer(Signal.READ)

    def _look(self) -> None:
        self._again = False
        self.offer(Signal.READ)


class Relay:
    """This gateway's ear on the bus: the news of its own streams, to whom they concern."""

    def __init__(self, bus: Bus, lookups: Lookups, endings: Endings) -> None:
        self._lookups, self._endings = lookups, endings
        # What whoever has news for it calls it, since the connection that is there now.
        self.name = ""
        self._streams: dict[str, list[Stream]] = {}
        self._turns = itertools.cycle(range(TURNS))
        self._leaving = False
        self._going: set[asyncio.Task[None]] = set()
        bus.hear_news(self._on_news, self._on_gap)

    def _on_gap(self, name: str) -> None:
        """It is listened for news anew: under another name, which each look into a log gives."""
        self.name = name
        self.wake()

    def _on_news(self, news: News) -> None:
        """Hand an event to the streams of its lookups."""
        head = Head(news.type, news.seq)
        for task in news.tasks:
            streams = self._streams.get(task)
            if streams:
                item = (head, addressed(news.body, task, news.seq))
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

    async def look(self) -> None:
        """Find what was written down and not told, for as long as the gateway lives, and have those
        look into their log whose lookups have to have ended.
        """
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK_S)
            quiet, now = [], loop.time()
            for streams in self._streams.values():
                for stream in streams:
                    stream.look_if_due(now)
                    if stream.is_quiet:
                        quiet.append(stream)
            for start in range(0, len(quiet), LOOKED_AT):
                await self._look_at(quiet[start : start + LOOKED_AT])

    async def _look_at(self, streams: Sequence[Stream]) -> None:
        seen: dict[str, int] = {}
        for stream in streams:
            seen[stream.task_id] = min(stream.seen, seen.get(stream.task_id, stream.seen))
        with suppress(Unavailable):
            behind = set(await self._lookups.behind(seen))
            for stream in streams:
                if stream.task_id in behind:
                    stream.offer(Signal.READ)

    def subscribed(self, task_id: str, tenant: str) -> Stream:
        """A stream that gathers a lookup's events from when it is entered to when it is left."""
        return Stream(self, task_id, tenant, next(self._turns))

    def add(self, stream: Stream) -> None:
        """Have a stream hear of its lookup."""
        if self._leaving:
            stream.offer(Signal.LEAVE)
        self._streams.setdefault(stream.task_id, []).append(stream)

    def remove(self, stream: Stream) -> None:
        """No longer."""
        streams = self._streams[stream.task_id]
        streams.remove(stream)
        if streams:
            # Whoever goes last has this gateway taken off the list.
            streams[0].is_listed = streams[0].is_listed or stream.is_listed
        else:
            del self._streams[stream.task_id]
            if stream.is_listed and not self._leaving:
                going = asyncio.create_task(self._unlisten(stream.task_id))
                self._going.add(going)
                going.add_done_callback(self._going.discard)

    async def _unlisten(self, task: str) -> None:
        with suppress(Unavailable):
            await self._lookups.unlisten(task, self.name)

    async def follow(
        self, stream: Stream, seen: int, left: float | None = None
    ) -> AsyncIterator[list[Told] | Literal[Signal.LEAVE] | None]:
        """The events after `seen`, each once, in order, to the last; as many at a time as are here.

        None in between is a heartbeat; LEAVE is the end of this gateway, not of the lookup. While
        Redis is away there are heartbeats only.

        Args:
            left: the seconds that a lookup has which was accepted just now, with this gateway among
                its listeners: there is nothing to read.
        """
        item: list[Told] | Signal = Signal.READ
        if left is not None:
            stream.seen, stream.is_listed = seen, True
            stream.look_after(left + OVERDUE_S)
            item = await stream.next()
        while item is not Signal.LEAVE:
            fresh = [] if isinstance(item, Signal) else _following(item, seen)
            behind = isinstance(item, Signal) or _misses(item, seen + len(fresh))
            # What was told is not kept: a stream waits for long, and there are thousands.
            del item
            if fresh:
                seen = stream.has(fresh)
                yield fresh
            if behind and not stream.is_over:
                fresh = await self._read(stream, seen)
                seen = stream.has(fresh) if fresh else seen
                yield fresh or None
            del fresh
            if stream.is_over:
                return
            item = await stream.next()
        yield Signal.LEAVE

    async def _read(self, stream: Stream, seen: int) -> list[Told]:
        try:
            view = await self._lookups.view(stream.task_id, seen, self.name)
            stream.seen, stream.is_listed = seen, True
            if view is None or view.is_lost:
                return await self._missing(stream, view, seen)
            stream.is_missing = False
            if not view.events:
                return await self._silent(stream, view, seen)
        except Unavailable:
            # A client sent away would only come back to the same. The event that made this one
            # look may have been the last, so it looks again.
            stream.look_again()
            return []
        stream.look_after(max(0.0, view.left) + OVERDUE_S)
        return [(head_of(body), body) for body in view.events]

    async def _silent(self, stream: Stream, view: View, seen: int) -> list[Told]:
        """There is the lookup, and nothing new of it."""
        if view.ended:
            # Whatever its last event was, its log does not have it.
            return _lost(stream, seen)
        if view.left > -OVERDUE_S:
            stream.look_after(view.left + OVERDUE_S)
            return []
        # Others of its askers are told by whoever sweeps: no stream waits for the broker.
        await self._endings.conclude(stream.task_id)
        stream.look_again()
        ended = await self._lookups.view(stream.task_id, seen)
        return [(head_of(body), body) for body in ended.events] if ended is not None else []

    async def _missing(self, stream: Stream, view: View | None, seen: int) -> list[Told]:
        """The store has lost the lookup: flushed, evicted, or begun anew without its file."""
        if not stream.is_missing:
            # Perhaps it is only being loaded, or a replica that lags has taken over.
            stream.is_missing = True
            stream.look_again()
            return []
        if view is None:
            await self._lookups.lose(stream.task_id, tenant=stream.tenant)
        else:
            await self._endings.refuse(stream.task_id, "estado_perdido")
        return _lost(stream, seen)


def _following(told: Sequence[Told], seen: int) -> list[Told]:
    """What follows the events seen, each once, without a gap."""
    fresh: list[Told] = []
    for each in told:
        if each[0].seq == seen + len(fresh) + 1:
            fresh.append(each)
    return fresh


def _misses(told: Sequence[Told], seen: int) -> bool:
    """Whether there are events before one that was told."""
    return any(head.seq > seen for head, _ in told)


def _lost(stream: Stream, seen: int) -> list[Told]:
    end = addressed(encode(failed("estado_perdido")), stream.task_id, seen + 1)
    return [(head_of(end), end)]


RELAY: Final = web.AppKey("relay", Relay)
