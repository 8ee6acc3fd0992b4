"""Kill -9 of every part, one after the other, under load.

`CHAOS_LOOKUPS` is how many lookups each victim meets, `CHAOS_ROUNDS` how often each has its turn.
"""

import pytest

from tests.chaos.faults import killed
from tests.chaos.judge import Row
from tests.chaos.load import LONG_S, LOOKUPS, ROUNDS, make
from tests.chaos.stack import SERVERS, SERVICES, Stack
from tests.chaos.trial import trial


@pytest.mark.parametrize("round_", range(1, ROUNDS + 1))
@pytest.mark.parametrize("victim", [*SERVICES, *SERVERS])
async def test_every_lookup_ends_once_whoever_is_killed(
    stack: Stack, table: list[Row], victim: str, round_: int
) -> None:
    load = make(LOOKUPS, LONG_S, shared=True)
    async with trial(stack, table) as on:
        await on.askers.endure(load, killed(stack, victim))
        # Whether a call was made, nobody can know who was killed. What is not billed is called
        # again; what is, is not, and that lookup has to do without.
        await on.judge(f"{victim} killed {round_}", load, excused=["called_twice"])
        for asked in load:
            if victim in {"cadastro", "redis"} and asked.stages:
                asked.check(cadastro="indisponivel")
            else:
                asked.check()
