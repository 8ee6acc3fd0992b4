"""Ask for a lookup: answered by the cache, or written down and begun."""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, TypeVar, cast
from uuid import uuid4

import msgspec
from aiohttp import web

from gateway.access import ACCESS, CALLER, Caller
from gateway.bodies import decoded, lookup_from
from gateway.hits.hits import HITS, Hit
from gateway.hits.ready import Form, Question, written
from gateway.problems import Problem
from gateway.quotas import QUOTAS
from gateway.security.prints import PRINTS
from gateway.streams import ORIGIN
from shared import metrics
from shared.app import BUS, CACHE, LOOKUPS
from shared.domain.answers import Accepted, Done, Result
from shared.errors import InvalidInput, StoreRefused, StoreUnavailable, Unavailable
from shared.flow.planner import Planned, Planner
from shared.identifiers import KINDS, Kind, parse
from shared.lookups import Lookups, View
from shared.messages import Lookup, Requested, addressed, decode_event, encode
from shared.stages import wanted

log = logging.getLogger(__name__)

Worked = TypeVar("Worked")

# How long a request may be repeated under its Idempotency-Key and be one.
IDEMPOTENT_S = 86400
# Seconds that whoever asks waits for the broker.
PATIENCE_S: Final = 3.0
PLANNER: Final = web.AppKey("planner", Planner)
# To look a series up takes four times as long as to count in it.
_HITS: Final = {kind: metrics.cache_requests.labels(kind, "hit") for kind in KINDS}
_MISSES: Final = {kind: metrics.cache_requests.labels(kind, "miss") for kind in KINDS}
_COMPLETED: Final = {kind: metrics.lookups.labels(kind, "completo") for kind in KINDS}
_under_way: set[asyncio.Task[Any]] = set()


async def finished(work: Coroutine[Any, Any, Worked]) -> Worked:
    """Do it to its end, even if the client goes meanwhile: half of it is worse than all."""
    return await asyncio.shield(_started(work))


async def settled() -> None:
    """Wait for what goes on without its client, before what it needs is closed."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            # One may lead to another.
            while _under_way:
                await asyncio.wait(_under_way)


def _started(work: Coroutine[Any, Any, Worked]) -> "asyncio.Task[Worked]":
    task = asyncio.create_task(work)
    _under_way.add(task)
    task.add_done_callback(_ended)
    return task


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
    # Of the answer, if the cache has it.
    form: Form
    # As it came, if it came alone.
    body: bytes = b""
    # Where its Idempotency-Key stands, if it has one, and whether it is the first to use it.
    once: str = ""
    first: bool = True
    # What stands there: its task_id, and the print of its request.
    told: str = ""
    # The gateway that has a client for its events from the start, if one has.
    listener: str = ""
    # Whether it was accepted by this very try, and so its events are heard from the first.
    new: bool = False
    # The first of them, where there is a client for it and nothing more to wait for.
    first_event: bytes = b""

    @property
    def lifetime(self) -> float:
        """Seconds from its acceptance to its deadline."""
        return self.asked.delay + self.asked.deadline

    @cached_property
    def task_id(self) -> str:
        """Of what is to be worked on; a hit has one of its own."""
        return str(uuid4())

    @cached_property
    def question(self) -> Question:
        """What the cache is asked.

        Raises:
            InvalidInput: the identifier or the stages; so nothing invalid is ever taken on.
        """
        asked = self.asked
        identifier = parse(asked.kind, asked.identifier)
        return Question(
            self.caller.tenant,
            asked.kind,
            self.app[CACHE].digest_of(asked.kind, identifier.value),
            tuple(wanted(asked.kind, asked.stages)),
            asked.purpose,
            asked.legal_basis,
        )

    async def take_on(self) -> Hit | None:
        """The answer if the cache has it, else None: then the lookup's events are to be followed.

        Raises:
            InvalidInput: as `question`.
            Problem: 429.
            Unavailable: then there is no lookup, as far as is known; where Redis gave no answer
                there may be one, which a repetition joins, or finds by its Idempotency-Key.
        """
        if self._may_be_cached and not self.once and self.caller.key is None:
            hit = self.app[HITS].near(self.question, self.form, self.body)
            if hit is not None:
                _count(self.app, self.asked.kind, is_hit=True)
                return hit
        return await finished(self._take_on())

    async def _take_on(self) -> Hit | None:
        try:
            hit = await self._known()
            if hit is None:
                await self._begin()
            elif self.once and not await self._keep(hit):
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
        return hit

    @property
    def _may_be_cached(self) -> bool:
        return not self.asked.refresh and not self.asked.delay

    async def _known(self) -> Hit | None:
        question, refused = self.question, None
        if self.caller.key is None or self.app[HITS].is_near(question, self.form):
            refused = await self._spend()
            hit = await self._cached()
        else:
            # Two questions in one trip; over the limit is over it, whatever the cache has.
            refused, hit = await asyncio.gather(self._spend(), self._cached())
        if hit is None and refused is not None:
            raise refused
        if self._may_be_cached:
            _count(self.app, self.asked.kind, is_hit=hit is not None)
        return hit

    async def _spend(self) -> StoreRefused | None:
        """One lookup of the key's window. What the cache has may go uncounted where Redis takes no
        write: it asks no provider, and leaves nothing to do.
        """
        try:
            await self.app[QUOTAS].spend(self.caller)
        except StoreRefused as refused:
            return refused
        return None

    async def _cached(self) -> Hit | None:
        if not self._may_be_cached:
            return None
        if not self.once:
            return await self.app[HITS].find(self.question, self.form)
        events = await self.app[HITS].events(self.question)
        if events is None:
            return None
        return Hit(self.question, self.task_id, written(self.form, events, self.task_id), events)

    async def _keep(self, hit: Hit) -> bool:
        """Write down what was answered under an Idempotency-Key, so that it is answered again.

        False if there is one of this task_id that was begun, or has ended.
        """
        about = self._about()
        kept = await self.app[LOOKUPS].keep(
            self.task_id, ORIGIN, self.asked.kind, hit.events, **about
        )
        await self._hold()
        return kept

    async def _hold(self) -> None:
        """Have the Idempotency-Key stand for this. Whoever was first to use it may have been
        refused meanwhile, and have left it free.
        """
        if self.once and not self.first:
            with contextlib.suppress(StoreUnavailable):
                await self.app[LOOKUPS].once(self.once, self.told, IDEMPOTENT_S)

    async def _begin(self) -> None:
        """Write the lookup down, so that it can be followed at once, and have its stages done."""
        bus, planner = self.app[BUS], self.app[PLANNER]
        # Before anything is written that would have to be taken back.
        await bus.declared(PATIENCE_S)
        slots = await self.app[QUOTAS].occupy(self.caller, self.task_id)
        request = Requested(
            task_id=self.task_id,
            origin=ORIGIN,
            tenant=self.caller.tenant,
            **msgspec.structs.asdict(self.asked),
        )
        about = {**self._about(), **slots}
        if self.listener:
            about["listeners"] = self.listener
        try:
            planned = await planner.board(request, about)
        except StoreRefused:
            # Nothing was written. Where Redis did not answer it may have been, and then it is
            # begun by whoever sweeps, and keeps its place until it ends.
            with contextlib.suppress(StoreUnavailable):
                await self.app[QUOTAS].free(self.caller, self.task_id)
            raise
        self.new = planned.is_new
        await self._hold()
        if not self.listener:
            await self._ordered(planned)
            return
        # It is written down, and begun whatever becomes of this: its client need not wait for the
        # broker. One that only wants to know that it was taken on does, or there would be no end
        # to how many wait here.
        if planned.leads and planned.is_new:
            self.first_event = addressed(encode(planned.first), self.task_id, 1)
        _started(self._ordered_later(planned))

    async def _ordered_later(self, planned: Planned) -> None:
        # Its client is told first.
        await asyncio.sleep(0)
        await self._ordered(planned)

    async def _ordered(self, planned: Planned) -> None:
        """Have it done. Where that fails it is begun later, by whoever sweeps: perhaps a part of
        its orders is on the bus, and taken back, it would be asked for once more.
        """
        try:
            await self.app[PLANNER].begin(planned, is_told=bool(self.first_event))
        except Unavailable as error:
            log.warning("begins later", extra={"error": str(error)})
        except Exception:
            log.exception("begins later")

    def _about(self) -> dict[str, str]:
        about = {"tenant": self.caller.tenant}
        return {**about, "keep": str(IDEMPOTENT_S), "once": self.once} if self.once else about


def again(request: web.Request, body: bytes, form: Form) -> Hit | None:
    """The answer at hand to a body that asked before; None if there is none, or more to do."""
    if request[CALLER].key is not None or "Idempotency-Key" in request.headers:
        return None
    hit = request.app[HITS].again(body, form)
    if hit is not None:
        _count(request.app, hit.question.kind, is_hit=True)
    return hit


def _count(app: web.Application, kind: Kind, *, is_hit: bool) -> None:
    app[CACHE].count(hit=is_hit)
    if is_hit:
        _HITS[kind].inc()
        _COMPLETED[kind].inc()
    else:
        _MISSES[kind].inc()


async def begin(request: web.Request, body: bytes, form: Form) -> tuple[Asking, View | None]:
    """Start to ask, or find what was asked before under the same `Idempotency-Key`.

    Raises:
        InvalidInput: a field of the body, or the key was used for another request.
        Problem: 400 the body is not JSON.
    """
    asked = lookup_from(decoded(body), request[CALLER])
    asking = Asking(request.app, request[CALLER], asked, form, body)
    key = request.headers.get("Idempotency-Key", "")
    if not key:
        return asking, None
    if len(key) > 255 or not key.isprintable():
        raise InvalidInput("Idempotency-Key", "use até 255 caracteres visíveis")
    prints = request.app[PRINTS]
    print_, name = prints.request(asked), prints.name(asking.caller.tenant, key)
    lookups, mine, view = request.app[LOOKUPS], asking.task_id, None
    asking.once, asking.task_id = name, await _standing(lookups, name, mine, print_)
    if asking.task_id != mine:
        view = await lookups.view(asking.task_id)
        if view is not None and view.ended and view.is_lost:
            # Redis has no longer what it ended with.
            await lookups.forget_once(asking.task_id)
            asking.task_id, view = await _standing(lookups, name, mine, print_), None
    asking.told, asking.first = f"{asking.task_id} {print_}", asking.task_id == mine
    # Without a view the first try died on the way: the same task_id goes again.
    return asking, view


async def _standing(lookups: Lookups, name: str, task_id: str, print_: str) -> str:
    """The task_id an Idempotency-Key stands for: this one, or that of the same request before.

    Raises:
        InvalidInput: it was used for another request.
    """
    before, _, first = (await lookups.once(name, f"{task_id} {print_}", IDEMPOTENT_S)).partition(
        " "
    )
    if first != print_:
        raise InvalidInput("Idempotency-Key", "esta chave já serviu a outro pedido; use uma nova")
    return before


async def submit(asking: Asking, view: View | None = None) -> tuple[int, Accepted | Done]:
    """Take a lookup on: 200 with its result if that is there, else 202 with where to follow it.

    Raises:
        InvalidInput: names the field.
        Unavailable: as `take_on`.
    """
    if view is not None and view.status == "SUCCESS":
        last = decode_event(view.events[-1])
        return 200, Done(
            task_id=asking.task_id, status="SUCCESS", cached=last.cached, result=last.data
        )
    if view is None and (hit := await asking.take_on()) is not None:
        return 200, done(hit)
    where = asking.app[ACCESS].address(asking.caller, asking.task_id, asking.lifetime)
    status = "PENDING" if view is None else view.status
    return 202, Accepted(task_id=asking.task_id, status=status, events=where)


def done(hit: Hit) -> Done:
    """A hit's result, which is JSON already, as the answer."""
    result = cast("Result", msgspec.Raw(hit.body))
    return Done(task_id=hit.task_id, cached=True, status="SUCCESS", result=result)


def seen_by(caller: Caller, view: View | None) -> View:
    """A lookup, if there is one and it is theirs.

    Raises:
        Problem: 404, the same for both, so that nobody learns what others look up.
    """
    if view is None or not caller.sees(view.lookup.get("tenant")):
        raise Problem(404, "não há consulta com este task_id")
    return view
