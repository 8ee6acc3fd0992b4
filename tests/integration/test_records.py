"""What a step writes down in one stroke: all of it, and nothing that does not stand."""

from uuid import uuid4

import pytest

from shared.cache import Cache, Entries, kept
from shared.flow.freshness import Freshness
from shared.lookups import Lookups, Written, step_of
from shared.messages import Event, Outcome, Requested, Stage, now
from shared.results import hit, started
from shared.settings import Secret, load
from shared.store import Store

STAGES: list[Stage] = ["cadastro", "endereco", "telefone"]
CNPJ = "11222333000181"


@pytest.fixture
def cache(store: Store) -> Cache:
    return Cache(store, Secret("test"))


@pytest.fixture
def lookups(store: Store) -> Lookups:
    return Lookups(store)


async def flight_of(lookups: Lookups, cache: Cache, task: str = "") -> str:
    request = Requested(
        identifier=CNPJ, kind="cnpj", task_id=task or str(uuid4()), origin="gateway"
    )
    digest, first = cache.digest("cnpj", CNPJ), started("cnpj", STAGES)
    return (await lookups.plan(request, digest, uuid4().hex, STAGES, first)).flight


def ended(stage: Stage, outcome: Outcome) -> Event:
    moment = now()
    data = {"nome": "EMPRESA"} if outcome == "ok" else None
    return Event(
        type=stage, timestamp=moment, data=data, outcome=outcome, source="a", fetched=moment
    )


async def registered(
    lookups: Lookups, cache: Cache, flight: str, outcome: Outcome, others: Outcome
) -> Written:
    """A company's registration, and the two stages that have nothing to look up in it."""
    first, *rest = [ended("cadastro", outcome), *(ended(stage, others) for stage in STAGES[1:])]
    entries = load(Freshness, {}).entries(first, *rest)
    steps = [step_of("cadastro", first, counts=True)]
    steps += [step_of(event.type, event, counts=True, derived=True) for event in rest]
    learnt = [kept("cnpj", cache.digest("cnpj", CNPJ), entries)] if entries else []
    return await lookups.write(lookups.record_of(flight, steps, learnt))


async def known(cache: Cache) -> Entries:
    return await cache.read("cnpj", cache.digest("cnpj", CNPJ))


async def test_what_a_registration_lacks_is_cached_with_it(lookups: Lookups, cache: Cache) -> None:
    flight = await flight_of(lookups, cache)
    written = await registered(lookups, cache, flight, "ok", "nao_encontrado")
    assert (written.is_new, written.left) == (True, 0)
    entries = await known(cache)
    assert set(entries) == set(STAGES)
    # So that, with an analysis, it is a hit the next time.
    entries["analysis:cadastro+endereco+telefone"] = entries["cadastro"]
    entries["analysis:cadastro+endereco+telefone"].data = {
        "base": {stage: entries[stage].fetched for stage in STAGES},
        "analise": {},
    }
    assert hit("cnpj", STAGES, entries) is not None


async def test_what_follows_from_an_outcome_that_does_not_stand_is_not_written(
    lookups: Lookups, cache: Cache
) -> None:
    """Of two processes at the same stage, the second found that there is nothing to look up."""
    flight = await flight_of(lookups, cache)
    first = await lookups.record(flight, "cadastro", ended("cadastro", "ok"), counts=True)
    assert first.left == 2
    written = await registered(lookups, cache, flight, "indisponivel", "indisponivel")
    assert [step.verdict for step in written.steps] == ["again", "stale", "stale"]
    assert written.left == 2


async def test_an_answer_that_comes_late_is_good_for_the_next_one(
    lookups: Lookups, cache: Cache
) -> None:
    for before in ("expirado", "error"):
        flight = await flight_of(lookups, cache)
        step = "cadastro" if before == "expirado" else "end"
        told = ended("cadastro", "expirado") if step != "end" else Event(type="error", timestamp="")
        await lookups.record(flight, step, told, counts=step != "end")
        await registered(lookups, cache, flight, "ok", "nao_encontrado")
        assert (await known(cache))["cadastro"].outcome == "ok"
        await cache.invalidate("cnpj", CNPJ)


async def test_an_answer_that_another_has_given_before_is_not_cached_again(
    lookups: Lookups, cache: Cache
) -> None:
    flight = await flight_of(lookups, cache)
    await lookups.record(flight, "cadastro", ended("cadastro", "ok"), counts=True)
    await registered(lookups, cache, flight, "nao_encontrado", "nao_encontrado")
    assert await known(cache) == {}


async def test_whoever_is_listed_no_more_leaves_no_trace(
    lookups: Lookups, cache: Cache, store: Store
) -> None:
    task = str(uuid4())
    await lookups.accept(task, 60, origin="gateway", kind="cnpj", listeners="here")
    await lookups.unlisten(task, "here")
    flight = await flight_of(lookups, cache, task)
    assert await lookups.askers(flight) == {task: "gateway"}
    assert await store.do("HEXISTS", f"consulta:lookup:{task}", "listeners") == 0
