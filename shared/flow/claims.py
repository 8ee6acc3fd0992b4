"""Who carries out an order: one process at a time, and in it one delivery at a time.

A broker that loses a connection delivers again what was in hand there, at once, here or elsewhere,
though its first handler goes on. So an order's claim names the process that has it, and processes
say every second that they live:

    consulta:claimants          zset: instance by the time (ms, Redis' clock) of its last beat
    consulta:claimants:since    since when (ms) beats have come without a gap

Only what a dead process had is taken up again. After an outage of Redis nobody is taken for dead
before everybody has had the time to say that it lives.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final
from uuid import uuid4
from weakref import WeakValueDictionary

from msgspec.structs import replace

from shared.consumer import IN_HAND, LONGEST_REST, PutOff
from shared.errors import StoreUnavailable
from shared.lookups import CLAIMANTS, Claim, Lookups, active_key, flight_key, waiting_key
from shared.messages import AnalysisRequested, StageRequested, encode
from shared.store import Store

log = logging.getLogger(__name__)

Putable = StageRequested | AnalysisRequested

BEAT_S: Final = 1.0
# When to look again at an order that another process has in hand.
BUSY_S: Final = 2.0
# Marks to keep through an outage: more than there are orders in hand.
UNUSED: Final = 1000


class Claims:
    """One process's claims. All but `beat` raise StoreUnavailable, and may be done again."""

    def __init__(self, store: Store, lookups: Lookups) -> None:
        self._store, self._lookups = store, lookups
        self._instance = uuid4().hex
        self._in_hand: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        # Flight, step and order of what this process may still be said to have in hand.
        self._given_up: set[tuple[str, str, str]] = set()
        # By flight and field.
        self._unused: dict[tuple[str, str], str] = {}

    def has(self, order: str) -> bool:
        """Whether this process has an order in hand."""
        lock = self._in_hand.get(order)
        return lock is not None and lock.locked()

    @asynccontextmanager
    async def alone(self, order: str) -> AsyncIterator[None]:
        """Have an order in hand, once whoever has it in hand here is done with it.

        Raises:
            PutOff: that takes long.
        """
        lock = self._in_hand.setdefault(order, asyncio.Lock())
        try:
            async with asyncio.timeout(IN_HAND):
                await lock.acquire()
        except TimeoutError:
            raise PutOff(BUSY_S) from None
        try:
            yield
        finally:
            lock.release()

    async def claim(self, flight: str, step: str, order: str, queue: str) -> Claim:
        """Ask leave to carry out an order for one step of a flight.

        Raises:
            PutOff: another process is just doing so.
        """
        self._given_up.discard((flight, step, order))
        try:
            claim = await self._lookups.claim(flight, step, order, queue, self._instance)
        except StoreUnavailable:
            # It may be ours all the same.
            self._given_up.add((flight, step, order))
            raise
        if claim.verdict == "busy":
            raise PutOff(BUSY_S)
        return claim

    @asynccontextmanager
    async def held(self, flight: str, step: str, order: str, queue: str) -> AsyncIterator[Claim]:
        """Claim an order, as `claim` does, and give it up where carrying it out fails."""
        claim = await self.claim(flight, step, order, queue)
        try:
            yield claim
        except PutOff:
            raise
        except BaseException:
            # Done again here or, should its message come back by another way, elsewhere.
            await asyncio.shield(self.give_up(flight, step, order))
            raise

    async def give_up(self, flight: str, step: str, order: str) -> None:
        """Let an order be taken up by whoever it comes to next: now, or once Redis is back."""
        self._given_up.add((flight, step, order))
        with suppress(StoreUnavailable):
            await self._release(flight, step, order)

    async def _release(self, flight: str, step: str, order: str) -> None:
        await self._store.run("release", [flight_key(flight)], step, order, self._instance)
        self._given_up.discard((flight, step, order))

    async def put_off(
        self, flight: str, step: str, order: str, queue: str, seconds: float, again: Putable
    ) -> None:
        """Give a claim back, and put its order off; unless there is nothing to come back for.

        Args:
            again: the order as it is to come back; it is given an identity of its own.

        Raises:
            PutOff: it comes back about `seconds` later.
        """
        keys = [flight_key(flight), waiting_key(queue), active_key(queue)]
        micros = round(min(seconds, LONGEST_REST) * 1e6)
        name = f"{root(order)}.{uuid4().hex}"
        body = encode(replace(again, order=name))
        if await self._store.run("unclaim", keys, step, order, flight, micros, name, body):
            raise PutOff(seconds, body, priority=again.priority)

    async def mark(self, flight: str, step: str, provider: str) -> str:
        """Note that a provider which bills is about to be called.

        Returns the call's mark, or none if another's was there before: it may have been carried
        out, by a process that died, or nobody waits for the answer any more.
        """
        key, field = flight_key(flight), f"billed:{step}:{provider}"
        mark = self._unused.pop((key, field), "") or uuid4().hex
        try:
            return mark if await self._store.run("mark", [key], field, mark) else ""
        except BaseException:
            self._keep(key, field, mark)
            raise

    async def unmark(self, flight: str, step: str, provider: str, mark: str) -> None:
        """Note that it did not carry out what it was asked for by the call of this mark."""
        key, field = flight_key(flight), f"billed:{step}:{provider}"
        try:
            await self._store.run("unmark", [key], field, mark)
        except BaseException:
            self._keep(key, field, mark)
            raise

    def _keep(self, key: str, field: str, mark: str) -> None:
        """Have the next call made by a mark that may stand though nothing was carried out."""
        self._unused[key, field] = mark
        if len(self._unused) > UNUSED:
            # Of the oldest: it is taken for a call that was made, which is the safe side.
            del self._unused[next(iter(self._unused))]

    async def beat(self) -> None:
        """Say once that this process lives, and what it has no longer in hand."""
        await self._store.run("beat", [CLAIMANTS], self._instance)
        for given_up in tuple(self._given_up):
            *_, order = given_up
            if self.has(order):
                continue
            # Not while it is being claimed anew.
            with suppress(PutOff):
                async with self.alone(order):
                    if given_up in self._given_up:
                        await self._release(*given_up)

    async def run(self) -> None:
        """Beat until cancelled; then say that this process no longer has anything in hand."""
        try:
            while True:
                with suppress(StoreUnavailable):
                    await self.beat()
                await asyncio.sleep(BEAT_S)
        finally:
            with suppress(StoreUnavailable):
                await asyncio.shield(self._leave())

    async def _leave(self) -> None:
        await self._store.do("ZREM", CLAIMANTS, self._instance)


def root(order: str) -> str:
    """The identity an order had before it was put off, the same however often it was."""
    return order.partition(".")[0]
