"""What was written down but not told, since the broker went away in between, is told later."""

import time
from collections.abc import Awaitable, Callable
from typing import Any, cast
from uuid import uuid4

import msgspec
import pytest

from analyzer.handlers import Handlers as Analyzer
from cache_service.handlers import Handlers
from shared.bus import Bus
from shared.errors import BusUnavailable, StoreUnavailable
from shared.flow.ending import Endings, failed
from shared.flow.planner import Planner
from shared.flow.sweeper import Sweeper
from shared.lookups import Lookups, Plan
from shared.messages import AnalysisRequested, Event, Requested, encode, now
from shared.reporter import Reporter
from shared.results import started
from shared.store import Store
from shared.topology import ANALYSIS, REQUESTED, STAGE_QUEUES
from tests.integration.test_sweeper import Clock

TASK = str(uuid4())


class Away:
    """A bus that loses its broker at the event of one type, the first time."""

    unconfirmed = 0

    def __init__(self, at: str) -> None:
        self._at: str | None = at
        self.told: list[str] = []

    async def event(self, _: str, body: bytes) -> None:
        type_: str = msgspec.json.decode(body)["tipo"]
        if type_ == self._at:
            self._at = None
            raise BusUnavailable("away")
        self.told.append(type_)


def endings(store: Store, bus: Away) -> Endings:
    lookups = Lookups(store)
    reporter = Reporter(cast("Bus", bus), lookups)
    return Endings(lookups, reporter)


async def planned(lookups: Lookups, task: str = TASK, delay: float = 0.0) -> Plan:
    request = Requested(identifier="01001000", kind="cep", task_id=task, origin="billing")
    request.delay = delay
    first = started("cep", ["endereco"])
    return await lookups.plan(request, "digest", "subject", ["endereco"], first)


async def _twice(handle: Callable[[], Awaitable[Any]]) -> None:
    """As whoever meets an outage does: the step is taken again."""
    with pytest.raises(BusUnavailable):
        await handle()
    await handle()


async def test_the_end_of_a_lookup_whose_time_is_up(store: Store) -> None:
    bus = Away("completo")
    ending = endings(store, bus)
    await planned(ending.lookups)
    await _twice(lambda: ending.expire(TASK))
    # Told from the start again: who knows what of it was heard.
    assert bus.told[-4:] == ["iniciado", "endereco", "analysis", "completo"]
    # Told: nobody looks after it any more.
    assert await store.redis.zcard("consulta:deadlines") == 0
    view = await ending.lookups.view(TASK)
    assert view is not None
    assert len(view.events) == 4


async def test_the_end_of_one_that_was_killed_before_it_told_is_told_by_the_next(
    store: Store,
) -> None:
    """Until the end is told, the deadline is watched: for whoever sweeps next."""
    bus = Away("completo")
    ending = endings(store, bus)
    await planned(ending.lookups)
    with pytest.raises(BusUnavailable):
        await ending.expire(TASK)
    assert await store.redis.zscore("consulta:deadlines", TASK)
    await endings(store, bus).expire(TASK)
    assert bus.told[-1] == "completo"


async def test_a_lookup_that_ended_by_itself_is_not_told_again_at_its_deadline(
    store: Store,
) -> None:
    bus = Away("")
    ending = endings(store, bus)
    plan = await planned(ending.lookups)
    end = msgspec.structs.replace(started("cep", ["endereco"]), type="completo", timestamp=now())
    await ending.lookups.record(plan.flight, "end", end)
    assert await store.redis.zcard("consulta:deadlines") == 0
    await ending.expire(TASK)
    assert bus.told == []


async def test_what_an_enricher_wrote_down_before_it_was_killed(store: Store) -> None:
    """Others may have ended the lookup meanwhile: for the bus a seq is missing all the same."""
    bus = Away("")
    ending = endings(store, bus)
    lookups = ending.lookups
    plan = await planned(lookups)
    queue = STAGE_QUEUES["endereco"].name
    assert (await lookups.claim(plan.flight, "endereco", "order", queue)).verdict == "go"
    assert (await lookups.claim(plan.flight, "endereco", "order", queue)).verdict == "resume"
    for step in ("endereco", "analysis", "completo"):
        made = msgspec.structs.replace(started("cep", ["endereco"]), type=step, timestamp=now())
        await lookups.record(plan.flight, step, made)
    assert (await lookups.claim(plan.flight, "endereco", "order", queue)).verdict == "repeat"
    assert (await lookups.claim(plan.flight, "endereco", "another", queue)).verdict == "drop"
    await ending.reporter.retell(plan.flight)
    assert bus.told == ["iniciado", "endereco", "analysis", "completo"]


async def test_the_error_of_a_request_that_cannot_be_read(store: Store) -> None:
    bus = Away("error")
    ending = endings(store, bus)
    handlers = Handlers(cast("Planner", None), ending.lookups, ending)
    body = b'{"task_id": "%b", "origem": "billing"}' % TASK.encode()
    await _twice(lambda: handlers.on_dead(REQUESTED, body, TASK, "falta o identificador"))
    assert bus.told == ["error"]


async def test_a_result_that_cannot_be_made_ends_its_lookup_with_an_error(store: Store) -> None:
    bus = Away("")
    ending = endings(store, bus)
    plan = await planned(ending.lookups)
    analyzer = Analyzer(
        ending.reporter, cast("Any", None), ending, cast("Any", None), cast("Any", None)
    )
    order = encode(AnalysisRequested(flight=plan.flight, order="order"))
    await analyzer.on_dead(ANALYSIS, order, "", "KeyError")
    await analyzer.on_dead(ANALYSIS, b"{", "", "not ours")
    assert bus.told == ["error"]
    view = await ending.lookups.view(TASK)
    assert view is not None
    assert view.status == "FAILURE"


async def test_a_good_request_that_could_not_be_planned_ends_with_an_error(store: Store) -> None:
    bus = Away("")
    ending = endings(store, bus)
    handlers = Handlers(cast("Planner", None), ending.lookups, ending)
    request = Requested(identifier="01001000", kind="cep", task_id=TASK, origin="billing")
    await handlers.on_dead(REQUESTED, encode(request), "", "KeyError")
    assert bus.told == ["error"]


async def test_a_result_that_comes_while_it_is_cancelled_is_the_end(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ending = endings(store, Away(""))
    plan = await planned(ending.lookups)
    leave = ending.lookups.leave

    async def late(task: str, last: Event | None = None) -> object:
        left = await leave(task, last)
        end = msgspec.structs.replace(started("cep", ["endereco"]), type="completo")
        await ending.lookups.record(plan.flight, "end", end)
        return left

    monkeypatch.setattr(ending.lookups, "leave", late)
    assert not await ending.refuse(TASK, "cancelado")
    view = await ending.lookups.view(TASK)
    assert view is not None
    assert view.status == "SUCCESS"


async def test_a_lookup_that_is_cancelled_is_revoked(store: Store) -> None:
    bus = Away("error")
    ending = endings(store, bus)
    await planned(ending.lookups)
    await _twice(lambda: ending.refuse(TASK, "cancelado"))
    await _is_revoked(ending.lookups)


async def test_a_cancellation_that_is_done_again_after_an_outage_stands(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its end was written, and the answer to that was lost."""
    ending = endings(store, Away(""))
    await planned(ending.lookups)
    record = ending.lookups.record

    async def lost(*args: Any, **more: Any) -> None:
        await record(*args, **more)
        raise StoreUnavailable("the test says so")

    with monkeypatch.context() as patch:
        patch.setattr(ending.lookups, "record", lost)
        with pytest.raises(StoreUnavailable):
            await ending.refuse(TASK, "cancelado")
    assert await ending.refuse(TASK, "cancelado")
    await _is_revoked(ending.lookups)


@pytest.mark.parametrize("when", ["shared", "alone", "put off"])
async def test_a_cancellation_that_breaks_off_is_completed_by_whoever_sweeps(
    store: Store, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """Nobody asks again: its gateway was killed, or its client has given up."""
    ending = endings(store, Away(""))
    clock = Clock()
    clock.ms = round(time.time() * 1000)
    lookups = Lookups(store, clock)
    monkeypatch.setattr(ending.lookups, "_clock", clock)
    if when == "shared":
        await planned(lookups, str(uuid4()))
    plan = await planned(lookups, delay=3600.0 if when == "put off" else 0.0)

    async def away(*_: Any, **__: Any) -> None:
        raise StoreUnavailable("the test says so")

    with monkeypatch.context() as patch:
        patch.setattr(ending.lookups, "record", away)
        with pytest.raises(StoreUnavailable):
            await ending.refuse(TASK, "cancelado")
    # It is not begun meanwhile, however late its message comes.
    assert (await planned(lookups, delay=0.0)).verdict == "ended"
    sweeper = Sweeper(cast("Bus", Away("")), ending.lookups, ending)
    clock.forward(3.1)
    assert await sweeper.conclude() == 1
    await _is_revoked(lookups)
    others = await lookups.askers(plan.flight) if when == "shared" else {}
    assert TASK not in others
    assert len(others) == (when == "shared")


async def test_a_lookup_is_cancelled_whole_though_the_memory_is_full(store: Store) -> None:
    bus = Away("")
    ending = endings(store, bus)
    await planned(ending.lookups)
    await store.redis.config_set("maxmemory", "1")
    try:
        assert await ending.refuse(TASK, "cancelado")
    finally:
        await store.redis.config_set("maxmemory", "0")
    assert bus.told == ["iniciado", "error"]
    await _is_revoked(ending.lookups)


async def test_another_end_that_comes_while_it_is_cancelled_is_the_end(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ending = endings(store, Away(""))
    await planned(ending.lookups)
    leave = ending.lookups.leave

    async def late(task: str, last: Event | None = None) -> object:
        left = await leave(task, last)
        await ending.lookups.record(left[1], "end", failed("prazo_esgotado"))
        return left

    monkeypatch.setattr(ending.lookups, "leave", late)
    assert not await ending.refuse(TASK, "cancelado")
    view = await ending.lookups.view(TASK)
    assert view is not None
    assert view.status == "FAILURE"


async def _is_revoked(lookups: Lookups) -> None:
    view = await lookups.view(TASK)
    assert view is not None
    assert view.status == "REVOKED"
