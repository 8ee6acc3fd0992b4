"""What the stages of one process share, and what each keeps to itself."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from enricher.app import links_of
from enricher.circuits import Circuits
from enricher.http import session
from enricher.providers import registry
from shared.circuits import Board

PATIENCE = 30


@pytest.fixture
async def http() -> AsyncIterator[ClientSession]:
    async with session() as http:
        yield http


async def test_a_provider_of_two_stages_has_one_circuit_and_a_retry_budget_for_each(
    http: ClientSession,
) -> None:
    providers = registry.build({}, http)
    circuits = Circuits(Board(cast("Any", None)))
    by_cnpj = links_of("cadastro", providers, circuits)["cnpj"]
    by_cep = links_of("endereco", providers, circuits)["cep"]
    [one] = [link for link in by_cnpj if link.provider.name == "brasilapi"]
    [other] = [link for link in by_cep if link.provider.name == "brasilapi"]
    assert one.provider is other.provider
    assert one.breaker is other.breaker
    assert one.budget is not other.budget


async def test_a_stage_whose_calls_hang_leaves_another_its_connections_to_the_same_host() -> None:
    come, all_come, let_go = 0, asyncio.Event(), asyncio.Event()

    async def hang(_: web.Request) -> web.Response:
        nonlocal come
        come += 1
        if come == 2 * 200:
            all_come.set()
        await let_go.wait()
        return web.Response()

    app = web.Application()
    app.router.add_get("/", hang)
    async with TestServer(app) as server, session(2) as http:
        url = server.make_url("/")
        calls = [asyncio.create_task(http.get(url)) for _ in range(2 * 200)]
        try:
            async with asyncio.timeout(PATIENCE):
                await all_come.wait()
        finally:
            let_go.set()
            for answer in await asyncio.gather(*calls):
                answer.release()
