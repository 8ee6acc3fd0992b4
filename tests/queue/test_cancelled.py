"""What was cancelled while it waited is passed over, and costs nobody a permit."""

from tests.arena import Arena
from tests.queue.asker import ceps
from tests.queue.conftest import Stands


async def test_the_one_permit_of_the_day_goes_to_the_one_lookup_that_was_not_cancelled(
    arena: Arena, stands: Stands
) -> None:
    stand = await stands.up(arena, "gateway", RATE_ENDERECO="1/day")
    *others, last = ceps(30)
    cancelled = await stand.asker.ask_all(others, prazo=900)
    kept = await stand.asker.ask(last, prioridade=1, prazo=900)
    await stand.until_waiting(30)
    for task in cancelled:
        url = f"{stand.services.gateway}/api/consultas/{task}"
        async with stand.http.delete(url) as answer:
            assert answer.status == 200, await answer.text()
    await stand.start("endereco", "endereco.2")
    await stand.asker.heard("endereco", [kept])
    assert [call.provider for call in await stand.providers.calls()] == ["opencep"]
    for task in cancelled:
        assert stand.asker.types(task)[-1] == "error"
        assert stand.asker.told(task)[-1]["situacao"] == "cancelado"
