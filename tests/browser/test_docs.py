"""The page of the API: every operation is on it, each can be tried, and everybody can read it."""

from importlib import resources
from typing import Literal

import pytest
from playwright.async_api import expect

from tests.browser.console import Console
from tests.specification import asyncapi_document, openapi_document, operations

pytestmark = pytest.mark.asyncio(loop_scope="session")

AXE = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text()
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


async def test_every_operation_channel_and_type_is_on_it(console: Console) -> None:
    await console.open("/docs")
    page = console.page
    for path, method, operation in operations():
        entry = page.locator(f"#{operation['operationId']}")
        await entry.locator("summary").first.click()
        await expect(entry.locator("summary")).to_contain_text(f"{method}{path}")
        await expect(entry.get_by_role("button", name="Enviar")).to_be_visible()
    for channel in asyncapi_document()["channels"].values():
        await expect(
            page.locator("#bus summary code", has_text=channel["address"])
        ).not_to_have_count(0)
    for document in (openapi_document(), asyncapi_document()):
        for name in document["components"]["schemas"]:
            await expect(page.locator(f"#tipo-{name}")).to_have_count(1)


async def test_a_link_to_a_type_opens_it(console: Console) -> None:
    await console.open("/docs#tipo-Event")
    await expect(console.page.locator("#tipo-Event dl").first).to_be_visible()
    await console.page.locator("#tipo-Event").get_by_role("link", name="Result", exact=True).click()
    await expect(console.page.locator("#tipo-Result dl").first).to_be_visible()


async def test_a_stream_is_tried_event_by_event(console: Console) -> None:
    await console.open("/docs#lookups_ask_and_stream")
    entry = console.page.locator("#lookups_ask_and_stream")
    await entry.get_by_role("button", name="Enviar").click()
    answer = entry.get_by_role("status")
    await expect(answer).to_contain_text("event: iniciado")
    await expect(answer).to_contain_text("event: completo")
    await expect(answer).to_contain_text("200")


async def test_a_refusal_is_shown_with_its_field(console: Console) -> None:
    await console.open("/docs#lookups_ask")
    entry = console.page.locator("#lookups_ask")
    await entry.get_by_label("Corpo").fill('{"identificador": "123"}')
    await entry.get_by_role("button", name="Enviar").click()
    await expect(entry.get_by_role("status")).to_contain_text('"campo": "identificador"')


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_axe_finds_nothing_and_nothing_scrolls_sideways(
    console: Console, scheme: Literal["light", "dark"]
) -> None:
    page = console.page
    await page.emulate_media(color_scheme=scheme)
    await page.set_viewport_size({"width": 320, "height": 640})
    await console.open("/docs#lookups_follow")
    await page.locator("#lookups_ask summary").click()
    await page.locator("#tipo-Event summary").click()
    await page.evaluate(AXE)
    found = await page.evaluate("() => axe.run()")
    assert [
        (one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"]
    ] == []
    assert await page.evaluate("() => document.documentElement.scrollWidth") == 320
    await page.set_viewport_size({"width": 1100, "height": 1400})
    await console.shoot(f"{scheme}-docs")
