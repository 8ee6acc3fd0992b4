"""Orders that wait for a credential's quota stop nobody else's; the most urgent has it first."""

import time
from typing import Any

from enricher.providers.registry import _tag
from shared.settings import Secret
from tests.arena import Arena
from tests.queue.asker import eventually
from tests.queue.conftest import Stands
from tests.subjects import cnpj, cpfs

LOW = 60
HOUR = 3600
KEY = "key:secret"
# When the quota comes free: time enough for all to have asked for it in vain.
FREE_IN = 12


async def test_a_quota_that_is_used_up_holds_no_slot_and_goes_to_the_most_urgent(
    arena: Arena, stands: Stands
) -> None:
    stand = await stands.up(
        arena, "cadastro", "analyzer", ENRICHER_CONCURRENCY="5", RATE_CADASTRO="1000/min",
        PROVIDER_SERPRO_KEY=KEY, PROVIDER_SERPRO_RATE="1/hour",
    )  # fmt: skip
    await stand.providers.set("minhareceita", "serpro", latency_ms=0)
    used = (time.time() - HOUR + FREE_IN) * 1e6
    await stand.store.redis.zadd(
        f"consulta:permits:provider.serpro.{_tag(Secret(KEY))}", {"used": used}
    )
    urgent, *low = cpfs(LOW + 1, 280_012_389)
    who: dict[str, Any] = {"kind": "cpf", "etapas": ["cadastro"], "prazo": 80_000}
    await stand.asker.ask_all(low, prioridade=1, **who)
    first = await stand.asker.ask(urgent, prioridade=10, **who)

    async def put_off() -> bool:
        """All of them wait elsewhere than in hand."""
        return bool(await stand.store.do("ZCARD", "consulta:active:stage.cadastro") == 0)

    await stand.until_waiting(LOW + 1, "stage.cadastro")
    await eventually(put_off)
    # Companies, whose registration is another provider's, pass them by.
    companies = [cnpj(12_345_000 + number) for number in range(10)]
    for task in await stand.asker.ask_all(companies, kind="cnpj", etapas=["cadastro"]):
        await stand.asker.ended(task)
    assert "serpro" not in [call.provider for call in await stand.providers.calls()]

    await stand.asker.ended(first)
    async with stand.http.get(f"{stand.services.simulator}/_control/log") as answer:
        log: list[dict[str, Any]] = await answer.json()
    assert sum(call["provider"] == "serpro" and call["method"] == "GET" for call in log) == 1
    assert stand.asker.types(first).count("aguardando") == 1
    assert stand.asker.repeats == []
