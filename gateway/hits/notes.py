"""Notes of hits: what each task_id stands for, so that it can be asked for again.

    consulta:hit:{task_id}          hash: tenant, kind, digest, stages, purpose, legal_basis

A note has no events: those are made of the cached answer, if it is still there.
"""

import asyncio
import logging
import math
import time
from typing import Final

from msgspec import convert, structs

from gateway.hits.ready import Question
from shared.errors import StoreUnavailable
from shared.store import Store

log = logging.getLogger(__name__)

# Notes a process knows to be written. One it has forgotten is written again.
MAX_NOTED: Final = 50_000


class Notes:
    """Writes each note once, beside the answers and not before them, for as long as its answer is
    fresh.

    Args:
        most: how many it remembers to have written. None, where nobody says that Redis lost some.
    """

    def __init__(self, store: Store, most: int = MAX_NOTED) -> None:
        self._store, self._most = store, most
        # Those this process wrote, the oldest first.
        self._noted: dict[str, None] = {}
        self._writing: set[asyncio.Task[None]] = set()

    def see_to(self, task_id: str, question: Question, fresh_until: float) -> None:
        """Have the note of a hit written, if it may not be there.

        Args:
            fresh_until: when its answer is one no longer, in Unix seconds.
        """
        if task_id in self._noted:
            return
        self._noted[task_id] = None
        if len(self._noted) > self._most:
            del self._noted[next(iter(self._noted))]
        task = asyncio.create_task(self._write(task_id, question, fresh_until - time.time()))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def read(self, task_id: str) -> Question | None:
        """What a task_id stands for; None if it is no hit's.

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

    async def _write(self, task_id: str, question: Question, seconds: float) -> None:
        told = {**structs.asdict(question), "stages": ",".join(question.stages)}
        pairs = [part for pair in told.items() if pair[1] is not None for part in pair]
        try:
            await self._store.run("hit_note", [_key(task_id)], max(1, math.ceil(seconds)), *pairs)
        except Exception as error:
            # It cannot be looked at for now; the next hit tries again.
            self._noted.pop(task_id, None)
            if not isinstance(error, StoreUnavailable):
                log.exception("a hit was not noted")


def _key(task_id: str) -> str:
    return f"consulta:hit:{task_id}"
