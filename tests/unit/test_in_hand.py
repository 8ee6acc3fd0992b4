"""What comes again while it is in hand here holds no place for long."""

import asyncio
from typing import Any, cast

import pytest

from shared.consumer import IN_HAND, PutOff
from shared.flow.claims import BUSY_S, Claims
from tests.virtual_time import now, run


def test_it_waits_for_the_first_a_little_and_then_elsewhere() -> None:
    async def main() -> None:
        claims = Claims(cast("Any", None), cast("Any", None))

        async def long() -> None:
            async with claims.alone("order"):
                await asyncio.sleep(IN_HAND + 60)

        first = asyncio.create_task(long())
        await asyncio.sleep(0)
        with pytest.raises(PutOff) as later:
            async with claims.alone("order"):
                raise AssertionError("it is another's")
        assert (now(), later.value.seconds, later.value.body) == (IN_HAND, BUSY_S, None)
        assert claims.has("order")
        await first
        async with claims.alone("order"):
            assert now() == IN_HAND + 60
        assert not claims.has("order")

    run(main())


def test_it_has_its_turn_if_the_first_is_soon_done() -> None:
    async def main() -> None:
        claims = Claims(cast("Any", None), cast("Any", None))

        async def short() -> None:
            async with claims.alone("order"):
                await asyncio.sleep(IN_HAND - 1)

        first = asyncio.create_task(short())
        await asyncio.sleep(0)
        async with claims.alone("order"):
            # And then it may take as long as it does.
            await asyncio.sleep(IN_HAND)
        assert now() == 2 * IN_HAND - 1
        await first

    run(main())
