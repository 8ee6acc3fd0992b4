"""Serpro's tokens: one at a time, kept until shortly before they expire, renewed once on a 401."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final, cast

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from enricher.breaker import Breaker
from enricher.call import Guarded, Terms
from enricher.failures import BadCredential, Malformed
from enricher.http import session
from enricher.permits import Permits
from enricher.providers.base import Access, Answer, Query
from enricher.providers.serpro import Serpro
from shared.errors import InvalidSetting
from shared.limits import Limit, Limiter, Permit
from shared.settings import Secret
from tests.contract.served import KEY
from tests.scripted import always

QUERY: Final = Query("cadastro", "cpf", "52998224725", "id")


@dataclass
class Gateway:
    """Hands out token-1, token-2, … and takes those in `good`."""

    good: set[str] = field(default_factory=lambda: {"token-1", "token-2", "token-3"})
    lifetime: object = 3600
    token_status: int = 200
    tokens: int = 0
    lookups: int = 0
    now: float = 1000.0

    async def token(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Basic Y29uc3VtZXIta2V5OmNvbnN1bWVyLXNlY3JldA=="
        assert (await request.post())["grant_type"] == "client_credentials"
        self.tokens += 1
        content = {"access_token": f"token-{self.tokens}", "expires_in": self.lifetime}
        return web.json_response(content, status=self.token_status)

    async def lookup(self, request: web.Request) -> web.Response:
        self.lookups += 1
        if request.headers["Authorization"].removeprefix("Bearer ") not in self.good:
            return web.json_response({"fault": {"code": 900901}}, status=401)
        return web.json_response({"nome": "PESSOA FISICA DA SILVA"})


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
async def serpro(gateway: Gateway) -> AsyncIterator[Serpro]:
    app = web.Application()
    app.router.add_post("/token", gateway.token)
    app.router.add_get("/consulta-cpf-df/v1/cpf/{ni}", gateway.lookup)
    async with TestServer(app) as server, session() as http:
        yield Serpro(Access(str(server.make_url("/")), KEY), http, clock=lambda: gateway.now)


async def test_a_token_serves_until_shortly_before_it_expires(
    gateway: Gateway, serpro: Serpro
) -> None:
    await serpro.fetch(QUERY)
    gateway.now += 3539
    await serpro.fetch(QUERY)
    assert gateway.tokens == 1
    gateway.now += 1
    await serpro.fetch(QUERY)
    assert gateway.tokens == 2


@pytest.mark.parametrize("lifetime", [None, "soon", 0, []])
async def test_a_token_of_unknown_lifetime_serves_for_minutes(
    gateway: Gateway, serpro: Serpro, lifetime: object
) -> None:
    gateway.lifetime = lifetime
    await serpro.fetch(QUERY)
    gateway.now += 239
    await serpro.fetch(QUERY)
    assert gateway.tokens == 1
    gateway.now += 1
    await serpro.fetch(QUERY)
    assert gateway.tokens == 2


async def test_calls_at_the_same_time_share_one_token(gateway: Gateway, serpro: Serpro) -> None:
    await asyncio.gather(*(serpro.fetch(QUERY) for _ in range(20)))
    assert (gateway.tokens, gateway.lookups) == (1, 20)


class Counted(Limiter):
    """Grants every permit, and says of which limit it was."""

    def __init__(self) -> None:
        super().__init__(cast("Any", None))
        self.granted: list[str] = []

    async def acquire(self, permit: Permit, **_: Any) -> float:
        self.granted.append(permit.limit.name)
        permit.until = math.inf
        return 0.0

    async def settle(self, permit: Permit) -> None:
        pass


async def asked(serpro: Serpro, circuit: Breaker, limiter: Limiter) -> Answer:
    serpro.rate = Limit.parse("credential", "9/min")
    marked: set[str] = set()

    async def mark(provider: str) -> str:
        known = provider in marked
        marked.add(provider)
        return "" if known else "mark"

    async def unmark(provider: str, _: str) -> None:
        marked.discard(provider)

    first = Permit(Limit.parse("queue", "9/min"))
    first.until = math.inf
    permits = Permits(limiter, first, never, mark, unmark)
    terms = Terms(time.monotonic() + 60, always, alone=True)
    return await Guarded(serpro, circuit).ask(QUERY, permits, terms)


async def never(_: float) -> None:
    raise AssertionError("there are permits enough")


async def test_a_revoked_token_is_renewed_once_for_all_who_hold_it(
    gateway: Gateway, serpro: Serpro
) -> None:
    await serpro.fetch(QUERY)
    gateway.good.remove("token-1")
    circuit = Breaker("serpro")
    await asyncio.gather(*(asked(serpro, circuit, Counted()) for _ in range(5)))
    assert (gateway.tokens, gateway.lookups) == (2, 11)
    # The token was not good any more; that is not the provider's fault, nor does it bill it.
    assert (circuit.state, circuit.successes, circuit.failures) == ("FECHADO", 5, 0)


async def test_the_call_with_the_new_token_takes_permits_of_its_own(
    gateway: Gateway, serpro: Serpro
) -> None:
    await serpro.fetch(QUERY)
    gateway.good.remove("token-1")
    limiter = Counted()
    await asked(serpro, Breaker("serpro"), limiter)
    # The queue's first came with the order.
    assert sorted(limiter.granted) == ["credential", "credential", "queue"]


async def test_a_second_refusal_is_final(gateway: Gateway, serpro: Serpro) -> None:
    gateway.good.clear()
    circuit = Breaker("serpro")
    with pytest.raises(BadCredential):
        await asked(serpro, circuit, Counted())
    assert (gateway.tokens, gateway.lookups) == (2, 2)
    assert (circuit.state, circuit.cause) == ("ABERTO", "credential")


@pytest.mark.parametrize("status", [400, 401])
async def test_a_refused_client_is_a_bad_credential_and_costs_no_lookup(
    gateway: Gateway, serpro: Serpro, status: int
) -> None:
    gateway.token_status = status
    with pytest.raises(BadCredential) as caught:
        await serpro.fetch(QUERY)
    assert gateway.lookups == 0
    assert "secret" not in str(caught.value)


async def test_a_gateway_without_tokens_is_malformed(gateway: Gateway, serpro: Serpro) -> None:
    gateway.token_status = 404
    with pytest.raises(Malformed):
        await serpro.fetch(QUERY)


async def test_whoever_gives_up_waiting_leaves_the_token_to_the_others(
    gateway: Gateway, serpro: Serpro
) -> None:
    first = asyncio.create_task(serpro.fetch(QUERY))
    second = asyncio.create_task(serpro.fetch(QUERY))
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert gateway.lookups == 1


async def test_a_key_without_its_secret_is_refused_at_the_start() -> None:
    async with ClientSession() as http:
        with pytest.raises(
            InvalidSetting, match=r"^PROVIDER_SERPRO_KEY: .*consumer_key:"
        ) as caught:
            Serpro(Access("https://gateway.example", Secret("only-half")), http)
    assert "only-half" not in str(caught.value)
