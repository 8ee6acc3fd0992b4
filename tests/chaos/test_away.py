"""A service that is away for longer than lookups may take, and askers who do not wait.

`CHAOS_LOOKUPS` and `CHAOS_ROUNDS` are as for the other faults.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import pytest

from tests.chaos import faults
from tests.chaos.asked import Asked
from tests.chaos.judge import Row
from tests.chaos.load import FEW, HALF, LONG_S, ROUNDS, SHORT_S, make, until
from tests.chaos.stack import Stack
from tests.chaos.trial import Trial, trial

rounds = pytest.mark.parametrize("round_", range(1, ROUNDS + 1))

# Slower than the impatient wait, quicker than anything a provider may be blamed for.
_SLOW_MS: Final = 1200
# Of them at once: more are not all planned within a second, and no call is made for those.
_TOGETHER: Final = 100


@rounds
async def test_a_lookup_of_the_bus_ends_by_its_deadline_though_nobody_plans_it(
    stack: Stack, table: list[Row], round_: int
) -> None:
    load = make(FEW, SHORT_S)
    async with trial(stack, table) as on:
        await _without(on, "cache_service", load, untold="bus")
        await on.judge(f"cache_service away {round_}", load, excused=["failed"])
        for asked in load:
            if asked.way == "web":
                # Its gateway has planned it.
                asked.check()
            elif asked.end["tipo"] == "error":
                assert asked.code == "prazo_esgotado", asked.end
            else:
                asked.check(**dict.fromkeys([*asked.outcomes], "expirado"))


@rounds
@pytest.mark.parametrize("stage", ["telegram", "telefone"])
async def test_a_stage_nobody_does_expires_and_the_others_are_answered(
    stack: Stack, table: list[Row], stage: str, round_: int
) -> None:
    load = make(FEW, SHORT_S)
    async with trial(stack, table) as on:
        await _without(on, stage, load)
        await on.judge(f"{stage} away {round_}", load)
        for asked in load:
            asked.check(**{stage: "expirado"}, analysis="expirado")
        for asked in load[FEW // 2 :]:
            assert asked.outcomes.get(stage, "expirado") == "expirado"


@rounds
async def test_a_lookup_nobody_analyses_ends_with_all_its_stages(
    stack: Stack, table: list[Row], round_: int
) -> None:
    load = make(FEW, SHORT_S)
    async with trial(stack, table) as on:
        await _without(on, "analyzer", load)
        await on.judge(f"analyzer away {round_}", load)
        for asked in load:
            asked.check(analysis="expirado")
        for asked in load[FEW // 2 :]:
            assert asked.outcomes["analysis"] == "expirado"


@rounds
async def test_askers_on_the_bus_do_not_notice_that_the_gateway_is_away(
    stack: Stack, table: list[Row], round_: int
) -> None:
    load = make(FEW, SHORT_S)
    async with trial(stack, table) as on:
        await _without(on, "gateway", load, untold="web")
        await on.judge(f"gateway away {round_}", load)
        for asked in load:
            asked.check()


@rounds
async def test_impatient_askers_open_no_circuit(
    stack: Stack, table: list[Row], round_: int
) -> None:
    hurried, normal = make(HALF // 2, 1.0), make(HALF // 2, LONG_S)
    load = [asked for pair in zip(hurried, normal, strict=True) for asked in pair]
    left: set[str] = set()
    async with trial(stack, table, _SLOW_MS, 0) as on:
        # What another fault has opened before need not be closed yet.
        before = _not_closed(await on.askers.web.circuits())
        async with on.askers.asking() as ask:
            for start in range(0, len(load), _TOGETHER):
                part = load[start : start + _TOGETHER]
                ask(part)
                while not all(asked.is_over for asked in part):
                    left |= _not_closed(await on.askers.web.circuits())
                    await asyncio.sleep(0.1)
        # Some may not even be planned within a second.
        await on.judge(f"impatient askers {round_}", load, excused=["failed"])
        assert {asked.code for asked in hurried if asked.end["tipo"] == "error"} <= {
            "prazo_esgotado"
        }
        assert left <= before
        for asked in normal:
            asked.check()


def _not_closed(circuits: dict[str, str]) -> set[str]:
    return {name for name, state in circuits.items() if state != "FECHADO"}


async def _without(on: Trial, service: str, load: list[Asked], *, untold: str = "") -> None:
    """Have a service away until all who can be told are, and the time of the others is up.

    Args:
        untold: the way that ends at that service; who asks there waits for its return.
    """

    def over() -> bool:
        return all(
            asked.tried and time.time() > asked.deadline if asked.way == untold else asked.is_over
            for asked in load
        )

    @asynccontextmanager
    async def outage() -> AsyncIterator[None]:
        kept_waiting = [asked for asked in load if asked.way == untold]
        for asked in kept_waiting:
            asked.away_until = float("inf")
        async with faults.away(on.stack, service):
            yield
        for asked in kept_waiting:
            asked.away_until = time.time()

    await on.askers.endure(load, outage(), over)
    await until(lambda: all(asked.is_over for asked in load))
