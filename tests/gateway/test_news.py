"""News: to the gateways that have a client for it, to no others, and what a loss of it costs."""

import asyncio
import random
from typing import Any

import pytest

from gateway.streams import RELAY, Relay
from shared.courier import News
from shared.reporter import event
from shared.store import Store
from tests.gateway.backstage import Backstage
from tests.gateway.gateways import CEP, PATIENCE, Gateway, Gateways, events_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def listeners(store: Store, task: str, flight: str) -> list[str]:
    """Who is told of a lookup's events, beside its origin."""
    asker = await store.do("HGET", f"consulta:flight:{flight}:askers", task)
    origin, *names = asker.decode().split(" ")
    assert origin == "gateway"
    return list(names)


async def until_heard_by(store: Store, task: str, flight: str, *names: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while await listeners(store, task, flight) != list(names):
            await asyncio.sleep(0.01)


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Fills up with the gateway and the type of each piece of news."""
    found: list[tuple[str, str]] = []
    on_news = Relay._on_news

    def spy(relay: Relay, news: News) -> None:
        found.append((relay.name, news.type))
        on_news(relay, news)

    monkeypatch.setattr(Relay, "_on_news", spy)
    return found


async def test_a_gateway_hears_of_its_own_clients_only(
    gateways: Gateways, backstage: Backstage, store: Store, heard: list[tuple[str, str]]
) -> None:
    here, there = await gateways.start(), await gateways.start()
    async with here.request("POST", "/api/consulta-stream", json=CEP) as stream:
        task = stream.headers["Location"].split("/")[3]
        flight = await backstage.flight(task)
        assert await listeners(store, task, flight) == [here.app[RELAY].name]
        await backstage.end(flight)
        assert [told["tipo"] for told in await events_of(stream)] == ["iniciado", "completo"]
    assert {name for name, _ in heard} == {here.app[RELAY].name}
    # Of one that nobody follows, nobody hears.
    heard.clear()
    task = (await there.ask())["task_id"]
    flight = await backstage.whole(task)
    assert await listeners(store, task, flight) == []
    assert heard == []


async def test_a_gateway_is_told_from_when_a_stream_opens_there_until_the_last_closes(
    gateways: Gateways, backstage: Backstage, store: Store
) -> None:
    here, there = await gateways.start(), await gateways.start()
    asked = await here.ask()
    task, where = asked["task_id"], asked["eventos"]
    async with there.request("GET", where) as early:
        # Before there is a flight, and after.
        flight = await backstage.flight(task)
        assert len(await events_of(early, 1)) == 1
        async with there.request("GET", where), here.request("GET", where) as late:
            assert len(await events_of(late, 1)) == 1
            names = (there.app[RELAY].name, here.app[RELAY].name)
            assert await listeners(store, task, flight) == list(names)
        await until_heard_by(store, task, flight, names[0])
    await until_heard_by(store, task, flight)


async def test_a_last_event_that_is_lost_is_found(
    gateways: Gateways, backstage: Backstage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.streams.LOOK_S", 0.02)
    monkeypatch.setattr(Relay, "_on_news", lambda *_: None)
    gateway = await gateways.start()
    async with gateway.request("POST", "/api/consulta-stream", json=CEP) as stream:
        flight = await backstage.flight(stream.headers["Location"].split("/")[3])
        assert [told["seq"] for told in await events_of(stream, 1)] == [1]
        await backstage.end(flight)
        assert [told["seq"] for told in await events_of(stream)] == [2]


async def test_with_one_in_five_lost_every_client_has_every_event_once(
    gateways: Gateways, backstage: Backstage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.streams.LOOK_S", 0.02)
    on_news, dice, lost = Relay._on_news, random.Random(7), list[str]()

    def lossy(relay: Relay, news: News) -> None:
        if dice.random() < 0.2:
            lost.append(news.type)
        else:
            on_news(relay, news)

    monkeypatch.setattr(Relay, "_on_news", lossy)
    pair = [await gateways.start(), await gateways.start()]

    async def client(place: int) -> list[dict[str, Any]]:
        here, there = pair[place % 2], pair[1 - place % 2]
        async with here.request("POST", "/api/consulta-stream", json=CEP) as stream:
            task = stream.headers["Location"].split("/")[3]
            following = asyncio.create_task(_follow(there, task))
            flight = await backstage.flight(task)
            for number in range(6):
                await backstage.tell(flight, f"step {number}", event("aguardando", {"n": number}))
            await backstage.end(flight)
            told = await events_of(stream)
            assert await following == told
            return told

    for told in await asyncio.gather(*map(client, range(20))):
        assert [each["seq"] for each in told] == list(range(1, 9))
    assert len(lost) > 20


async def _follow(gateway: Gateway, task: str) -> list[dict[str, Any]]:
    async with gateway.request("GET", f"/api/consultas/{task}/eventos") as stream:
        return await events_of(stream)
