"""The clients for HTTP and for the bus: every event once and in order, whatever is lost."""

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import aio_pika
import msgspec
import pytest

from consulta.bus import BusClient
from consulta.errors import ApiError, LookupLost, Unreachable
from consulta.http import HttpClient
from consulta.options import Item
from shared.domain.answers import Accepted, Done
from shared.errors import InvalidInput
from shared.messages import Event
from tests.e2e.conftest import PATIENCE, Api
from tests.e2e.lossy import LossyWay
from tests.queue.provider_log import made_twice
from tests.services import Services
from tests.subjects import cpfs

CPF, CEP = "111.444.777-35", "01001-000"
ALL = ["iniciado", "telegram", "endereco", "telefone", "analysis", "completo"]


@pytest.fixture
async def client(services: Services) -> AsyncIterator[HttpClient]:
    async with HttpClient(services.gateway) as client:
        yield client


@pytest.fixture
async def lookups(services: Services) -> AsyncIterator[BusClient]:
    async with BusClient(services.env["AMQP_URL"], origin="billing") as lookups:
        yield lookups


async def told(events: AsyncIterator[Event]) -> list[Event]:
    """All events to the last, checked on the way."""
    async with asyncio.timeout(PATIENCE):
        heard = [event async for event in events]
    assert [event.seq for event in heard] == list(range(1, len(heard) + 1))
    assert len({event.task_id for event in heard}) == 1
    return heard


def complete(events: list[Event]) -> bool:
    types = [event.type for event in events]
    return sorted(types) == sorted(ALL) and (types[0], types[-1]) == (ALL[0], ALL[-1])


async def test_a_lookup_over_http_a_miss_then_a_hit(api: Api, client: HttpClient) -> None:
    miss = await told(client.lookup("cpf", CPF, purpose="cadastro", legal_basis="art. 7, V"))
    assert complete(miss)
    assert not miss[-1].cached
    assert (await told(client.lookup("cpf", CPF)))[-1].cached
    fresh = await told(client.lookup("cpf", CPF, refresh=True, stages=["endereco"], deadline=30))
    assert [event.type for event in fresh] == ["iniciado", "endereco", "analysis", "completo"]
    assert not fresh[-1].cached


async def test_a_lookup_is_submitted_looked_at_followed_and_cancelled(
    api: Api, client: HttpClient
) -> None:
    accepted = await client.submit("cpf", CPF)
    assert isinstance(accepted, Accepted)
    assert accepted.status == "PENDING"
    events = await told(client.follow(accepted.task_id))
    later = [event async for event in client.follow(accepted.task_id, seen=4)]
    assert later == events[4:]
    status = await client.status(accepted.task_id)
    assert status.status == "SUCCESS"
    assert status.result is not None
    assert msgspec.to_builtins(status.result) == events[-1].data
    assert {stage.status for stage in status.stages.values()} == {"SUCCESS"}
    hit = await client.submit("cpf", CPF)
    assert isinstance(hit, Done)
    assert (hit.status, hit.cached) == ("SUCCESS", True)
    assert hit.result.analysis == status.result.analysis
    put_off = await client.submit("cpf", CPF, delay=3600)
    await client.cancel(put_off.task_id)
    [end] = [event async for event in client.follow(put_off.task_id)]
    assert (end.type, end.outcome) == ("error", "cancelado")
    with pytest.raises(ApiError, match="já terminou") as caught:
        await client.cancel(accepted.task_id)
    assert caught.value.status == 409
    with pytest.raises(ApiError) as caught:
        await client.status(str(uuid4()))
    assert caught.value.status == 404


async def test_a_bad_identifier_is_an_error_of_its_field(api: Api, client: HttpClient) -> None:
    with pytest.raises(ApiError) as caught:
        await told(client.lookup("cpf", "111.444.777-36"))
    assert (caught.value.status, caught.value.field) == (422, "identificador")
    assert "111" not in str(caught.value)


async def test_the_calls_for_operators(api: Api, client: HttpClient) -> None:
    await told(client.lookup("cep", CEP))
    assert (await client.cache_statistics()).total_keys >= 1
    assert await client.invalidate("cep", CEP) >= 1
    assert await client.invalidate(pattern="consulta:v1:telefone:*") == 0
    version = await client.raise_version()
    assert await client.raise_version() == version + 1
    queues = await client.queues()
    # One that another test killed counts for some seconds still, so how many there are is not said.
    assert set(queues.services) == {
        "gateway", "cache_service", "analyzer", "enricher telegram+endereco+telefone+cadastro",
    }  # fmt: skip
    assert queues.workers == sum(queues.services.values())
    assert queues.queues["stage.endereco"].limit == "off"
    jobs = (await client.jobs()).jobs
    assert {job.name for job in jobs}
    await client.run_job(jobs[0].name)
    with pytest.raises(ApiError) as caught:
        await client.run_job("../cache/versao")
    assert caught.value.status == 404


async def test_many_lookups_in_one_call(api: Api, client: HttpClient) -> None:
    items: list[Item] = [
        {"kind": "cpf", "identifier": identifier} for identifier in cpfs(100, 180_012_389)
    ]
    items[7]["identifier"] = "123"
    async with asyncio.timeout(PATIENCE):
        answers = [answer async for answer in client.bulk(items)]
    assert [answer.index for answer in answers] == list(range(100))
    assert answers[7].http == 422
    assert answers[7].field_ == "identificador"
    assert {answer.http for answer in answers} == {202, 422}
    for answer in answers[::33]:
        assert complete(await told(client.follow(answer.task_id or "")))


async def test_a_gateway_that_dies_costs_no_event(
    services: Services, api: Api, client: HttpClient
) -> None:
    await api.control("telegram", held=True)
    started = asyncio.Semaphore(0)

    async def one(identifier: str) -> list[Event]:
        heard = []
        async for event in client.lookup("cpf", identifier):
            heard.append(event)
            started.release()
        return heard

    running = [asyncio.create_task(one(each)) for each in cpfs(20, 190_012_389)]
    async with asyncio.timeout(PATIENCE):
        for _ in running:
            await started.acquire()
        await asyncio.to_thread(services.kill, "gateway")
        assert not any(task.done() for task in running)
        await asyncio.to_thread(services.start, "gateway")
        await api.control("telegram", held=False)
        for heard in await asyncio.gather(*running):
            assert [event.seq for event in heard] == [1, 2, 3, 4, 5, 6]
            assert complete(heard)
    calls = await api.log("telegram")
    assert len({call.subject for call in calls}) == 20
    assert made_twice(calls) == 0


async def test_a_lookup_over_the_bus(api: Api, lookups: BusClient) -> None:
    task_id = str(uuid4())
    events = await told(lookups.request("cpf", CPF, priority=9, task_id=task_id))
    assert complete(events)
    assert events[0].task_id == task_id
    hit = await told(lookups.request("cpf", "11144477735"))
    assert hit[-1].cached
    assert hit[-1].task_id != task_id
    put_off = await told(lookups.request("cep", CEP, delay=1, deadline=20))
    assert put_off[-1].type == "completo"


async def test_processes_that_share_an_origin_hear_their_own(
    services: Services, api: Api, lookups: BusClient
) -> None:
    url = services.env["AMQP_URL"]
    async with (
        BusClient(url, origin="billing") as other,
        await aio_pika.connect(url) as connection,
    ):
        channel = await connection.channel()
        every = await channel.declare_queue(exclusive=True)
        await every.bind("events", "billing.#")
        asked = [
            told(client.request("cpf", identifier))
            for client in (lookups, other)
            for identifier in cpfs(10, 200_012_389)
        ]
        for events in await asyncio.gather(*asked):
            assert complete(events)
        # Whoever binds the whole origin hears them all.
        count = (await channel.get_queue(every.name)).declaration_result
        assert (count.message_count or 0) >= 120


@pytest.mark.parametrize("field", ["identifier", "priority", "stages", "deadline", "task_id"])
async def test_what_would_be_a_dead_letter_is_not_sent(
    api: Api, lookups: BusClient, field: str
) -> None:
    bad = {
        "identifier": "11144477736", "priority": 11, "stages": ["cadastrado"], "deadline": 0,
        "task_id": "7",
    }  # fmt: skip
    options: Any = {"identifier": CPF, field: bad[field]}
    with pytest.raises(InvalidInput):
        await told(lookups.request("cpf", **options))


async def test_a_lookup_that_ends_while_its_asker_is_away_is_had_whole(
    services: Services, api: Api
) -> None:
    await api.control("telegram", held=True)
    async with (
        LossyWay(services.env["AMQP_URL"]) as way,
        BusClient(way.url, origin="billing") as lookups,
    ):
        heard = []
        async with asyncio.timeout(PATIENCE):
            async for event in lookups.request("cpf", CPF):
                heard.append(event)
                if len(heard) == 1:
                    await way.cut()
                    await api.control("telegram", held=False)
                    await _ended(api, str(event.task_id))
                    await way.mend()
        assert [event.seq for event in heard] == [1, 2, 3, 4, 5, 6]
        assert complete(heard)
    assert (await api.calls()).count("telegram") == 1


async def test_a_connection_lost_while_it_runs_costs_no_event(services: Services, api: Api) -> None:
    await api.control("bridge_telefone", latency_ms=2000)
    async with (
        LossyWay(services.env["AMQP_URL"]) as way,
        BusClient(way.url, origin="billing") as lookups,
    ):

        async def one(identifier: str) -> list[Event]:
            heard = []
            async for event in lookups.request("cpf", identifier):
                heard.append(event)
                if event.seq == 2:
                    way.tear()
            return heard

        async with asyncio.timeout(PATIENCE):
            for heard in await asyncio.gather(*map(one, cpfs(5, 210_012_389))):
                assert [event.seq for event in heard] == [1, 2, 3, 4, 5, 6]
        assert way.connections > 2
    assert (await api.calls()).count("telegram") == 5


async def test_a_confirm_that_is_lost_makes_no_second_lookup(services: Services, api: Api) -> None:
    async with (
        LossyWay(services.env["AMQP_URL"]) as way,
        BusClient(way.url, origin="billing") as lookups,
    ):
        assert complete(await told(lookups.request("cpf", cpfs(1, 220_012_389)[0])))
        before = way.connections
        way.cut_after = b'"identificador"'
        assert complete(await told(lookups.request("cpf", CPF)))
        assert way.connections > before
    assert (await api.calls()).count("telegram") == 2


async def test_another_process_takes_a_lookup_over(services: Services, api: Api) -> None:
    await api.control("telegram", held=True)
    url, task_id = services.env["AMQP_URL"], str(uuid4())
    async with BusClient(url, origin="billing") as first:
        events = first.request("cpf", CPF, task_id=task_id)
        await anext(events)
        await events.aclose()
    async with BusClient(url, origin="billing") as second:
        running = []
        async for event in second.request("cpf", CPF, task_id=task_id):
            running.append(event)
            await api.control("telegram", held=False)
        ended = await told(second.request("cpf", CPF, task_id=task_id))
    assert complete(ended)
    assert ended == running
    assert (await api.calls()).count("telegram") == 1


async def test_a_task_id_of_somebody_else_tells_nothing(
    services: Services, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consulta.bus.GRACE_S", 1.0)
    url, task_id = services.env["AMQP_URL"], str(uuid4())
    async with BusClient(url, origin="billing") as lookups:
        assert complete(await told(lookups.request("cpf", CPF, task_id=task_id)))
        other = cpfs(1, 230_012_389)[0]
        with pytest.raises(LookupLost, match=task_id):
            await told(lookups.request("cpf", other, task_id=task_id, deadline=1))


async def test_a_broker_that_is_away_is_said() -> None:
    async with BusClient("amqp://u:s3cr3t@127.0.0.1:1/", origin="billing", patience=0.5) as lookups:
        with pytest.raises(Unreachable) as caught:
            await told(lookups.request("cpf", CPF))
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize("origin", ["", "a.b.c.d", "a.#", "*", "ação"])
def test_an_origin_is_words_of_a_routing_key(origin: str) -> None:
    with pytest.raises(ValueError, match="words"):
        BusClient("amqp://127.0.0.1/", origin=origin)


async def _ended(api: Api, task_id: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while (await api.json("GET", f"/api/consultas/{task_id}"))[1]["status"] != "SUCCESS":
            await asyncio.sleep(0.02)


@pytest.fixture
def collected() -> Iterator[None]:
    """What a test leaves complains before the next one begins. The loop has been closed by then."""
    yield
    gc.collect()


# Of a connection given up half made, aiormq leaves tasks behind, which complain as the loop closes.
@pytest.mark.usefixtures("collected")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("ticks", range(0, 120, 8))
async def test_a_client_can_be_closed_at_any_moment(services: Services, ticks: int) -> None:
    """Also while it connects, where aiormq swallows a cancellation now and then."""
    async with asyncio.timeout(PATIENCE):
        async with BusClient(services.env["AMQP_URL"], origin="billing"):
            for _ in range(ticks):
                await asyncio.sleep(0)
