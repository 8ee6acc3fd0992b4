"""Waiting for confirms, in virtual time."""

import asyncio

import pytest

from shared.confirms import LONGEST_S, TICK_S, Confirms
from tests.virtual_time import now, run


async def _published(confirms: Confirms, takes: float, silence: float = 3) -> float:
    """When the confirm came, or, negative, when it was given up."""
    try:
        async with confirms.awaited(silence):
            await asyncio.sleep(takes)
    except TimeoutError:
        return -now()
    return now()


def test_a_silent_broker_is_given_up_after_the_silence() -> None:
    assert run(_published(Confirms(), takes=100)) == -3


def test_a_confirm_late_behind_others_is_waited_for() -> None:
    async def burst() -> list[float]:
        confirms = Confirms()
        return await asyncio.gather(*(_published(confirms, takes / 10) for takes in range(200)))

    assert run(burst()) == [takes / 10 for takes in range(200)]


def test_when_the_others_fall_silent_too_the_wait_ends_with_them() -> None:
    async def fading() -> float:
        confirms = Confirms()
        lost = asyncio.create_task(_published(confirms, 100))
        for takes in (1, 2, 3, 4):
            await _published(confirms, takes / 2)
        assert now() == 5
        return await lost

    given_up = -run(fading())
    assert 5 + 3 <= given_up <= 5 + 3 + TICK_S


def test_nobody_waits_for_ever_however_busy_the_broker_is() -> None:
    async def busy() -> float:
        confirms = Confirms()
        lost = asyncio.create_task(_published(confirms, 1000))
        while not lost.done():
            await _published(confirms, 0.1)
        return await lost

    assert run(busy()) == pytest.approx(-LONGEST_S)


def test_each_has_its_own_patience() -> None:
    async def two() -> tuple[float, float]:
        confirms = Confirms()
        hurried, patient = await asyncio.gather(
            _published(confirms, 100, silence=3), _published(confirms, 100, silence=10)
        )
        return hurried, patient

    assert run(two()) == (-3, -10)


@pytest.mark.parametrize("how", [ValueError, asyncio.CancelledError])
def test_what_failed_is_no_confirm_and_leaves_nothing(how: type[BaseException]) -> None:
    async def failing() -> float:
        confirms = Confirms()
        lost = asyncio.create_task(_published(confirms, 100))
        await asyncio.sleep(2)
        with pytest.raises(how):
            async with confirms.awaited(3):
                raise how
        return await lost

    assert run(failing()) == -3
