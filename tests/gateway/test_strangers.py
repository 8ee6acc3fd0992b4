"""A stranger gets nothing: every route, every way of having no right to it."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any, Final
from uuid import uuid4

import pytest
import pytest_asyncio

from gateway.app import build
from gateway.operation import operation_of
from gateway.settings import Settings
from shared.keys import SCOPES, Scope, revoke
from shared.lookups import KEEP_S
from shared.messages import Requested
from shared.results import started
from shared.settings import load
from tests.gateway.backstage import Backstage
from tests.gateway.gateways import CEP, PATIENCE, Gateway, events_of
from tests.gateway.keyring import Keyring, known

# What anybody may see: the console and the documentation, which hold nobody's data.
PUBLIC: Final = {"/", "/static", "/openapi.json", "/asyncapi.json", "/docs"}
pytestmark = pytest.mark.asyncio(loop_scope="module")
Route = tuple[str, str, Scope]


def routes() -> Iterator[tuple[str, str, Scope | None]]:
    """Every route there is, as the router has it, with the scope it asks for."""
    for route in build(load(Settings, {}), None).router.routes():
        assert route.resource is not None
        path = route.resource.canonical
        if path in PUBLIC or any(path.startswith(f"{public}/") for public in PUBLIC - {"/"}):
            continue
        contract = operation_of(route.handler)
        yield route.method, path, contract.scope if contract else None


CLOSED: Final = [(method, path, scope) for method, path, scope in routes() if scope is not None]
every_route = pytest.mark.parametrize(
    "route", CLOSED, ids=[f"{method} {path}" for method, path, _ in CLOSED]
)


async def status(gateway: Gateway, route: Route, task_id: str = "", **options: Any) -> int:
    """What a call of a route is answered. It needs no body: whoever may not is told so first."""
    method, path, _ = route
    path = path.format(task_id=task_id or uuid4(), nome="nada")
    async with gateway.request(method, path, **options) as answer:
        if answer.status >= 400 and method != "HEAD":
            assert answer.content_type == "application/problem+json"
        return int(answer.status)


async def test_every_route_but_the_public_ones_asks_for_a_scope() -> None:
    assert [route for route in routes() if route[2] is None] == []
    assert {scope for _, _, scope in CLOSED} == set(SCOPES)
    assert len(CLOSED) >= 13


@every_route
async def test_no_key_and_wrong_keys_are_not_let_in(
    locked: Gateway, keyring: Keyring, route: Route
) -> None:
    good = keyring.make()
    name, secret = good.removeprefix("csl_").split("_", 1)
    assert await status(locked, route) == 401
    for wrong in (
        "", "csl_", good[:-1], good + "x", secret, f"csl_{name}_", f"csl_00000000_{secret}",
        f"csl_{name}_{secret}".upper(),
    ):  # fmt: skip
        assert await status(locked.using(wrong), route) == 401, wrong
    for header in (f"Basic {good}", f"bearer{good}", good, "Bearer", "Bearer csl_ÿ_þ"):
        assert await status(locked, route, headers={"Authorization": header}) == 401, header
    assert await status(locked, route, params={"key": good, "ticket": good}) == 401


@pytest.mark.parametrize("key", [b"csl_\xff_\xfe", b"csl_00000000_\xff", b"\xff", b"csl_\xc3\xa9"])
async def test_a_key_that_is_no_text_is_a_wrong_one(locked: Gateway, key: bytes) -> None:
    reader, writer = await locked.connect()
    writer.write(b"GET /api/circuitos HTTP/1.1\r\nHost: x\r\nConnection: close\r\n")
    writer.write(b"Authorization: Bearer " + key + b"\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), PATIENCE)
    writer.close()
    assert int(answer.split()[1]) == 401


@every_route
async def test_a_key_without_the_scope_is_told_so(
    locked: Gateway, keyring: Keyring, route: Route
) -> None:
    others: list[Scope] = [scope for scope in SCOPES if scope != route[2]]
    caller = await known(locked, keyring.make(*others))
    assert await status(caller, route) == 403


@every_route
async def test_a_revoked_key_is_useless_without_a_restart(
    locked: Gateway, keyring: Keyring, route: Route
) -> None:
    key = keyring.make()
    caller = await known(locked, key)
    revoke(keyring.file, key.split("_")[1])
    async with asyncio.timeout(PATIENCE):
        while await status(caller, route) != 401:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "route", [route for route in CLOSED if "{task_id}" in route[1]], ids=lambda route: str(route[0])
)
async def test_another_tenants_lookup_does_not_exist(
    locked: Gateway, keyring: Keyring, backstage: Backstage, route: Route
) -> None:
    ours = await known(locked, keyring.make())
    theirs = await known(locked, keyring.make(tenant="theirs"))
    task_id = (await ours.ask())["task_id"]
    assert await status(theirs, route, task_id) == 404
    assert await status(theirs, route, str(uuid4())) == 404
    await backstage.whole(task_id)
    assert await status(theirs, route, task_id) == 404
    assert await status(ours, route, task_id) in {200, 409}


async def test_a_lookup_of_the_bus_belongs_to_no_tenant(
    locked: Gateway, keyring: Keyring, backstage: Backstage
) -> None:
    task_id = str(uuid4())
    request = Requested(task_id=task_id, origin="billing", identifier="01001000", kind="cep")
    await backstage.lookups.plan(request, "d", task_id, ["endereco"], started("cep", ["endereco"]))
    await backstage.whole(task_id)
    caller = await known(locked, keyring.make())
    assert (await caller.json("GET", f"/api/consultas/{task_id}"))[0] == 404


async def test_idempotency_keys_of_two_tenants_are_apart(locked: Gateway, keyring: Keyring) -> None:
    ours = await known(locked, keyring.make())
    theirs = await known(locked, keyring.make(tenant="theirs"))
    same = {"Idempotency-Key": "1"}
    assert (await ours.ask(**same))["task_id"] != (await theirs.ask(**same))["task_id"]


@pytest_asyncio.fixture(loop_scope="module")
async def asked(locked: Gateway, keyring: Keyring, backstage: Backstage) -> tuple[str, str]:
    """A lookup that ended, and the address of its stream with a ticket."""
    caller = await known(locked, keyring.make("consultar"))
    answer = await caller.ask()
    await backstage.whole(answer["task_id"])
    return answer["task_id"], answer["eventos"]


async def test_a_ticket_opens_its_stream_without_a_key(
    locked: Gateway, asked: tuple[str, str]
) -> None:
    async with locked.request("GET", asked[1]) as answer:
        assert answer.status == 200
        assert [event["seq"] for event in await events_of(answer)] == [1, 2, 3]


@every_route
async def test_a_ticket_opens_no_other_route_and_no_other_lookup(
    locked: Gateway, asked: tuple[str, str], route: Route
) -> None:
    task_id, ticket = asked[0], asked[1].split("ticket=")[1]
    other = str(uuid4()) if route[:2] == ("GET", "/api/consultas/{task_id}/eventos") else task_id
    assert await status(locked, route, other, params={"ticket": ticket}) == 401


async def test_a_tampered_ticket_opens_nothing(locked: Gateway, asked: tuple[str, str]) -> None:
    path, ticket = asked[1].split("?ticket=")
    end, name, signature = ticket.split(".")
    for bad in (
        "", ".", "..", f"{int(end) + 1}.{name}.{signature}", f"{end}.00000000.{signature}",
        f"{end}.{name}.{signature[:-1]}", f"{end}.{name}.", f"{end}.{name}.{'0' * 64}",
        f"{end}.{name}.{signature}0", f"-1.{name}.{signature}", f"{'9' * 13}.{name}.{signature}",
        f"{end}.{name}.%ff", f"%ff.{name}.{signature}", f"{end}.%00.{signature}",
    ):  # fmt: skip
        async with locked.request("GET", f"{path}?ticket={bad}") as answer:
            assert answer.status == 401, bad


async def test_a_ticket_expires(
    locked: Gateway, asked: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    later = time.time() + 60 + KEEP_S + 1
    monkeypatch.setattr("gateway.access.time.time", lambda: later)
    async with locked.request("GET", asked[1]) as answer:
        assert answer.status == 401


@pytest.mark.parametrize(
    ("body", "lives"),
    [
        ({}, 60 + KEEP_S),
        ({"prazo": 7200}, 7200 + KEEP_S),
        ({"atraso": 12 * 86400, "prazo": 86400}, 13 * 86400 + KEEP_S),
    ],
)
async def test_a_ticket_lives_as_long_as_its_lookup_can_be_read(
    locked: Gateway,
    keyring: Keyring,
    monkeypatch: pytest.MonkeyPatch,
    body: dict[str, float],
    lives: float,
) -> None:
    caller, now = await known(locked, keyring.make("consultar")), int(time.time())
    monkeypatch.setattr("gateway.access.time.time", lambda: now)
    # What is told again under an Idempotency-Key is the same lookup with as long a ticket.
    once = {"Idempotency-Key": str(uuid4())}
    for headers in ({}, once, once):
        where = (await caller.ask({**CEP, **body}, **headers))["eventos"]
        for later, expected in ((lives - 1, 200), (lives + 1, 401)):
            monkeypatch.setattr("gateway.access.time.time", lambda at=now + later: at)
            async with locked.request("GET", where) as answer:
                assert answer.status == expected
        monkeypatch.setattr("gateway.access.time.time", lambda: now)


async def test_a_ticket_ends_with_its_key_and_so_does_an_open_stream(
    locked: Gateway, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.streams.HEARTBEAT_S", 0.1)
    key = keyring.make("consultar")
    caller = await known(locked, key)
    where = (await caller.ask())["eventos"]
    async with locked.request("GET", where) as stream:
        assert stream.status == 200
        revoke(keyring.file, key.split("_")[1])
        assert [event["tipo"] for event in await events_of(stream)] == ["iniciado"]
    async with locked.request("GET", where) as answer:
        assert answer.status == 401
