"""Asking how much the queues hold, which is nobody else's trouble."""

import asyncio

from shared.bus import Bus
from shared.messages import JobRequested
from shared.topology import JOBS, QUEUES

NAMES = [name for queue in QUEUES for name in (queue.name, queue.dead)]
PATIENCE = 60


async def test_a_queue_that_is_gone_holds_nothing_and_hides_no_other(bus: Bus) -> None:
    await bus.command(JOBS, JobRequested(name="x"))
    found = await bus.depths([NAMES[0], "no.such.queue", JOBS.name, "nor.such.queue"])
    assert found == {NAMES[0]: 0, "no.such.queue": 0, JOBS.name: 1, "nor.such.queue": 0}


async def test_a_question_given_up_leaves_the_service_ready(bus: Bus) -> None:
    await bus.depths(NAMES)
    for turns in range(12):
        given_up = asyncio.create_task(bus.depths(NAMES))
        for _ in range(turns):
            await asyncio.sleep(0)
        given_up.cancel()
        next_one = asyncio.create_task(bus.depths(NAMES))
        async with asyncio.timeout(PATIENCE):
            while not next_one.done():
                assert bus.is_up
                await asyncio.sleep(0)
        assert set(next_one.result()) == set(NAMES)


async def test_questions_side_by_side_are_all_answered(bus: Bus) -> None:
    found = await asyncio.gather(*(bus.depths([*NAMES, "no.such.queue"]) for _ in range(5)))
    assert found == [dict.fromkeys([*NAMES, "no.such.queue"], 0)] * 5
