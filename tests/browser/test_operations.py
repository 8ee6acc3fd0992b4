"""The operators' view."""

import re

import pytest
from playwright.async_api import expect

from tests.browser.console import Console
from tests.browser.played import play, problem

pytestmark = pytest.mark.asyncio(loop_scope="session")

ANSWERS = {
    "circuitos": {
        "telegram": {
            "estado": "FECHADO", "falhas": 0, "sucesso": 145, "motivo": "", "reabre_em": None,
            "forcado": False, "replicas": 2,
        },
        "bridge_endereco": {
            "estado": "ABERTO", "falhas": 5, "sucesso": 12, "motivo": "server_error",
            "reabre_em": "2099-01-01T00:00:00Z", "forcado": False, "replicas": 2,
        },
        "opencep": {
            "estado": "ABERTO", "falhas": 9, "sucesso": 1, "motivo": "failure_rate",
            "reabre_em": None, "forcado": False, "replicas": 2,
        },
    },
    "filas": {
        "tasks_ativas": 3, "tasks_agendadas": 1, "tasks_reservadas": 2, "workers": 6,
        "servicos": {"gateway": 1, "enricher endereco": 5},
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
                "nome": "limpeza_cache", "agenda": "0 */6 * * *", "ultima": "2026-02-25T12:00:00Z",
                "situacao": "ok", "resultado": {"removidas": 31}, "perdidas": 4,
                "proxima": "2026-02-25T18:00:00Z",
            },
            {
                "nome": "verificacao_saude", "agenda": "*/5 * * * *",
                "ultima": "2026-02-25T14:30:00Z", "situacao": "interrompida",
                "resultado": {"redis": True, "filas": {"stage.endereco": {"prontas": 7}}},
                "perdidas": 0, "proxima": "2026-02-25T14:35:00Z",
            },
        ]
    },
}  # fmt: skip


async def test_every_card_shows_what_the_gateway_says(console: Console) -> None:
    for name, answer in ANSWERS.items():
        await play(console.page, f"/api/{name}", answer)
    await console.page.get_by_role("link", name="Operação").click()
    card = console.page.locator
    await expect(card(".circuits")).to_contain_text("fechado")
    await expect(card(".circuits")).to_contain_text("erro da fonte; testa em")
    await expect(card(".queues")).to_contain_text("50/min")
    await expect(card(".circuits")).to_contain_text("falhas demais")
    cleaning = card(".agenda tr", has_text="limpeza_cache")
    await expect(cleaning.get_by_role("cell")).to_have_text(
        ["0 */6 * * *", re.compile("^25/02/2026"), "ok", "4", re.compile("^25/"), "removidas: 31"]
    )
    health = card(".agenda tr", has_text="verificacao_saude")
    await expect(health).to_contain_text("interrompida")
    await expect(health).to_contain_text("redis: sim; filas: ")
    await expect(card(".agenda")).not_to_contain_text("[object")
    await expect(card(".cache")).to_contain_text("Taxa de acerto")
    depth = card(".queues").get_by_role("img", name="Mensagens à espera")
    await expect(depth).to_have_accessible_name(
        "Mensagens à espera em todas as filas, últimos 5 minutos: de 11 a 11, agora 11"
    )
    await console.shoot("operations")


async def test_a_card_without_an_answer_leaves_the_others_standing(console: Console) -> None:
    away = problem(503, "Temporariamente indisponível", "a fila não responde")
    await play(console.page, "/api/filas", away, status=503)
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
    # The browser fetches the icon when it likes.
    assert [url for url in asked if "/api/" in url] == []


async def test_the_navigation_marks_the_view_that_is_shown_and_no_other(console: Console) -> None:
    current = console.page.locator("nav [aria-current=page]")
    await expect(current).to_have_text(["Consulta"])
    await console.page.get_by_role("link", name="Operação").click()
    await expect(current).to_have_text(["Operação"])
    await console.open("/docs")
    await expect(current).to_have_text(["API"])
