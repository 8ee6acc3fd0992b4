"""What was written down but not told, since the broker went away in between, is told later."""

import time
from collections.abc import Awaitable, Callable
from typing import Any, cast
from uuid import uuid4

import msgspec
import pytest

from cache_service.handlers import Handlers
from cache_service.planner import Planner
from shared.bus import Bus
from shared.cache import Cache
from shared.consumer import Delivery
from shared.errors import BusUnavailable
from shared.lookups import Lookups
from shared.messages import DeadlineReached, Requested, now
from shared.reporter import Reporter
from shared.results import started
from shared.settings import Secret
from shared.store import Store
from shared.topology import DEADLINE, REQUESTED, STAGE_QUEUES

TASK = str(uuid4())


class Away:
    """A bus that loses its broker at the event of one type, the first time."""

    def __init__(self, at: str) -> None:
        self._at: str | None = at
        self.told: list[str] = []

    async def event(self, _: str, body: bytes) -> None:
        type_: str = msgspec.json.decode(body)["tipo"]
        if type_ == self._at:
            self._at = None
            raise BusUnavailable("away")
        self.told.append(type_)


def _handlers(store: Store, bus: Away) -> Handlers:
    lookups = Lookups(store)
    return Handlers(
        planner=cast("Planner", None),
        lookups=lookups,
        cache=Cache(store, Secret("test")),
        reporter=Reporter(cast("Bus", bus), lookups),
        ttl={"telegram": 60, "endereco": 60, "telefone": 60, "cadastro": 60},
        ttl_not_found=60,
    )


async def _twice(handle: Callable[[], Awaitable[Any]]) -> None:
    """As a consumer does: a message met by an outage is handled again."""
    with pytest.raises(BusUnavailable):
        await handle()
    await handle()


async def test_the_end_of_a_lookup_whose_time_is_up(store: Store) -> None:
    bus = Away("completo")
    handlers = _handlers(store, bus)
    request = Requested(identifier="01001000", kind="cep", task_id=TASK, origin="billing")
    first = started("cep", ["endereco"])
    await handlers.lookups.plan(request, "digest", "subject", ["endereco"], time.time(), first)
    delivery = Delivery(DEADLINE, 1, 10)
    await _twice(lambda: handlers.on_deadline(DeadlineReached(task_id=TASK), delivery))
    assert bus.told == ["endereco", "analysis", "completo"]
    await handlers.on_deadline(DeadlineReached(task_id=TASK), delivery)
    view = await handlers.lookups.view(TASK)
    assert view is not None
    assert len(view.events) == 4


async def test_a_lookup_that_ended_by_itself_is_not_told_again_at_its_deadline(
    store: Store,
) -> None:
    bus = Away("")
    handlers = _handlers(store, bus)
    request = Requested(identifier="01001000", kind="cep", task_id=TASK, origin="billing")
    first = started("cep", ["endereco"])
    plan = await handlers.lookups.plan(
        request, "digest", "subject", ["endereco"], time.time(), first
    )
    end = msgspec.structs.replace(first, type="completo", timestamp=now())
    await handlers.lookups.record(plan.flight, "end", end)
    await handlers.on_deadline(DeadlineReached(task_id=TASK), Delivery(DEADLINE, 1, 10))
    assert bus.told == []


async def test_what_an_enricher_wrote_down_before_it_was_killed(store: Store) -> None:
    """Others may have ended the lookup meanwhile: for the bus a seq is missing all the same."""
    bus = Away("")
    handlers = _handlers(store, bus)
    lookups, reporter = handlers.lookups, handlers.reporter
    request = Requested(identifier="01001000", kind="cep", task_id=TASK, origin="billing")
    first = started("cep", ["endereco"])
    plan = await lookups.plan(request, "digest", "subject", ["endereco"], time.time(), first)
    queue = STAGE_QUEUES["endereco"].name
    assert (await lookups.claim(plan.flight, "endereco", "order", queue)).verdict == "go"
    assert (await lookups.claim(plan.flight, "endereco", "order", queue)).verdict == "resume"
    for step in ("endereco", "analysis", "completo"):
        made = msgspec.structs.replace(first, type=step, timestamp=now())
        await lookups.record(plan.flight, step, made)
    assert (await lookups.claim(plan.flight, "endereco", "order", queue)).verdict == "repeat"
    assert (await lookups.claim(plan.flight, "endereco", "another", queue)).verdict == "drop"
    await reporter.retell(plan.flight)
    assert bus.told == ["iniciado", "endereco", "analysis", "completo"]


async def test_the_error_of_a_request_that_cannot_be_read(store: Store) -> None:
    bus = Away("error")
    handlers = _handlers(store, bus)
    body = b'{"task_id": "%b", "origem": "billing"}' % TASK.encode()
    await _twice(lambda: handlers.on_bad_request(REQUESTED, body, TASK, "falta o identificador"))
    assert bus.told == ["error"]
