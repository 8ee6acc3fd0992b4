"""Bulk, queue statistics and periodic jobs through the whole stack."""

import asyncio
import io
from typing import Any

import msgspec

from tests.e2e.conftest import PATIENCE, Api


def ceps(number: int) -> list[str]:
    return [f"{1_310_000 + place:08d}" for place in range(number)]


async def test_a_list_is_answered_item_by_item(api: Api) -> None:
    await api.stream("01001-000", "cep")
    items: list[Any] = [
        {"identificador": "01001-000", "tipo": "cep"},
        {"identificador": "01310-100", "tipo": "cep"},
        {"identificador": "123", "tipo": "cep"},
        "not an object",
        {"identificador": "01310-200", "tipo": "cep", "prioridade": 99},
    ]
    status, answers = await api.json("POST", "/api/consultas/lote", items)
    assert status == 200
    assert [answer["indice"] for answer in answers] == [0, 1, 2, 3, 4]
    assert [answer["http"] for answer in answers] == [200, 202, 422, 422, 422]
    assert answers[0]["cache"] is True
    assert [answer.get("campo") for answer in answers[2:]] == [
        "identificador", "corpo", "prioridade",
    ]  # fmt: skip
    assert (await api.json("POST", "/api/consultas/lote", []))[1] == []


async def test_a_bulk_call_that_is_no_list_is_refused(api: Api) -> None:
    assert (await api.json("POST", "/api/consultas/lote", {"identificador": "1"}))[0] == 422
    url = f"{api.gateway}/api/consultas/lote"
    for body, form, status in (
        (b"[", "application/json", 400),
        (b"[]", "text/plain", 415),
        (b" " * 9_000_000, "application/json", 413),
    ):
        async with api.http.post(
            url, data=io.BytesIO(body), headers={"Content-Type": form}
        ) as answer:
            assert answer.status == status


async def test_the_queues_tell_what_they_hold(api: Api) -> None:
    body = {"identificador": "01001-000", "tipo": "cep", "atraso": 3600}
    _, before = await api.json("GET", "/api/filas")
    _, answer = await api.json("POST", "/api/consultas", body)
    async with asyncio.timeout(PATIENCE):
        while True:
            status, seen = await api.json("GET", "/api/filas")
            # What another test put off may still be arriving.
            if seen["tasks_agendadas"] > before["tasks_agendadas"]:
                break
    assert status == 200
    assert seen["workers"] == 4
    assert seen["servicos"]["enricher telegram+endereco+telefone+cadastro"] == 1
    assert set(seen["filas"]["stage.endereco"]) == {
        "prontas", "mortas", "ativas", "esperando", "idade_s", "limite", "permissoes",
    }  # fmt: skip
    _, looked = await api.json("GET", f"/api/consultas/{answer['task_id']}")
    assert looked["status"] == "PENDING"
    await api.json("DELETE", f"/api/consultas/{answer['task_id']}")
    _, looked = await api.json("GET", f"/api/consultas/{answer['task_id']}")
    assert looked["status"] == "REVOKED"


async def test_a_job_is_run_by_hand_and_shown(api: Api) -> None:
    status, _ = await api.json("POST", "/api/agenda/verificacao_saude")
    assert status == 202
    async with asyncio.timeout(PATIENCE):
        while True:
            _, shown = await api.json("GET", "/api/agenda")
            [health] = [job for job in shown["tarefas"] if job["nome"] == "verificacao_saude"]
            if health["situacao"] == "ok":
                break
    assert health["resultado"]["redis"] is True
    assert health["resultado"]["rabbitmq"] is True
    assert health["resultado"]["circuitos"]["opencep"] == "FECHADO"
    assert health["resultado"]["provedores"]["opencep"]["alcancavel"] is True
    assert health["proxima"] > health["ultima"]
    assert (await api.json("POST", "/api/agenda/nada"))[0] == 404


async def test_ten_thousand_lines_are_taken_on_while_they_are_sent(api: Api) -> None:
    async def lines() -> Any:
        for cep in ceps(10_000):
            item = {"identificador": cep, "tipo": "cep", "atraso": 86400}
            yield msgspec.json.encode(item) + b"\n"
        yield b"{bad line\n"

    headers = {"Content-Type": "application/x-ndjson"}
    tasks = []
    async with api.http.post(
        f"{api.gateway}/api/consultas/lote", data=lines(), headers=headers
    ) as answer:
        assert answer.status == 200
        place = 0
        async for line in answer.content:
            told = msgspec.json.decode(line)
            assert told["indice"] == place
            place += 1
            if place <= 10_000:
                assert told["http"] == 202
                tasks.append(told["task_id"])
            else:
                assert (told["http"], told["campo"]) == (422, "lote")
    assert len(set(tasks)) == 10_000
