"""Kill -9 of every part, one after the other, under load.

`CHAOS_LOOKUPS` is how many lookups each victim meets, `CHAOS_ROUNDS` how often each has its turn.
"""

import asyncio
import itertools
import os
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

import aiohttp
import pytest

from tests.chaos.asked import Asked
from tests.chaos.conftest import Row
from tests.chaos.foreign import Foreign
from tests.chaos.stack import SERVERS, SERVICES, Stack
from tests.chaos.web import Web
from tests.subjects import mixed

LOOKUPS: Final = int(os.environ.get("CHAOS_LOOKUPS", "60"))
ROUNDS: Final = int(os.environ.get("CHAOS_ROUNDS", "1"))
LATENCY_MS: Final = 300
# Far more than a load takes, far less than the lookups' own deadline.
PATIENCE_S: Final = 90 + LOOKUPS / 5
_starts = itertools.count(100_000_000, 1_000_000)


@pytest.mark.parametrize("round_", range(1, ROUNDS + 1))
@pytest.mark.parametrize("victim", [*SERVICES, *SERVERS])
async def test_every_lookup_ends_once_whoever_is_killed(
    stack: Stack, table: list[Row], victim: str, round_: int
) -> None:
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=timeout) as http,
        Foreign(stack.amqp_url) as foreign,
    ):
        web = Web(http, stack.services.gateway)
        await stack.slow_down(http, LATENCY_MS)
        load = _load()
        try:
            async with asyncio.timeout(PATIENCE_S):
                await _endure(stack, victim, load, web, foreign)
        except TimeoutError:
            pytest.fail(f"{_open(load)}\nheld: {await stack.held()}")
        left = await stack.left()
        table.append(await _row(stack, http, f"{victim} {round_}", load, left))
        assert foreign.faults == []
        for asked in load:
            asked.check()
        for asked in load[::2]:
            told = [asked.events[seq] for seq in sorted(asked.events)]
            assert await web.replayed(asked) == told
        # The work is done, so nothing waits, and nothing was given up.
        assert left == {}
        await _all_ready(stack, http)


async def test_no_message_is_still_held_by_a_consumer(stack: Stack) -> None:
    """After all of that; one held for ever would come back to a consumer months later."""
    async with asyncio.timeout(30):
        while held := await stack.held():
            print(held)


def _load() -> list[Asked]:
    """Over the gateway and on the bus in turn; every tenth subject is asked for by both."""
    load = [Asked(kind, identifier) for kind, identifier in mixed(LOOKUPS, next(_starts))]
    for place in range(0, len(load) - 1, 10):
        load[place + 1].kind = load[place].kind
        load[place + 1].identifier = load[place].identifier
    return load


async def _endure(stack: Stack, victim: str, load: list[Asked], web: Web, foreign: Foreign) -> None:
    """Ask for half, kill the victim while they run, ask for the rest, bring it back."""
    half = len(load) // 2
    async with asyncio.TaskGroup() as askers:

        def ask(part: list[Asked], first: int) -> None:
            for place, asked in enumerate(part, first):
                asker = foreign if place % 2 else web
                askers.create_task(asker.lookup(asked))

        ask(load[:half], 0)
        # In the middle of it: some have heard of a stage, most have not heard the end.
        await _until(lambda: sum(len(asked.events) > 1 for asked in load) >= half // 4)
        running = sum(bool(asked.task_id) and not asked.is_complete for asked in load)
        assert running >= half // 4, "too few were under way to prove anything"
        await stack.kill(victim)
        ask(load[half:], half)
        # The outage lasts until each of the others has met it.
        await _until(lambda: all(asked.tried for asked in load))
        await stack.revive(victim)


async def _until(holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(0.01)


async def _all_ready(stack: Stack, http: aiohttp.ClientSession) -> None:
    end = time.monotonic() + 20
    while not all((ready := await stack.ready(http)).values()):
        assert time.monotonic() < end, ready
        await asyncio.sleep(0.05)


def _open(load: list[Asked]) -> str:
    """Which lookups have not ended, for whoever reads the failure."""
    lines = [
        f"{place} {asked.kind} {asked.task_id or 'not accepted'}: events {sorted(asked.events)}"
        for place, asked in enumerate(load)
        if not asked.is_complete
    ]
    return "\n".join([f"{len(lines)} of {len(load)} lookups have not ended:", *lines[:20]])


async def _row(
    stack: Stack, http: aiohttp.ClientSession, name: str, load: list[Asked], left: dict[str, int]
) -> Row:
    subjects: Counter[str] = Counter(
        kind for kind, _ in {(asked.kind, asked.identifier) for asked in load}
    )
    return Row(
        victim=name,
        lookups=len(load),
        refused=sum(asked.refused + asked.unanswered for asked in load),
        completed=sum(asked.is_complete for asked in load),
        reconnects=sum(asked.reconnects for asked in load),
        longest_ms=max(asked.milliseconds for asked in load),
        told_twice_on_bus=sum(asked.repeated for asked in load),
        provider_asked_twice=await stack.called_again(http, subjects),
        dead_letters=sum(count for queue, count in left.items() if queue.endswith(".dead")),
    )
