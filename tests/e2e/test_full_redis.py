"""A Redis whose memory is used up: what was accepted ends whole, and what is cached is served.

64 MB and no eviction, as the state of lookups needs it; filled by somebody else's keys.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
import redis.asyncio
from redis.exceptions import OutOfMemoryError

from deploy.local.servers import PrivateRedis
from tests.arena import Arenas
from tests.e2e.conftest import Api, events_of
from tests.services import ROOT, Services
from tests.subjects import cpfs

FULL = 64 * 1024 * 1024
UNDER_WAY = 30
# Every queue has a limit here, wide enough that nothing waits: the permits need room, too.
WIDE = {
    f"RATE_{queue}": "100000/min"
    for queue in ("TELEGRAM", "ENDERECO", "TELEFONE", "CADASTRO", "ANALYSIS")
}


@pytest.fixture
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateRedis]:
    with PrivateRedis(tmp_path_factory.mktemp("small")) as small:
        yield small


@pytest.fixture
async def api(arenas: Arenas, small: PrivateRedis, tmp_path: Path) -> AsyncIterator[Api]:
    services = Services(Arenas(arenas.rabbit, small).new(), tmp_path, **WIDE)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(asyncio.to_thread, services.stop)
        await asyncio.to_thread(services.start)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        yield Api(http, services.gateway, services.simulator)


async def _fill(client: redis.asyncio.Redis) -> None:
    """Until not a byte more is taken."""
    await client.config_set("maxmemory", FULL)
    await client.config_set("maxmemory-policy", "noeviction")
    number = 0
    for size in (1 << 20, 1 << 10, 1):
        try:
            while True:
                number += 1
                await client.set(f"filler:{number}", b"x" * size)
        except OutOfMemoryError:
            continue


async def test_what_was_accepted_ends_and_what_is_cached_is_served(
    api: Api, small: PrivateRedis
) -> None:
    await api.control_all(latency_ms=0, jitter_ms=0)
    known, *accepted, late = cpfs(UNDER_WAY + 2, 810_000_000)
    asked = {"tipo": "cpf", "prazo": 60}
    assert (await _stream(api, {"identificador": known, **asked}))[-1] == "completo"
    await api.control_all(latency_ms=3000)
    streams = [
        asyncio.create_task(_stream(api, {"identificador": person, **asked})) for person in accepted
    ]
    async with redis.asyncio.Redis.from_url(small.url) as client:
        # All of them are being worked on, then there is no room any more.
        while await client.zcard("consulta:active:stage.telefone") < UNDER_WAY:
            await asyncio.sleep(0.01)
        await _fill(client)
        status, hit = await api.json("POST", "/api/consultas", {"identificador": known, **asked})
        assert (status, hit["cache"]) == (200, True)
        url = f"{api.gateway}/api/consultas"
        async with api.http.post(url, json={"identificador": late, **asked}) as answer:
            assert answer.status == 503
            assert int(answer.headers["Retry-After"]) > 0
        for told in await asyncio.gather(*streams):
            assert told == ["iniciado", *told[1:4], "analysis", "completo"]
            assert set(told[1:4]) == {"telegram", "endereco", "telefone"}
        assert await client.zcard("consulta:deadlines") == 0
        table = _table()
        keys = await client.keys("consulta:*")
        for key in keys:
            assert isinstance(key, bytes)
            assert any(name.fullmatch(key.decode()) for name in table), key
        # And with room again, all is as before.
        await client.config_set("maxmemory", 0)
    await api.control_all(latency_ms=0)
    assert (await _stream(api, {"identificador": late, **asked}))[-1] == "completo"


def _table() -> list[re.Pattern[str]]:
    """The keys that the documentation knows."""
    names = re.findall(r"`(consulta:[^`]+)`", (ROOT / "docs" / "redis.md").read_text())
    assert len(names) > 20
    patterns = []
    for name in names:
        pattern = re.escape(name).replace(r"\{subject\}", ".+")
        patterns.append(re.compile(re.sub(r"\\{\w+\\}", "[^:]+", pattern)))
    return patterns


async def _stream(api: Api, body: dict[str, object]) -> list[str]:
    async with api.http.post(f"{api.gateway}/api/consulta-stream", json=body) as answer:
        events = await events_of(answer)
    assert all(event["situacao"] == "ok" for event in events[1:]), events
    return [event["tipo"] for event in events]
