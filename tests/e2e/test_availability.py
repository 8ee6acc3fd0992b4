"""A provider that fails costs no lookup, end to end.

`AVAILABILITY_LOOKUPS=2000` makes it the long form.
"""

import asyncio
import os
import re
from typing import Any

import pytest

from tests.e2e.availability import measured
from tests.e2e.conftest import Api
from tests.services import Services

LOOKUPS = int(os.environ.get("AVAILABILITY_LOOKUPS", "300"))


async def circuit(api: Api, name: str) -> dict[str, Any]:
    status, told = await api.json("GET", "/api/circuitos")
    assert status == 200
    about: dict[str, Any] = told[name]
    return about


async def until(api: Api, name: str, **expected: Any) -> dict[str, Any]:
    """The circuit, once it is as expected: replicas tell each other within seconds."""
    async with asyncio.timeout(20):
        while True:
            about = await circuit(api, name)
            if expected.items() <= about.items():
                return about
            await asyncio.sleep(0.1)


async def opened(services: Services, api: Api) -> set[str]:
    """The providers that the enricher does not call, by its own metrics."""
    async with api.http.get(services.ops("enricher", "/metrics")) as answer:
        text = await answer.text()
    return set(re.findall(r'^consulta_breaker_state\{provider="(\w+)"\} 2\.0$', text, re.MULTILINE))


@pytest.mark.parametrize(("place", "rate"), [(0, 0.05), (1, 0.5), (2, 1.0)])
async def test_lookups_end_well_while_the_first_provider_fails(
    api: Api, capsys: pytest.CaptureFixture[str], place: int, rate: float
) -> None:
    await api.control("opencep", fault="503", fault_rate=rate)
    outcome = await measured(api, LOOKUPS, start=place * 100_000)
    with capsys.disabled():
        print(f"\nprimary failing {rate:.0%} of calls, {outcome}")
    assert outcome.total == LOOKUPS
    assert outcome.complete >= 0.999 * LOOKUPS
    assert outcome.answered >= 0.995 * LOOKUPS


async def test_an_outage_is_seen_in_the_api_and_in_the_metrics(
    services: Services, api: Api
) -> None:
    await api.control("opencep", fault="503")
    await measured(api, 60, start=400_000)
    await until(api, "opencep", estado="ABERTO")
    async with asyncio.timeout(20):
        # The verdict is told at once, the counts with the next report.
        while (about := await circuit(api, "opencep"))["falhas"] < 5:
            await asyncio.sleep(0.1)
    assert about["motivo"] in {"server_error", "failure_rate"}
    assert about["reabre_em"].endswith("Z")
    assert about["replicas"] == 1
    assert not about["forcado"]
    async with api.http.get(services.ops("enricher", "/metrics")) as answer:
        text = await answer.text()
    assert 'consulta_breaker_transitions_total{provider="opencep",to="ABERTO"}' in text
    assert 'consulta_breaker_state{provider="opencep"}' in text
    # Open, it is called by probes alone.
    before = (await api.calls()).count("opencep")
    await measured(api, 60, start=410_000)
    assert (await api.calls()).count("opencep") - before <= 5


async def test_every_circuit_is_listed_before_any_call(api: Api) -> None:
    status, told = await api.json("GET", "/api/circuitos")
    assert status == 200
    assert {
        "telegram_api", "bridge_endereco", "bridge_telefone", "minhareceita", "opencnpj",
        "brasilapi", "opencep", "viacep",
    } <= set(told)  # fmt: skip
    keys = {"estado", "falhas", "sucesso", "motivo", "reabre_em", "forcado", "replicas"}
    assert all(set(about) == keys for about in told.values())


async def test_an_operator_opens_a_circuit_and_lets_it_go(services: Services, api: Api) -> None:
    path = "/api/circuitos/viacep"
    both, all_three = {"opencep", "viacep"}, {"opencep", "viacep", "brasilapi"}
    # What an earlier test's outage has opened: it looks as if the enricher had heard of ours.
    for name in all_three:
        await api.json("PUT", f"/api/circuitos/{name}", {"estado": "FECHADO"})
    async with asyncio.timeout(20):
        while all_three & await opened(services, api):
            await asyncio.sleep(0.05)
    status, about = await api.json("PUT", path, {"estado": "ABERTO"})
    assert (status, about["estado"], about["forcado"]) == (200, "ABERTO", True)
    await api.json("PUT", "/api/circuitos/opencep", {"estado": "ABERTO"})
    await until(api, "viacep", estado="ABERTO", motivo="forced", reabre_em=None)
    # The enricher hears of it within a second.
    async with asyncio.timeout(20):
        while not both <= await opened(services, api):
            await asyncio.sleep(0.05)
    events = await api.stream("01310-100", "cep")
    assert events[1]["origem"] == "brasilapi"
    assert [attempt["motivo"] for attempt in events[1]["tentativas"]] == ["circuit_open"] * 2
    for name in all_three:
        status, about = await api.json("PUT", f"/api/circuitos/{name}", {"estado": "AUTOMATICO"})
        assert (status, about["forcado"]) == (200, False)
    # The other one may be open for a reason of its own, from an outage of an earlier test.
    async with asyncio.timeout(20):
        while "viacep" in await opened(services, api):
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("body", [{"estado": "MEIO_ABERTO"}, {"estado": 1}, {}, [], "ABERTO"])
async def test_another_state_is_refused_by_field(api: Api, body: Any) -> None:
    status, problem = await api.json("PUT", "/api/circuitos/opencep", body)
    assert (status, problem["campo"]) == (422, "estado")


async def test_an_unknown_circuit_is_not_found(api: Api) -> None:
    status, problem = await api.json("PUT", "/api/circuitos/nenhum", {"estado": "ABERTO"})
    assert status == 404
    assert "opencep" in problem["detail"]


async def test_the_only_provider_s_short_pause_is_told_and_waited_for(api: Api) -> None:
    await api.control("telegram", fault="429", retry_after=2)
    asked = asyncio.create_task(api.stream("111.444.777-35", etapas=["telegram"]))
    async with asyncio.timeout(20):
        while "telegram" not in await api.calls():
            await asyncio.sleep(0.02)
    await api.control("telegram", fault="none")
    events = await asked
    assert [event["tipo"] for event in events] == [
        "iniciado", "aguardando", "telegram", "analysis", "completo",
    ]  # fmt: skip
    assert events[1]["dados"]["etapa"] == "telegram"
    assert events[1]["dados"]["retry_at"] > events[1]["timestamp"]
    assert events[2]["situacao"] == "ok"
    assert (await api.calls()).count("telegram") == 2


async def test_a_long_pause_is_not_waited_for(api: Api) -> None:
    await api.control("bridge_telefone", fault="429", retry_after=600)
    events = await api.stream("111.444.777-35", etapas=["telefone"])
    assert events[1]["situacao"] == "limitado"
    assert events[1]["tentativas"] == [{"provedor": "bridge_telefone", "motivo": "rate_limited"}]
    assert events[-1]["tipo"] == "completo"
    about = await until(api, "bridge_telefone", estado="ABERTO", motivo="rate_limited")
    assert about["falhas"] == 0
