"""The console, driven as a person drives it, before the whole stack."""

import asyncio
import re
from typing import Any

import pytest
from playwright.async_api import Route, expect

from tests.browser.conftest import LATENCIES
from tests.browser.console import Console
from tests.browser.played import play_stream, reset
from tests.services import Services

pytestmark = pytest.mark.asyncio(loop_scope="session")

CPF, OTHER_CPF, CNPJ, CEP = "111.444.777-35", "529.982.247-25", "11.222.333/0001-81", "01001-000"
TASK = re.compile(r"#/consulta/[0-9a-f-]{36}$")
STARTED = {"tipo": "iniciado", "seq": 1, "dados": {"tipo": "cep", "etapas": ["endereco"]}}


async def test_a_lookup_streams_row_by_row_to_its_end(console: Console) -> None:
    answered = asyncio.Event()

    async def hold(route: Route) -> None:
        await answered.wait()
        await route.continue_()

    await console.page.route("**/api/consulta-stream", hold)
    await console.hold("bridge_endereco")
    await console.ask(CPF)
    await expect(console.row("telegram")).to_be_visible()
    assert await console.rows() == ["telegram", "endereco", "telefone", "analysis"]
    assert await console.lines.count() == 0
    answered.set()
    await expect(console.row("telegram")).to_have_attribute("data-state", "good")
    assert await console.row("endereco").get_attribute("data-state") == "running"
    await expect(console.pill).to_have_text("ao vivo")
    await expect(console.row("endereco").locator(".stage-time")).to_have_text(re.compile(r",\d s$"))
    await console.shoot("miss-streaming")
    await console.let_go("bridge_endereco")
    await console.complete()
    await expect(console.pill).to_have_text("encerrado")
    await expect(console.row("telegram").locator(".stage-time")).to_have_text(
        re.compile(r"^\d+ ms$")
    )
    await expect(console.row("telegram").locator(".facts")).to_contain_text("Nome")
    await expect(console.row("endereco")).to_contain_text("fonte bridge_endereco · agora")
    profile = console.page.locator(".profile")
    await expect(profile).to_contain_text("Telefone · bridge_telefone")
    await expect(console.page.locator(".completeness")).to_contain_text("%")
    await expect(console.page).to_have_url(TASK)
    assert "111" not in console.page.url.split("#")[0]
    await console.shoot("miss-complete")


async def test_the_second_time_it_comes_from_the_cache(console: Console) -> None:
    await console.ask(CPF)
    await console.complete()
    await console.submit()
    await expect(console.status).to_contain_text("tudo do cache")
    for stage in ("telegram", "endereco", "telefone", "analysis"):
        assert await console.badges(stage) == ["cache"]
    await console.listed_once()
    await console.shoot("hit")


async def test_an_invalid_identifier_is_said_at_its_field_and_the_focus_stays(
    console: Console,
) -> None:
    await console.choose("cpf", "111.444.777-36")
    await console.page.get_by_label("Identificador").press("Enter")
    alert = console.page.locator("#error-identificador")
    await expect(alert).to_have_role("alert")
    await expect(alert).to_contain_text("Identificador: tem dígitos verificadores")
    assert await console.focused() == "identificador"
    field = console.page.get_by_label("Identificador")
    await expect(field).to_have_attribute("aria-invalid", "true")
    assert await console.rows() == []
    await console.shoot("invalid")
    await field.fill(CPF)
    await expect(alert).to_be_empty()


async def test_a_reload_in_the_middle_resumes(console: Console) -> None:
    await console.hold("bridge_endereco")
    await console.ask(CPF)
    await expect(console.row("telegram")).to_have_attribute("data-state", "good")
    address = console.page.url
    await console.page.reload()
    await expect(console.row("telegram")).to_have_attribute("data-state", "good")
    await expect(console.row("endereco")).to_have_attribute("data-state", "running")
    await console.let_go("bridge_endereco")
    await console.complete()
    assert console.page.url == address
    assert await console.lines.count() == 6
    await console.page.reload()
    await console.complete()
    await expect(console.page.locator(".profile")).to_be_visible()


async def test_a_lookup_that_is_not_there_says_so(console: Console) -> None:
    await console.open("/#/consulta/00000000-0000-4000-8000-000000000000")
    await console.page.reload()
    await expect(console.failure).to_contain_text("não há consulta com este task_id")


async def test_a_lost_gateway_is_waited_for(console: Console, services: Services) -> None:
    await console.page.evaluate(
        """() => {
            globalThis.pills = [];
            new MutationObserver((records) => {
                for (const record of records)
                    for (const node of record.addedNodes) pills.push(node.data);
            }).observe(document.getElementById("connection"), { childList: true });
        }"""
    )
    await console.hold("bridge_endereco")
    await console.ask(CPF)
    await expect(console.row("telegram")).to_have_attribute("data-state", "good")
    services.kill("gateway")
    await expect(console.pill).to_have_text("reconectando")
    await console.shoot("reconnecting")
    await asyncio.to_thread(services.start, "gateway")
    # On a busy machine its provider is given up meanwhile, and the rest comes at once.
    await console.page.wait_for_function("() => pills.includes('retomado')")
    await console.let_go("bridge_endereco")
    await console.complete()
    assert await console.lines.count() == 6
    pills = await console.page.evaluate("() => pills")
    told = [pill for place, pill in enumerate(pills) if pill not in pills[:place]]
    assert told == ["conectando", "ao vivo", "reconectando", "retomado", "encerrado"]
    await expect(console.page.locator(".log-note").last).to_have_text("conexão retomada")


async def test_cancelling_ends_it_and_is_no_alarm(console: Console) -> None:
    await console.hold("bridge_endereco")
    await console.ask(OTHER_CPF)
    await expect(console.row("telegram")).to_have_attribute("data-state", "good")
    await console.page.get_by_role("button", name="Cancelar").click()
    await expect(console.status).to_contain_text("Consulta cancelada")
    assert await console.badges("endereco") == ["cancelada"]
    await expect(console.pill).to_have_text("encerrado")
    await expect(console.failure).to_be_empty()
    await console.listed_once()
    await console.shoot("cancelled")


async def test_a_wait_for_the_rate_limit_says_until_when(console: Console) -> None:
    await console.ask(CNPJ, "cnpj")
    await console.complete()
    await console.page.get_by_label("Atualizar").check()
    await console.submit()
    row = console.row("cadastro")
    await expect(row).to_have_attribute("data-state", "limited")
    assert await console.badges("cadastro") == ["limite esgotado"]
    await expect(row).to_contain_text(re.compile(r"a vez chega em \d+ s, às \d\d:\d\d:\d\d"))
    assert await console.badges("endereco") == ["espera Cadastro"]
    await console.shoot("rate-limited")
    await console.complete()
    assert await console.badges("cadastro") == ["respondida"]


async def test_stages_that_fail_show_their_age_or_why(console: Console) -> None:
    await console.ask(CPF)
    await console.complete()
    await console.simulate("bridge_endereco", fault="503", fault_rate=1)
    await console.page.get_by_label("Atualizar").check()
    await console.submit()
    await console.complete()
    assert await console.badges("endereco") == ["degradado", "cache"]
    await expect(console.row("endereco")).to_contain_text("fonte bridge_endereco")
    await expect(console.page.locator(".notices")).to_contain_text("atenção")
    await console.shoot("degraded")
    await console.ask(OTHER_CPF)
    await console.complete()
    assert await console.badges("endereco") == ["indisponível"]
    await expect(console.row("endereco")).to_contain_text("Tentativas sem resposta")
    await console.shoot("unavailable")
    await console.heal(LATENCIES)


async def _replay(console: Console, *told: dict[str, Any]) -> None:
    """Open a lookup whose stream is made up here."""
    task = "00000000-0000-4000-8000-000000000002"
    await play_stream(console.page, task, *told)
    await console.page.goto(f"{console.gateway}/#/consulta/{task}")


async def test_a_reset_starts_the_page_over(console: Console) -> None:
    found = {"situacao": "ok", "origem": "opencep", "dados": {"uf": "SP"}}
    ended = {"tipo": "endereco", "seq": 2, **found}
    result = {"tipo": "cep", "etapas": {"endereco": found}, "analise": None}
    await _replay(
        console,
        STARTED,
        {**ended, "origem": "viacep"},
        reset("STARTED", 2),
        STARTED,
        ended,
        {"tipo": "completo", "seq": 3, "dados": result},
    )
    await console.complete()
    assert await console.lines.count() == 3
    await expect(console.row("endereco")).to_contain_text("fonte opencep")


async def test_a_failed_lookup_is_an_alarm(console: Console) -> None:
    reason = {"codigo": "pedido_invalido", "mensagem": "a etapa não existe"}
    await _replay(
        console,
        STARTED,
        {"tipo": "error", "seq": 2, "dados": reason},
    )
    await expect(console.failure).to_have_role("alert")
    await expect(console.failure).to_have_text("A consulta falhou: a etapa não existe")
    assert await console.badges("endereco") == ["não consultada"]
    await console.shoot("failed")


async def test_the_request_can_be_taken_along_as_curl(console: Console) -> None:
    await console.choose("cep", CEP)
    await console.page.get_by_text("Mais opções").click()
    await console.page.get_by_label("Finalidade").fill("teste d'água")
    await console.page.get_by_role("button", name="Copiar como curl").click()
    await expect(console.status).to_contain_text("copiado")
    copied = await console.page.evaluate("() => navigator.clipboard.readText()")
    process = await asyncio.create_subprocess_shell(
        f"{copied} --silent --max-time 20", stdout=asyncio.subprocess.PIPE
    )
    told, _ = await process.communicate()
    assert copied.splitlines()[0] == f"curl -N {console.gateway}/api/consulta-stream \\"
    assert b"event: completo" in told
