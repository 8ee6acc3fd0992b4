"""`Idempotency-Key`: a request that is repeated, to whichever replica, is one request."""

import asyncio
import hashlib
from typing import Any
from uuid import uuid4

import msgspec
import pytest
import pytest_asyncio
from aiohttp import web

from gateway.problems import Problem
from gateway.security.prints import Prints
from shared.app import BUS, LOOKUPS
from shared.errors import BusUnavailable, StoreUnavailable
from shared.messages import Lookup, Requested
from shared.settings import Secret
from shared.store import Store
from tests.gateway.backstage import Backstage
from tests.gateway.gateways import CEP, PATIENCE, Gateway, Gateways, events_of

pytestmark = pytest.mark.asyncio(loop_scope="module")
BAD = {**CEP, "identificador": "123"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(lasting: Gateways) -> tuple[Gateway, Gateway]:
    """Two replicas."""
    return await lasting.start(), await lasting.start()


def once() -> dict[str, str]:
    return {"Idempotency-Key": str(uuid4())}


async def test_a_repetition_at_another_replica_is_the_same_lookup(
    pair: tuple[Gateway, Gateway], backstage: Backstage
) -> None:
    key = once()
    first = await pair[0].ask(**key)
    again = await pair[1].ask(**key)
    assert again["task_id"] == first["task_id"]
    await backstage.whole(first["task_id"])
    status, ended = await pair[1].json("POST", "/api/consultas", CEP, **key)
    assert (status, ended["task_id"], ended["status"]) == (200, first["task_id"], "SUCCESS")
    assert (await pair[0].ask())["task_id"] != first["task_id"]
    assert (await pair[0].ask(**once()))["task_id"] != first["task_id"]


async def test_what_is_kept_of_a_request_tells_nobody_what_was_asked(
    lasting: Gateways, store: Store
) -> None:
    gateway = await lasting.start(CACHE_SECRET="s" * 32)
    await gateway.ask(**{"Idempotency-Key": "guessable"})
    kept = [
        f"{key!r} {await store.redis.get(key)!r}"
        async for key in store.redis.scan_iter("consulta:once:*")
    ]
    body = msgspec.json.encode(msgspec.convert(CEP, Lookup))
    told = "".join(kept)
    # Whoever reads Redis can try every identifier there is, but not without the secret.
    assert hashlib.sha256(body).hexdigest() not in told
    assert hashlib.sha256(b"local\0guessable").hexdigest() not in told
    prints = Prints(Secret("s" * 32))
    assert prints.request(msgspec.convert(CEP, Lookup)) in told
    assert prints.name("local", "guessable") in told


async def test_repetitions_at_the_same_moment_are_one_lookup(
    pair: tuple[Gateway, Gateway], backstage: Backstage
) -> None:
    key = once()
    answers = await asyncio.gather(*(pair[n % 2].ask(**key) for n in range(40)))
    assert len({answer["task_id"] for answer in answers}) == 1
    task_id = answers[0]["task_id"]
    # However often it is planned, the first one flies.
    flights = {await backstage.flight(task_id) for _ in range(3)}
    assert len(flights) == 1


async def test_a_stream_that_is_asked_for_again_replays_from_the_start(
    pair: tuple[Gateway, Gateway], backstage: Backstage
) -> None:
    key = once()
    stream = "/api/consulta-stream"
    async with pair[0].request("POST", stream, json=CEP, headers=key) as answer:
        task_id = answer.headers["Location"].split("/")[3]
        flight = await backstage.flight(task_id)
        assert [event["tipo"] for event in await events_of(answer, 1)] == ["iniciado"]
    async with pair[1].request("POST", stream, json=CEP, headers=key) as answer:
        assert answer.headers["Location"].split("/")[3] == task_id
        assert [event["seq"] for event in await events_of(answer, 1)] == [1]
        await backstage.end(flight)
        assert [event["tipo"] for event in await events_of(answer)] == ["completo"]
    async with pair[0].request("POST", stream, json=CEP, headers=key) as answer:
        assert [event["seq"] for event in await events_of(answer)] == [1, 2]


async def test_the_same_key_for_another_request_is_refused_by_name(
    pair: tuple[Gateway, Gateway],
) -> None:
    key = once()
    await pair[0].ask(**key)
    for change in ({"prioridade": 9}, {"identificador": "01310-100"}, {"atualizar": True}):
        for path in ("/api/consultas", "/api/consulta-stream"):
            status, problem = await pair[1].json("POST", path, {**CEP, **change}, **key)
            assert (status, problem["campo"]) == (422, "Idempotency-Key")


@pytest.mark.parametrize("path", ["/api/consultas", "/api/consulta-stream"])
async def test_a_request_refused_over_a_field_leaves_its_key_free(
    pair: tuple[Gateway, Gateway], path: str
) -> None:
    key = once()
    status, problem = await pair[0].json("POST", path, BAD, **key)
    assert (status, problem["campo"]) == (422, "identificador")
    await pair[1].ask(**key)


@pytest.mark.parametrize("path", ["/api/consultas", "/api/consulta-stream"])
async def test_a_request_refused_over_a_lost_bus_is_begun_by_its_repetition(
    pair: tuple[Gateway, Gateway],
    backstage: Backstage,
    path: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = once()
    monkeypatch.setattr(pair[0].app[BUS], "declared", _away)
    status, _ = await pair[0].json("POST", path, CEP, **key)
    assert status == 503
    # A try may be taken on though nobody heard of it: under this key is this request, no other.
    status, problem = await pair[1].json("POST", path, {**CEP, "prioridade": 9}, **key)
    assert (status, problem["campo"]) == (422, "Idempotency-Key")
    await _completes(pair[1], backstage, await pair[1].ask(**key))


@pytest.mark.parametrize(
    ("server", "step", "outage"),
    [(BUS, "declared", BusUnavailable), (LOOKUPS, "plan", StoreUnavailable)],
    ids=["bus", "store"],
)
async def test_the_first_that_meets_an_outage_leaves_its_repetition_what_that_was_promised(
    pair: tuple[Gateway, Gateway],
    backstage: Backstage,
    monkeypatch: pytest.MonkeyPatch,
    server: web.AppKey[Any],
    step: str,
    outage: type[Exception],
) -> None:
    key = once()
    sent, lost = asyncio.Event(), asyncio.Event()

    async def lose(*_: Any, **__: Any) -> None:
        sent.set()
        await lost.wait()
        raise outage("the test says so")

    monkeypatch.setattr(pair[0].app[server], step, lose)
    first = asyncio.create_task(pair[0].json("POST", "/api/consultas", CEP, **key))
    await asyncio.wait_for(sent.wait(), PATIENCE)
    promised = await pair[1].ask(**key)
    lost.set()
    assert (await first)[0] == 503
    assert (await pair[1].ask(**key))["task_id"] == promised["task_id"]
    await _completes(pair[1], backstage, promised)


async def test_a_request_whose_acceptance_got_no_answer_is_found_by_its_repetition(
    pair: tuple[Gateway, Gateway], backstage: Backstage, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, accepted = once(), list[str]()
    plan = pair[0].app[LOOKUPS].plan

    async def unanswered(request: Requested, *args: Any, **more: Any) -> None:
        accepted.append(request.task_id)
        await plan(request, *args, **more)
        raise StoreUnavailable("the test says so")

    monkeypatch.setattr(pair[0].app[LOOKUPS], "plan", unanswered)
    status, _ = await pair[0].json("POST", "/api/consultas", CEP, **key)
    assert status == 503
    again = await pair[1].ask(**key)
    assert [again["task_id"]] == accepted
    # Whoever sweeps has its stages done: nobody here has.
    assert await waits(backstage, again["task_id"])
    await _completes(pair[1], backstage, again)


async def test_a_request_that_the_broker_did_not_take_stands_and_is_begun_by_whoever_sweeps(
    pair: tuple[Gateway, Gateway], backstage: Backstage, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = once()
    with monkeypatch.context() as patch:
        patch.setattr(pair[0].app[BUS], "command", _away)
        asked = [await pair[0].ask(**key), await pair[0].ask()]
    assert (await pair[1].ask(**key))["task_id"] == asked[0]["task_id"]
    for each in asked:
        assert await waits(backstage, each["task_id"])
        await _completes(pair[1], backstage, each)


async def test_a_repetition_stands_though_the_first_is_refused_meanwhile(
    pair: tuple[Gateway, Gateway], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are on their way at once; what the second was promised, a third one finds."""
    key, held = once(), [asyncio.Event(), asyncio.Event()]
    here, go_on = [asyncio.Event(), asyncio.Event()], pair[1].app[BUS].declared

    async def refused(_: float) -> None:
        here[0].set()
        await held[0].wait()
        raise Problem(429, "the test says so")

    async def slow(patience: float) -> None:
        here[1].set()
        await held[1].wait()
        await go_on(patience)

    with monkeypatch.context() as patch:
        patch.setattr(pair[0].app[BUS], "declared", refused)
        patch.setattr(pair[1].app[BUS], "declared", slow)
        first = asyncio.create_task(pair[0].json("POST", "/api/consultas", CEP, **key))
        await asyncio.wait_for(here[0].wait(), PATIENCE)
        second = asyncio.create_task(pair[1].ask(**key))
        await asyncio.wait_for(here[1].wait(), PATIENCE)
        held[0].set()
        assert (await first)[0] == 429
        held[1].set()
        promised = await second
    assert (await pair[0].ask(**key))["task_id"] == promised["task_id"]


@pytest.mark.parametrize("path", ["/api/consultas", "/api/consulta-stream"])
async def test_a_request_whose_answer_the_store_has_lost_is_begun_anew(
    pair: tuple[Gateway, Gateway], backstage: Backstage, store: Store, path: str
) -> None:
    key = once()
    first = await pair[0].ask(**key)
    flight = await backstage.whole(first["task_id"])
    await store.redis.delete(f"consulta:flight:{flight}", f"consulta:flight:{flight}:log")
    status, problem = await pair[1].json("POST", path, {**CEP, "prioridade": 9}, **key)
    assert (status, problem["campo"]) == (422, "Idempotency-Key")
    async with pair[1].request("POST", path, json=CEP, headers=key) as answer:
        assert answer.status in {200, 202}
    again = await pair[0].ask(**key)
    assert again["task_id"] != first["task_id"]
    await _completes(pair[1], backstage, again)


async def waits(backstage: Backstage, task_id: str) -> bool:
    """Whether somebody will have its stages done, should nobody have done so."""
    return await backstage.lookups.put_off(task_id) is not None


async def test_a_stream_refused_for_want_of_room_leaves_its_key_free(gateways: Gateways) -> None:
    gateway = await gateways.start(MAX_STREAMS="1")
    key = once()
    async with gateway.request("POST", "/api/consulta-stream", json=CEP) as taken:
        assert taken.status == 200
        status, _ = await gateway.json("POST", "/api/consulta-stream", CEP, **key)
        assert status == 429
    await gateway.ask({**CEP, "prioridade": 9}, **key)


async def test_a_repetition_needs_no_broker(
    pair: tuple[Gateway, Gateway], backstage: Backstage, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = once()
    first = await pair[0].ask(**key)
    monkeypatch.setattr(pair[1].app[BUS], "command", _away)
    assert (await pair[1].ask(**key))["task_id"] == first["task_id"]
    assert not await waits(backstage, first["task_id"])
    await _completes(pair[0], backstage, first)


@pytest.mark.parametrize("key", ["x" * 256, "caf\u00e9\u200b"])
async def test_a_key_that_is_no_key_is_refused_by_name(
    pair: tuple[Gateway, Gateway], key: str
) -> None:
    status, problem = await pair[0].json("POST", "/api/consultas", CEP, **{"Idempotency-Key": key})
    assert (status, problem["campo"]) == (422, "Idempotency-Key")


async def _completes(gateway: Gateway, backstage: Backstage, asked: dict[str, Any]) -> None:
    await backstage.whole(asked["task_id"])
    status, seen = await gateway.json("GET", f"/api/consultas/{asked['task_id']}")
    assert (status, seen["status"]) == (200, "SUCCESS")


async def _away(*_: Any, **__: Any) -> None:
    raise BusUnavailable("the test says so")
