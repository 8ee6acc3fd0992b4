"""A service that is killed costs time, never a lookup."""

import asyncio
from typing import Any, Final

import pytest

from tests.e2e.conftest import Api, events_of, types
from tests.services import APART, Services
from tests.subjects import cpfs

# Each stage may die by itself.
SERVICES: Final = APART


async def finished(api: Api, task_id: str) -> list[dict[str, Any]]:
    """All events of a lookup, once it has ended; a gateway that is away is waited for."""
    async with asyncio.timeout(60):
        while True:
            try:
                _, seen = await api.json("GET", f"/api/consultas/{task_id}")
                if seen["status"] in {"SUCCESS", "FAILURE"}:
                    break
            except OSError:
                pass
            await asyncio.sleep(0.05)
    url = f"{api.gateway}/api/consultas/{task_id}/eventos"
    async with api.http.get(url) as answer:
        return await events_of(answer)


@pytest.mark.parametrize(
    "victim", ["cache_service", "telegram", "endereco", "telefone", "analyzer", "gateway"]
)
async def test_fifty_lookups_survive_the_death_of_any_service(
    services: Services, api: Api, victim: str
) -> None:
    for provider in ("telegram", "bridge_endereco", "bridge_telefone"):
        await api.control(provider, latency_ms=150)
    tasks = []
    for number, identifier in enumerate(cpfs(50, 280_012_389)):
        body = {"identificador": identifier, "tipo": "cpf"}
        status, answer = await api.json("POST", "/api/consultas", body)
        assert status == 202
        tasks.append(answer["task_id"])
        if number == 25:
            await asyncio.to_thread(services.kill, victim)
            if victim == "gateway":
                await asyncio.to_thread(services.start, victim)
    if victim != "gateway":
        await asyncio.to_thread(services.start, victim)
    for task_id in tasks:
        told = types(await finished(api, task_id))
        assert told[0] == "iniciado"
        assert sorted(told[1:-2]) == ["endereco", "telefone", "telegram"]
        assert told[-2:] == ["analysis", "completo"]
