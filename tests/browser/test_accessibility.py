"""The console for everybody: by keyboard alone, at 320 px, in light and dark, by axe-core."""

import re
from importlib import resources
from typing import Any, Literal

import pytest
from playwright.async_api import expect

from tests.browser.console import Console

pytestmark = pytest.mark.asyncio(loop_scope="session")

CPF = "111.444.777-35"
AXE = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text()
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


async def _violations(console: Console) -> list[tuple[str, Any]]:
    await console.page.evaluate(AXE)
    results = await console.page.evaluate("() => axe.run()")
    return [
        (found["id"], [node["html"] for node in found["nodes"]]) for found in results["violations"]
    ]


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_axe_finds_nothing(console: Console, scheme: Literal["light", "dark"]) -> None:
    await console.page.emulate_media(color_scheme=scheme)
    await console.page.get_by_text("Mais opções").click()
    await console.choose("cpf", "1")
    await console.submit()
    await expect(console.page.locator("#error-identificador")).not_to_be_empty()
    assert await _violations(console) == []
    await console.ask(CPF)
    await expect(console.row("telegram")).to_have_attribute("data-state", "good")
    assert await _violations(console) == []
    await console.complete()
    await console.page.get_by_text("Eventos").click()
    assert await _violations(console) == []
    await console.shoot(f"{scheme}-lookup")
    await console.page.get_by_role("link", name="Operação").click()
    await expect(console.page.get_by_text("Atualizado às")).to_be_visible()
    assert await _violations(console) == []
    await console.shoot(f"{scheme}-operations")


async def test_nothing_scrolls_sideways_at_320_px(console: Console) -> None:
    await console.page.set_viewport_size({"width": 320, "height": 640})
    widths = "() => [document.documentElement.scrollWidth, innerWidth]"
    assert await console.page.evaluate(widths) == [320, 320]
    await console.page.get_by_text("Mais opções").click()
    await console.ask(CPF)
    await expect(console.page.locator("#lookup-title")).to_be_in_viewport()
    await console.complete()
    await console.page.get_by_text("Eventos").click()
    assert await console.page.evaluate(widths) == [320, 320]
    await console.shoot("narrow-lookup")
    await console.page.get_by_role("link", name="Operação").click()
    await expect(console.page.get_by_text("Atualizado às")).to_be_visible()
    assert await console.page.evaluate(widths) == [320, 320]
    await console.shoot("narrow-operations")


async def test_a_keyboard_is_enough(console: Console) -> None:
    press = console.page.keyboard.press
    await press("Tab")
    assert await console.focused() == "Ir para o conteúdo"
    for _ in range(4):  # the links of the navigation are three
        await press("Tab")
    await expect(console.page.locator("input[value=cpf]")).to_be_focused()
    await press("ArrowRight")
    await expect(console.page.locator("input[value=cnpj]")).to_be_checked()
    await press("ArrowLeft")
    await press("Tab")
    assert await console.focused() == "identificador"
    ring = "() => getComputedStyle(document.activeElement).outlineStyle"
    assert await console.page.evaluate(ring) == "solid"
    await console.page.keyboard.type(CPF)
    await press("Enter")
    await expect(console.page.get_by_role("button", name="Cancelar")).to_be_visible()
    # Not by itself, ever: neither when rows appear nor when the result does.
    assert await console.focused() == "identificador"
    await console.complete()
    assert await console.focused() == "identificador"
    for _ in range(12):
        await press("Tab")
        if re.match("Eventos", await console.focused()):
            break
    await press("Enter")
    await expect(console.lines.first).to_be_visible()
