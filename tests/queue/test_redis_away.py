"""Without Redis nobody knows what a limit still allows, so nobody may call."""

import asyncio
from pathlib import Path
from typing import Final

from deploy.local.servers import PrivateRedis
from tests.arena import Arenas
from tests.queue.asker import ceps, eventually
from tests.queue.conftest import Stands
from tests.queue.provider_log import fullest

QUEUED, LIMIT, WINDOW = 60, 20, 2
# Time enough for three windows' worth of calls, if the limit failed open.
AWAY: Final = 3.0


async def test_while_redis_is_away_no_call_is_made_and_afterwards_all_are(
    arenas: Arenas, stands: Stands, tmp_path: Path
) -> None:
    with PrivateRedis(tmp_path / "redis") as redis:
        arena = Arenas(arenas.rabbit, redis).new()
        stand = await stands.up(arena, RATE_ENDERECO=f"{LIMIT}/{WINDOW}s")
        tasks = await stand.asker.ask_all(ceps(QUEUED), prazo=900)
        await stand.until_waiting(QUEUED)
        await stand.start("endereco", "endereco.2")
        await stand.providers.until(20)

        redis.kill()

        async def noticed() -> bool:
            return all([await stand.is_unready(name) for name in ("endereco", "endereco.2")])

        await eventually(noticed)
        called = await stand.providers.calls()
        await asyncio.sleep(AWAY)
        assert await stand.providers.calls() == called
        assert len(called) < QUEUED
        await asyncio.to_thread(redis.start)
        await stand.asker.heard("endereco", tasks)
        times = [call.time for call in await stand.providers.calls()]
    assert fullest(times, WINDOW) <= LIMIT
    assert all(stand.asker.told(task)[-1]["situacao"] == "ok" for task in tasks)
