"""Hedging, between real processes."""

from tests.arena import Arena
from tests.queue.asker import ceps
from tests.queue.conftest import Stands


async def test_a_second_provider_answers_for_a_first_that_is_slow_today(
    arena: Arena, stands: Stands
) -> None:
    stand = await stands.up(arena, "endereco", "analyzer", HEDGING="on")
    *known, last = ceps(31)
    for task in await stand.asker.ask_all(known):
        await stand.asker.ended(task)
    await stand.providers.set("opencep", held=True)
    task = await stand.asker.ask(last)
    [address] = [event for event in await stand.asker.ended(task) if event["tipo"] == "endereco"]
    assert (address["situacao"], address["origem"]) == ("ok", "viacep")
    # Not given up, as after a timeout: another was faster.
    assert address["tentativas"] == [{"provedor": "opencep", "motivo": "outrun"}]
    assert [call.provider for call in (await stand.providers.calls())[-2:]] == ["opencep", "viacep"]
