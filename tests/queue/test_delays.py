"""A lookup that is put off starts no earlier than asked, and survives a restart of the broker."""

import asyncio
import statistics
import time
from pathlib import Path
from typing import Final

from deploy.local.servers import PrivateRabbit
from shared.messages import decode_event, unix
from tests.arena import Arenas
from tests.queue.asker import ceps, eventually
from tests.queue.conftest import Stand, Stands

NUMBER: Final = 500
LONGEST: Final = 20


async def test_five_hundred_put_off_lookups_start_no_earlier_than_asked_and_none_is_lost(
    arenas: Arenas, stands: Stands, tmp_path: Path
) -> None:
    with PrivateRabbit(tmp_path / "rabbitmq") as rabbit:
        arena = Arenas(rabbit, arenas.redis_server).new()
        stand = await stands.up(arena)
        due: dict[str, float] = {}
        for number, cep in enumerate(ceps(NUMBER)):
            delay = 1 + number % LONGEST
            began = time.time()
            task = await stand.asker.ask(cep, atraso=delay, prazo=900)
            due[task] = began + delay
            # A stream rather than a burst, which would measure how long it takes to accept them.
            await asyncio.sleep(0.01)

        async def halfway() -> bool:
            return time.time() > min(due.values()) + LONGEST / 2

        await eventually(halfway)
        down_from = time.time()
        await asyncio.to_thread(rabbit.stop)
        await asyncio.to_thread(rabbit.start)
        up_at = time.time()

        starts = {task: await _start(stand, task) for task in due}
        late = {task: starts[task] - due[task] for task in due}
        assert min(late.values()) >= 0
        calm = [late[task] for task in due if not down_from - 1 < due[task] < up_at + 8]
        print(
            f"{len(calm)} lookups away from the restart: "
            f"median {1000 * statistics.median(calm):.0f} ms late, at most {1000 * max(calm):.0f}; "
            f"of all {NUMBER}: median {1000 * statistics.median(late.values()):.0f} ms, "
            f"at most {max(late.values()):.1f} s (broker away for {up_at - down_from:.1f} s)"
        )


async def _start(stand: Stand, task: str) -> float:
    """When a lookup began: its first event, in Unix seconds."""
    started = 0.0

    async def begun() -> bool:
        nonlocal started
        view = await stand.lookups.view(task)
        if view is not None and view.events:
            started = unix(decode_event(view.events[0]).timestamp)
        return bool(started)

    await eventually(begun)
    return started
