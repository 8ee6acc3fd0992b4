"""A real browser before the real stack."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Error, async_playwright, expect

from tests.arena import Arenas
from tests.browser.console import PATIENCE_MS, Console
from tests.services import Services

# Debian's; browsers are not downloaded.
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
# Slow enough to be seen row by row, quick enough to wait for.
LATENCIES = {"telegram": 150, "bridge_telefone": 450, "bridge_endereco": 900, "minhareceita": 150}


@pytest.fixture(scope="package")
def services(arenas: Arenas, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Every service; one limit is low, so that waiting for it can be seen."""
    folder = tmp_path_factory.mktemp("logs")
    services = Services(arenas.new(), folder, RATE_CADASTRO="1/6s")
    try:
        services.start()
        yield services
    finally:
        services.stop()


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One Chromium for all tests; each gets a context of its own."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        expect.set_options(timeout=PATIENCE_MS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def console(services: Services, browser: Browser) -> AsyncIterator[Console]:
    """The console in a fresh page, an empty cache, healthy providers.

    At the end nothing may have failed in the page or offended its content security policy.
    """
    context = await browser.new_context(
        locale="pt-BR",
        viewport={"width": 1280, "height": 900},
        permissions=["clipboard-read", "clipboard-write"],
    )
    page = await context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    complaints: list[str] = []

    def on_error(error: Error) -> None:
        complaints.append(str(error))

    def on_console(message: ConsoleMessage) -> None:
        # The browser itself reports every answer that is not 2xx; some tests are about those.
        if message.type in {"error", "warning"} and "Failed to load" not in message.text:
            complaints.append(message.text)

    page.on("pageerror", on_error)
    page.on("console", on_console)
    console = Console(page, services.gateway, services.simulator)
    await console.heal(LATENCIES)
    await _close_circuits(services)
    await console.open()
    yield console
    await context.close()
    assert complaints == []


async def _close_circuits(services: Services) -> None:
    """On a busy machine a provider that another test held was given up: it is well again."""
    async with aiohttp.ClientSession(services.gateway) as http:
        async with http.get("/api/circuitos") as answer:
            circuits: dict[str, dict[str, Any]] = await answer.json()
        opened = [name for name, known in circuits.items() if known["estado"] != "FECHADO"]
        for name in opened:
            async with http.put(f"/api/circuitos/{name}", json={"estado": "FECHADO"}) as answer:
                assert answer.status == 200, await answer.text()
        # Heard of with the next second.
        async with asyncio.timeout(PATIENCE_MS / 1000):
            while opened and not await _all_closed(http, services.ops("enricher", "/metrics")):
                await asyncio.sleep(0.1)


async def _all_closed(http: aiohttp.ClientSession, metrics: str) -> bool:
    async with http.get(metrics) as answer:
        told = await answer.text()
    states = re.findall(r"^consulta_breaker_state\{[^}]*\} (.*)$", told, re.MULTILINE)
    return all(float(state) == 0 for state in states)
