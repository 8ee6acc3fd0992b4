"""The judge: what the simulated providers saw, whatever our side believes it did."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.queue.asker import PATIENCE


@dataclass(frozen=True)
class Call:
    """One call, and its arrival in Unix seconds."""

    provider: str
    time: float


class Providers:
    """The simulator's own controls, and its log of calls."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http, self._url = http, url

    async def calls(self) -> list[Call]:
        """Every call that came, in order of arrival."""
        async with self._http.get(f"{self._url}/_control/log") as answer:
            return [Call(entry["provider"], entry["time"]) for entry in await answer.json()]

    async def names(self) -> list[str]:
        """Every provider there is."""
        async with self._http.get(f"{self._url}/_control") as answer:
            return list(await answer.json())

    async def set(self, *providers: str, **settings: Any) -> None:
        """Set the latency or the fault of these providers."""
        for provider in providers:
            url = f"{self._url}/_control/{provider}"
            async with self._http.put(url, json=settings) as answer:
                assert answer.status == 200, await answer.text()

    async def until(self, number: int, patience: float = PATIENCE) -> list[Call]:
        """The calls, once there are so many."""
        async with asyncio.timeout(patience):
            while len(calls := await self.calls()) < number:
                # More often would cost the simulator the time it has for the calls.
                await asyncio.sleep(0.02 if len(calls) < 100 else 0.2)
        return calls


def fullest(times: Sequence[float], seconds: float) -> int:
    """The most calls that any stretch of this length holds: (t, t + seconds], for every t."""
    ordered, first, most = sorted(times), 0, 0
    for last, time in enumerate(ordered):
        while ordered[first] <= time - seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def use(times: Sequence[float], limit: int, seconds: float) -> float:
    """The share of a limit that was used while work waited all along.

    A permit can be used once in `seconds`. How long each really took to come round is the time
    from a call to the one that is `limit` calls after it.
    """
    ordered = sorted(times)
    rounds = [later - early for early, later in zip(ordered, ordered[limit:], strict=False)]
    return seconds * len(rounds) / sum(rounds)
