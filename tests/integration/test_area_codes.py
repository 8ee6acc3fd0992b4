"""The cities of an area code are an extra, but the call for them is one like any other."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import msgspec
import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer

from analyzer.merge import analyze
from enricher.http import session
from enricher.providers.base import Answer, Query
from enricher.providers.offline_phones import phone
from enricher.simulator.app import build
from shared.cache import Cache, Entry
from shared.limits import Limit
from shared.records import Phones
from shared.store import Store
from tests.integration.enriching import Enricher

SAO_PAULO, RIO = "+5511987654321", "+5521987654321"
Stand = tuple[TestServer, ClientSession]


@pytest.fixture
async def stand() -> AsyncIterator[Stand]:
    server = TestServer(build())
    async with server, session() as http:
        await http.put(server.make_url("/_control/brasilapi"), json={"latency_ms": 0})
        yield server, http


def enricher(store: Store, stand: Stand, limit: str, rate: str) -> Enricher:
    queue = Limit.parse("stage.telefone", limit)
    made = Enricher(store, *stand, "telefone", "telefone", ["phonenumbers"], limit=queue)
    made.brasilapi.rate = Limit.parse("provider.brasilapi", rate)
    return made


async def calls(stand: Stand) -> int:
    server, http = stand
    async with http.get(server.make_url("/_control/log")) as answer:
        return len(await answer.json())


class Asker:
    """Whether a lookup goes on, and how often that was asked."""

    def __init__(self, *, goes_on: bool = True) -> None:
        self.goes_on, self.asked = goes_on, 0

    async def __call__(self) -> bool:
        self.asked += 1
        return self.goes_on


def places(data: Any) -> list[tuple[str, bool]]:
    """Of each number its state, and whether its cities are told."""
    cities = data.get("cidades", {})
    return [(number["uf"], number["ddd"] in cities) for number in data["numeros"]]


@pytest.mark.parametrize(("limit", "rate"), [("off", "1/hour"), ("3/hour", "off")])
async def test_it_takes_a_permit_of_both_limits_or_is_not_made(
    store: Store, stand: Stand, limit: str, rate: str
) -> None:
    telefone = enricher(store, stand, limit, rate)
    assert places((await telefone.lookup(SAO_PAULO)).data) == [("SP", True)]
    # Nobody waits for an extra, and of three calls an hour the third is this number's own.
    event = await telefone.lookup(RIO)
    assert (event.outcome, places(event.data)) == ("ok", [("RJ", False)])
    assert await calls(stand) == 1


async def test_cities_are_told_once_however_many_numbers_and_not_in_the_profile(
    store: Store, stand: Stand
) -> None:
    telefone = enricher(store, stand, "off", "off")
    telefone.handlers.links["telefone"][0].provider.__dict__["fetch"] = three_numbers
    event = await telefone.lookup(SAO_PAULO)
    assert places(event.data) == [("SP", True), ("SP", True), ("RJ", True)]
    cities = event.data["cidades"]
    assert sorted(cities) == ["11", "21"]
    analysis = analyze("telefone", [event], date(2026, 3, 1))
    assert analysis.profile["telefones"].value == event.data["numeros"]
    told = msgspec.json.encode([event.data, analysis]).decode()
    assert told.count(cities["11"][0]) == 1


async def three_numbers(_: Query) -> Answer:
    numbers = [phone(number) for number in (SAO_PAULO, "+5511912345678", RIO)]
    return Answer(Phones(numbers=[number for number in numbers if number is not None]))


async def test_an_extra_that_is_not_made_takes_a_permit_of_neither_limit(
    store: Store, stand: Stand
) -> None:
    telefone = enricher(store, stand, "1/hour", "1/hour")
    queue, quota = telefone.limit, telefone.brasilapi.rate
    assert places((await telefone.lookup(RIO)).data) == [("RJ", False)]
    assert await store.redis.zcard(queue.key) == 1
    assert await store.redis.zcard(quota.key) == 0


async def test_none_is_made_for_a_lookup_that_was_cancelled(store: Store, stand: Stand) -> None:
    telefone = enricher(store, stand, "2/hour", "1/hour")
    await telefone.cancelled(SAO_PAULO)
    assert await calls(stand) == 0
    assert await store.redis.zcard(telefone.brasilapi.rate.key) == 0
    assert places((await telefone.lookup(SAO_PAULO)).data) == [("SP", True)]


async def test_one_that_is_cancelled_takes_no_cities_from_another(
    store: Store, stand: Stand
) -> None:
    telefone = enricher(store, stand, "off", "off")
    number = phone(SAO_PAULO)
    assert number is not None
    askers = [Asker(goes_on=False), Asker(), Asker()]
    found = await asyncio.gather(*(telefone.reference.located([number], each) for each in askers))
    assert [[*each.cities] for each in found] == [[], ["11"], ["11"]]
    assert await calls(stand) == 1


async def test_whether_it_goes_on_is_asked_only_where_a_call_would_be_made(
    store: Store, stand: Stand
) -> None:
    asker = Asker()
    # The second code finds the limit used up, and the second process the first one in the cache.
    for codes in ([SAO_PAULO, RIO], [SAO_PAULO, SAO_PAULO]):
        telefone = enricher(store, stand, "off", "1/hour")
        for code in codes:
            number = phone(code)
            assert number is not None
            await telefone.reference.located([number], asker)
    assert (asker.asked, await calls(stand)) == (1, 1)


async def test_the_cities_of_a_code_are_read_from_the_cache_once_in_a_while(
    store: Store, stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    get = Cache.get

    async def getting(self: Cache, kind: str, identifier: str, field: str) -> Entry | None:
        read.append(kind)
        return await get(self, kind, identifier, field)

    monkeypatch.setattr(Cache, "get", getting)
    telefone = enricher(store, stand, "off", "off")
    for number in (SAO_PAULO, "+5511912345678", "+5511933334444"):
        assert places((await telefone.lookup(number)).data) == [("SP", True)]
    assert read.count("ddd") == 1


async def test_without_redis_no_extra_is_called(stand: Stand) -> None:
    async with Store("redis://127.0.0.1:1/0") as away:
        telefone = enricher(away, stand, "9/hour", "off")
        number = phone(SAO_PAULO)
        assert number is not None
        assert (await telefone.reference.located([number], Asker())).numbers == [number]
    assert await calls(stand) == 0
