"""An order that has to wait for long waits in its queue, and goes on where it was."""

import time
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any, cast
from uuid import uuid4

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer
from msgspec import structs

from analyzer.handlers import Handlers as Analyzing
from enricher.http import session
from enricher.simulator.app import build
from shared.bus import Bus
from shared.consumer import Delivery, PutOff
from shared.errors import BusUnavailable, StoreUnavailable
from shared.flow.claims import Claims
from shared.flow.ending import Endings
from shared.flow.sweeper import Sweeper
from shared.limits import LEASE, Limit, Limiter, Permit
from shared.lookups import PATIENCE, Lookups, active_key, flight_key, waiting_key
from shared.messages import AnalysisRequested, Attempt, Event, StageRequested, decode, decode_event
from shared.reporter import event
from shared.store import Store
from shared.topology import ANALYSIS, STAGE_QUEUES
from tests.contract.test_providers_on_simulator import KNOWN
from tests.integration.enriching import Enricher, NoOrders, Quiet
from tests.integration.test_ageing import waits
from tests.integration.test_claims import flight
from tests.integration.test_sweeper import Clock, taken
from tests.queue.asker import eventually

QUEUE = "stage.endereco"


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    server = TestServer(build())
    async with server:
        yield server


@pytest.fixture
async def http(server: TestServer) -> AsyncIterator[ClientSession]:
    async with session() as http:
        for name in ("opencep", "viacep"):
            url = server.make_url(f"/_control/{name}")
            async with http.put(url, json={"latency_ms": 0}) as answer:
                assert answer.status == 200
        yield http


@pytest.fixture
async def enricher(store: Store, server: TestServer, http: ClientSession) -> Enricher:
    """Two providers; the quota of the second one's credential is used up for an hour."""
    enricher = Enricher(store, server, http, "endereco", "cep", ["opencep", "viacep"])
    rate = Limit.parse("viacep", "1/hour")
    enricher.providers["viacep"].rate = rate
    async with http.put(server.make_url("/_control/opencep"), json={"fault": "500"}):
        pass
    await enricher.handlers.limiter.acquire(Permit(rate, "used"))
    await enricher.handlers.limiter.settle(Permit(rate, "used", used=True))
    enricher.prazo = 7200
    return enricher


async def handle(enricher: Enricher, order: StageRequested) -> StageRequested | None:
    """Handle an order; returns it as it comes back where it was put off."""
    try:
        await enricher.handlers.on_stage_requested(order, cast("Delivery", None), Permit(Limit("")))
    except PutOff as put_off:
        later = put_off
    else:
        return None
    assert later.body is not None
    assert later.seconds == pytest.approx(3600, abs=60)
    return decode(later.body, StageRequested)


async def outcome(enricher: Enricher, flight: str) -> Event:
    log = map(decode_event, await enricher.lookups.log(flight))
    [told] = [event for event in log if event.type == "endereco"]
    return told


async def test_it_goes_on_where_it_was_once_the_quota_is_free(
    store: Store, enricher: Enricher
) -> None:
    order = await enricher.ordered(KNOWN["cep"])
    again = await handle(enricher, order)
    assert again is not None
    assert again.attempts == [Attempt("opencep", "server_error")]
    assert await store.do("ZCARD", active_key(QUEUE)) == 0
    assert await store.do("ZCARD", waiting_key(QUEUE)) == 1

    tried = enricher.tries["opencep"]
    later = await handle(enricher, again)
    assert later is not None
    # Another order, in all else the same.
    assert structs.replace(later, order=again.order) == again
    await store.redis.delete("consulta:permits:viacep")
    assert await handle(enricher, later) is None
    told = await outcome(enricher, order.flight)
    assert (told.outcome, told.source) == ("ok", "viacep")
    assert told.attempts == again.attempts
    assert enricher.tries == {"opencep": tried, "viacep": 1}
    assert await store.do("ZCARD", waiting_key(QUEUE)) == 0


async def test_it_is_not_put_off_beyond_its_time(enricher: Enricher) -> None:
    enricher.prazo = 600
    order = await enricher.ordered(KNOWN["cep"])
    assert await handle(enricher, order) is None
    told = await outcome(enricher, order.flight)
    assert told.outcome == "limitado"
    assert [attempt.reason for attempt in told.attempts] == ["server_error", "quota"]


async def test_what_ended_meanwhile_is_dropped(enricher: Enricher) -> None:
    order = await enricher.ordered(KNOWN["cep"])
    again = await handle(enricher, order)
    assert again is not None
    end = decode_event(b'{"tipo":"error","timestamp":""}')
    await enricher.lookups.record(order.flight, "error", end)
    assert await handle(enricher, again) is None
    assert enricher.tries["viacep"] == 0


async def test_an_urgent_asker_s_order_goes_in_its_place(store: Store, enricher: Enricher) -> None:
    order = await enricher.ordered(KNOWN["cep"])
    again = await handle(enricher, order)
    assert again is not None
    tried = enricher.tries["opencep"]
    await store.redis.delete("consulta:permits:viacep")
    order.order = uuid4().hex
    assert await handle(enricher, order) is None
    told = await outcome(enricher, order.flight)
    assert (told.outcome, told.attempts) == ("ok", again.attempts)
    assert enricher.tries["opencep"] == tried
    assert await handle(enricher, again) is None


async def test_one_that_is_delivered_again_goes_on_where_it_was_and_alone(
    store: Store, enricher: Enricher
) -> None:
    order = await enricher.ordered(KNOWN["cep"])
    published = await handle(enricher, order)
    assert published is not None
    tried = enricher.tries["opencep"]
    # Its ack got lost.
    again = await handle(enricher, order)
    assert again is not None
    assert again.attempts == published.attempts
    assert enricher.tries["opencep"] == tried
    # Of the two copies one is left: this one ends here, and is not put off.
    assert await handle(enricher, published) is None
    assert enricher.tries["viacep"] == 0
    await store.redis.delete("consulta:permits:viacep")
    assert await handle(enricher, again) is None
    assert (await outcome(enricher, order.flight)).source == "viacep"
    assert enricher.tries == {"opencep": tried, "viacep": 1}


async def test_one_whose_process_died_before_it_was_published_is_not_lost(
    store: Store, enricher: Enricher
) -> None:
    order = await enricher.ordered(KNOWN["cep"])
    again = await handle(enricher, order)
    assert again is not None
    assert await handle(enricher, again) is not None
    await store.redis.delete("consulta:permits:viacep")
    # What it was put off as never came to the queue.
    assert await handle(enricher, again) is None
    assert (await outcome(enricher, order.flight)).source == "viacep"
    assert not await store.redis.hexists(flight_key(order.flight), "tried:endereco")


async def test_while_it_is_away_nobody_overtakes_it_and_nobody_waits_behind_it(
    store: Store, enricher: Enricher
) -> None:
    await handle(enricher, await enricher.ordered(KNOWN["cep"]))
    for _ in range(PATIENCE + 1):
        flight = await waits(store, 10)
        assert await store.do("ZRANK", waiting_key(QUEUE), flight) == 0
        claim = await Lookups(store).claim(flight, "endereco", uuid4().hex, QUEUE)
        assert not claim.overdue


async def cannot_be_written_down(
    enricher: Enricher, order: StageRequested, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Have an order carried out, and Redis away when its outcome is there."""

    async def away(*_: Any, **__: Any) -> None:
        raise StoreUnavailable("the test says so")

    with monkeypatch.context() as patch:
        patch.setattr(enricher.lookups, "write", away)
        with pytest.raises(StoreUnavailable):
            await handle(enricher, order)


async def test_what_was_found_out_when_redis_went_away_is_not_asked_for_again(
    store: Store, server: TestServer, http: ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    enricher = Enricher(store, server, http, "endereco", "cep", ["opencep"])
    order = await enricher.ordered(KNOWN["cep"])
    await cannot_be_written_down(enricher, order, monkeypatch)
    assert await handle(enricher, order) is None
    assert (await outcome(enricher, order.flight)).outcome == "ok"
    assert enricher.tries == {"opencep": 1}


@pytest.mark.parametrize("verdict", ["repeat", "drop", "too late"])
async def test_nothing_is_kept_of_what_another_process_has_written_down(
    store: Store,
    server: TestServer,
    http: ClientSession,
    monkeypatch: pytest.MonkeyPatch,
    verdict: str,
) -> None:
    enricher = Enricher(store, server, http, "endereco", "cep", ["opencep"])
    enricher.prazo = 1.5 if verdict == "too late" else 60
    order = await enricher.ordered(KNOWN["cep"])
    await cannot_be_written_down(enricher, order, monkeypatch)
    assert len(enricher.handlers.unrecorded) == 1
    if verdict == "repeat":
        told = event("endereco", outcome="indisponivel")
        await enricher.lookups.record(order.flight, "endereco", told, counts=True)
    elif verdict == "drop":
        await enricher.lookups.record(order.flight, "error", event("error"))
    if verdict != "too late":
        assert await handle(enricher, order) is None

    async def gone() -> bool:
        return not enricher.handlers.unrecorded

    await eventually(gone)


@pytest.mark.parametrize("failure", [StoreUnavailable("away"), ValueError("a fault of ours")])
@pytest.mark.parametrize("is_away", [False, True])
async def test_an_order_that_is_given_up_here_may_be_taken_up_elsewhere(
    enricher: Enricher,
    monkeypatch: pytest.MonkeyPatch,
    store: Store,
    failure: Exception,
    is_away: bool,
) -> None:
    order = await enricher.ordered(KNOWN["cep"])
    # Looked up on the way to something else.
    order.kind = "cnpj"
    claims, other = enricher.handlers.claims, Claims(store, enricher.lookups)
    await claims.beat()

    async def fails(_: str) -> None:
        if is_away:
            monkeypatch.setattr(store, "run", away)
        raise failure

    async def away(*_: Any) -> None:
        raise StoreUnavailable("the test says so")

    with monkeypatch.context() as patch:
        patch.setattr(enricher.handlers.reference, "address", fails)
        with pytest.raises(type(failure)):
            await handle(enricher, order)
    monkeypatch.undo()
    if is_away:
        with pytest.raises(PutOff):
            await other.claim(order.flight, "endereco", order.order, QUEUE)
        await claims.beat()
    claim = await other.claim(order.flight, "endereco", order.order, QUEUE)
    assert claim.verdict == "resume"


@pytest.mark.parametrize(
    "failure", [StoreUnavailable("away"), BusUnavailable("away"), ValueError("a fault of ours")]
)
async def test_so_may_an_analysis_that_could_not_be_made_or_told(
    bus: Bus, store: Store, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    lookups, limiter = Lookups(store), Limiter(store)
    reporter = Quiet(bus, lookups)
    endings = Endings(lookups, reporter)
    processes = [Claims(store, lookups) for _ in range(2)]
    one, other = [Analyzing(reporter, NoOrders(), endings, limiter, each) for each in processes]
    for each in processes:
        await each.beat()
    order = AnalysisRequested(flight=await flight(store), order="order")

    async def fails(*_: Any) -> None:
        raise failure

    async def handled(handlers: Analyzing) -> None:
        await handlers.on_analysis_requested(order, cast("Delivery", None), Permit(Limit("")))

    with monkeypatch.context() as patch:
        patch.setattr(Endings, "result", fails)
        with pytest.raises(type(failure)):
            await handled(one)
    await handled(other)
    log = map(decode_event, await lookups.log(order.flight))
    assert [event.type for event in log] == ["iniciado", "analysis", "completo"]


async def test_of_several_phones_those_found_are_not_looked_up_again(
    store: Store, server: TestServer, http: ClientSession
) -> None:
    enricher = Enricher(store, server, http, "telefone", "telefone", ["phonenumbers"])
    enricher.prazo = 7200
    phones = ["+5511987654321", "+5521987654321", "+5531987654321"]
    order = await enricher.ordered(phones[0], of=("cnpj", KNOWN["cnpj"]))
    order.inputs = phones
    queue = Limit.parse("stage.telefone", "1/hour")
    for left in (2, 1):
        first = Permit(queue)
        await store.redis.delete(queue.key)
        assert await enricher.handlers.limiter.acquire(first) == 0
        with pytest.raises(PutOff) as later:
            await enricher.handlers.on_stage_requested(order, cast("Delivery", None), first)
        assert later.value.body is not None
        order = decode(later.value.body, StageRequested)
        assert (len(order.inputs), len(order.numbers)) == (left, 3 - left)
    assert await handle(enricher, order) is None
    [told] = [
        event
        for event in map(decode_event, await enricher.lookups.log(order.flight))
        if event.type == "telefone"
    ]
    assert [number["numero"] for number in told.data["numeros"]] == phones
    assert enricher.tries == {"phonenumbers": 3}


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    # What is put off comes back by Redis' own clock.
    clock.ms = round(time.time() * 1000)
    return clock


@pytest.fixture
def sweeper(bus: Bus, store: Store, clock: Clock) -> Sweeper:
    lookups = Lookups(store, clock)
    endings = Endings(lookups, Quiet(bus, lookups))
    return Sweeper(bus, lookups, endings)


async def test_an_order_that_the_delay_queues_lost_is_sent_again(
    bus: Bus, store: Store, enricher: Enricher, sweeper: Sweeper, clock: Clock
) -> None:
    order = await enricher.ordered(KNOWN["cep"])
    lost = await handle(enricher, order)
    assert lost is not None
    clock.forward(60)
    assert await sweeper.start() == 0
    clock.forward(10)
    assert await sweeper.start() == 1
    again = await taken(bus, STAGE_QUEUES["endereco"])
    assert structs.replace(again, order=lost.order) == lost
    tried = enricher.tries["opencep"]
    await store.redis.delete("consulta:permits:viacep")
    assert await handle(enricher, again) is None
    assert (await outcome(enricher, order.flight)).source == "viacep"
    # It was only late, and has nobody asked once more.
    assert await handle(enricher, lost) is None
    assert enricher.tries == {"opencep": tried, "viacep": 1}


async def test_an_order_that_was_lost_is_sent_again_though_the_memory_is_full(
    store: Store, enricher: Enricher, sweeper: Sweeper, clock: Clock
) -> None:
    assert await handle(enricher, await enricher.ordered(KNOWN["cep"])) is not None
    clock.forward(70)
    await store.redis.config_set("maxmemory", "1")
    try:
        assert await sweeper.start() == 1
    finally:
        await store.redis.config_set("maxmemory", "0")


async def test_an_order_that_stays_away_is_sent_ever_more_seldom(
    enricher: Enricher, sweeper: Sweeper, clock: Clock
) -> None:
    """It need not be lost: it may stand in a long queue."""
    await handle(enricher, await enricher.ordered(KNOWN["cep"]))
    clock.forward(60)
    sent = []
    for late in range(5, 3600, 5):
        clock.forward(5)
        if await sweeper.start():
            sent.append(late)
    assert sent[0] <= 10
    assert sent[1] - sent[0] >= 30
    assert all(later >= 2 * sooner for sooner, later in pairwise(sent))


async def test_of_the_copies_of_an_order_one_is_carried_out(
    store: Store, enricher: Enricher, clock: Clock
) -> None:
    order = await enricher.ordered(KNOWN["cep"])
    first = await handle(enricher, order)
    assert first is not None
    names, lookups = [], Lookups(store, clock)
    for seconds in (70, 31):
        clock.forward(seconds)
        [(_, name, _)] = await lookups.astray(5)
        names.append(name)
    assert len({first.order, *names}) == 3
    # Each counts for as long as none has come: in a long queue the first of them comes first.
    again = await handle(enricher, structs.replace(first, order=names[0]))
    assert again is not None
    assert await handle(enricher, structs.replace(first, order=names[1])) is None
    assert await handle(enricher, first) is None
    await store.redis.delete("consulta:permits:viacep")
    assert await handle(enricher, again) is None
    assert (await outcome(enricher, order.flight)).source == "viacep"
    assert enricher.tries["viacep"] == 1


async def test_what_came_back_or_ended_is_not_sent_again(
    store: Store, enricher: Enricher, sweeper: Sweeper, clock: Clock
) -> None:
    first, second = [await enricher.ordered(KNOWN["cep"]) for _ in range(2)]
    again = await handle(enricher, first)
    assert again is not None
    assert await handle(enricher, second) is not None
    claims = enricher.handlers.claims
    await claims.claim(first.flight, "endereco", again.order, QUEUE)
    await enricher.lookups.record(second.flight, "error", event("error"))
    clock.forward(66)
    assert await sweeper.start() == 0
    assert not await store.redis.exists("consulta:put_off")


async def test_an_analysis_whose_permit_was_held_too_long_waits_for_a_new_one(
    store: Store, bus: Bus, sweeper: Sweeper, clock: Clock
) -> None:
    lookups, limit = Lookups(store), Limit.parse("analysis.requested", "1/hour")
    moment = [0.0]
    limiter = Limiter(store, monotonic=lambda: moment[0])
    reporter = Quiet(bus, lookups)
    claims = Claims(store, lookups)
    endings = Endings(lookups, reporter)
    handlers = Analyzing(reporter, NoOrders(), endings, limiter, claims)
    order = AnalysisRequested(flight=await flight(store), order="order")
    permit = Permit(limit)
    assert await limiter.acquire(permit) == 0
    moment[0] = LEASE
    # Another process has got the only permit there is meanwhile.
    await store.redis.delete(limit.key)
    assert await limiter.acquire(Permit(limit)) == 0
    with pytest.raises(PutOff):
        await handlers.on_analysis_requested(order, cast("Delivery", None), permit)
    clock.forward(70)
    assert await sweeper.start() == 1
    assert (await taken(bus, ANALYSIS)).flight == order.flight
    await store.redis.delete(limit.key)
    await handlers.on_analysis_requested(order, cast("Delivery", None), permit)
    assert permit.used
    assert await store.do("ZRANGE", limit.key, 0, -1) == [permit.id.encode()]
