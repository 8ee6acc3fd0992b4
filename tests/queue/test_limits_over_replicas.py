"""A limit holds for all replicas together, and none of it is wasted."""

from typing import Final

from tests.arena import Arena
from tests.queue.asker import ceps
from tests.queue.conftest import Stands
from tests.queue.provider_log import fullest, use

QUEUED: Final = 2000
LIMIT, WINDOW = 280, 4


async def test_replicas_keep_to_one_limit_and_use_it_while_one_dies_and_one_joins(
    arena: Arena, stands: Stands
) -> None:
    stand = await stands.up(arena, RATE_ENDERECO=f"{LIMIT}/{WINDOW}s")
    tasks = await stand.asker.ask_all(ceps(QUEUED), prazo=900)
    await stand.until_waiting(QUEUED)
    await stand.start("endereco", "endereco.2", "endereco.3")
    await stand.providers.until(QUEUED // 3)
    await stand.kill("endereco.2")
    await stand.providers.until(QUEUED // 2)
    await stand.start("endereco.4")
    await stand.asker.heard("endereco", tasks)
    times = [call.time for call in await stand.providers.calls()]
    print(f"{len(times)} calls in {times[-1]-times[0]:.1f} s; fullest {fullest(times, WINDOW)}; use {use(times, LIMIT, WINDOW):.1%}")
    assert fullest(times, WINDOW) <= LIMIT
    assert use(times, LIMIT, WINDOW) >= 0.95
