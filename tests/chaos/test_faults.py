"""What may befall Redis and RabbitMQ beside a kill, each under load.

`CHAOS_LOOKUPS` and `CHAOS_ROUNDS` are as for the kills; each fault meets half as many lookups,
beyond the first 60, and fewer where a row mostly waits for deadlines.
"""

from typing import Final

import pytest

from shared.topology import ANALYSIS, STAGE_QUEUES
from tests.chaos import faults
from tests.chaos.faults import Fault
from tests.chaos.judge import Row
from tests.chaos.load import FEW, HALF, LONG_S, ROUNDS, SHORT_S, make
from tests.chaos.stack import LIMITS, Stack
from tests.chaos.trial import trial

rounds = pytest.mark.parametrize("round_", range(1, ROUNDS + 1))

# What passes before any deadline does costs time, and no lookup anything of its answer.
_PASSING: Final = (
    faults.redis_disk_full,
    faults.redis_out_of_memory,
    faults.redis_without_replicas,
    faults.redis_paused,
    faults.connections_closed,
    faults.rabbitmq_restarted,
)
# A queue that is consumed as it comes, one that is taken from by permits, and the last one.
_QUEUES: Final = (STAGE_QUEUES["telefone"], STAGE_QUEUES["telegram"], ANALYSIS)


@rounds
@pytest.mark.parametrize("fault", _PASSING, ids=lambda fault: fault.__name__)
async def test_every_lookup_completes_whatever_passes(
    stack: Stack, table: list[Row], fault: Fault, round_: int
) -> None:
    load = make(HALF, LONG_S, shared=True)
    name = getattr(fault, "__name__", "").replace("_", " ")
    async with trial(stack, table) as on:
        await on.askers.endure(load, fault(stack))
        await on.judge(f"{name} {round_}", load)
        for asked in load:
            asked.check()


@rounds
async def test_a_lookup_whose_state_has_gone_ends_all_the_same(
    stack: Stack, table: list[Row], round_: int
) -> None:
    load = make(FEW, SHORT_S)
    before, after = load[: FEW // 2], load[FEW // 2 :]
    for asked in before:
        # On the bus nobody knows whom to tell any more.
        asked.owed = asked.way == "web"
    async with trial(stack, table) as on:
        await on.askers.endure(load, faults.redis_flushed(stack))
        # The permits in use are forgotten with the rest, and waited out for longer than a deadline:
        # no longer than that here, so that what stands in the limited queues is taken from them.
        await stack.free_permits()
        excused = ["failed", "lost"]
        await on.judge(f"redis flushed {round_}", load, excused=excused, forgotten=before)
        for asked in before:
            if asked.owed and asked.end.get("tipo") != "completo":
                assert asked.lost or asked.code in {"estado_perdido", "prazo_esgotado"}, asked.end
                assert await on.askers.web.status(asked) in {(404, "404"), (200, "FAILURE")}
        limited = {stage: "expirado" for stage, limit in LIMITS.items() if limit}
        for asked in after:
            # A company's phones are known once its registration is.
            asked.check(**limited, **({"telefone": "expirado"} if asked.kind == "cnpj" else {}))


@rounds
@pytest.mark.parametrize("queue", [queue.name for queue in _QUEUES])
async def test_a_deleted_queue_costs_no_more_than_stood_in_it(
    stack: Stack, table: list[Row], queue: str, round_: int
) -> None:
    stage = queue.removeprefix("stage.").removesuffix(".requested")
    # More at once than the limit lets through: then some stand before it.
    during, later = make(2 * FEW, SHORT_S), make(FEW, SHORT_S)
    async with trial(stack, table) as on:
        await on.askers.endure(during, faults.queue_deleted(stack, queue))
        await on.ready()
        async with on.askers.asking() as ask:
            ask(later)
        await on.judge(f"{queue} deleted {round_}", [*during, *later])
        for asked in during:
            asked.check(**{stage: "expirado", "analysis": "expirado"})
        for asked in later:
            asked.check()
