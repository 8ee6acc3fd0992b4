"""A lookup through the whole stack: real processes, real RabbitMQ, real Redis."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
import redis.asyncio

from tests.e2e.conftest import PATIENCE, Api, events_of, types
from tests.queue.provider_log import made_twice
from tests.services import Services

ABOARD = "consulta:flight:*:askers"
CPF, CNPJ, LETTERS, CEP, PHONE = (
    "111.444.777-35", "11.222.333/0001-81", "12ABC34501DE35", "01001-000", "+55 11 98765-4321",
)  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "identifier", "stages"),
    [
        ("cpf", CPF, {"telegram", "endereco", "telefone"}),
        ("cnpj", CNPJ, {"cadastro", "endereco", "telefone"}),
        ("cnpj", LETTERS, {"cadastro", "endereco", "telefone"}),
        ("cep", CEP, {"endereco"}),
        ("telefone", PHONE, {"telefone"}),
    ],
)
async def test_a_lookup_of_each_kind_runs_to_its_end(
    api: Api, kind: str, identifier: str, stages: set[str]
) -> None:
    events = await api.stream(identifier, kind)
    told = types(events)
    assert told[0] == "iniciado"
    assert set(told[1:-2]) == stages
    assert told[-2:] == ["analysis", "completo"]
    assert {event["situacao"] for event in events[1:-2]} <= {"ok", "nao_encontrado"}
    result = events[-1]["dados"]
    assert set(result["etapas"]) == stages
    assert result["analise"]["resumo"]
    assert len({event["task_id"] for event in events}) == 1


async def test_the_second_time_it_is_a_hit_and_no_provider_is_asked(api: Api) -> None:
    first = await api.stream(CPF)
    before = await api.calls()
    second = await api.stream("11144477735")
    assert await api.calls() == before
    assert types(second) == ["iniciado", "telegram", "endereco", "telefone", "analysis", "completo"]
    assert all(event["cache"] for event in second[1:])
    stages = first[-1]["dados"]["etapas"]
    for name, stage in second[-1]["dados"]["etapas"].items():
        assert stage["dados"] == stages[name]["dados"]


async def test_what_a_lookup_is_for_is_told_in_a_miss_and_in_a_hit_alike(api: Api) -> None:
    given = {"finalidade": "análise de crédito", "base_legal": "LGPD, art. 7º, X"}
    only = {"finalidade": "cobrança"}
    events = [
        await api.stream(CEP, "cep", atualizar=True, **given),
        await api.stream(CEP, "cep", **given),
        await api.stream(CEP, "cep", **only),
        await api.stream(CEP, "cep"),
    ]
    assert [told[1].get("cache", False) for told in events] == [
        False, True, True, True,
    ]  # fmt: skip
    plain = {"tipo": "cep", "etapas": ["endereco"]}
    assert [told[0]["dados"] for told in events] == [
        {**plain, **given}, {**plain, **given}, {**plain, **only}, plain,
    ]  # fmt: skip


async def test_every_spelling_is_one_subject(api: Api) -> None:
    await api.stream("111.444.777-35")
    for spelling in ("11144477735", "011144477735", " 111.444.777-35 "):
        status, answer = await api.json(
            "POST", "/api/consultas", {"identificador": spelling, "tipo": "cpf"}
        )
        assert (status, answer["cache"], answer["status"]) == (200, True, "SUCCESS")


async def test_raising_the_version_forgets_everything(api: Api) -> None:
    await api.stream(CPF)
    await api.json("POST", "/api/cache/versao", {})
    await api.stream(CPF)
    assert (await api.calls()).count("telegram") == 2


async def test_invalidating_a_pattern_forgets_what_matches(api: Api) -> None:
    await api.stream(CPF)
    await api.stream(CEP, "cep")
    _, version = await api.json("POST", "/api/cache/versao", {})
    await api.stream(CPF)
    await api.stream(CEP, "cep")
    pattern = f"consulta:v{version['versao']}:cpf:*"
    status, answer = await api.json("POST", "/api/cache/invalidar", {"padrao": pattern})
    assert (status, answer) == (200, {"removidas": 1})
    asked = await api.calls()
    await api.stream(CPF)
    await api.stream(CEP, "cep")
    assert sorted((await api.calls())[len(asked) :]) == [
        "bridge_endereco", "bridge_telefone", "telegram",
    ]  # fmt: skip


async def test_invalidating_a_subject_forgets_it_in_any_spelling(api: Api) -> None:
    await api.stream(CPF)
    body = {"tipo": "cpf", "identificador": "011144477735"}
    _, answer = await api.json("POST", "/api/cache/invalidar", body)
    # What older schema versions hold of the subject goes as well.
    assert answer["removidas"] >= 1
    assert not any(event.get("cache") for event in await api.stream(CPF))


async def test_a_hundred_identical_lookups_ask_each_provider_once(
    api: Api, services: Services
) -> None:
    providers = ("telegram", "bridge_endereco", "bridge_telefone")
    for provider in providers:
        await api.control(provider, held=True)
    asking = [asyncio.create_task(api.stream(CPF)) for _ in range(100)]
    async with redis.asyncio.Redis.from_url(services.env["REDIS_URL"]) as store:
        # All aboard one flight, before any of its stages can end.
        async with asyncio.timeout(PATIENCE):
            while 100 not in [await store.hlen(key) for key in await store.keys(ABOARD)]:
                await asyncio.sleep(0.02)
    for provider in providers:
        await api.control(provider, held=False)
    streams = await asyncio.gather(*asking)
    calls = await api.log(*providers)
    assert {call.provider for call in calls} == set(providers)
    assert made_twice(calls) == 0
    assert len({stream[0]["task_id"] for stream in streams}) == 100
    for stream in streams:
        assert sorted(types(stream)) == sorted(types(streams[0]))
        assert [event["seq"] for event in stream] == list(range(1, 7))


async def test_the_cache_can_be_passed_by(api: Api) -> None:
    await api.stream(CPF)
    events = await api.stream(CPF, atualizar=True)
    assert not any(event.get("cache") for event in events)
    assert (await api.calls()).count("telegram") == 2


async def test_some_stages_only(api: Api) -> None:
    events = await api.stream(CPF, etapas=["endereco"])
    assert types(events) == ["iniciado", "endereco", "analysis", "completo"]
    company = await api.stream(CNPJ, "cnpj", etapas=["telefone"])
    assert types(company)[:3] == ["iniciado", "cadastro", "telefone"]


async def test_a_lookup_is_followed_from_its_task_id(api: Api) -> None:
    status, answer = await api.json("POST", "/api/consultas", {"identificador": CPF})
    assert (status, answer["status"]) == (202, "PENDING")
    async with api.http.get(f"{api.gateway}{answer['eventos']}") as stream:
        events = await events_of(stream)
    assert types(events)[-1] == "completo"
    headers = {"Last-Event-ID": "3"}
    async with api.http.get(f"{api.gateway}{answer['eventos']}", headers=headers) as stream:
        assert await events_of(stream) == events[3:]
    async with api.http.get(f"{api.gateway}{answer['eventos']}?last_event_id=6") as stream:
        assert stream.status == 204
    _, seen = await api.json("GET", f"/api/consultas/{answer['task_id']}")
    assert seen["status"] == "SUCCESS"
    assert seen["resultado"] == events[-1]["dados"]
    assert {stage["status"] for stage in seen["etapas"].values()} == {"SUCCESS"}


async def test_a_hit_can_be_looked_at_afterwards_too(api: Api) -> None:
    await api.stream(CPF)
    _, answer = await api.json("POST", "/api/consultas", {"identificador": CPF})
    _, seen = await api.json("GET", f"/api/consultas/{answer['task_id']}")
    assert seen["resultado"] == answer["resultado"]


async def test_a_cancelled_lookup_ends_and_asks_nobody_further(api: Api) -> None:
    await api.control("minhareceita", held=True)
    body = {"identificador": CNPJ, "tipo": "cnpj"}
    _, answer = await api.json("POST", "/api/consultas", body)
    async with api.http.get(f"{api.gateway}{answer['eventos']}") as stream:
        status, told = await api.json("DELETE", f"/api/consultas/{answer['task_id']}")
        assert (status, told["status"]) == (200, "REVOKED")
        events = await events_of(stream)
    assert events[-1]["tipo"] == "error"
    assert events[-1]["situacao"] == "cancelado"
    _, seen = await api.json("GET", f"/api/consultas/{answer['task_id']}")
    assert seen["status"] == "REVOKED"
    again, _ = await api.json("DELETE", f"/api/consultas/{answer['task_id']}")
    assert again == 200
    await api.stream(CEP, "cep")
    assert "viacep" not in await api.calls()


async def test_a_lookup_that_ended_cannot_be_cancelled(api: Api) -> None:
    events = await api.stream(CEP, "cep")
    status, problem = await api.json("DELETE", f"/api/consultas/{events[0]['task_id']}")
    assert (status, problem["status"]) == (409, 409)


BAD: dict[str, list[Any]] = {
    "cpf": [
        "111.444.777-36", "111.4447.77-35", "00000000000", "١١١٤٤٤٧٧٧٣٥",
        "1114447773X",
        "1114447773500", None, 11144477735, "", "111 444 777 35 abc",
    ],
    "cnpj": [
        "11.222.333/0001-82", "11.222.3330/001-81", "00000000000000",
        "１１２２２３３３０００１８１",
        "12ABC34501DE3X", "112223330001811", None, 11222333000181, "", "11,222,333/0001-81",
    ],
    "cep": [
        "0100-1000", "01.001.000", "00000000", "٠١٠٠١٠٠٠", "0100100A", "010010000", None, 1001000,
        "", "01001_000",
    ],
    "telefone": [
        "+55 11 98765-432", "(11 98765-4321", "00000000000", "١١٩٨٧٦٥٤٣٢١", "11 9876A-4321",
        "+55 11 98765-43210000", None, 11987654321, "", "+1 202 555 0123",
    ],
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
async def test_ten_bad_identifiers_of_each_kind_are_refused_by_field(api: Api, kind: str) -> None:
    assert len(BAD[kind]) == 10
    for path in ("/api/consulta-stream", "/api/consultas"):
        for identifier in BAD[kind]:
            body = {"identificador": identifier, "tipo": kind}
            status, problem = await api.json("POST", path, body)
            assert (status, problem["campo"]) == (422, "identificador"), identifier
            assert problem["detail"]
            if identifier:
                assert str(identifier) not in str(problem)
    assert await api.calls() == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"tipo": "rg"}, "tipo"),
        ({"prioridade": 11}, "prioridade"),
        ({"prioridade": "alta"}, "prioridade"),
        ({"atraso": -1}, "atraso"),
        ({"prazo": 0}, "prazo"),
        ({"etapas": []}, "etapas"),
        ({"etapas": ["cadastro"], "tipo": "cep", "identificador": CEP}, "etapas"),
        ({"atualizar": 1}, "atualizar"),
        ({"finalidade": "x" * 201}, "finalidade"),
        ({"surpresa": 1}, "surpresa"),
    ],
)
async def test_every_other_field_is_named_as_well(
    api: Api, change: dict[str, Any], field: str
) -> None:
    body = {"identificador": CPF, **change}
    status, problem = await api.json("POST", "/api/consultas", body)
    assert (status, problem["campo"]) == (422, field)


async def test_what_is_no_request_gets_its_problem(api: Api) -> None:
    url = f"{api.gateway}/api/consultas"
    json_type = {"Content-Type": "application/json"}
    tries: list[tuple[str, str, dict[str, Any], int]] = [
        ("POST", url, {"data": b"x" * 1_000_000, "headers": json_type}, 413),
        ("POST", url, {"data": b"{not json", "headers": json_type}, 400),
        ("POST", url, {"data": b"[1]", "headers": json_type}, 422),
        ("POST", url, {"data": b"\xff\xfe", "headers": json_type}, 400),
        ("POST", url, {"data": b"a=1", "headers": {"Content-Type": "text/plain"}}, 415),
        ("PUT", url, {}, 405),
        ("GET", f"{api.gateway}/api/nothing", {}, 404),
        ("GET", f"{url}/{uuid4()}", {}, 404),
        ("GET", f"{url}/{uuid4()}/eventos", {}, 404),
    ]
    for method, address, options, expected in tries:
        async with api.http.request(method, address, **options) as answer:
            assert answer.status == expected
            assert answer.content_type == "application/problem+json"
            problem = await answer.json(content_type=None)
            assert problem["status"] == expected
            assert problem["detail"]


async def test_every_service_answers_on_its_ops_port(services: Services, api: Api) -> None:
    await api.stream(CPF)
    await api.stream(CPF)
    seen = {}
    for name in ("gateway", "cache_service", "enricher", "analyzer"):
        for path in ("/live", "/ready"):
            async with api.http.get(services.ops(name, path)) as answer:
                assert answer.status == 200
        async with api.http.get(services.ops(name, "/metrics")) as answer:
            seen[name] = await answer.text()
    assert 'consulta_cache_requests_total{kind="cpf",result="hit"}' in seen["gateway"]
    assert 'consulta_sse_events_total{event="completo"}' in seen["gateway"]
    assert 'consulta_lookups_total{kind="cpf",outcome="completo"}' in seen["analyzer"]
    assert (
        'consulta_stage_total{outcome="ok",provider="telegram",stage="telegram"}'
        in seen["enricher"]
    )
    for text in seen.values():
        assert "11144477735" not in text


async def test_no_log_line_holds_an_identifier(services: Services, api: Api) -> None:
    await api.stream(CPF)
    await api.json("POST", "/api/consultas", {"identificador": "111.444.777-36"})
    for name in ("gateway", "cache_service", "enricher", "analyzer"):
        log = services.log(name)
        assert "11144477735" not in log
        assert "111.444.777" not in log


async def test_a_vanished_client_costs_its_lookup_nothing(api: Api) -> None:
    await api.control("telegram", latency_ms=300)
    body = {"identificador": CPF, "tipo": "cpf"}
    async with api.http.post(f"{api.gateway}/api/consulta-stream", json=body) as answer:
        where = answer.headers["Location"]
    async with api.http.get(f"{api.gateway}{where}") as stream:
        assert types(await events_of(stream))[-1] == "completo"
