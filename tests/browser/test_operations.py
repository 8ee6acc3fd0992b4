"""The operators' view."""

import pytest
from playwright.async_api import Route, expect

from tests.browser.console import Console

pytestmark = pytest.mark.asyncio(loop_scope="session")

ANSWERS = {
    "circuitos": {
        "telegram": {
            "estado": "FECHADO", "falhas": 0, "sucesso": 145, "motivo": "", "reabre_em": None,
        },
        "bridge_endereco": {
            "estado": "ABERTO", "falhas": 5, "sucesso": 12, "motivo": "server_error",
            "reabre_em": "2099-01-01T00:00:00Z",
        },
    },
    "filas": {
        "tasks_ativas": 3, "tasks_agendadas": 1, "tasks_reservadas": 2, "workers": 6,
        "filas": {
            "stage.endereco": {
                "prontas": 7, "mortas": 1, "ativas": 2, "esperando": 4, "idade_s": 3.2,
                "limite": "50/min", "permissoes": 11,
            },
            "lookup.requested": {
                "prontas": 0, "mortas": 0, "ativas": 0, "esperando": 0, "idade_s": None,
                "limite": "off", "permissoes": None,
            },
        },
    },
    "agenda": {
        "tarefas": [
            {
                "nome": "limpeza", "agenda": "a cada 5 min", "ultima": "2026-02-25T14:30:45Z",
                "resultado": "ok", "proxima": "2026-02-25T14:35:45Z",
            }
        ]
    },
}  # fmt: skip


async def test_every_card_shows_what_the_gateway_says(console: Console) -> None:
    async def answer(route: Route) -> None:
        await route.fulfill(json=ANSWERS[route.request.url.rsplit("/", 1)[1]])

    for name in ANSWERS:
        await console.page.route(f"**/api/{name}", answer)
    await console.page.get_by_role("link", name="Operação").click()
    card = console.page.locator
    await expect(card(".circuits")).to_contain_text("fechado")
    await expect(card(".circuits")).to_contain_text("erro da fonte; testa em")
    await expect(card(".queues")).to_contain_text("50/min")
    await expect(card(".agenda")).to_contain_text("a cada 5 min")
    await expect(card(".cache")).to_contain_text("Taxa de acerto")
    depth = card(".queues").get_by_role("img", name="Mensagens à espera")
    await expect(depth).to_have_accessible_name(
        "Mensagens à espera em todas as filas, últimos 5 minutos: de 11 a 11, agora 11"
    )
    await console.shoot("operations")


async def test_a_card_without_an_answer_leaves_the_others_standing(console: Console) -> None:
    async def refuse(route: Route) -> None:
        problem = {"title": "Temporariamente indisponível", "detail": "a fila não responde"}
        await route.fulfill(status=503, json=problem, content_type="application/problem+json")

    await console.page.route("**/api/filas", refuse)
    await console.page.get_by_role("link", name="Operação").click()
    await expect(console.page.locator(".queues")).to_contain_text("indisponível")
    await expect(console.page.locator(".queues")).to_contain_text("a fila não responde")
    await expect(console.page.locator(".cache")).to_contain_text("Taxa de acerto")


async def test_nobody_is_asked_while_the_view_is_hidden(console: Console) -> None:
    asked: list[str] = []
    console.page.on("request", lambda request: asked.append(request.url))
    await console.page.get_by_role("link", name="Operação").click()
    await expect(console.page.get_by_text("Atualizado às")).to_be_visible()
    assert any(url.endswith("/api/filas") for url in asked)
    # The page's own clock stands still from here, so that "never" takes no time.
    await console.page.clock.install()
    await console.page.get_by_role("link", name="Consulta").click()
    await expect(console.page.locator("#operations")).to_be_hidden()
    asked.clear()
    await console.page.clock.run_for(60_000)
    assert asked == []
