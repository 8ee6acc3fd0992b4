"""What the broker delivers again while its first handler goes on is not asked for again."""

import asyncio
import subprocess
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from shared.messages import STAGES, Event, decode_event
from tests.arena import RABBITMQCTL, Arena, Arenas
from tests.queue.asker import ceps, eventually
from tests.queue.conftest import Stand, Stands
from tests.queue.provider_log import made_twice
from tests.subjects import cpf

PERSON = cpf(280_012_389)


async def control(arenas: Arenas, *command: str) -> str:
    """Run rabbitmqctl, and return what it says."""
    done = await asyncio.to_thread(
        subprocess.run, [RABBITMQCTL, "--quiet", *command],
        env=arenas.rabbit.env, check=True, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return done.stdout


async def stages(stand: Stand, task: str) -> list[Event]:
    """The outcomes of a lookup's stages, as they were written down."""
    view = await stand.lookups.view(task)
    events = [decode_event(body) for body in view.events] if view else []
    return [event for event in events if event.type in STAGES]


def ended(stand: Stand, tasks: list[str]) -> Callable[[], Awaitable[bool]]:
    async def have() -> bool:
        views = [await stand.lookups.view(task) for task in tasks]
        return all(view is not None and view.ended for view in views)

    return have


async def test_connections_lost_in_the_middle_of_ten_calls_make_no_eleventh(
    arenas: Arenas, arena: Arena, stands: Stands
) -> None:
    stand = await stands.up(arena, "endereco", "endereco.2", "analyzer", RATE_ENDERECO="1000/min")
    await stand.providers.set("opencep", held=True)
    tasks = await stand.asker.ask_all(ceps(10))
    await stand.providers.until(10)

    # One call of the broker's slow tool, no more: a provider is given up after ten seconds.
    host = urlsplit(arena.amqp_url).path.removeprefix("/")
    await control(arenas, "close_all_connections", "-p", host, "the test says so")

    async def taken_again() -> bool:
        """Both replicas are back, and none is left in the queue: in hand, or put off."""
        ready = [not await stand.is_unready(name) for name in ("endereco", "endereco.2")]
        # Redelivered at once, so what is ready was not taken again yet.
        return all(ready) and (await stand.bus.depths(["stage.endereco"]))["stage.endereco"] == 0

    await eventually(taken_again)
    await stand.providers.set("opencep", held=False)
    await eventually(ended(stand, tasks))
    calls = await stand.providers.calls()
    assert len({call.subject for call in calls}) == 10
    assert made_twice(calls) == 0
    for task in tasks:
        assert [event.outcome for event in await stages(stand, task)] == ["ok"]


async def test_a_provider_that_bills_is_not_asked_again_after_its_process_was_killed(
    arena: Arena, stands: Stands
) -> None:
    key = {"PROVIDER_SERPRO_KEY": "key:secret"}
    stand = await stands.up(arena, "cadastro", "analyzer", **key)
    await stand.providers.set("serpro", latency_ms=0, held=False)

    async def billed() -> int:
        async with stand.http.get(f"{stand.services.simulator}/_control/log") as answer:
            log: list[dict[str, Any]] = await answer.json()
        return sum(call["provider"] == "serpro" and call["method"] == "GET" for call in log)

    # One that goes well, after which there is a token.
    first = await stand.asker.ask(cpf(280_012_390), "cpf", etapas=["cadastro"])
    await stand.asker.ended(first)
    assert await billed() == 1
    await stand.providers.set("serpro", held=True)
    task = await stand.asker.ask(PERSON, "cpf", etapas=["cadastro"])

    async def called() -> bool:
        return await billed() == 2

    await eventually(called)
    await stand.kill("cadastro")
    await stand.providers.set("serpro", held=False)
    await stand.start("cadastro.2")
    await stand.asker.ended(task)
    [stage] = await stages(stand, task)
    assert (stage.type, stage.outcome) == ("cadastro", "indisponivel")
    assert [attempt.reason for attempt in stage.attempts] == ["asked_before"]
    assert await billed() == 2
