"""The date a provider's data is of: from its answer to the finding that it is old."""

from collections.abc import AsyncIterator
from datetime import date

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer

from analyzer.merge import analyze
from enricher.http import session
from enricher.simulator.app import build
from enricher.simulator.minhareceita import UPDATED
from shared.identifiers import Kind
from shared.messages import Event, Stage
from shared.store import Store
from tests.contract.test_providers_on_simulator import KNOWN
from tests.integration.enriching import Enricher
from tests.scripted import always

Stand = tuple[TestServer, ClientSession]
BRIDGES: list[tuple[str, Stage]] = [
    ("telegram", "telegram"), ("bridge_endereco", "endereco"), ("bridge_telefone", "telefone"),
]  # fmt: skip


@pytest.fixture
async def stand() -> AsyncIterator[Stand]:
    server = TestServer(build())
    async with server, session() as http:
        for name in ("minhareceita", "brasilapi", *(name for name, _ in BRIDGES)):
            await http.put(server.make_url(f"/_control/{name}"), json={"latency_ms": 0})
        yield server, http


async def calls(stand: Stand) -> list[str]:
    server, http = stand
    async with http.get(server.make_url("/_control/log")) as answer:
        return [f"{entry['provider']} {entry['endpoint']}" for entry in await answer.json()]


def findings(kind: Kind, event: Event, today: date) -> list[str]:
    found = analyze(kind, [event], today).findings
    return [finding.message for finding in found if finding.code == "fonte_antiga"]


@pytest.mark.parametrize(("name", "stage"), BRIDGES)
async def test_a_bridge_says_from_when_its_data_is(
    store: Store, stand: Stand, name: str, stage: Stage
) -> None:
    event = await Enricher(store, *stand, stage, "cpf", [name]).lookup(KNOWN["cpf"])
    said = date.fromisoformat(event.data["atualizado_em"])
    assert findings("cpf", event, said) == []
    [message] = findings("cpf", event, said.replace(year=said.year + 1))
    assert f"{said:%d/%m/%Y}" in message


async def test_the_companies_registry_is_asked_for_its_date_now_and_then(
    store: Store, stand: Stand
) -> None:
    cadastro = Enricher(store, *stand, "cadastro", "cnpj", ["minhareceita"])
    for _ in range(2):
        event = await cadastro.lookup(KNOWN["cnpj"])
        assert event.data["atualizado_em"] == UPDATED
    [message] = findings("cnpj", event, date(2027, 1, 1))
    assert "14/02/2026" in message
    assert (await calls(stand)).count("minhareceita updated") == 1


async def test_a_registry_that_does_not_tell_its_date_is_left_alone_for_a_while(
    store: Store, stand: Stand
) -> None:
    server, http = stand
    await http.put(server.make_url("/_control/minhareceita"), json={"fault": "500"})
    cadastro = Enricher(store, *stand, "cadastro", "cnpj", ["opencnpj"])
    for _ in range(3):
        assert await cadastro.handlers.dates.of("minhareceita", always) is None
    assert await calls(stand) == ["minhareceita updated"]
    event = await cadastro.lookup(KNOWN["cnpj"])
    assert (event.outcome, "atualizado_em" in event.data) == ("ok", False)


async def test_a_registry_is_not_asked_for_its_date_for_a_lookup_that_was_cancelled(
    store: Store, stand: Stand
) -> None:
    cadastro = Enricher(store, *stand, "cadastro", "cnpj", ["minhareceita"])
    await cadastro.cancelled(KNOWN["cnpj"])
    [asked] = await calls(stand)
    assert asked != "minhareceita updated"
    # Nor is its absence taken for a fact.
    event = await cadastro.lookup(KNOWN["cnpj"])
    assert event.data["atualizado_em"] == UPDATED
