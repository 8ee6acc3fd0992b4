"""A service beside ours, as anybody may write one: it asks for lookups and hears its events."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final
from uuid import uuid4

import msgspec

from shared.bus import Bus
from shared.messages import Requested
from shared.topology import REQUESTED

ORIGIN: Final = "tests.queue"
# A machine that is busy with something else is no failure.
PATIENCE: Final = 120.0

Told = dict[str, Any]


class Asker:
    """Publishes lookups on the bus, and keeps what it is told of each, by `seq`."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._told: dict[str, dict[int, Told]] = {}
        # What is waited for: a type, the lookups that have not had it, and the end of the wait.
        self._waits: list[tuple[str, set[str], asyncio.Event]] = []
        self._listening = asyncio.Event()
        # Published again after a crash or for somebody who joined: the same event, the same seq.
        self.repeats: list[Told] = []
        bus.listen(f"{ORIGIN}.#", self._on_event, self._listening.set)

    async def listening(self) -> None:
        """Wait until nothing that is said from now on is missed."""
        await asyncio.wait_for(self._listening.wait(), PATIENCE)

    async def ask(self, identifier: str, kind: str = "cep", **more: Any) -> str:
        """Ask for one lookup, with the fields of `Lookup`. Returns its task_id."""
        task = str(uuid4())
        self._told[task] = {}
        body = {"task_id": task, "origem": ORIGIN, "identificador": identifier, "tipo": kind}
        request = msgspec.convert({**body, **more}, Requested)
        await self._bus.command(REQUESTED, request, priority=request.priority)
        return task

    async def ask_all(self, identifiers: Iterable[str], **more: Any) -> list[str]:
        """Ask for many at once, in order."""
        return await asyncio.gather(*(self.ask(identifier, **more) for identifier in identifiers))

    def told(self, task: str) -> list[Told]:
        """The events of a lookup so far, in order."""
        return [event for _, event in sorted(self._told[task].items())]

    def types(self, task: str) -> list[str]:
        """Their types."""
        return [event["tipo"] for event in self.told(task)]

    async def heard(self, type_: str, tasks: Iterable[str], patience: float = PATIENCE) -> None:
        """Wait until each of these lookups has had an event of this type."""
        missing = {task for task in tasks if type_ not in self.types(task)}
        wait = (type_, missing, asyncio.Event())
        self._waits.append(wait)
        try:
            if missing:
                await asyncio.wait_for(wait[2].wait(), patience)
        finally:
            self._waits.remove(wait)

    async def ended(self, task: str) -> list[Told]:
        """All events of a lookup that ends in `completo`."""
        await self.heard("completo", [task])
        return self.told(task)

    async def _on_event(self, _: str, body: bytes) -> None:
        event: Told = msgspec.json.decode(body)
        known = self._told.setdefault(event["task_id"], {})
        if event["seq"] in known:
            self.repeats.append(event)
        known[event["seq"]] = event
        for type_, missing, over in self._waits:
            if event["tipo"] == type_:
                missing.discard(event["task_id"])
                if not missing:
                    over.set()


async def eventually(
    condition: Callable[[], Awaitable[bool]], *, pause: float = 0.05, patience: float = PATIENCE
) -> None:
    """Wait for what can only be seen by looking."""
    async with asyncio.timeout(patience):
        while not await condition():
            await asyncio.sleep(pause)


def ceps(number: int, start: int = 1_310_000) -> list[str]:
    """So many CEPs, no two of them alike, all with an address."""
    # Those that end in 999 have none, and would be asked of every provider in turn.
    return [f"{start + n // 999 * 1000 + n % 999:08d}" for n in range(number)]
