"""A real browser before the real stack."""

from collections.abc import AsyncIterator, Iterator

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
    await console.open()
    yield console
    await context.close()
    assert complaints == []
