"""The simulator fails as asked, keeps limits, and tells which calls came."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from enricher.simulator.control import digest
from tests.contract.simulated import CNPJ, CPF, Client, Time, bridge, get, lookup, put, started

PROVIDERS = [
    *("telegram", "bridge_endereco", "bridge_telefone", "serpro"),
    *("minhareceita", "opencnpj", "brasilapi", "opencep", "viacep"),
]


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def client(time: Time) -> AsyncIterator[Client]:
    async with started(time) as client:
        yield client


@pytest.mark.parametrize(
    ("fault", "status", "content_type"),
    [
        ("429", 429, "text/plain"),
        ("500", 500, "application/json"),
        ("503", 503, "text/plain"),
        ("html", 200, "text/html"),
        ("403", 403, "text/html"),
        ("false_404", 404, "application/json"),
        ("malformed", 200, "application/json"),
    ],
)
async def test_a_fault_answers_in_place_of_the_provider(
    client: Client, fault: str, status: int, content_type: str
) -> None:
    await put(client, "brasilapi", fault=fault, retry_after=7)
    async with client.get(f"/brasilapi/api/cnpj/v1/{CNPJ}") as response:
        assert (response.status, response.content_type) == (status, content_type)
        assert response.headers.get("Retry-After") == ("7" if status in {429, 503} else None)
        if fault == "malformed":
            with pytest.raises(ValueError):
                await response.json()
        if fault == "false_404":
            assert (await response.json())["name"] == "NotFoundError"


async def test_a_false_404_of_viacep_is_its_200(client: Client) -> None:
    await put(client, "viacep", fault="false_404")
    assert await get(client, "/viacep/ws/01001000/json/") == (200, {"erro": "true"})


async def test_a_reset_breaks_the_connection(client: Client) -> None:
    await put(client, "telegram", fault="reset")
    with pytest.raises(aiohttp.ClientConnectionError):
        await bridge(client, lookup("telegram"))
    _, log = await get(client, "/_control/log")
    assert [entry["status"] for entry in log] == [None]


async def test_a_hang_never_answers(client: Client) -> None:
    await put(client, "telegram", fault="hang")
    call = asyncio.create_task(bridge(client, lookup("telegram")))
    log: list[Any] = []
    while not log:
        _, log = await get(client, "/_control/log")
    assert not call.done()
    assert log[0]["status"] is None
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)


@pytest.mark.parametrize("how", ["let go", "reset"])
async def test_a_held_provider_answers_once_it_is_let_go(client: Client, how: str) -> None:
    await put(client, "opencep", held=True)
    call = asyncio.create_task(get(client, "/opencep/v1/01001000"))
    log: list[Any] = []
    while not log:
        _, log = await get(client, "/_control/log")
    # Others answer meanwhile, and a change of something else lets nothing go.
    await get(client, "/viacep/ws/01001000/json/")
    await put(client, "opencep", retry_after=7)
    assert not call.done()
    if how == "reset":
        await client.delete("/_control")
    else:
        await put(client, "opencep", held=False)
    status, body = await call
    assert (status, body["cep"]) == (200, "01001-000")


async def test_part_of_the_calls_fail_and_the_same_ones_after_a_reset(client: Client) -> None:
    async def statuses() -> list[int]:
        await put(client, "opencep", fault=500, fault_rate=0.5)
        return [await answered() for _ in range(20)]

    async def answered() -> int:
        async with client.get("/opencep/v1/01001000") as response:
            return response.status

    first = await statuses()
    assert set(first) == {200, 500}
    async with client.delete("/_control") as response:
        assert response.status == 204
    assert await statuses() == first


async def test_answers_take_their_latency(client: Client, time: Time) -> None:
    await bridge(client, lookup("telegram"))
    await bridge(client, lookup("endereco"), "bridge_endereco")
    await bridge(client, lookup("telefone"), "bridge_telefone")
    await get(client, "/opencep/v1/01001000")
    await get(client, "/viacep/ws/01001000/json/")
    assert time.slept == [0.5, 1.2, 0.8, 1.2, 1.2]
    time.slept.clear()
    await put(client, "opencep", latency_ms=100, jitter_ms=50)
    await get(client, "/opencep/v1/01001000")
    assert 0.1 <= time.slept[0] <= 0.15
    time.slept.clear()
    await put(client, "opencep", latency_ms=0, jitter_ms=0)
    await get(client, "/opencep/v1/01001000")
    assert not time.slept


async def test_a_limit_holds_in_any_minute(client: Client, time: Time) -> None:
    await put(client, "opencep", limit_per_minute=2, retry_after="Fri, 01 Jan 2027 00:00:00 GMT")

    async def answered() -> int:
        async with client.get("/opencep/v1/01001000") as response:
            if response.status == 429:
                assert response.content_type == "text/plain"
                assert response.headers["Retry-After"].startswith("Fri")
            return response.status

    assert await answered() == 200
    time.now += 59
    assert [await answered(), await answered()] == [200, 429]
    time.now += 1
    assert [await answered(), await answered()] == [200, 429]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("latency_ms", -1),
        ("latency_ms", True),
        ("latency_ms", "5"),
        ("jitter_ms", 1.5),
        ("fault", "teapot"),
        ("fault", None),
        ("fault_rate", 1.1),
        ("retry_after", "1\r\nX: 1"),
        ("limit_per_minute", 0),
        ("colour", "red"),
    ],
)
async def test_a_bad_setting_is_named_and_changes_nothing(
    client: Client, field: str, value: object
) -> None:
    before = await get(client, "/_control")
    async with client.put("/_control/opencep", json={"latency_ms": 1, field: value}) as response:
        assert response.status == 422
        assert (await response.json())["campo"] == field
    assert await get(client, "/_control") == before


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/_control/nobody", b"{}", 404),
        ("/_control/opencep", b"[]", 422),
        ("/_control/opencep", b"{", 422),
    ],
)
async def test_a_bad_control_call_is_refused(
    client: Client, path: str, body: bytes, status: int
) -> None:
    async with client.put(path, data=body) as response:
        assert response.status == status


async def test_settings_can_be_read_and_reset(client: Client) -> None:
    _, before = await get(client, "/_control")
    assert sorted(before) == sorted(PROVIDERS)
    changed = await put(client, "serpro", fault="429", latency_ms=5)
    assert changed == {**before["serpro"], "fault": "429", "latency_ms": 5}
    await client.delete("/_control")
    assert (await get(client, "/_control"))[1] == before


async def test_calls_about_the_same_subject_share_a_digest_in_the_log(client: Client) -> None:
    await bridge(client, lookup("endereco"))
    await bridge(client, lookup("telefone"), "bridge_telefone")
    await get(client, "/viacep/ws/01001000/json/")
    await get(client, "/opencep/v1/01001000")
    _, log = await get(client, "/_control/log")
    assert [call["subject"] for call in log] == [digest(CPF)] * 2 + [digest("01001000")] * 2
    assert "01001000" not in str(log)
    assert CPF not in str(log)


async def test_the_log_tells_each_call_without_the_identifier(client: Client, time: Time) -> None:
    await bridge(client, lookup("endereco"))
    await get(client, "/viacep/ws/01001999/json/")
    await client.get("/minhareceita/123")
    _, log = await get(client, "/_control/log")
    said = [(call["provider"], call["method"], call["status"], call["endpoint"]) for call in log]
    assert said == [
        ("telegram", "POST", 200, "endereco"),
        ("viacep", "GET", 200, "cep"),
        ("minhareceita", "GET", 400, "cnpj"),
    ]
    assert {call["time"] for call in log} == {time.now}
    await put(client, "viacep", latency_ms=3)
    await client.delete("/_control/log")
    assert await get(client, "/_control/log") == (200, [])
    assert (await get(client, "/_control"))[1]["viacep"]["latency_ms"] == 3
