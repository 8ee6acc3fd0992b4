"""An order that kills its handler ends its own stage, whichever stages its process does."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from enricher.app import build
from enricher.handlers import Handlers
from enricher.providers import registry
from enricher.settings import Settings
from shared.app import runner_of
from shared.bus import Bus
from shared.consumer import ATTEMPT, MAX_ATTEMPTS
from shared.lookups import Lookups
from shared.messages import Event, Requested, Stage, StageRequested, decode_event, encode
from shared.results import started
from shared.settings import load
from shared.store import Store
from shared.topology import LOOKUPS, STAGE_QUEUES
from tests.arena import Arena
from tests.integration.notes import PATIENCE
from tests.subjects import cpf

PERSON = cpf(280_012_389)
TOGETHER: tuple[Stage, ...] = ("telefone", "telegram", "endereco")


@pytest.fixture
async def enricher(
    arena: Arena, store: Store, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[None]:
    """One that does three stages, and fails at each order of any."""

    async def fails(*_: object) -> None:
        raise ValueError("a fault of ours")

    monkeypatch.setattr(Handlers, "on_stage_requested", fails)
    for name in registry.found(registry.modules()):
        monkeypatch.setenv(f"PROVIDER_{name.upper()}_URL", "off")
    env = {"AMQP_URL": arena.amqp_url, "REDIS_URL": arena.redis_url}
    runner = runner_of(build(load(Settings, env), TOGETHER))
    await runner.setup()
    yield
    await runner.cleanup()


async def test_a_dead_order_is_told_as_its_own_stage(
    enricher: None, bus: Bus, store: Store
) -> None:
    lookups = Lookups(store)
    request = Requested(identifier=PERSON, kind="cpf", task_id=str(uuid4()), origin="tests")
    first = started("cpf", [*TOGETHER])
    plan = await lookups.plan(request, "digest", uuid4().hex, [*TOGETHER], first)

    async def told() -> list[Event]:
        events = map(decode_event, await lookups.log(plan.flight))
        return [event for event in events if event.type in TOGETHER]

    for place, stage in enumerate(TOGETHER, 1):
        order = StageRequested(
            flight=plan.flight, order=uuid4().hex, stage=stage, kind="cpf", value=PERSON,
            digest="digest", input_kind="cpf", inputs=[PERSON],
        )  # fmt: skip
        # As if it had been tried four times: this is the last.
        last: dict[str, Any] = {ATTEMPT: MAX_ATTEMPTS}
        await bus.publish(LOOKUPS, STAGE_QUEUES[stage].name, encode(order), headers=last)
        async with asyncio.timeout(PATIENCE):
            while len(await told()) < place:
                await asyncio.sleep(0.01)
    events = [(event.type, event.outcome) for event in await told()]
    assert events == [(stage, "indisponivel") for stage in TOGETHER]
    # It is buried once it has been told.
    graves = [STAGE_QUEUES[stage].dead for stage in TOGETHER]
    async with asyncio.timeout(PATIENCE):
        while await bus.depths(graves) != dict.fromkeys(graves, 1):
            await asyncio.sleep(0.01)
