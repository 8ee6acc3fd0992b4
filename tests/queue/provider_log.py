"""The judge: what the simulated providers saw, whatever our side believes it did."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from enricher.providers.base import Provider
from tests.queue.asker import PATIENCE

# A little less than any call may take: what lies between is on its way.
GIVEN_UP_S: Final = Provider.timeout - 0.5


@dataclass(frozen=True)
class Call:
    """One call, its arrival in Unix seconds, and the digest of whom it was about."""

    provider: str
    time: float
    subject: str


class Providers:
    """The simulator's own controls, and its log of calls."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http, self._url = http, url

    async def calls(self) -> list[Call]:
        """Every call that came, in order of arrival."""
        async with self._http.get(f"{self._url}/_control/log") as answer:
            return calls_of(await answer.json())

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


def calls_of(log: list[dict[str, Any]]) -> list[Call]:
    """The simulator's log."""
    return [Call(entry["provider"], entry["time"], entry["subject"]) for entry in log]


def made_twice(calls: Sequence[Call]) -> int:
    """Calls made again though the one before still had its time.

    On a busy machine a provider that a test holds is given up, rightly, and asked again.
    """
    last: dict[tuple[str, str], float] = {}
    twice = 0
    for call in calls:
        about = (call.provider, call.subject)
        twice += call.time - last.get(about, -GIVEN_UP_S) < GIVEN_UP_S
        last[about] = call.time
    return twice


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
