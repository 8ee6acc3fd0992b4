"""Each adapter against the simulator, which speaks the same formats and adds the faults."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer

from enricher.failures import (
    Challenged,
    Disconnected,
    Failure,
    Malformed,
    NotFound,
    RateLimited,
    ServerError,
    TimedOut,
)
from enricher.http import session
from enricher.providers.base import Provider, Query
from enricher.simulator.app import build
from shared.identifiers import Kind
from shared.messages import STAGES, Stage
from shared.records import RECORDS, Address, Person, Phones, Registration
from tests.contract.served import PROVIDERS, made

KNOWN: Final[dict[Kind, str]] = {"cpf": "52998224725", "cnpj": "11222333000181", "cep": "01310100"}
UNKNOWN: Final[dict[Kind, str]] = {
    "cpf": "40400000300",
    "cnpj": "40400000000101",
    "cep": "01001999",
}
# What each provider's own not-found is worth.
CONFIRMED: Final = {
    "telegram": True,
    "bridge_endereco": True,
    "bridge_telefone": True,
    "serpro": True,
    "minhareceita": False,
    "opencnpj": True,
    "brasilapi": False,
    "opencep": False,
    "viacep": True,
}
ASKED: Final = [
    (name, stage, kind)
    for name, provider in sorted(PROVIDERS.items())
    if name != "phonenumbers"
    for stage, kind in provider.serves
]
every_provider = pytest.mark.parametrize(("name", "stage", "kind"), ASKED)


@dataclass(frozen=True)
class Simulated:
    """The simulator and a client to its providers."""

    server: TestServer
    http: ClientSession

    def provider(self, name: str) -> Provider:
        return made(name, self.server.make_url(f"/{name}"), self.http)

    async def set(self, name: str, **settings: Any) -> None:
        url = self.server.make_url(f"/_control/{name}")
        async with self.http.put(url, json=settings) as response:
            assert response.status == 200

    async def calls(self, name: str) -> list[str]:
        async with self.http.get(self.server.make_url("/_control/log")) as response:
            return [call["endpoint"] for call in await response.json() if call["provider"] == name]


@pytest.fixture
async def simulated() -> AsyncIterator[Simulated]:
    async def at_once(_: float) -> None:
        pass

    server = TestServer(build(sleep=at_once))
    async with server, session() as http:
        yield Simulated(server, http)


def query(stage: Stage, kind: Kind, value: str) -> Query:
    return Query(stage, kind, value, request_id="00000000-0000-4000-8000-000000000000")


def test_all_the_stages_are_served() -> None:
    assert {stage for _, stage, _ in ASKED} == set(STAGES)


@every_provider
async def test_a_known_identifier_gives_a_record(
    simulated: Simulated, name: str, stage: Stage, kind: Kind
) -> None:
    answer = await simulated.provider(name).fetch(query(stage, kind, KNOWN[kind]))
    assert isinstance(answer.record, RECORDS[stage])
    assert _essentials(answer.record)
    assert KNOWN["cpf"] not in msgspec.json.encode(answer.record).decode()


def _essentials(record: object) -> bool:
    match record:
        case Person(name=str(), birth=str(), sex="F" | "M"):
            return True
        case Address(cep=str(), street=str(), city=str(), state=str()):
            return True
        case Phones(numbers=[first, *_]):
            return first.type == "movel" and first.state is not None
        case Registration(name=str(), status=str(status)):
            return status == status.capitalize()
    return False


@pytest.mark.parametrize("name", ["minhareceita", "opencnpj", "brasilapi"])
async def test_all_sources_of_companies_tell_the_same(simulated: Simulated, name: str) -> None:
    asked = query("cadastro", "cnpj", KNOWN["cnpj"])
    first = (await simulated.provider("minhareceita").fetch(asked)).record
    other = (await simulated.provider(name).fetch(asked)).record
    assert isinstance(first, Registration)
    assert isinstance(other, Registration)
    for told in ("name", "status", "founded", "size", "capital", "phones", "email", "partners"):
        assert getattr(other, told) == getattr(first, told), told


@every_provider
async def test_an_unknown_identifier_is_not_found(
    simulated: Simulated, name: str, stage: Stage, kind: Kind
) -> None:
    with pytest.raises(NotFound) as caught:
        await simulated.provider(name).fetch(query(stage, kind, UNKNOWN[kind]))
    assert caught.value.confirmed is CONFIRMED[name]


@every_provider
@pytest.mark.parametrize(
    ("settings", "failure"),
    [
        ({"fault": "429", "retry_after": 7}, RateLimited),
        ({"fault": "429"}, RateLimited),
        ({"fault": "500"}, ServerError),
        ({"fault": "503"}, ServerError),
        ({"fault": "hang"}, TimedOut),
        ({"fault": "reset"}, Disconnected),
        ({"fault": "malformed"}, Malformed),
        ({"fault": "html"}, Malformed),
        ({"fault": "403"}, Challenged),
        ({"fault": "false_404"}, NotFound),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else None,
)
async def test_each_fault_is_its_own_failure(
    simulated: Simulated,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    stage: Stage,
    kind: Kind,
    settings: dict[str, Any],
    failure: type[Failure],
) -> None:
    provider = simulated.provider(name)
    if settings["fault"] == "hang":
        monkeypatch.setattr(provider, "timeout", 0.05)
    await simulated.set(name, **settings)
    with pytest.raises(failure) as caught:
        await provider.fetch(query(stage, kind, KNOWN[kind]))
    assert type(caught.value) is failure
    if isinstance(caught.value, RateLimited):
        assert caught.value.retry_after == settings.get("retry_after", 60)
    assert KNOWN[kind] not in f"{caught.value!r} {caught.value.__cause__!r}"
    # Nothing below may call again by itself: a call costs a permit, and sometimes money.
    calls = await simulated.calls(name)
    assert len(calls) == len(set(calls))


async def test_a_provider_that_recovers_answers_again(simulated: Simulated) -> None:
    provider = simulated.provider("opencep")
    await simulated.set("opencep", fault="reset")
    with pytest.raises(Disconnected):
        await provider.fetch(query("endereco", "cep", KNOWN["cep"]))
    await simulated.set("opencep", fault="none")
    await provider.fetch(query("endereco", "cep", KNOWN["cep"]))
