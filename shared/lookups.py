"""The state of lookups in Redis: flights, their event logs, and who is aboard.

A *lookup* is what an asker has: a task_id, an origin, a deadline. A *flight* is the work: one
pipeline of stages for one subject, with one event log. Identical lookups share a flight, so a
flight has one or more askers, and each reads the same log under its own task_id; an event's
position in the log is its `seq` for every one of them.

    consulta:lookup:{task}          hash: origin, listeners, tenant, kind, deadline, flight, ended …
    consulta:flight:{id}            hash: wanted, left, ordered, claim:, by:, tried:, seq:<step> …
    consulta:flight:{id}:log        list of events, without task_id and seq
    consulta:flight:{id}:askers     hash: task -> origin, and the gateways that listen for it
    consulta:inflight:{digest}      hash: <version>:<what is asked> -> the flight under way for it
    consulta:once:{name}            what an Idempotency-Key stands for: task, print of its request
    consulta:waiting:{queue}        zset: flights waiting to be taken, by time of arrival
    consulta:deadlines              zset: tasks that were accepted and have not ended, by deadline
    consulta:scheduled              zset: tasks that have still to begin, by the time they start
    consulta:untold                 zset: <flight> <plan> of gateways that plan, by when to look
    consulta:put_off                zset: <step>:<flight> of orders put off, by when they come back
    consulta:overtaken:{queue}      hash: who has waited longest, and how often others went before
    consulta:active:{queue}         zset: flights being worked on, by deadline

Every change is one Lua script, because several processes change a flight at once. The keys of
the askers are derived inside the scripts, so this needs one Redis, not a Redis Cluster. Every
instant is on Redis' clock, since no two hosts agree on theirs.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal
from uuid import uuid4

from shared.domain.answers import Status
from shared.identifiers import Kind
from shared.messages import (
    STAGES,
    TERMINAL,
    Event,
    Requested,
    Stage,
    addressed,
    decode,
    decode_event,
    encode,
)
from shared.store import Store, record
from shared.store.record import Kept, Place, Record, Step, packed

# How long a lookup can be asked for after it ended, unless KEEP_S says otherwise.
KEEP_S: Final = 900
# What a deadline may come late by before the state of a lookup may go.
SLACK_S: Final = 3600
# How often others may go before the one that has waited longest. With it, a steady stream of
# urgent lookups leaves every 20th permit of a limited queue to the rest.
PATIENCE: Final = 20
# What a gateway is left to send the orders of a flight, before anybody looks after them.
SENDING_S: Final = 4
# After so long a flight's orders may have got lost, as far as whoever joins it can know.
_RENEW_MS: Final = 10_000
# When to look again at what was found overdue: soon at a deadline, whose asker waits, later at
# what begins, whose message may only stand in a long queue. And how much to take at once.
_AGAIN_S: Final = {"deadlines": 3.0, "scheduled": 10.0, "untold": 10.0, "put_off": 30.0}
BATCH: Final = 100

_DEADLINES: Final = "consulta:deadlines"
_SCHEDULED: Final = "consulta:scheduled"
_UNTOLD: Final = "consulta:untold"
_PUT_OFF: Final = "consulta:put_off"
CLAIMANTS: Final = "consulta:claimants"


@dataclass(frozen=True)
class Plan:
    """What planning said. `before` is the priority the flight had until now.

    Who `renews` joins, and has what is still to be done ordered again. Of who has `ended` apart
    from the others, `flight` is theirs.
    `seconds` are those until it starts if it is `early`, else until its `deadline` (Unix seconds).
    `asker` is who is told of it: its origin, and the gateways that listen. `entries` is what the
    cache has of the subject, `events` the flight's log, where either is of use; `waits` are the
    seconds that the orders of a new flight wait for their limits, by step. `is_new` if nobody knew
    of the lookup before; `unsent` if nobody has said that the flight's orders are on the bus.
    """

    verdict: Literal["leads", "joins", "renews", "again", "ended", "other", "early", "late", "gone"]
    flight: str
    before: int
    seconds: float
    deadline: float
    asker: str = ""
    entries: list[bytes] = field(default_factory=list)
    events: list[bytes] = field(default_factory=list)
    waits: dict[str, float] = field(default_factory=dict)
    is_new: bool = False
    unsent: bool = False


@dataclass(frozen=True)
class Claim:
    """Whether an order may be carried out, and how many seconds its flight has left.

    `overdue` is the order that others have overtaken too often, if there is one. `tried` is what
    the step was put off as last, if it was: it says what has been found out so far. `kind`,
    `digest`, `wanted` and `events` are the flight's where an analysis is to be made.
    """

    verdict: Literal["go", "resume", "busy", "repeat", "drop"]
    left: float
    priority: int
    overdue: bytes = b""
    tried: bytes = b""
    kind: str = ""
    digest: str = ""
    wanted: str = ""
    events: list[bytes] = field(default_factory=list)


@dataclass(frozen=True)
class Recorded:
    """A step's place in the log. `askers` maps task_id to who is told: see `consulta:flight:`.

    `stale` is an end that was not written, since it was made of other outcomes than those there.
    """

    verdict: Literal["new", "again", "ended", "stale"]
    seq: int
    left: int
    event: bytes
    askers: dict[str, str]


@dataclass(frozen=True)
class Written:
    """What became of the steps of a record, and the seconds that what follows waits, by step."""

    steps: list[Recorded]
    waits: dict[str, float]

    @property
    def is_new(self) -> bool:
        """Whether this record wrote all of it; else nothing that follows stands in line."""
        return all(step.verdict == "new" for step in self.steps)

    @property
    def left(self) -> int:
        """Stages that have no outcome yet."""
        return self.steps[-1].left


@dataclass(frozen=True)
class View:
    """A lookup as it stands: its events are from the position asked for, addressed to it.

    `left` seconds of its time are left; below 0, its deadline has passed.
    """

    task_id: str
    lookup: dict[str, str]
    flight: dict[str, str] = field(default_factory=dict)
    events: list[bytes] = field(default_factory=list)
    left: float = 0.0
    # Of what the cache answered whole: it has no flight, and its events are all there will be.
    is_hit: bool = False

    @property
    def status(self) -> Status:
        ended = self.lookup.get("ended")
        if ended is None:
            return "STARTED" if "flight" in self.lookup else "PENDING"
        if self.lookup.get("revoked"):
            return "REVOKED"
        return "SUCCESS" if ended == "completo" else "FAILURE"

    @property
    def ended(self) -> bool:
        return "ended" in self.lookup

    @property
    def is_lost(self) -> bool:
        """Whether its flight, and with it its log, has gone from the store."""
        return "flight" in self.lookup and not self.flight


class Lookups:
    """Every step a lookup can take. All raise StoreUnavailable, and all may be taken again.

    Args:
        clock: milliseconds of Unix time, for tests; without it Redis' own clock counts.
        keep_s: how long a lookup can be asked for after it ended.
    """

    def __init__(
        self, store: Store, clock: Callable[[], int] = lambda: 0, *, keep_s: float = KEEP_S
    ) -> None:
        self._store, self._clock, self._keep_s = store, clock, math.ceil(keep_s)

    async def accept(self, task: str, seconds: float, **about: str) -> tuple[bool, float]:
        """Write a lookup down before it is planned, so that it can be asked for at once.

        Args:
            seconds: from now to its deadline, which is watched from now on.

        Returns whether it is new, and its deadline (Unix seconds).
        """
        pairs = [part for pair in about.items() for part in pair]
        new, deadline = await self._store.run(
            "accept",
            [lookup_key(task), _DEADLINES],
            self._clock(),
            task,
            round(seconds * 1000),
            SLACK_S,
            "created",
            str(time.time()),
            *pairs,
        )
        return bool(new), int(deadline) / 1000

    async def keep(
        self, task: str, origin: str, kind: Kind, events: Sequence[Event], **about: str
    ) -> bool:
        """Write down a lookup that was answered at once, whole, so that it can be asked for.

        Returns False where the task_id is that of a lookup that was begun, or has ended.
        """
        flight = uuid4().hex
        wanted = ",".join(event.type for event in events if event.type in STAGES)
        kept = await self._store.run(
            "keep",
            [lookup_key(task), flight_key(flight), _DEADLINES],
            task,
            flight,
            origin,
            kind,
            wanted,
            max(self._keep_s, int(about.get("keep", 0))),
            about.get("tenant", ""),
            *(encode(event) for event in events),
        )
        return bool(kept)

    async def once(self, name: str, value: str, lifetime: int) -> str:
        """The value under this name: this one, or the one that was first, for `lifetime` s.

        Args:
            value: a task, a space, and more.
        """
        before = await self._store.do("SET", _once(name), value, "NX", "GET", "EX", lifetime)
        return value if before is None else str(before.decode())

    async def not_once(self, name: str, task: str, *, ended: bool = False) -> None:
        """Forget what `once` remembered, if that is this task.

        Args:
            ended: even where there is such a lookup, which somebody may have been promised.
        """
        keys = [_once(name), lookup_key(task)]
        await self._store.run("not_once", keys, task, int(ended))

    async def forget_once(self, task: str) -> None:
        """Let the Idempotency-Key of a lookup that has ended begin another."""
        name = await self._store.do("HGET", lookup_key(task), "once")
        if name is not None:
            await self.not_once(name.decode(), task, ended=True)

    async def lose(self, task: str, **about: str) -> bool:
        """Note that a lookup's state has gone, so that whoever asks is told how it ended.

        Returns False if the lookup is there.
        """
        pairs = [part for pair in about.items() for part in pair]
        return bool(await self._store.run("lose", [lookup_key(task)], self._keep_s, *pairs))

    async def plan(
        self,
        request: Requested,
        digest: str,
        asks: str,
        wanted: list[Stage],
        started: Event,
        *,
        flight: str = "",
        orders: Sequence[Place] = (),
        accepted: Mapping[str, str] | None = None,
    ) -> Plan:
        """Put a lookup aboard a flight: the one under way for the same, or a new one.

        Its deadline is the one it was accepted with, else what the message says, else as long
        from now as it asks for.

        Args:
            asks: what is asked about the subject; whoever asks the same may share a flight.
            flight: what a new one is called.
            orders: the places in line of what a new one begins with.
            accepted: what is to be known of a lookup that is accepted by this. It is sent again in
                a while, unless its orders are `sent` before.
        """
        due = request.expires.timestamp() if request.expires else 0
        plan = record.Plan(
            task=request.task_id,
            flight=flight or uuid4().hex,
            origin=request.origin,
            tenant=request.tenant or "",
            kind=request.kind,
            digest=digest,
            asks=asks,
            wanted=",".join(wanted),
            left=len(wanted),
            started=encode(started).decode(),
            priority=request.priority,
            due=max(0, round(due * 1000)),
            delay=round(request.delay * 1000),
            length=round(request.deadline * 1000),
            slack=SLACK_S,
            renew=_RENEW_MS,
            now=self._clock(),
            orders=list(orders),
        )
        if accepted is not None:
            created = {"created": str(time.time()), **accepted}
            plan.accepted = [part for pair in created.items() for part in pair]
            plan.request, plan.patience = encode(request).decode(), SENDING_S
        keys = [lookup_key(request.task_id), f"consulta:inflight:{digest}"]
        (
            verdict,
            flight_,
            before,
            ms,
            deadline,
            asker,
            entries,
            events,
            waits,
            is_new,
            unsent,
        ) = await self._store.run("plan", keys, packed(plan))
        return Plan(
            verdict=verdict.decode(),
            flight=flight_.decode(),
            before=int(before),
            seconds=ms / 1000,
            deadline=int(deadline) / 1000,
            asker=asker.decode(),
            entries=entries,
            events=events,
            waits={place.step: wait / 1e6 for place, wait in zip(orders, waits, strict=False)},
            is_new=bool(is_new),
            unsent=bool(unsent),
        )

    async def sent(self, task: str, flight: str, plan: str) -> None:
        """What this lookup ordered is on the bus, and what was written down for it is told.

        Args:
            plan: what a new flight was to be called when it was planned.
        """
        keys = [lookup_key(task), flight_key(flight), _SCHEDULED, _UNTOLD]
        await self._store.run("sent", keys, task, f"{flight} {plan}")

    async def retold(self, flight: str, plans: Sequence[str]) -> None:
        """What gateways wrote down has been told in their place."""
        await self._store.do("ZREM", _UNTOLD, *(f"{flight} {plan}" for plan in plans))

    async def claim(
        self, flight: str, step: str, order: str, queue: str, instance: str = ""
    ) -> Claim:
        """Ask leave to carry out an order for one step of a flight; see `shared.flow.claims`.

        Args:
            instance: the process that asks.
        """
        keys = [flight_key(flight), waiting_key(queue), active_key(queue), _overtaken(queue)]
        verdict, left, priority, overdue, tried, about = await self._store.run(
            "claim", [*keys, CLAIMANTS], step, order, flight, PATIENCE, instance
        )
        kind, digest, wanted = (text.decode() for text in about[:3] or (b"", b"", b""))
        return Claim(
            verdict=verdict.decode(),
            left=int(left) / 1000,
            priority=int(priority),
            overdue=overdue,
            tried=tried,
            kind=kind,
            digest=digest,
            wanted=wanted,
            events=about[3:],
        )

    async def write(self, told: Record) -> Written:
        """Write down steps of a flight with all that follows from them."""
        left, pairs, steps, waits = await self._store.run(
            "record", [flight_key(told.flight)], packed(told)
        )
        askers = _texts(pairs)
        places = [*told.following, *([told.analysis] if told.analysis else [])]
        return Written(
            steps=[
                Recorded(
                    verdict.decode(), int(seq), int(left), event or step.event.encode(), askers
                )
                for (verdict, seq, event), step in zip(steps, told.steps, strict=True)
            ],
            waits={place.step: wait / 1e6 for place, wait in zip(places, waits, strict=False)},
        )

    async def record(
        self,
        flight: str,
        step: str,
        event: Event | None,
        *,
        counts: bool = False,
        kept: Sequence[Kept] = (),
    ) -> Recorded:
        """Append a step's event to the log, once. Without an event: what was recorded before.

        An end that is `cancelado` also makes the lookup a revoked one.

        Args:
            counts: the step is one of the stages the flight waits for.
            kept: what the cache learns of it.
        """
        only = Step(name=step, event="") if event is None else step_of(step, event, counts=counts)
        written = await self.write(self.record_of(flight, [only], kept))
        return written.steps[0]

    def record_of(self, flight: str, steps: list[Step], kept: Sequence[Kept] = ()) -> Record:
        """A record of steps, for whoever adds more to it."""
        return Record(
            flight=flight, steps=steps, lifetime=self._keep_s, now=self._clock(), kept=list(kept)
        )

    async def leave(
        self, task: str, last: Event | None = None
    ) -> tuple[Literal["unknown", "ended", "alone", "parted", "again"], str, Event | None]:
        """Give an asker its flight for itself, so that it can end without the others.

        Args:
            last: what it is to end with. Should whoever asks not write it, whoever sweeps does.

        Returns with the verdict the flight, and what it is to end with: what was said first.
        """
        told = "" if last is None else encode(last)
        arguments = (self._clock(), task, uuid4().hex, self._keep_s, told)
        keys = [lookup_key(task), _DEADLINES]
        verdict, flight, found = await self._store.run("leave", keys, *arguments)
        return verdict.decode(), flight.decode(), decode_event(found) if found else None

    async def settled(self, task: str) -> None:
        """The end of a lookup that was taken out of its flight has been told."""
        await self._store.do("ZREM", _DEADLINES, task)

    async def view(self, task: str, seen: int = 0, listener: str = "") -> View | None:
        """The lookup and its events after the first `seen`; None if there is no such lookup.

        Args:
            listener: a gateway that has a client for it from now on, and is told its news.
        """
        lookup, flight, log, left = await self._store.run(
            "view", [lookup_key(task)], self._clock(), seen, listener
        )
        if not lookup:
            return None
        events = [addressed(event, task, seen + place) for place, event in enumerate(log, 1)]
        return View(task, _texts(lookup), _texts(flight), events, left / 1000)

    async def unlisten(self, task: str, listener: str) -> None:
        """A gateway has no client for a lookup any more."""
        await self._store.run("unlisten", [lookup_key(task)], listener)

    async def behind(self, seen: Mapping[str, int]) -> list[str]:
        """Which of these lookups have more to tell than so many events, or are over."""
        pairs = [part for pair in seen.items() for part in pair]
        return [task.decode() for task in await self._store.run("behind", [], *pairs)]

    async def flight(self, flight: str) -> dict[str, str]:
        """The hash of a flight; empty if there is no such flight."""
        found = await self._store.hash(flight_key(flight))
        return {key: value.decode() for key, value in found.items()}

    async def askers(self, flight: str) -> dict[str, str]:
        """Who is aboard a flight: task_id to origin."""
        found = await self._store.hash(f"{flight_key(flight)}:askers")
        return {task: origin.decode() for task, origin in found.items()}

    async def log(self, flight: str) -> list[bytes]:
        """All events of a flight, without task_id and seq."""
        return await self._store.items(f"{flight_key(flight)}:log")

    async def left(self, flight: str) -> float:
        """The seconds a flight has left; 0 if there is no such flight."""
        return int(await self._store.run("left", [flight_key(flight)])) / 1000

    async def is_open(self, flight: str) -> bool:
        """Whether anybody still waits for this flight."""
        wanted, ended = await self._store.do("HMGET", flight_key(flight), "wanted", "ended")
        return wanted is not None and ended is None

    async def schedule(self, request: Requested, start: float) -> None:
        """Note that a lookup waits for its time (Unix seconds), and what it asks for."""
        keys = [lookup_key(request.task_id), _SCHEDULED]
        await self._store.run("schedule", keys, request.task_id, start, encode(request))

    async def put_off(self, task: str) -> Requested | None:
        """What a lookup that has still to begin asks for; None if it has begun, or ended.

        With its deadline, so that it ends when it should, however late it is read.
        """
        found = await self._store.run("waits", [lookup_key(task), _SCHEDULED], task)
        if found is None:
            return None
        request, deadline = decode(found[0], Requested), int(found[1])
        if deadline:
            request.expires = datetime.fromtimestamp(deadline / 1000, UTC)
        elif request.expires is None:
            # Of a version that did not say when it starts: its delay is over.
            request.delay = 0
        return request

    async def overdue(
        self, what: Literal["scheduled", "untold", "deadlines"], seconds: float
    ) -> list[str]:
        """Up to BATCH tasks overdue for so long, the oldest first; not the same again at once.

        Of what is untold, each is a flight, a space, and the name of a plan.
        """
        key = f"consulta:{what}"
        found = await self._store.run("sweep", [key], self._clock(), seconds, _AGAIN_S[what], BATCH)
        return [item.decode() for item in found]

    async def astray(self, seconds: float) -> list[tuple[str, str, bytes]]:
        """Up to BATCH orders that were put off and are late by so long: not the same soon again.

        Returns of each its step, the order it is to be sent as, and its body.
        """
        late, again = round(seconds * 1000), round(_AGAIN_S["put_off"] * 1000)
        arguments = (self._clock(), late, again, BATCH, uuid4().hex)
        found = await self._store.run("astray", [_PUT_OFF], *arguments)
        return [
            (step.decode(), order.decode(), body)
            for step, order, body in zip(found[::3], found[1::3], found[2::3], strict=True)
        ]


def step_of(name: str, event: Event, *, counts: bool = False, derived: bool = False) -> Step:
    """A step with its outcome, as it is written down."""
    ends = event.type if event.type in TERMINAL else ""
    revoked = bool(ends) and event.outcome == "cancelado"
    return Step(
        name=name,
        event=encode(event).decode(),
        counts=counts,
        ends=ends,
        revoked=revoked,
        derived=derived,
    )


def waiting_key(queue: str) -> str:
    """The zset of flights that wait before a queue."""
    return f"consulta:waiting:{queue}"


def active_key(queue: str) -> str:
    """The zset of flights a queue's consumers are working on."""
    return f"consulta:active:{queue}"


def _overtaken(queue: str) -> str:
    return f"consulta:overtaken:{queue}"


def lookup_key(task: str) -> str:
    """The hash of a lookup."""
    return f"consulta:lookup:{task}"


def _once(name: str) -> str:
    return f"consulta:once:{name}"


def flight_key(flight: str) -> str:
    return f"consulta:flight:{flight}"


def _texts(flat: list[bytes]) -> dict[str, str]:
    texts = [text.decode() for text in flat]
    return dict(zip(texts[::2], texts[1::2], strict=True))
