"""The console as a person sees it: what to click, and where to look."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Locator, Page, Route, expect

SCREENSHOTS: Final = Path(__file__).parent / "screenshots"
# What the pages have to work under; put on here too, so that the tests do not depend on it.
POLICY: Final = "default-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
PATIENCE_MS: Final = 20_000


class Console:
    """One page of the console, on a stack of its own."""

    def __init__(self, page: Page, gateway: str, simulator: str) -> None:
        self.page, self.gateway, self.simulator = page, gateway, simulator
        self.status = page.get_by_role("status")
        self.failure = page.locator("#failure")
        self.pill = page.locator("#connection")
        self.lines = page.locator("#log [data-seq]")

    async def open(self, path: str = "/") -> None:
        """Open the page under the strictest policy it is to work under."""
        await self.page.route(re.compile(rf"^{re.escape(self.gateway)}/$"), _with_policy)
        await self.page.goto(f"{self.gateway}{path}")

    async def choose(self, kind: str, identifier: str) -> None:
        """Fill in the form."""
        await self.page.locator(f"input[name=tipo][value={kind}]").check()
        await self.page.get_by_label("Identificador").fill(identifier)

    async def submit(self) -> None:
        await self.page.get_by_role("button", name="Consultar").click()

    async def ask(self, identifier: str, kind: str = "cpf") -> None:
        """Ask for a lookup."""
        await self.choose(kind, identifier)
        await self.submit()

    def row(self, stage: str) -> Locator:
        """The row of a stage."""
        return self.page.locator(f"[data-stage={stage}]")

    async def rows(self) -> list[str]:
        """The stages that have a row, from top to bottom."""
        rows = await self.page.locator("[data-stage]").all()
        return [str(await row.get_attribute("data-stage")) for row in rows]

    async def badges(self, stage: str) -> list[str]:
        """The words of a row's badges."""
        return await self.row(stage).locator(".badge").all_inner_texts()

    async def complete(self) -> None:
        """Wait for the lookup's end, and see that every event is listed once, in order."""
        await expect(self.status).to_contain_text("Consulta completa")
        await self.listed_once()

    async def listed_once(self) -> None:
        """Every event is listed once, in order."""
        seqs = [await line.get_attribute("data-seq") for line in await self.lines.all()]
        assert seqs == [str(seq) for seq in range(1, len(seqs) + 1)]

    async def focused(self) -> str:
        """Id or text of what has the focus."""
        script = "() => document.activeElement.id || document.activeElement.textContent.trim()"
        return str(await self.page.evaluate(script))

    async def shoot(self, name: str) -> None:
        """Keep a picture of the whole page for people to look at."""
        SCREENSHOTS.mkdir(exist_ok=True)
        path = SCREENSHOTS / f"{name}.png"
        await self.page.screenshot(path=path, full_page=True, animations="disabled")

    async def simulate(self, provider: str, **settings: Any) -> None:
        """Set a provider's latency or fault."""
        url = f"{self.simulator}/_control/{provider}"
        answer = await self.page.request.put(url, data=settings)
        assert answer.ok, await answer.text()

    async def hold(self, provider: str) -> None:
        """Let a provider's answers wait, for as long as the page is looked at."""
        await self.simulate(provider, held=True)

    async def let_go(self, provider: str) -> None:
        """Let it answer again."""
        await self.simulate(provider, held=False)

    async def heal(self, latencies: Mapping[str, int]) -> None:
        """Reset the providers, and forget what the cache has."""
        await self.page.request.delete(f"{self.simulator}/_control")
        for provider, latency in latencies.items():
            await self.simulate(provider, latency_ms=latency, jitter_ms=0)
        answer = await self.page.request.post(f"{self.gateway}/api/cache/versao", data={})
        assert answer.ok, await answer.text()


async def _with_policy(route: Route) -> None:
    answer = await route.fetch()
    headers = {**answer.headers, "content-security-policy": POLICY}
    await route.fulfill(response=answer, headers=headers)
