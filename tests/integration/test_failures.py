"""Every failure of every provider: its class, the tries, the breaker, the outcome, the event."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer

from enricher.circuits import Circuits
from enricher.http import session
from enricher.policy import Policy
from enricher.simulator.app import build
from shared.circuits import Board
from shared.identifiers import Kind
from shared.lookups import flight_key
from shared.messages import Attempt, Event, Outcome, Stage, now, unix
from shared.store import Store
from tests.arena import Arena, Arenas
from tests.contract.served import PROVIDERS
from tests.contract.test_providers_on_simulator import ASKED, CONFIRMED, KNOWN
from tests.integration.clock import Clock
from tests.integration.enriching import Enricher
from tests.queue.asker import ceps


@dataclass(frozen=True)
class Row:
    """What a fault is to come to, where the provider is the only one.

    `tries` are those of one that does not bill; `cause` is "" where the circuit stays closed.
    """

    settings: dict[str, Any]
    reason: str
    tries: int
    cause: str
    outcome: Outcome

    def __str__(self) -> str:
        return "-".join(map(str, self.settings.values()))


ROWS = [
    Row({"fault": "429", "retry_after": 30}, "rate_limited", 1, "rate_limited", "limitado"),
    Row({"fault": "429"}, "rate_limited", 1, "rate_limited", "limitado"),
    Row({"fault": "500"}, "server_error", 5, "server_error", "indisponivel"),
    Row({"fault": "503"}, "server_error", 5, "server_error", "indisponivel"),
    Row({"fault": "503", "retry_after": 30}, "unavailable", 1, "unavailable", "indisponivel"),
    Row({"fault": "hang"}, "timeout", 5, "timeout", "indisponivel"),
    Row({"fault": "reset"}, "disconnected", 5, "disconnected", "indisponivel"),
    Row({"fault": "malformed"}, "malformed", 5, "malformed", "indisponivel"),
    Row({"fault": "html"}, "malformed", 5, "malformed", "indisponivel"),
    Row({"fault": "403"}, "challenged", 1, "challenged", "indisponivel"),
    Row({"fault": "false_404"}, "not_found", 1, "", "nao_confirmado"),
    Row({"latency_ms": 400}, "timeout", 5, "timeout", "indisponivel"),
]
every_provider = pytest.mark.parametrize(("name", "stage", "kind"), ASKED)


@pytest.fixture(scope="module")
def quiet_arena(arenas: Arenas) -> Arena:
    """One store for the module: making a new one takes longer than a test."""
    return arenas.new()


@dataclass(frozen=True)
class Stand:
    """The simulator, a client and an empty store."""

    store: Store
    server: TestServer
    http: ClientSession

    async def set(self, name: str, **settings: Any) -> None:
        url = self.server.make_url(f"/_control/{name}")
        async with self.http.put(url, json=settings) as response:
            assert response.status == 200

    def enricher(
        self, stage: Stage, kind: Kind, *providers: str, clock: Clock | None = None, **env: str
    ) -> Enricher:
        return Enricher(
            self.store, self.server, self.http, stage, kind, providers, env=env, clock=clock
        )

    async def another_replica_s(self, circuit: str) -> tuple[str, str]:
        """State and cause of a circuit, as a replica sees it that made no call."""
        circuits = Circuits(Board(self.store))
        seen = circuits.of(circuit, 10.0)
        await circuits.tick()
        return seen.state, seen.cause


@pytest.fixture
async def stand(quiet_arena: Arena) -> AsyncIterator[Stand]:
    server = TestServer(build())
    async with Store(quiet_arena.redis_url) as store, server, session() as http:
        await store.redis.flushdb()
        stand = Stand(store, server, http)
        for name in PROVIDERS:
            if name != "phonenumbers":
                await stand.set(name, latency_ms=0)
        yield stand


async def test_a_billed_call_is_not_made_once_everybody_s_time_is_up(stand: Stand) -> None:
    enricher = stand.enricher("cadastro", "cpf", "serpro")
    mark = enricher.handlers.claims.mark

    async def late(flight: str, step: str, provider: str) -> str:
        """Redis hears of it too late, and before anybody has ended the flight."""
        await stand.store.redis.hset(flight_key(flight), "deadline", "1")
        return await mark(flight, step, provider)

    enricher.handlers.claims.__dict__["mark"] = late
    await enricher.lookup(KNOWN["cpf"])
    assert enricher.tries == {"serpro": 0}


@every_provider
@pytest.mark.parametrize("row", ROWS, ids=str)
async def test_a_failure_of_the_only_provider(
    stand: Stand, name: str, stage: Stage, kind: Kind, row: Row
) -> None:
    await stand.set(name, **row.settings)
    enricher = stand.enricher(stage, kind, name)
    provider = enricher.providers[name]
    if row.reason == "timeout":
        provider.__dict__["timeout"] = 0.03

    event = await enricher.lookup(KNOWN[kind])

    confirmed = row.reason == "not_found" and CONFIRMED[name]
    assert event.outcome == ("nao_encontrado" if confirmed else row.outcome)
    assert event.attempts == [Attempt(name, row.reason)]
    assert event.data is None
    assert KNOWN[kind] not in repr(event)
    assert enricher.tries[name] == (1 if provider.billed else row.tries)
    # One failure of a provider that bills is not yet enough to open it, unless it says so itself.
    opened = bool(row.cause) and (row.tries == 1 or not provider.billed)
    expected = ("ABERTO", row.cause) if opened else ("FECHADO", "")
    circuit = enricher.breakers[name]
    assert circuit.state == expected[0]
    assert await stand.another_replica_s(circuit.name) == expected


@pytest.mark.parametrize("row", ROWS, ids=str)
async def test_a_failure_of_the_first_of_several(stand: Stand, row: Row) -> None:
    await stand.set("opencep", **row.settings)
    enricher = stand.enricher("endereco", "cep", "opencep", "viacep")
    if row.reason == "timeout":
        enricher.providers["opencep"].__dict__["timeout"] = 0.03
    event = await enricher.lookup(KNOWN["cep"])
    assert (event.outcome, event.source) == ("ok", "viacep")
    assert event.attempts == [Attempt("opencep", row.reason)]
    assert enricher.tries == {"opencep": min(row.tries, 3), "viacep": 1}


@every_provider
async def test_answers_that_are_slow_but_good_open_the_circuit_in_the_end(
    stand: Stand, name: str, stage: Stage, kind: Kind
) -> None:
    enricher = stand.enricher(stage, kind, name)
    circuit = enricher.breakers[name]
    circuit.window._slow = 0.0
    # Extras, such as the one for the date of the data, are calls as well.
    while circuit.state == "FECHADO":
        assert circuit.window.timed < 20
        event = await enricher.lookup(KNOWN[kind])
        assert (event.outcome, event.source) == ("ok", name)
    assert (circuit.state, circuit.cause, circuit.window.timed) == ("ABERTO", "slow_calls", 20)


async def test_an_open_circuit_is_not_called(stand: Stand) -> None:
    await stand.set("opencep", fault="503")
    enricher = stand.enricher("endereco", "cep", "opencep", "viacep")
    for _ in range(10):
        event = await enricher.lookup(KNOWN["cep"])
        assert event.outcome == "ok"
    assert enricher.tries == {"opencep": 5, "viacep": 10}
    assert event.attempts == [Attempt("opencep", "circuit_open")]


async def test_five_impatient_askers_do_not_open_the_circuit_of_a_provider_that_works(
    stand: Stand,
) -> None:
    await stand.set("opencep", latency_ms=2000)
    enricher = stand.enricher("endereco", "cep", "opencep")
    events = await asyncio.gather(*(enricher.lookup(cep, within=2) for cep in ceps(5)))
    assert enricher.tries == {"opencep": 5}
    await enricher.circuits.tick()
    about = (await Board(stand.store).overview())["opencep"]
    assert (about.state, about.failures, about.successes) == ("FECHADO", 0, 0)
    assert [event.outcome for event in events] == ["expirado"] * 5
    assert events[0].attempts == [Attempt("opencep", "cut_short")]
    assert (await enricher.lookup(ceps(6)[5])).outcome == "ok"


async def test_a_probe_cut_short_leaves_the_open_time_as_it_was_and_the_next_to_another_replica(
    stand: Stand,
) -> None:
    clock, policy = Clock(), Policy(probe_grace=0)
    enricher, other = (stand.enricher("endereco", "cep", "opencep", clock=clock) for _ in range(2))
    for replica in (enricher, other):
        replica.breakers["opencep"].policy = policy
    await stand.set("opencep", fault="503")
    await enricher.lookup(KNOWN["cep"])
    await other.circuits.tick()
    seen = other.breakers["opencep"]
    assert (seen.state, seen.cause) == ("ABERTO", "server_error")
    await stand.set("opencep", fault="none", latency_ms=1200)
    clock.forward(policy.open_for)
    assert (await enricher.lookup(ceps(1)[0], within=1)).outcome == "expirado"
    board = Board(stand.store, clock.redis)
    known = await board.tick("test", {"opencep": seen.report()})
    assert (known["opencep"].openings, known["opencep"].probing_for) == (1, 0)
    await other.circuits.tick()
    assert other.breakers["opencep"].state == "MEIO_ABERTO"
    assert (await other.lookup(ceps(2)[1])).outcome == "ok"
    await enricher.circuits.tick()
    assert enricher.breakers["opencep"].state == "FECHADO"


async def test_an_absence_nobody_is_sure_of_is_told_as_such(stand: Stand) -> None:
    await stand.set("opencep", fault="false_404")
    await stand.set("brasilapi", fault="false_404")
    enricher = stand.enricher("endereco", "cep", "opencep", "brasilapi")
    event = await enricher.lookup(KNOWN["cep"])
    assert event.outcome == "nao_confirmado"
    await stand.set("brasilapi", fault="503")
    assert (await enricher.lookup(KNOWN["cep"])).outcome == "nao_confirmado"


async def test_the_word_of_one_that_knows_settles_it(stand: Stand) -> None:
    await stand.set("opencep", fault="false_404")
    await stand.set("viacep", fault="false_404")
    enricher = stand.enricher("endereco", "cep", "opencep", "viacep", "brasilapi")
    event = await enricher.lookup(KNOWN["cep"])
    assert event.outcome == "nao_encontrado"
    assert enricher.tries["brasilapi"] == 0


COMPANY: tuple[Kind, str] = ("cnpj", KNOWN["cnpj"])
ADDRESS = {"cep": KNOWN["cep"], "logradouro": "Rua das Flores", "numero": "10", "uf": "SP"}


def registration() -> Event:
    return Event(
        type="cadastro",
        timestamp=now(),
        data={"nome": "EMPRESA", "endereco": ADDRESS},
        outcome="ok",
        source="minhareceita",
        fetched=now(),
    )


async def down(stand: Stand) -> Enricher:
    """An enricher of addresses whose every provider is down."""
    for name in ("opencep", "viacep"):
        await stand.set(name, fault="503")
    return stand.enricher("endereco", "cep", "opencep", "viacep")


TRIED = [Attempt("opencep", "server_error"), Attempt("viacep", "server_error")]


async def test_with_all_providers_down_old_data_is_told_with_its_age(stand: Stand) -> None:
    enricher = await down(stand)
    await enricher.cache.set("cep", KNOWN["cep"], "endereco", ADDRESS, source="opencep", ttl=-7200)
    event = await enricher.lookup(KNOWN["cep"])
    assert (event.outcome, event.source, event.data) == ("degradado", "opencep", ADDRESS)
    assert event.cached
    assert isinstance(event.age_s, int)
    assert event.attempts == TRIED


async def test_a_company_s_address_is_then_its_cep_s_of_an_earlier_time(stand: Stand) -> None:
    enricher = await down(stand)
    await enricher.cache.set("cep", KNOWN["cep"], "endereco", ADDRESS, source="viacep", ttl=-1)
    event = await enricher.lookup(KNOWN["cep"], of=COMPANY)
    assert (event.outcome, event.source, event.cached) == ("degradado", "viacep", True)


async def test_an_address_on_the_way_to_a_company_is_kept_as_long_as_addresses_are(
    stand: Stand,
) -> None:
    enricher = stand.enricher("endereco", "cep", "opencep", TTL_ENDERECO="2h")
    await enricher.lookup(KNOWN["cep"], of=COMPANY)
    entry = await enricher.reference.entry(KNOWN["cep"])
    assert entry is not None
    assert entry.fresh_until - unix(entry.fetched) == pytest.approx(7200, abs=0.01)


async def test_or_else_the_one_of_its_registration(stand: Stand) -> None:
    enricher = await down(stand)
    event = await enricher.lookup(KNOWN["cep"], of=COMPANY, before=[registration()])
    assert (event.outcome, event.source, event.data) == ("degradado", "minhareceita", ADDRESS)
    assert not event.cached
    assert event.age_s == 0
    assert event.attempts == TRIED


async def test_with_nothing_at_all_it_says_so(stand: Stand) -> None:
    enricher = await down(stand)
    bare = registration()
    bare.data = {"nome": "EMPRESA"}
    event = await enricher.lookup(KNOWN["cep"], of=COMPANY, before=[bare])
    assert (event.outcome, event.data) == ("indisponivel", None)
    assert event.attempts == TRIED


async def test_old_data_is_no_answer_where_the_truth_is_known(stand: Stand) -> None:
    await stand.set("viacep", fault="false_404")
    enricher = stand.enricher("endereco", "cep", "viacep")
    await enricher.cache.set("cep", KNOWN["cep"], "endereco", ADDRESS, source="x", ttl=-1)
    assert (await enricher.lookup(KNOWN["cep"])).outcome == "nao_encontrado"
