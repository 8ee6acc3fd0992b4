"""Ending tasks, in virtual time."""

import asyncio

from shared.tasks import AGAIN_S, end, waiting
from tests.virtual_time import now, run


async def _deaf(times: int) -> None:
    """Loses its cancellation so many times, as `asyncio.wait_for` may."""
    for _ in range(times):
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            continue
    await asyncio.sleep(1000)


def test_all_have_ended_afterwards_even_one_that_loses_a_cancellation() -> None:
    async def main() -> None:
        tasks = [asyncio.create_task(_deaf(times)) for times in (0, 1, 2)]
        await asyncio.sleep(1)
        await end(tasks)
        assert all(task.cancelled() for task in tasks)
        assert now() == 1 + 2 * AGAIN_S

    run(main())


def test_what_ended_before_or_with_an_error_is_no_trouble() -> None:
    async def failing() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            raise ValueError

    async def main() -> None:
        over = asyncio.create_task(asyncio.sleep(0))
        fails = asyncio.create_task(failing())
        await asyncio.sleep(1)
        await end([over, fails])
        await end([])
        assert (over.done(), fails.done(), now()) == (True, True, 1)

    run(main())


def test_where_a_task_waits_is_told_to_the_innermost() -> None:
    async def inner() -> None:
        await asyncio.sleep(1000)

    async def outer() -> None:
        await inner()

    async def main() -> None:
        task = asyncio.create_task(outer(), name="example")
        await asyncio.sleep(1)
        told = waiting(task)
        assert told.startswith("example > ")
        assert [step.rpartition(".")[2] for step in told.split(" > ")] == [
            "example", "outer", "inner", "sleep",
        ]  # fmt: skip
        await end([task])

    run(main())
