"""A lookup has ended by its deadline, with what it has; others of its flight fly on."""

from typing import Any

import msgspec

from shared.messages import unix
from tests.arena import Arena
from tests.queue.asker import Told, ceps
from tests.queue.conftest import Stand, Stands
from tests.subjects import cnpj, cpf

PERSON = cpf(280_012_389)


def outcomes(events: list[Told]) -> dict[str, Any]:
    """How each stage ended."""
    return {name: stage["situacao"] for name, stage in events[-1]["dados"]["etapas"].items()}


def took(events: list[Told]) -> float:
    """Seconds from the first event to the last, by the services' own clock."""
    return unix(events[-1]["timestamp"]) - unix(events[0]["timestamp"])


async def test_a_provider_that_hangs_costs_its_own_stage_only(arena: Arena, stands: Stands) -> None:
    stand = await stands.up(arena, "enricher", "analyzer")
    await stand.providers.set("bridge_endereco", fault="hang")
    task = await stand.asker.ask(PERSON, "cpf", prazo=5)
    events = await stand.asker.ended(task)
    assert outcomes(events) == {"telegram": "ok", "endereco": "expirado", "telefone": "ok"}
    assert events[-1]["dados"]["etapas"]["telegram"]["dados"]["nome"]
    assert events[-2]["tipo"] == "analysis"
    assert events[-2]["situacao"] == "ok"
    print(f"prazo 5 s: ended after {took(events):.3f} s")
    assert took(events) <= 5


async def test_what_is_still_in_a_queue_at_the_deadline_has_expired(
    arena: Arena, stands: Stands
) -> None:
    stand = await stands.up(arena, "telegram", "telefone", "analyzer")
    tasks = [await stand.asker.ask(PERSON, "cpf", prazo=prazo) for prazo in (2, 2.5)]
    tasks.append(await stand.asker.ask(cpf(280_012_390), "cpf", prazo=2, atraso=2))
    for task in tasks:
        events = await stand.asker.ended(task)
        assert outcomes(events) == {"telegram": "ok", "endereco": "expirado", "telefone": "ok"}
        assert events[-1]["dados"]["etapas"]["telegram"]["dados"]["nome"]
        print(f"ended {took(events):.3f} s after it started")
    # Whatever comes too late changes nothing: it is dropped, and asks no provider.
    await stand.start("endereco")
    fresh = await stand.asker.ask(ceps(1)[0])
    await stand.asker.ended(fresh)
    assert "bridge_endereco" not in [call.provider for call in await stand.providers.calls()]
    assert [stand.asker.types(task)[-1] for task in tasks] == ["completo"] * 3


async def test_a_follower_with_more_time_gets_its_answer_after_the_first_has_ended(
    arena: Arena, stands: Stands
) -> None:
    stand = await stands.up(arena, "analyzer")
    hurried = await stand.asker.ask(ceps(1)[0], prazo=2)
    patient = await stand.asker.ask(ceps(1)[0], prazo=60)
    assert outcomes(await stand.asker.ended(hurried)) == {"endereco": "expirado"}
    await stand.start("endereco")
    assert outcomes(await stand.asker.ended(patient)) == {"endereco": "ok"}
    assert [call.provider for call in await stand.providers.calls()] == ["opencep"]


async def test_a_follower_who_comes_while_the_provider_is_asked_has_all_of_its_own_time(
    arena: Arena, stands: Stands
) -> None:
    stand = await stands.up(arena, "endereco", "analyzer")
    await stand.providers.set("bridge_endereco", latency_ms=3000)
    who: dict[str, Any] = {"identifier": PERSON, "kind": "cpf", "etapas": ["endereco"]}
    hurried = await stand.asker.ask(**who, prazo=2)
    await stand.providers.until(1)
    patient = await stand.asker.ask(**who, prazo=30)
    await stand.asker.ended(hurried)
    assert outcomes(await stand.asker.ended(patient)) == {"endereco": "ok"}


async def test_a_follower_s_time_is_also_what_a_permit_is_waited_for(
    arena: Arena, stands: Stands
) -> None:
    stand = await stands.up(arena, "cadastro", "analyzer", RATE_CADASTRO="1/5s")
    # The second provider's permit is free when the first asker's time is up.
    await stand.providers.set("minhareceita", fault="false_404", latency_ms=3000)
    who: dict[str, Any] = {
        "identifier": cnpj(12_345_678), "kind": "cnpj", "etapas": ["cadastro"],
    }  # fmt: skip
    hurried = await stand.asker.ask(**who, prazo=5)
    await stand.providers.until(1)
    patient = await stand.asker.ask(**who, prazo=60)
    assert outcomes(await stand.asker.ended(hurried)) == {"cadastro": "expirado"}
    assert outcomes(await stand.asker.ended(patient)) == {"cadastro": "ok"}


async def followed(stand: Stand, path: str) -> list[Told]:
    """The events of a stream, to its end."""
    async with stand.http.get(f"{stand.services.gateway}{path}") as answer:
        assert answer.status == 200, await answer.text()
        return [
            msgspec.json.decode(line[6:])
            async for line in answer.content
            if line.startswith(b"data: ")
        ]


async def test_what_was_accepted_ends_in_time_though_nobody_is_there_to_begin_it(
    arena: Arena, stands: Stands
) -> None:
    stand = await stands.up(arena, "gateway", "endereco", "analyzer")
    await stand.kill("cache_service")
    url = f"{stand.services.gateway}/api/consultas"
    # Only what starts later is begun by a service of its own.
    body = {"identificador": ceps(1)[0], "tipo": "cep", "prazo": 1, "atraso": 1}
    async with stand.http.post(url, json=body) as answer:
        asked = await answer.json()
    [end] = await followed(stand, asked["eventos"])
    assert (end["tipo"], end["dados"]["codigo"]) == ("error", "prazo_esgotado")
    # Back again, it finds the message, and makes no call for it.
    await stand.start("cache_service")
    await stand.asker.ended(await stand.asker.ask(ceps(2)[1]))
    assert [call.provider for call in await stand.providers.calls()] == ["opencep"]
    async with stand.http.get(f"{url}/{asked['task_id']}") as answer:
        assert (await answer.json())["status"] == "FAILURE"


async def test_a_request_that_lay_on_the_bus_beyond_its_deadline_asks_no_provider(
    arena: Arena, stands: Stands
) -> None:
    stand = await stands.up(arena, "endereco", "analyzer")
    past = "2026-02-25T14:30:45Z"
    late = await stand.asker.ask(ceps(1)[0], expira_em=past)
    await stand.asker.heard("error", [late])
    [end] = stand.asker.told(late)
    assert end["dados"]["codigo"] == "prazo_esgotado"
    assert await stand.providers.calls() == []
