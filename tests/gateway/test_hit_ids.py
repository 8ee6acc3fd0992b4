"""A hit has the task_id of the cached answer: it can be looked at for as long as that is there."""

import asyncio
import re
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from gateway.hits.hits import HITS
from shared.app import CACHE, STORE
from shared.errors import StoreRefused
from shared.messages import now
from shared.results import analysis_field
from shared.store import Store
from tests.gateway.cached import cep, fill
from tests.gateway.gateways import PATIENCE, Gateway, Gateways, events_of
from tests.gateway.keyring import Keyring, known

pytestmark = pytest.mark.asyncio(loop_scope="module")
STREAM, ONE, MANY = "/api/consulta-stream", "/api/consultas", "/api/consultas/lote"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(lasting: Gateways) -> list[Gateway]:
    """Two replicas."""
    return [await lasting.start() for _ in range(2)]


async def hit(gateway: Gateway, body: dict[str, Any], **headers: str) -> dict[str, Any]:
    status, answer = await gateway.json("POST", ONE, body, **headers)
    assert status == 200, answer
    found: dict[str, Any] = answer
    return found


async def noted(store: Store, task_id: str) -> dict[str, bytes]:
    """What is written down of a hit, as soon as it is."""
    async with asyncio.timeout(PATIENCE):
        while not (found := await store.hash(f"consulta:hit:{task_id}")):
            await asyncio.sleep(0.005)
    return found


async def test_the_same_answer_has_one_id_however_and_wherever_it_is_asked_for(
    pair: list[Gateway], store: Store
) -> None:
    body = cep(1)
    await fill(store, pair[0], body, 1)
    ids = [(await hit(one, body))["task_id"] for one in pair * 3]
    for one in pair * 2:
        _, answers = await one.json("POST", MANY, [body, {**body, "prazo": 5}])
        ids += [answer["task_id"] for answer in answers]
        async with one.request("POST", STREAM, json=body) as stream:
            events = await events_of(stream)
        ids += [event["task_id"] for event in events]
        assert stream.headers["Location"] == f"/api/consultas/{ids[0]}/eventos"
    assert len(set(ids)) == 1
    assert UUID(ids[0]).version == 8
    assert str(UUID(ids[0])) == ids[0]


async def test_another_question_or_another_answer_has_another_id(
    pair: list[Gateway], store: Store
) -> None:
    body = cep(2)
    await fill(store, pair[0], body, 1)
    asked = [body, {**body, "finalidade": "a"}, {**body, "base_legal": "a"}]
    ids = [(await hit(pair[0], one))["task_id"] for one in asked * 2]
    await fill(store, pair[0], body, 2)
    ids += [(await hit(pair[1], one))["task_id"] for one in asked]
    await fill(store, pair[0], cep(3), 1)
    ids.append((await hit(pair[1], cep(3)))["task_id"])
    assert ids[:3] == ids[3:6]
    assert len(set(ids)) == 7


async def test_it_can_be_looked_at_and_followed_from_anywhere(
    pair: list[Gateway], store: Store
) -> None:
    body = {**cep(4), "finalidade": "crédito", "base_legal": "LGPD art. 7º"}
    await fill(store, pair[0], body, 7)
    answer = await hit(pair[0], body)
    task_id = answer["task_id"]
    await noted(store, task_id)
    for one in pair:
        status, seen = await one.json("GET", f"{ONE}/{task_id}")
        assert (status, seen["status"], seen["task_id"]) == (200, "SUCCESS", task_id)
        assert seen["etapas"] == {"endereco": {"status": "SUCCESS", "situacao": "ok"}}
        assert seen["resultado"]["etapas"]["endereco"]["dados"]["numero"] == 7
        path = f"{ONE}/{task_id}/eventos"
        async with one.request("GET", path) as stream:
            events = await events_of(stream)
        assert [event["tipo"] for event in events] == [
            "iniciado", "endereco", "analysis", "completo",
        ]  # fmt: skip
        assert [event["seq"] for event in events] == [1, 2, 3, 4]
        assert {event["task_id"] for event in events} == {task_id}
        assert events[0]["dados"]["finalidade"] == "crédito"
        for how in ({"Last-Event-ID": "2"}, {}):
            query = "" if how else "?last_event_id=2"
            async with one.request("GET", path + query, headers=how) as stream:
                assert [event["seq"] for event in await events_of(stream)] == [3, 4]
        async with one.request("GET", path, headers={"Last-Event-ID": "4"}) as stream:
            assert stream.status == 204
        async with one.request("GET", path, headers={"Last-Event-ID": "9"}) as stream:
            text = await stream.text()
        assert "event: reset" in text
        assert text.count("\nid: ") == 4
        status, problem = await one.json("DELETE", f"{ONE}/{task_id}")
        assert (status, problem["detail"]) == (409, "a consulta já terminou")


@pytest.mark.parametrize("how", ["replaced", "forgotten", "version"])
async def test_it_is_gone_with_the_answer(pair: list[Gateway], store: Store, how: str) -> None:
    body = cep(5)
    await fill(store, pair[0], body, 1)
    task_id = (await hit(pair[0], body))["task_id"]
    await noted(store, task_id)
    assert (await pair[1].json("GET", f"{ONE}/{task_id}"))[0] == 200
    if how == "replaced":
        await fill(store, pair[0], body, 2)
    elif how == "forgotten":
        await pair[0].app[CACHE].invalidate("cep", body["identificador"])
    else:
        await pair[0].app[CACHE].raise_version()
    for path in ("", "/eventos"):
        for one in pair:
            assert (await one.json("GET", f"{ONE}/{task_id}{path}"))[0] == 404
    assert (await pair[0].json("DELETE", f"{ONE}/{task_id}"))[0] == 404
    # The same data again is the same answer.
    if how == "replaced":
        await fill(store, pair[0], body, 1)


async def test_it_stays_though_the_same_is_analysed_again(
    pair: list[Gateway], store: Store
) -> None:
    """As it is for whoever asks on the bus for what is cached."""
    body, digest = cep(8), pair[0].app[CACHE].digest("cep", cep(8)["identificador"])
    await fill(store, pair[0], body, 1)
    task_id = (await hit(pair[0], body))["task_id"]
    await noted(store, task_id)
    field = analysis_field(["endereco"])
    entry = (await pair[0].app[CACHE].read("cep", digest))[field]
    entry.fetched = now()
    await pair[0].app[CACHE].write("cep", digest, {field: entry})
    for one in pair:
        assert (await one.json("GET", f"{ONE}/{task_id}"))[0] == 200
        assert (await hit(one, body))["task_id"] == task_id


async def test_what_is_written_of_it_is_little_once_and_not_for_long(
    pair: list[Gateway], store: Store
) -> None:
    body = {**cep(6), "finalidade": "a"}
    await fill(store, pair[0], body, 1)
    before = set(await store.redis.keys())
    task_id = (await hit(pair[0], body))["task_id"]
    about = await noted(store, task_id)
    assert about == {
        "tenant": b"local",
        "kind": b"cep",
        "digest": pair[0].app[CACHE].digest("cep", body["identificador"]).encode(),
        "stages": b"endereco",
        "purpose": b"a",
    }
    key = f"consulta:hit:{task_id}"
    # As long as its answer is fresh.
    assert 3600 - PATIENCE < await store.redis.ttl(key) <= 3600
    # The same again writes nothing: neither this nor anything else.
    await store.redis.delete(key)
    for path in (ONE, STREAM) * 5:
        async with pair[0].request("POST", path, json=body) as answer:
            await answer.read()
    _, _ = await pair[0].json("POST", MANY, [body] * 5)
    left = {str(name) for name in set(await store.redis.keys()) - before}
    assert not [name for name in left if not re.search("worker|cache:counters", name)]


async def test_a_repeated_hit_asks_redis_nothing(
    pair: list[Gateway], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = cep(7)
    await fill(store, pair[0], body, 1)
    # No time passes, so the lease holds however busy the machine is.
    lease = pair[0].app[HITS]._lease
    assert lease._wire is not None
    proved = lease._wire.proved
    monkeypatch.setattr(lease, "_clock", lambda: proved)
    for path in (ONE, STREAM) * 2:
        async with pair[0].request("POST", path, json=body) as answer:
            await answer.read()
    asked: list[tuple[Any, ...]] = []
    scripts: list[str] = []
    do, run = pair[0].app[STORE].do, pair[0].app[STORE].run

    async def heard_do(*command: Any) -> Any:
        asked.append(command)
        return await do(*command)

    async def heard_run(name: str, *rest: Any) -> Any:
        scripts.append(name)
        return await run(name, *rest)

    monkeypatch.setattr(pair[0].app[STORE], "do", heard_do)
    monkeypatch.setattr(pair[0].app[STORE], "run", heard_run)
    for path in (ONE, STREAM) * 100:
        async with pair[0].request("POST", path, json=body) as answer:
            await answer.read()
    _, answers = await pair[0].json("POST", MANY, [body] * 100)
    assert {answer["http"] for answer in answers} == {200}
    assert not {"cache_read", "keep", "plan", "hit_note"} & set(scripts)
    assert not [command for command in asked if command[0] not in {"HINCRBY", "EXISTS"}]


async def test_two_tenants_have_ids_of_their_own_and_see_no_others(
    lasting: Gateways, keyring: Keyring, store: Store
) -> None:
    gateway, body = await lasting.start(keyring.file), cep(8)
    await fill(store, gateway, body, 1)
    ours = await known(gateway, keyring.make(tenant="ours"))
    again = await known(gateway, keyring.make(tenant="ours"))
    theirs = await known(gateway, keyring.make(tenant="theirs"))
    ids = [(await hit(one, body))["task_id"] for one in (ours, again, theirs) * 2]
    assert ids[:3] == ids[3:]
    assert ids[0] == ids[1] != ids[2]
    await noted(store, ids[0])
    for path in ("", "/eventos"):
        assert (await theirs.json("GET", f"{ONE}/{ids[0]}{path}"))[0] == 404
        async with again.request("GET", f"{ONE}/{ids[0]}{path}") as answer:
            assert answer.status == 200


async def test_a_note_that_cannot_be_written_costs_no_answer_and_is_tried_again(
    pair: list[Gateway], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    body, run, tried = cep(9), pair[0].app[STORE].run, asyncio.Event()
    await fill(store, pair[0], body, 1)

    async def full(name: str, *rest: Any) -> Any:
        if name == "hit_note":
            tried.set()
            raise StoreRefused("the test says so")
        return await run(name, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(pair[0].app[STORE], "run", full)
        task_id = (await hit(pair[0], body))["task_id"]
        async with asyncio.timeout(PATIENCE):
            await tried.wait()
    assert (await pair[0].json("GET", f"{ONE}/{task_id}"))[0] == 404
    assert (await hit(pair[0], body))["task_id"] == task_id
    await noted(store, task_id)


async def test_under_an_idempotency_key_it_is_a_lookup_of_its_own(
    pair: list[Gateway], store: Store
) -> None:
    body, key = cep(10), {"Idempotency-Key": str(uuid4())}
    await fill(store, pair[0], body, 1)
    plain = (await hit(pair[0], body))["task_id"]
    first = (await hit(pair[0], body, **key))["task_id"]
    assert first != plain
    assert UUID(first).version == 4
    # It stands by what it said, whatever the cache says since then.
    await fill(store, pair[0], body, 2)
    again = await hit(pair[1], body, **key)
    assert again["task_id"] == first
    assert again["resultado"]["etapas"]["endereco"]["dados"]["numero"] == 1
    assert (await pair[1].json("GET", f"{ONE}/{first}"))[0] == 200


async def test_it_has_the_headers_that_every_answer_has(
    pair: list[Gateway], store: Store, lasting: Gateways
) -> None:
    page = "https://app.example.com"
    other, body = await lasting.start(CORS_ORIGINS=page), cep(11)
    await fill(store, pair[0], body, 1)
    for path in (ONE, STREAM):
        # What a page of elsewhere asks for goes the long way.
        async with other.request("POST", path, json=body, headers={"Origin": page}) as answer:
            long = dict(answer.headers)
            assert long.pop("Access-Control-Allow-Origin") == page
        for _ in range(3):
            async with pair[0].request("POST", path, json=body) as answer:
                short = dict(answer.headers)
                assert len(await answer.read()) == int(short["Content-Length"])
            alike = set(long) - {"Date", "Vary", "Access-Control-Expose-Headers", "Content-Length"}
            alike -= {"Cross-Origin-Resource-Policy"}
            assert {name: short[name] for name in alike} == {name: long[name] for name in alike}
            assert short["Cross-Origin-Resource-Policy"] == "same-origin"
            assert "Date" in short


async def test_a_client_that_closes_is_answered_and_let_go(
    pair: list[Gateway], store: Store
) -> None:
    body = cep(12)
    await fill(store, pair[0], body, 1)
    for _ in range(3):
        close = {"Connection": "close"}
        async with pair[0].request("POST", ONE, json=body, headers=close) as answer:
            assert answer.status == 200
            assert answer.headers["Connection"] == "close"
            assert await answer.json()
