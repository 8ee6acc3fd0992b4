"""Hits: lookups that the cache answers whole.

A hit is no lookup that anybody works on, so nothing is written for it. Its task_id is made of who
asks for what and of the cached answer itself: the same question has the same one for as long as the
answer is the same, and whoever asks for it again is answered from the cache.
"""

import hmac
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from msgspec import json

from gateway.hits.near import Near
from gateway.hits.notes import MAX_NOTED, Notes
from gateway.hits.ready import Form, Question, Ready, fresh_until, identity, written
from gateway.hits.ways import Way, Ways
from shared import metrics
from shared.cache import PREFIX, VERSION, Cache, Entries
from shared.domain.keyed import Keyed
from shared.lookups import View
from shared.messages import Event, addressed, encode
from shared.results import hit
from shared.settings import Secret
from shared.store import Store
from shared.store.near import Lease

# Two bits of a UUID say by whose rules it is made.
_VARIANT: Final = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))


# consulta:v{version}:{kind}:{digest}
_SUBJECT: Final = re.compile(rb"consulta:v\d+:([a-z]+:[0-9a-f]+)")
# Beyond, a body would take more of the table of bodies than it is counted for.
_LONGEST: Final = 100


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
    """

    def __init__(self, store: Store, cache: Cache, secret: Secret, *, room: int) -> None:
        self._cache, self._notes = cache, Notes(store, MAX_NOTED if room else 0)
        self._keyed = Keyed(hmac.digest(secret.reveal().encode(), b"hits", "sha256"))
        self._near = Near(room - room // 8)
        self._ways = Ways(room // 8)
        self._lease = Lease(PREFIX, ("EXISTS", VERSION), self._forget)
        if room:
            store.watch(self._lease)

    def is_near(self, question: Question, form: Form) -> bool:
        """Whether it would take no trip now."""
        return self._at_hand(question, form) is not None

    def again(self, body: bytes, form: Form) -> Hit | None:
        """The answer that the same body had before, if it is at hand and still the same."""
        way = self._ways.find(body, form)
        ready = self._at_hand(way.question, form) if way is not None else None
        if way is None or ready is None or ready.identity is not way.made_of:
            return None
        metrics.near_hits.inc()
        self._notes.see_to(way.task_id, way.question, ready.fresh_until)
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
        self._notes.see_to(task_id, question, ready.fresh_until)
        if body and len(question.purpose or "") + len(question.legal_basis or "") <= _LONGEST:
            self._ways.show(body, form, Way(question, ready.identity, task_id))
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
        self._notes.see_to(task_id, question, fresh_until(question.stages, entries))
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
        question = await self._notes.read(task_id)
        if question is None:
            return None
        entries, _ = await self._cache.look(question.kind, question.digest)
        events = _events(question, entries)
        if events is None:
            return None
        if self._task_id(question, identity(question.stages, entries)) != task_id:
            return None
        bodies = [addressed(encode(event), task_id, seq) for seq, event in enumerate(events, 1)]
        about = {"tenant": question.tenant, "ended": "completo"}
        return View(task_id, about, {"wanted": ",".join(question.stages)}, bodies, is_hit=True)

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
        if key is None:
            # Perhaps everything is gone, the notes as well.
            self._notes.forget()
            self._near.forget(None)
        elif (subject := _SUBJECT.fullmatch(key)) is not None:
            self._near.forget(subject.group(1).decode())
        else:
            # The version; or somebody else's key, which may mean anything.
            self._near.forget(None)


def _events(question: Question, entries: Entries) -> list[Event] | None:
    return hit(question.kind, question.stages, entries, question.purpose, question.legal_basis)


HITS: Final = web.AppKey("hits", Hits)
