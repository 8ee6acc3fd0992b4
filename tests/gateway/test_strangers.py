"""A stranger gets nothing: every route, every way of having no right to it."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest
import pytest_asyncio

from gateway import access
from gateway.app import build
from gateway.operation import operation_of
from gateway.settings import Settings
from shared.errors import BusUnavailable
from shared.keys import SCOPES, Scope, add, revoke
from shared.settings import load
from tests.gateway.conftest import CEP, PATIENCE, Backstage, Gateway, Gateways, events_of

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


@dataclass
class Keyring:
    """A file of keys, and a key of each sort."""

    file: Path

    def make(self, *scopes: Scope, tenant: str = "ours", rate: str = "off", most: int = 99) -> str:
        return add(self.file, tenant, list(scopes or SCOPES), rate, most)


@pytest.fixture(scope="module")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    ring = Keyring(tmp_path_factory.mktemp("keys") / "keys.json")
    ring.make()
    return ring


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(lasting: Gateways, keyring: Keyring) -> AsyncIterator[Gateway]:
    """A gateway with keys, that looks at their file often."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gateway.app.KEYS_S", 0.02)
        yield await lasting.start(keyring.file)


async def known(gateway: Gateway, key: str) -> Gateway:
    """The gateway called with a key it has just been given."""
    caller = gateway.using(key)
    async with asyncio.timeout(PATIENCE):
        while (await caller.json("GET", "/api/consultas/x"))[0] == 401:
            await asyncio.sleep(0.01)
    return caller


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
    gateway: Gateway, keyring: Keyring, route: Route
) -> None:
    good = keyring.make()
    name, secret = good.removeprefix("csl_").split("_", 1)
    assert await status(gateway, route) == 401
    for wrong in (
        "", "csl_", good[:-1], good + "x", secret, f"csl_{name}_", f"csl_00000000_{secret}",
        f"csl_{name}_{secret}".upper(),
    ):  # fmt: skip
        assert await status(gateway.using(wrong), route) == 401, wrong
    for header in (f"Basic {good}", f"bearer{good}", good, "Bearer", "Bearer csl_ÿ_þ"):
        assert await status(gateway, route, headers={"Authorization": header}) == 401, header
    assert await status(gateway, route, params={"key": good, "ticket": good}) == 401


@every_route
async def test_a_key_without_the_scope_is_told_so(
    gateway: Gateway, keyring: Keyring, route: Route
) -> None:
    others: list[Scope] = [scope for scope in SCOPES if scope != route[2]]
    caller = await known(gateway, keyring.make(*others))
    assert await status(caller, route) == 403


@every_route
async def test_a_revoked_key_is_useless_without_a_restart(
    gateway: Gateway, keyring: Keyring, route: Route
) -> None:
    key = keyring.make()
    caller = await known(gateway, key)
    revoke(keyring.file, key.split("_")[1])
    async with asyncio.timeout(PATIENCE):
        while await status(caller, route) != 401:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "route", [route for route in CLOSED if "{task_id}" in route[1]], ids=lambda route: str(route[0])
)
async def test_another_tenants_lookup_does_not_exist(
    gateway: Gateway, keyring: Keyring, backstage: Backstage, route: Route
) -> None:
    ours = await known(gateway, keyring.make())
    theirs = await known(gateway, keyring.make(tenant="theirs"))
    task_id = (await ours.ask())["task_id"]
    assert await status(theirs, route, task_id) == 404
    assert await status(theirs, route, str(uuid4())) == 404
    await backstage.whole(task_id)
    assert await status(theirs, route, task_id) == 404
    assert await status(ours, route, task_id) in {200, 409}


async def test_a_lookup_of_the_bus_belongs_to_no_tenant(
    gateway: Gateway, keyring: Keyring, backstage: Backstage
) -> None:
    task_id = str(uuid4())
    await backstage.whole(task_id)
    caller = await known(gateway, keyring.make())
    assert (await caller.json("GET", f"/api/consultas/{task_id}"))[0] == 404


async def test_idempotency_keys_of_two_tenants_are_apart(
    gateway: Gateway, keyring: Keyring
) -> None:
    ours = await known(gateway, keyring.make())
    theirs = await known(gateway, keyring.make(tenant="theirs"))
    same = {"Idempotency-Key": "1"}
    assert (await ours.ask(**same))["task_id"] != (await theirs.ask(**same))["task_id"]


@pytest_asyncio.fixture(loop_scope="module")
async def asked(gateway: Gateway, keyring: Keyring, backstage: Backstage) -> tuple[str, str]:
    """A lookup that ended, and the address of its stream with a ticket."""
    caller = await known(gateway, keyring.make("consultar"))
    answer = await caller.ask()
    await backstage.whole(answer["task_id"])
    return answer["task_id"], answer["eventos"]


async def test_a_ticket_opens_its_stream_without_a_key(
    gateway: Gateway, asked: tuple[str, str]
) -> None:
    async with gateway.request("GET", asked[1]) as answer:
        assert answer.status == 200
        assert [event["seq"] for event in await events_of(answer)] == [1, 2, 3]


@every_route
async def test_a_ticket_opens_no_other_route_and_no_other_lookup(
    gateway: Gateway, asked: tuple[str, str], route: Route
) -> None:
    task_id, ticket = asked[0], asked[1].split("ticket=")[1]
    other = str(uuid4()) if route[:2] == ("GET", "/api/consultas/{task_id}/eventos") else task_id
    assert await status(gateway, route, other, params={"ticket": ticket}) == 401


async def test_a_tampered_ticket_opens_nothing(gateway: Gateway, asked: tuple[str, str]) -> None:
    path, ticket = asked[1].split("?ticket=")
    end, name, signature = ticket.split(".")
    for bad in (
        "", ".", "..", f"{int(end) + 1}.{name}.{signature}", f"{end}.00000000.{signature}",
        f"{end}.{name}.{signature[:-1]}", f"{end}.{name}.", f"{end}.{name}.{'0' * 64}",
        f"{end}.{name}.{signature}0", f"-1.{name}.{signature}", f"{'9' * 13}.{name}.{signature}",
        f"{end}.{name}.%ff", f"%ff.{name}.{signature}", f"{end}.%00.{signature}",
    ):  # fmt: skip
        async with gateway.request("GET", f"{path}?ticket={bad}") as answer:
            assert answer.status == 401, bad


async def test_a_ticket_expires(
    gateway: Gateway, asked: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    later = time.time() + access.TICKET_S + 1
    monkeypatch.setattr(access.time, "time", lambda: later)
    async with gateway.request("GET", asked[1]) as answer:
        assert answer.status == 401


async def test_a_ticket_ends_with_its_key_and_so_does_an_open_stream(
    gateway: Gateway, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.streams.HEARTBEAT_S", 0.1)
    key = keyring.make("consultar")
    caller = await known(gateway, key)
    where = (await caller.ask())["eventos"]
    async with gateway.request("GET", where) as stream:
        assert stream.status == 200
        revoke(keyring.file, key.split("_")[1])
        assert await events_of(stream) == []
    async with gateway.request("GET", where) as answer:
        assert answer.status == 401


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


async def test_a_lookup_that_could_not_be_published_takes_up_no_place(
    gateway: Gateway, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = await known(gateway, keyring.make(most=1))
    with monkeypatch.context() as patch:
        patch.setattr("shared.bus.Bus.command", _away)
        assert (await caller.json("POST", "/api/consultas", CEP))[0] == 503
    await caller.ask()


async def test_without_keys_a_foreign_host_is_refused(gateways: Gateways) -> None:
    gateway = await gateways.start()
    for host in ("evil.example", "127.0.0.1.evil.example:8080", "localhost.evil.example", ""):
        code, _ = await gateway.json("GET", "/api/circuitos", Host=host)
        assert code == 403, host
    for host in ("localhost", "127.0.0.1:1", "[::1]:8080", "[::1]"):
        assert (await gateway.json("GET", "/api/circuitos", Host=host))[0] == 200, host


async def test_without_keys_a_page_of_elsewhere_is_refused(gateways: Gateways) -> None:
    gateway = await gateways.start(CORS_ORIGINS="https://app.example.com")
    # A form can send this from any page there is, and needs no leave of ours.
    path = "/api/cache/versao"
    for page in ("https://evil.example", "null", "http://127.0.0.1.evil.example", "http://["):
        assert (await gateway.json("POST", path, Origin=page))[0] == 403, page
    for page in ("http://127.0.0.1:8080", "http://localhost:3000", "https://app.example.com"):
        assert (await gateway.json("POST", path, Origin=page))[0] == 200, page


@pytest.mark.parametrize(
    "path", ["/static/../api/filas", "/static/%2e%2e/api/filas", "//api/filas"]
)
async def test_no_spelling_of_a_path_goes_round_the_guard(gateway: Gateway, path: str) -> None:
    reader, writer = await gateway.connect()
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), PATIENCE)
    writer.close()
    assert int(answer.split()[1]) in {400, 401, 403, 404}


async def test_what_is_public_needs_no_key_and_is_harmless(gateway: Gateway) -> None:
    async with gateway.request("GET", "/") as answer:
        assert answer.status == 200
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    async with gateway.request("GET", "/api/nothing") as answer:
        assert answer.status == 404


async def test_another_page_reads_only_where_it_is_on_the_list(
    gateways: Gateways, keyring: Keyring
) -> None:
    key = keyring.make()
    page = "https://app.example.com"
    gateway = (await gateways.start(keyring.file, CORS_ORIGINS=page)).using(key)
    preflight = {"Access-Control-Request-Method": "POST"}
    for origin, code, allowed in ((page, 204, page), ("https://evil.example", 405, None)):
        headers = {**preflight, "Origin": origin}
        async with gateway.request("OPTIONS", "/api/consultas", headers=headers) as answer:
            assert answer.status == code
            assert answer.headers.get("Access-Control-Allow-Origin") == allowed
        async with gateway.request("GET", "/api/circuitos", headers={"Origin": origin}) as answer:
            assert answer.status == 200
            assert answer.headers.get("Access-Control-Allow-Origin") == allowed


async def _away(*_: Any, **__: Any) -> None:
    raise BusUnavailable("the test says so")
