"""Notes of hits: what each task_id stands for, so that it can be asked for again.

    consulta:hit:{task_id}          hash: tenant, kind, digest, stages, purpose, legal_basis

A note has no events: those are made of the cached answer, if it is still there.
"""

import asyncio
import math
import time
from typing import Final

from msgspec import convert, structs

from gateway.ready import Question
from shared.errors import StoreUnavailable
from shared.store import Store

# Notes a process knows to be written. One it has forgotten is written again.
MAX_NOTED: Final = 50_000


class Notes:
    """Writes each note once in a while, beside the answers and not before them.

    Args:
        keep_s: how long a note is kept. It is renewed after half of that, so a hit can be looked at
            for as long at least.
    """

    def __init__(self, store: Store, keep_s: float) -> None:
        self._store, self._keep_s = store, math.ceil(keep_s)
        # When this process wrote each, the oldest first.
        self._noted: dict[str, float] = {}
        self._writing: set[asyncio.Task[None]] = set()

    def see_to(self, task_id: str, question: Question) -> None:
        """Have the note of a hit written, if it may not be there for long enough."""
        now, before = time.monotonic(), self._noted.get(task_id)
        if before is not None and now - before <= self._keep_s / 2:
            return
        self._noted.pop(task_id, None)
        self._noted[task_id] = now
        if len(self._noted) > MAX_NOTED:
            del self._noted[next(iter(self._noted))]
        task = asyncio.create_task(self._write(task_id, question))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def read(self, task_id: str) -> Question | None:
        """What a task_id stands for; None if it is no hit's, or nobody has asked for long.

        Raises:
            StoreUnavailable: nobody knows.
        """
        found = await self._store.hash(_key(task_id))
        if not found:
            return None
        told = {name: text.decode() for name, text in found.items()}
        return convert({**told, "stages": told["stages"].split(",")}, Question)

    def forget(self) -> None:
        """Redis may have lost them."""
        self._noted.clear()

    async def _write(self, task_id: str, question: Question) -> None:
        told = {**structs.asdict(question), "stages": ",".join(question.stages)}
        pairs = [part for pair in told.items() if pair[1] is not None for part in pair]
        try:
            await self._store.run("hit_note", [_key(task_id)], self._keep_s, *pairs)
        except StoreUnavailable:
            # It cannot be looked at for now; the next hit tries again.
            self._noted.pop(task_id, None)


def _key(task_id: str) -> str:
    return f"consulta:hit:{task_id}"
