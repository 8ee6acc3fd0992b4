"""Hits: lookups that the cache answers whole.

A hit is no lookup that anybody works on, so nothing is written for it. Its task_id is made of who
asks for what and of the cached answer itself: the same question has the same one for as long as the
answer is the same, and whoever asks for it again is answered from the cache. Of each, a note tells
what it stands for:

    consulta:hit:{task_id}          hash: tenant, kind, digest, stages, purpose, legal_basis
"""

import asyncio
import hmac
import math
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, NamedTuple

from aiohttp import web
from msgspec import convert, json, structs

from gateway.near import Near
from gateway.ready import Form, Question, Ready, identity, written
from shared import metrics
from shared.cache import PREFIX, VERSION, Cache, Entries
from shared.domain.keyed import Keyed
from shared.errors import StoreUnavailable
from shared.lookups import View
from shared.messages import Event, addressed, encode
from shared.results import hit
from shared.settings import Secret
from shared.store import Store
from shared.store.near import Lease

# Notes a process knows to be written. One it has forgotten is written again.
MAX_NOTED: Final = 100_000
# What a way takes, with its question.
WAY_BYTES: Final = 700
_PRINTS: Final = secrets.token_bytes(16)
# Two bits of a UUID say by whose rules it is made.
_VARIANT: Final = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))


class Way(NamedTuple):
    """What a body led to: to whose question, which answer (by its `identity`), which task_id."""

    question: Question
    made_of: list[str]
    task_id: str


@dataclass(frozen=True, slots=True)
class Hit:
    """A lookup that was answered: `body` in the form asked for. `events` only where asked for."""

    question: Question
    task_id: str
    body: bytes
    events: Sequence[Event] = ()


class Hits:
    """Answers from the cache: from memory where Redis says that nothing has changed.

    Args:
        secret: of the installation; the key of the task_ids is derived from it.
        room: bytes of memory for ready answers.
        keep_s: how long a hit can be looked at after it was given last.
    """

    def __init__(
        self, store: Store, cache: Cache, secret: Secret, *, room: int, keep_s: float
    ) -> None:
        self._store, self._cache = store, cache
        self._keyed = Keyed(hmac.digest(secret.reveal().encode(), b"hits", "sha256"))
        self._near = Near(room - room // 8)
        # By a print of the body that asked, the oldest first.
        self._ways: dict[tuple[Form, bytes], Way] = {}
        self._most_ways = room // 8 // WAY_BYTES
        self._lease = Lease(PREFIX, ("EXISTS", VERSION), self._forget)
        if room:
            store.watch(self._lease)
        self._keep_s = math.ceil(keep_s)
        # When this process wrote each note, the oldest first.
        self._noted: dict[str, float] = {}
        self._writing: set[asyncio.Task[None]] = set()

    def is_near(self, question: Question, form: Form) -> bool:
        """Whether it would take no trip now."""
        return self._at_hand(question, form) is not None

    def again(self, body: bytes, form: Form) -> Hit | None:
        """The answer that the same body had before, if it is at hand and still the same."""
        way = self._ways.get((form, _print(body)))
        ready = self._at_hand(way.question, form) if way is not None else None
        if way is None or ready is None or ready.identity is not way.made_of:
            return None
        metrics.near_hits.inc()
        self._note_soon(way.question, way.task_id)
        return Hit(way.question, way.task_id, ready.given(way.question, way.task_id))

    def near(self, question: Question, form: Form, body: bytes = b"") -> Hit | None:
        """The answer if it is at hand, and known to be what the cache would answer now.

        Args:
            body: what asked; the same again is known to ask for the same.
        """
        ready = self._at_hand(question, form)
        if ready is None:
            return None
        metrics.near_hits.inc()
        task_id = self._task_id(question, ready.identity)
        self._note_soon(question, task_id)
        if body and self._most_ways:
            self._ways[form, _print(body)] = Way(question, ready.identity, task_id)
            if len(self._ways) > self._most_ways:
                del self._ways[next(iter(self._ways))]
        return Hit(question, task_id, ready.given(question, task_id))

    def _at_hand(self, question: Question, form: Form) -> Ready | None:
        ready = self._near.get(question.subject, (question.stages, form))
        return ready if ready is not None and self._lease.holds() else None

    async def find(self, question: Question, form: Form) -> Hit | None:
        """The answer from at hand, or read from Redis, which takes one trip; None if it has none.

        Raises:
            StoreUnavailable: nobody knows.
        """
        if (found := self.near(question, form)) is not None:
            return found
        asked, changes = time.monotonic(), self._lease.changes
        entries, left = await self._cache.look(question.kind, question.digest)
        events = _events(question, entries)
        if events is None:
            return None
        made_of = identity(question.stages, entries)
        task_id = self._task_id(question, made_of)
        self._note_soon(question, task_id)
        found = Hit(question, task_id, written(form, events, task_id))
        if self._lease.is_on and self._lease.changes == changes:
            ready = Ready(form, question, entries, events, asked + left)
            self._near.put(question.subject, (question.stages, form), ready)
        return found

    async def events(self, question: Question) -> list[Event] | None:
        """The events of a hit, read from Redis."""
        entries, _ = await self._cache.look(question.kind, question.digest)
        return _events(question, entries)

    async def view(self, task_id: str) -> View | None:
        """A hit as a lookup that has ended; None if the cache has that answer no longer.

        Raises:
            StoreUnavailable: nobody knows.
        """
        noted = await self._store.hash(_key(task_id))
        if not noted:
            return None
        question = _question({name: text.decode() for name, text in noted.items()})
        entries, _ = await self._cache.look(question.kind, question.digest)
        events = _events(question, entries)
        if events is None:
            return None
        if self._task_id(question, identity(question.stages, entries)) != task_id:
            return None
        bodies = [addressed(encode(event), task_id, seq) for seq, event in enumerate(events, 1)]
        about = {"tenant": question.tenant, "ended": "completo"}
        return View(task_id, about, {"wanted": ",".join(question.stages)}, bodies, is_hit=True)

    def _note_soon(self, question: Question, task_id: str) -> None:
        """See to it that the note of a hit which is about to be answered is there."""
        now, written_at = time.monotonic(), self._noted.get(task_id)
        if written_at is None or now - written_at > self._keep_s / 2:
            self._noted.pop(task_id, None)
            self._noted[task_id] = now
            if len(self._noted) > MAX_NOTED:
                del self._noted[next(iter(self._noted))]
            # The answer waits for nothing that is only of use later.
            task = asyncio.create_task(self._note(question, task_id))
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)

    async def _note(self, question: Question, task_id: str) -> None:
        about = [part for pair in _fields(question).items() for part in pair]
        try:
            await self._store.run("hit_note", [_key(task_id)], self._keep_s, *about)
        except StoreUnavailable:
            # It cannot be looked at again for now: so the next hit tries again.
            self._noted.pop(task_id, None)

    def _task_id(self, question: Question, made_of: list[str]) -> str:
        """A UUID of version 8."""
        text = json.encode((question, made_of))
        number = self._keyed.hex(text)
        return (
            f"{number[:8]}-{number[8:12]}-8{number[13:16]}-{_VARIANT[number[16]]}{number[17:20]}"
            f"-{number[20:32]}"
        )

    def _forget(self, key: bytes | None) -> None:
        """Something in Redis has changed: a subject, the version, or nobody knows what."""
        if key is None or key == VERSION.encode():
            self._near.forget(None)
        else:
            # consulta:v{version}:{kind}:{digest}
            self._near.forget(key.decode().split(":", 2)[2])


def _events(question: Question, entries: Entries) -> list[Event] | None:
    return hit(question.kind, question.stages, entries, question.purpose, question.legal_basis)


def _print(body: bytes) -> bytes:
    """What a body is known by: what it asks for is not to be read from memory."""
    return blake2b(body, digest_size=16, key=_PRINTS).digest()


def _key(task_id: str) -> str:
    return f"consulta:hit:{task_id}"


def _fields(question: Question) -> dict[str, str]:
    """What a note says, as the hash has it."""
    told = {**structs.asdict(question), "stages": ",".join(question.stages)}
    return {name: value for name, value in told.items() if value is not None}


def _question(fields: dict[str, str]) -> Question:
    return convert({**fields, "stages": fields["stages"].split(",")}, Question)


HITS: Final = web.AppKey("hits", Hits)
