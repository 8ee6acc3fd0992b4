"""Where the store has lost a lookup, its streams end and say so; nobody waits for ever."""

import asyncio
from typing import Any

import pytest
import pytest_asyncio

from gateway.streams import RELAY
from shared.app import BUS, LOOKUPS, STORE
from shared.messages import Event
from shared.reporter import event
from tests.gateway.backstage import Backstage
from tests.gateway.gateways import CEP, Gateway, Gateways, events_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(lasting: Gateways) -> Gateway:
    return await lasting.start()


async def status_of(gateway: Gateway, task_id: str) -> str:
    status, answer = await gateway.json("GET", f"/api/consultas/{task_id}")
    return "404" if status == 404 else answer["status"]


async def test_a_flushed_store_ends_the_streams_that_were_open(
    gateway: Gateway, backstage: Backstage
) -> None:
    async with gateway.request("POST", "/api/consulta-stream", json=CEP) as answer:
        task_id = answer.headers["Location"].split("/")[3]
        await backstage.flight(task_id)
        assert [told["tipo"] for told in await events_of(answer, 1)] == ["iniciado"]
        await gateway.app[STORE].redis.flushdb()
        gateway_wakes(gateway)
        [end] = await events_of(answer)
    assert (end["tipo"], end["seq"], end["task_id"]) == ("error", 2, task_id)
    assert end["dados"]["codigo"] == "estado_perdido"
    assert await status_of(gateway, task_id) in {"404", "FAILURE"}
    # Whoever comes back is told the same, and its message begins nothing any more.
    async with gateway.request("GET", f"/api/consultas/{task_id}/eventos") as again:
        assert [told["tipo"] for told in await events_of(again)] == ["error"]
    # An EventSource that was told comes back once, and is stopped.
    path, seen = f"/api/consultas/{task_id}/eventos", {"Last-Event-ID": "2"}
    async with gateway.request("GET", path, headers=seen) as last:
        assert last.status == 204


async def test_a_stream_whose_flight_was_evicted_ends_and_so_does_its_lookup(
    gateway: Gateway, backstage: Backstage
) -> None:
    async with gateway.request("POST", "/api/consulta-stream", json=CEP) as answer:
        task_id = answer.headers["Location"].split("/")[3]
        flight = await backstage.flight(task_id)
        await events_of(answer, 1)
        redis = gateway.app[STORE].redis
        await redis.delete(f"consulta:flight:{flight}", f"consulta:flight:{flight}:log")
        gateway_wakes(gateway)
        [end] = await events_of(answer)
    assert end["dados"]["codigo"] == "estado_perdido"
    assert await status_of(gateway, task_id) == "FAILURE"


async def test_a_stream_sees_to_the_end_of_a_lookup_whose_deadline_nobody_watches(
    gateway: Gateway, backstage: Backstage, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nor does it need a broker for that.
    monkeypatch.setattr(gateway.app[BUS], "event", _never)
    body = {**CEP, "prazo": 1}
    async with gateway.request("POST", "/api/consulta-stream", json=body) as answer:
        task_id = answer.headers["Location"].split("/")[3]
        await backstage.flight(task_id)
        await gateway.app[STORE].redis.delete("consulta:deadlines")
        told = await events_of(answer)
    assert [event["tipo"] for event in told] == ["iniciado", "endereco", "analysis", "completo"]
    assert told[1]["situacao"] == "expirado"


async def test_one_that_is_missing_for_a_moment_only_goes_on(
    gateway: Gateway, backstage: Backstage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with gateway.request("POST", "/api/consulta-stream", json=CEP) as answer:
        task_id = answer.headers["Location"].split("/")[3]
        flight = await backstage.flight(task_id)
        await events_of(answer, 1)
        lookups = gateway.app[LOOKUPS]
        view, looked = lookups.view, asyncio.Event()

        async def nothing(*_: Any) -> None:
            monkeypatch.setattr(lookups, "view", view)
            looked.set()

        monkeypatch.setattr(lookups, "view", nothing)
        gateway_wakes(gateway)
        await looked.wait()
        await backstage.tell(flight, "endereco", _address())
        await backstage.end(flight)
        assert [told["tipo"] for told in await events_of(answer)] == ["endereco", "completo"]


async def test_a_repetition_is_answered_by_what_its_first_try_has_begun_and_not_by_the_cache(
    gateway: Gateway, backstage: Backstage
) -> None:
    once = {"Idempotency-Key": "a repetition"}
    first = await gateway.ask(**once)
    flight = await backstage.flight(first["task_id"])
    lookups = gateway.app[LOOKUPS]
    kept = await lookups.keep(first["task_id"], "gateway", "cep", [event("iniciado"), _end()])
    assert not kept
    await backstage.end(flight)
    async with gateway.request("GET", f"/api/consultas/{first['task_id']}/eventos") as answer:
        assert [told["tipo"] for told in await events_of(answer)] == ["iniciado", "completo"]


def gateway_wakes(gateway: Gateway) -> None:
    """Its streams look at once, as they do every ten seconds."""
    gateway.app[RELAY].wake()


async def _never(*_: Any) -> None:
    await asyncio.Event().wait()


def _address() -> Event:
    return event("endereco", {"cep": "01001000"}, "ok")


def _end() -> Event:
    return event("completo", {"etapas": {}})
