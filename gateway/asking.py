"""Ask for a lookup: answered by the cache, or written down and published."""

import asyncio
import contextlib
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import uuid4

import msgspec
from aiohttp import web

from gateway.access import ACCESS, CALLER, Caller
from gateway.problems import Problem
from gateway.quotas import QUOTAS
from gateway.security.prints import PRINTS
from gateway.streams import ORIGIN
from shared import metrics
from shared.app import BUS, CACHE, LOOKUPS
from shared.domain.answers import Accepted, Done
from shared.errors import BusUnavailable, InvalidInput, StoreRefused, StoreUnavailable
from shared.identifiers import Identifier, parse
from shared.lookups import View
from shared.messages import Event, Lookup, Requested, Stage, decode_event
from shared.results import hit
from shared.stages import wanted
from shared.topology import REQUESTED

Result = TypeVar("Result")

# How long a request may be repeated under its Idempotency-Key and be one.
IDEMPOTENT_S = 86400
_under_way: set[asyncio.Task[Any]] = set()


async def finished(work: Coroutine[Any, Any, Result]) -> Result:
    """Do it to its end, even if the client goes meanwhile: half of it is worse than all."""
    task = asyncio.ensure_future(work)
    _under_way.add(task)
    task.add_done_callback(_ended)
    return await asyncio.shield(task)


def _ended(task: asyncio.Task[Any]) -> None:
    _under_way.discard(task)
    if not task.cancelled():
        # Of a client that has gone there is nobody else to take it.
        task.exception()


@dataclass
class Asking:
    """One request for a lookup, on its way."""

    app: web.Application
    caller: Caller
    asked: Lookup
    task_id: str
    # Where its Idempotency-Key stands, if it has one, and whether it is the first to use it.
    once: str = ""
    first: bool = True
    # The gateway that has a client for its events from the start, if one has.
    listener: str = ""
    # Whether it was accepted by this very try, and so has nothing in its log yet.
    new: bool = False

    @property
    def lifetime(self) -> float:
        """Seconds from its acceptance to its deadline."""
        return self.asked.delay + self.asked.deadline

    async def take_on(self, *, keep: bool) -> list[Event] | None:
        """All events of the lookup if the cache has them, else None: then they are to be followed.

        Args:
            keep: write down what the cache answered, so that it can be looked at again.

        Raises:
            InvalidInput: the identifier or the stages; so nothing invalid is ever published.
            Problem: 429.
            Unavailable: then there is no lookup, not even half of one; under an Idempotency-Key
                it is only not begun, and the repetition begins it.
        """
        return await finished(self._take_on(keep=keep))

    async def _take_on(self, *, keep: bool) -> list[Event] | None:
        try:
            events = await self._known()
            if events is None:
                await self._publish()
            elif keep and not await self.keep(events):
                # A first try under this Idempotency-Key was taken on after all.
                return None
        except (InvalidInput, Problem):
            # Refused, it leaves its Idempotency-Key free for the mended request, unless it was
            # accepted after all; but what this one only repeats may be about to be. An outage
            # leaves the key as it is: the same request, again, is begun under the same task_id.
            if self.once and self.first:
                with contextlib.suppress(StoreUnavailable):
                    await self.app[LOOKUPS].not_once(self.once, self.task_id)
            raise
        if events is not None:
            metrics.lookups.labels(self.asked.kind, "completo").inc()
        return events

    async def _known(self) -> list[Event] | None:
        identifier = parse(self.asked.kind, self.asked.identifier)
        stages = wanted(self.asked.kind, self.asked.stages)
        try:
            await self.app[QUOTAS].spend(self.caller)
        except StoreRefused:
            # What the cache has may go uncounted: it asks no provider, and leaves nothing to do.
            if (events := await self._cached(identifier, stages)) is None:
                raise
            return events
        return await self._cached(identifier, stages)

    async def _cached(self, identifier: Identifier, stages: Sequence[Stage]) -> list[Event] | None:
        asked, cache = self.asked, self.app[CACHE]
        if asked.refresh or asked.delay:
            return None
        entries = await cache.read(asked.kind, cache.digest(asked.kind, identifier.value))
        events = hit(asked.kind, stages, entries, asked.purpose, asked.legal_basis)
        await cache.count(hit=events is not None)
        metrics.cache_requests.labels(asked.kind, "hit" if events else "miss").inc()
        return events

    async def keep(self, events: list[Event]) -> bool:
        """Write down a lookup that was answered whole, so that it can be looked at again.

        False if there is one of this task_id that was begun, or has ended. A store that takes
        nothing costs the look afterwards, and not the answer that is here.
        """
        about = self._about()
        try:
            return await self.app[LOOKUPS].keep(
                self.task_id, ORIGIN, self.asked.kind, events, **about
            )
        except StoreUnavailable:
            if self.once:
                raise
            return True

    async def _publish(self) -> None:
        """Write the lookup down, so that it can be followed at once, then publish it."""
        lookups, asked = self.app[LOOKUPS], self.asked
        slots = await self.app[QUOTAS].occupy(self.caller, self.task_id, self.lifetime)
        about = {**self._about(), **slots, "origin": ORIGIN, "kind": asked.kind}
        if self.listener:
            about["listeners"] = self.listener
        try:
            new, deadline = await lookups.accept(self.task_id, self.lifetime, **about)
        except StoreUnavailable:
            with contextlib.suppress(StoreUnavailable):
                await self.app[QUOTAS].free(self.caller, self.task_id)
            raise
        self.new = new
        request = Requested(
            task_id=self.task_id,
            origin=ORIGIN,
            expires=datetime.fromtimestamp(deadline, UTC),
            tenant=self.caller.tenant,
            **msgspec.structs.asdict(asked),
        )
        try:
            await self.app[BUS].command(REQUESTED, request, priority=asked.priority, timeout=3.0)
        except BusUnavailable:
            # It may arrive all the same; marked like this nobody will work on it. But one that was
            # there before this try, or that a repetition finds by its key, may be promised.
            if new and not self.once:
                await lookups.discard(self.task_id)
                await self.app[QUOTAS].free(self.caller, self.task_id)
            raise

    def _about(self) -> dict[str, str]:
        about = {"tenant": self.caller.tenant}
        return {**about, "keep": str(IDEMPOTENT_S), "once": self.once} if self.once else about


async def begin(request: web.Request, asked: Lookup) -> tuple[Asking, View | None]:
    """Start to ask, or find what was asked before under the same `Idempotency-Key`.

    Raises:
        InvalidInput: the key was used for another request.
    """
    asking = Asking(request.app, request[CALLER], asked, str(uuid4()))
    key = request.headers.get("Idempotency-Key", "")
    if not key:
        return asking, None
    if len(key) > 255 or not key.isprintable():
        raise InvalidInput("Idempotency-Key", "use até 255 caracteres visíveis")
    prints = request.app[PRINTS]
    print_, name = prints.request(asked), prints.name(asking.caller.tenant, key)
    told = f"{asking.task_id} {print_}"
    before = await request.app[LOOKUPS].once(name, told, IDEMPOTENT_S)
    task_id, _, first = before.partition(" ")
    if first != print_:
        raise InvalidInput("Idempotency-Key", "esta chave já serviu a outro pedido; use uma nova")
    asking.task_id, asking.once, asking.first = task_id, name, before == told
    if asking.first:
        return asking, None
    view = await request.app[LOOKUPS].view(task_id)
    # Without a view, or not begun, the first try died on the way: the same task_id goes again.
    return asking, view if view is not None and view.status != "PENDING" else None


async def submit(asking: Asking, view: View | None = None) -> tuple[int, Accepted | Done]:
    """Take a lookup on: 200 with its result if that is there, else 202 with where to follow it.

    Raises:
        InvalidInput: names the field.
        Unavailable: nothing was taken on.
    """
    task_id = asking.task_id
    if view is not None and view.status == "SUCCESS":
        return _done(task_id, decode_event(view.events[-1]))
    if view is None:
        events = await asking.take_on(keep=True)
        if events is not None:
            return _done(task_id, events[-1])
    where = asking.app[ACCESS].address(asking.caller, task_id, asking.lifetime)
    status = "PENDING" if view is None else view.status
    return 202, Accepted(task_id=task_id, status=status, events=where)


def _done(task_id: str, last: Event) -> tuple[int, Done]:
    return 200, Done(task_id=task_id, status="SUCCESS", cached=last.cached, result=last.data)


def seen_by(caller: Caller, view: View | None) -> View:
    """A lookup, if there is one and it is theirs.

    Raises:
        Problem: 404, the same for both, so that nobody learns what others look up.
    """
    if view is None or not caller.sees(view.lookup.get("tenant")):
        raise Problem(404, "não há consulta com este task_id")
    return view
