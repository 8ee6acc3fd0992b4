"""What a key may take: so many lookups in a window, so many under way, over all replicas."""

import asyncio
import time
from typing import Any

import pytest

from shared.errors import BusUnavailable, StoreRefused, StoreUnavailable
from shared.lookups import lookup_key
from shared.store import Store
from shared.store.connection import Wire
from shared.store.store import SCRIPTS
from tests.gateway.backstage import Backstage
from tests.gateway.cached import cep, fill
from tests.gateway.gateways import CEP, PATIENCE, Gateway, Gateways
from tests.gateway.keyring import Keyring, known

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_key_is_held_to_its_rate_over_two_replicas(
    gateways: Gateways, keyring: Keyring
) -> None:
    key = keyring.make(rate="5/hour")
    pair = [(await gateways.start(keyring.file)).using(key) for _ in range(2)]
    for number in range(5):
        await pair[number % 2].ask()
    for caller in pair:
        for path in ("/api/consultas", "/api/consulta-stream"):
            async with caller.request("POST", path, json=CEP) as answer:
                assert answer.status == 429
                assert 3000 < int(answer.headers["Retry-After"]) <= 3601
                assert "5/hour" in (await answer.json(content_type=None))["detail"]
    other = pair[0].using(keyring.make())
    await (await known(other, other.headers["Authorization"].split()[1])).ask()


@pytest.mark.parametrize("path", ["/api/consultas", "/api/consulta-stream"])
async def test_what_is_cached_counts_in_the_window_of_a_key_exactly(
    gateways: Gateways, keyring: Keyring, store: Store, path: str
) -> None:
    key, body = keyring.make(rate="9/hour"), cep(1)
    pair = [(await gateways.start(keyring.file)).using(key) for _ in range(2)]
    await fill(store, pair[0], body, 1)
    # However it is come by: read, at hand, or at the same moment as others.
    statuses = [await _status(pair[number % 2], path, body) for number in range(5)]
    assert statuses == [200] * 5
    statuses = await asyncio.gather(*(_status(pair[n % 2], path, body) for n in range(10)))
    assert sorted(statuses) == [200] * 4 + [429] * 6
    for caller in pair:
        status, problem = await caller.json("POST", path, body)
        assert (status, problem["detail"]) == (429, "limite da chave: 9/hour")
        assert (await caller.json("POST", "/api/consultas/lote", [body]))[1][0]["http"] == 429


async def test_a_permit_and_what_the_cache_has_are_asked_for_in_one_trip(
    gateways: Gateways, keyring: Keyring, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = (await gateways.start(keyring.file)).using(keyring.make(rate="9/hour"))
    caller = await known(caller, caller.headers["Authorization"].split()[1])
    await fill(store, caller, cep(2), 1)
    writes: list[bytes] = []
    send = Wire._send

    def heard(wire: Wire) -> None:
        writes.append(b"".join(wire._unsent))
        send(wire)

    monkeypatch.setattr(Wire, "_send", heard)
    scripts = [
        await store.redis.script_load((SCRIPTS / f"{name}.lua").read_text())
        for name in ("acquire", "cache_read")
    ]
    acquire, read = (str(digest).encode() for digest in scripts)
    assert await _status(caller, "/api/consultas", cep(2)) == 200
    assert [acquire in write for write in writes if read in write] == [True]
    writes.clear()
    # Once it is at hand, the permit alone is asked for.
    assert await _status(caller, "/api/consultas", cep(2)) == 200
    assert [read in write for write in writes if acquire in write] == [False]


async def _status(caller: Gateway, path: str, body: dict[str, str]) -> int:
    async with caller.request("POST", path, json=body) as answer:
        await answer.read()
        status: int = answer.status
        return status


async def test_a_key_has_so_many_lookups_under_way_until_one_ends(
    gateways: Gateways, keyring: Keyring, backstage: Backstage
) -> None:
    key = keyring.make(most=2)
    one, two = [(await gateways.start(keyring.file)).using(key) for _ in range(2)]
    first, second = await one.ask(), await two.ask()
    for caller in (one, two):
        async with caller.request("POST", "/api/consultas", json=CEP) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (429, "2")
    await backstage.whole(first["task_id"])
    third = await one.ask()
    assert (await two.json("POST", "/api/consultas", CEP))[0] == 429
    assert (await two.json("DELETE", f"/api/consultas/{second['task_id']}"))[0] == 200
    await two.ask()
    await backstage.whole(third["task_id"])
    await one.ask()


@pytest.mark.parametrize(
    ("what", "error"),
    [
        ("shared.bus.Bus.declared", BusUnavailable("the test says so")),
        ("shared.lookups.Lookups.plan", StoreRefused("the test says so")),
    ],
    ids=["no broker", "full Redis"],
)
async def test_a_lookup_that_was_not_taken_on_takes_up_no_place(
    locked: Gateway, keyring: Keyring, monkeypatch: pytest.MonkeyPatch, what: str, error: Exception
) -> None:
    async def fails(*_: object, **__: object) -> None:
        raise error

    caller = await known(locked, keyring.make(most=1))
    with monkeypatch.context() as patch:
        patch.setattr(what, fails)
        assert (await caller.json("POST", "/api/consultas", CEP))[0] == 503
    await caller.ask()


async def test_a_place_whose_lookup_did_not_come_about_is_free_again_soon(
    locked: Gateway, keyring: Keyring, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its gateway died, or had no answer, and nothing says which."""
    caller = await known(locked, keyring.make(most=1))
    late = {**CEP, "atraso": 86400}

    async def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("the test says so")

    with monkeypatch.context() as patch:
        patch.setattr("shared.lookups.Lookups.plan", away)
        patch.setattr("gateway.quotas.SLOT_S", 0.05)
        assert (await caller.json("POST", "/api/consultas", late))[0] == 503
    async with asyncio.timeout(PATIENCE):
        while (asked := await caller.json("POST", "/api/consultas", late))[0] != 202:
            await asyncio.sleep(0.01)
    # That of one that has come about lasts as long as it may.
    lookup = lookup_key(task := asked[1]["task_id"])
    slots = (await store.do("HGET", lookup, "slots")).decode()
    assert float(await store.do("ZSCORE", slots, task)) > time.time() + 86400
    assert await store.do("TTL", slots) > 86400
    # Whoever gives it back does so for a lookup that there is not.
    await store.run("vacate", [slots, lookup], task)
    assert (await caller.json("POST", "/api/consultas", CEP))[0] == 429
    await store.do("DEL", lookup)
    await store.run("vacate", [slots, lookup], task)
    await caller.ask()


@pytest.mark.parametrize("path", ["/api/consultas", "/api/consulta-stream"])
async def test_a_repetition_of_a_lookup_put_off_takes_nothing_more_of_its_key(
    locked: Gateway, keyring: Keyring, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    caller = await known(locked, keyring.make(rate="1/hour", most=1))
    late, once = {**CEP, "atraso": 3600}, {"Idempotency-Key": "again"}
    first = await caller.ask(late, **once)

    async def away(*_: object, **__: object) -> None:
        raise BusUnavailable("the test says so")

    # Nor does it need the broker.
    monkeypatch.setattr("shared.bus.Bus.declared", away)
    async with caller.request("POST", path, json=late, headers=once) as answer:
        assert answer.status in {200, 202}
        found = answer.headers.get("Location", "").split("/")
        task_id = found[3] if len(found) > 3 else (await answer.json())["task_id"]
    assert task_id == first["task_id"]


@pytest.mark.parametrize("path", ["/api/consultas", "/api/consulta-stream"])
async def test_a_key_is_held_to_its_highest_priority(
    locked: Gateway, keyring: Keyring, path: str
) -> None:
    caller = await known(locked, keyring.make(highest=3))
    for priority in (4, 10):
        status, problem = await caller.json("POST", path, {**CEP, "prioridade": priority})
        assert (status, problem["campo"]) == (422, "prioridade")
        assert "de 1 a 3" in problem["detail"]
    async with caller.request("POST", path, json={**CEP, "prioridade": 3}) as answer:
        assert answer.status in {200, 202}
    status, problem = await caller.json("POST", path, {**CEP, "prioridade": 11})
    assert (status, problem["campo"]) == (422, "prioridade")


async def test_each_item_of_a_bulk_is_held_to_the_highest_priority(
    locked: Gateway, keyring: Keyring
) -> None:
    caller = await known(locked, keyring.make(highest=1))
    body = [{**CEP, "prioridade": 2}, CEP, {**CEP, "prioridade": 1}, {**CEP, "prioridade": 10}]
    status, answers = await caller.json("POST", "/api/consultas/lote", body)
    assert status == 200
    assert [answer["http"] for answer in answers] == [422, 202, 202, 422]
    assert answers[0]["campo"] == answers[3]["campo"] == "prioridade"


@pytest.mark.parametrize(("highest", "expected"), [(10, 5), (5, 5), (3, 3)])
async def test_who_names_no_priority_has_the_usual_one_as_far_as_the_key_goes(
    locked: Gateway,
    keyring: Keyring,
    monkeypatch: pytest.MonkeyPatch,
    highest: int,
    expected: int,
) -> None:
    caller = await known(locked, keyring.make(highest=highest))
    told: list[int] = []

    async def heard(*_: Any, priority: int, **__: Any) -> None:
        told.append(priority)

    monkeypatch.setattr("shared.bus.Bus.command", heard)
    await caller.ask()
    assert told == [expected]
