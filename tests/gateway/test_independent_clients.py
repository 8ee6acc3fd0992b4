"""Clients that are not ours read every event of 200 lookups, on connections that keep breaking."""

import asyncio
import json
import random
import shutil
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final

import httpx
import pytest
from httpx_sse import ServerSentEvent, aconnect_sse
from ld_eventsource import SSEClient
from ld_eventsource.config import ConnectStrategy, ErrorStrategy, RetryDelayStrategy
from ld_eventsource.errors import HTTPStatusError
from playwright.async_api import async_playwright

from shared.messages import EventType
from shared.reporter import event
from tests.gateway.backstage import Backstage
from tests.gateway.cutter import Cutter
from tests.gateway.gateways import Gateway, Gateways

pytestmark = pytest.mark.asyncio(loop_scope="module")
LOOKUPS: Final = 200
PATIENCE: Final = 120
STEPS: Final[tuple[EventType, ...]] = (
    "telegram", "endereco", "telefone", "cadastro", "analysis", "completo",
)  # fmt: skip
TYPES: Final = ["iniciado", *STEPS, "reset", "message"]
# One to four bytes long, and those that JSON has to escape.
LETTERS: Final = 'açãé€漢🦜\n\r\u2028\\"'
NODE: Final = Path(__file__).parent / "node"
CHROMIUM: Final = "/usr/bin/chromium"
# In a page: each stream to its end, which is when the gateway says 204.
FOLLOW_ALL: Final = """([addresses, types]) => {
    const follow = (address) => new Promise((resolve) => {
        const heard = [];
        const source = new EventSource(address);
        for (const type of types) source.addEventListener(type, (event) => {
            heard.push([event.lastEventId, event.type, event.data]);
        });
        source.onerror = () => {
            if (source.readyState === EventSource.CLOSED) resolve(heard);
        };
    });
    return Promise.all(addresses.map(follow));
}"""
# What a stream told: id, type and data of each event.
Heard = list[tuple[str, str, str]]
Follow = Callable[[list[str]], Awaitable[list[Heard]]]


async def with_chromium(addresses: list[str]) -> list[Heard]:
    """The browser's own EventSource, in a page of the gateway."""
    page_of = "/".join(addresses[0].split("/")[:3])
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
                "--disable-background-networking", "--disable-component-update",
            ],
        )  # fmt: skip
        page = await browser.new_page()
        await page.goto(f"{page_of}/static/icon.svg")
        heard: list[list[list[str]]] = await page.evaluate(FOLLOW_ALL, [addresses, TYPES])
        await browser.close()
    return _tuples(heard)


async def with_npm_eventsource(addresses: list[str]) -> list[Heard]:
    """https://www.npmjs.com/package/eventsource, in Node.js."""
    node = shutil.which("node")
    assert node is not None, "node is missing: make test installs it"
    assert (NODE / "node_modules").is_dir(), "npm's packages are missing: make test installs them"
    process = await asyncio.create_subprocess_exec(
        node, str(NODE / "follow.js"), stdin=-1, stdout=-1, stderr=-1
    )
    told = json.dumps({"addresses": addresses, "types": TYPES}).encode()
    out, error = await process.communicate(told)
    assert process.returncode == 0, error.decode()
    return _tuples(json.loads(out))


async def with_httpx_sse(addresses: list[str]) -> list[Heard]:
    """https://pypi.org/project/httpx-sse: it reads one connection, and says where to resume."""
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(limits=limits, timeout=None) as client:

        async def follow(address: str) -> Heard:
            heard: list[ServerSentEvent] = []
            while True:
                last = {"Last-Event-ID": heard[-1].id} if heard else {}
                try:
                    async with aconnect_sse(client, "GET", address, headers=last) as source:
                        if source.response.status_code == 204:
                            break
                        heard += [each async for each in source.aiter_sse() if each.data]
                        continue
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.05)
            return [(each.id, each.event, each.data) for each in heard]

        return await asyncio.gather(*(follow(address) for address in addresses))


async def with_launchdarkly(addresses: list[str]) -> list[Heard]:
    """https://pypi.org/project/launchdarkly-eventsource: a thread for each stream."""

    def follow(address: str) -> Heard:
        heard: Heard = []
        with (
            SSEClient(
                ConnectStrategy.http(address),
                initial_retry_delay=0.05,
                retry_delay_strategy=RetryDelayStrategy.default(max_delay=0.2),
                error_strategy=ErrorStrategy.from_lambda(_until_204),
            ) as source,
            suppress(HTTPStatusError),
        ):
            heard.extend((str(each.id), each.event, each.data) for each in source.events)
        return heard

    with ThreadPoolExecutor(max_workers=LOOKUPS) as pool:
        loop = asyncio.get_running_loop()
        return await asyncio.gather(
            *(loop.run_in_executor(pool, follow, address) for address in addresses)
        )


def _until_204(error: Exception | None) -> tuple[bool, None]:
    ended = isinstance(error, HTTPStatusError) and error.status == 204
    return (ErrorStrategy.FAIL if ended else ErrorStrategy.CONTINUE), None


@pytest.mark.parametrize(
    "follow", [with_chromium, with_npm_eventsource, with_httpx_sse, with_launchdarkly]
)
async def test_every_event_of_200_lookups_is_read_once_and_in_order(
    gateways: Gateways, backstage: Backstage, monkeypatch: pytest.MonkeyPatch, follow: Follow
) -> None:
    # What the gateway asks for is meant for people's patience.
    monkeypatch.setattr("gateway.sse.retry", lambda *, later=False: b"retry: 50\n\n")
    gateway = await gateways.start()
    seed = random.Random(follow.__name__)
    flights = await _begun(gateway, backstage)
    async with asyncio.timeout(PATIENCE), Cutter(gateway.url, seed=seed.randrange(10**6)) as way:
        addresses = [f"{way.url}/api/consultas/{task_id}/eventos" for task_id in flights]
        happening = asyncio.create_task(_happen(backstage, list(flights.values()), seed))
        heard = await follow(addresses)
        await happening
    for task_id, told in zip(flights, heard, strict=True):
        view = await backstage.lookups.view(task_id)
        assert view is not None
        assert told == [
            (str(seq), type_, body.decode())
            for seq, (type_, body) in enumerate(
                zip(["iniciado", *STEPS], view.events, strict=True), 1
            )
        ]
    assert way.cuts > LOOKUPS


async def _begun(gateway: Gateway, backstage: Backstage) -> dict[str, str]:
    """Lookups that wait for their stages: task_id and flight of each."""
    tasks = [(await gateway.ask())["task_id"] for _ in range(LOOKUPS)]
    return dict(zip(tasks, await asyncio.gather(*map(backstage.flight, tasks)), strict=True))


async def _happen(backstage: Backstage, flights: list[str], seed: random.Random) -> None:
    """Every step of every lookup, a few at a time, with letters of every length."""
    for step in STEPS:
        seed.shuffle(flights)
        for place in range(0, LOOKUPS, 20):
            texts = ("".join(seed.choices(LETTERS, k=seed.randrange(400))) for _ in range(20))
            told = (event(step, {"texto": text}) for text in texts)
            some = zip(flights[place : place + 20], told, strict=True)
            await asyncio.gather(*(backstage.tell(flight, step, each) for flight, each in some))


def _tuples(heard: list[list[list[str]]]) -> list[Heard]:
    return [[(id_, type_, data) for id_, type_, data in stream] for stream in heard]
