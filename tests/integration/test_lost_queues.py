"""A consumer whose queue goes away under it, and a broker that refuses what a service needs."""

import asyncio
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError
from urllib.request import urlopen

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel

from shared.bus import Bus
from shared.consumer import Consumer, Delivery
from shared.errors import BusUnavailable
from shared.intake import Intake
from shared.limits import Limit, Limiter, Permit
from shared.store import Store
from shared.topology import ANALYSIS, EVENTS
from tests.arena import RABBITMQCTL, Arena, Arenas
from tests.integration.notes import NOTES, PATIENCE, Note
from tests.services import Services


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0)


class Hearer:
    """A handler, of either kind of consumer, that remembers."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    async def __call__(self, note: Note, _: Delivery, permit: Permit | None = None) -> None:
        if permit is not None:
            permit.used = True
        self.heard.append(note.text)


async def send(bus: Bus, text: str) -> None:
    """As a publisher does it: again, for as long as there is no queue."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await bus.command(NOTES, Note(text))
            except BusUnavailable:
                await asyncio.sleep(0.01)


def consumer(bus: Bus, _: Store, hearer: Hearer) -> None:
    Consumer(bus, NOTES, hearer)


def intake(bus: Bus, store: Store, hearer: Hearer) -> None:
    limit = Limit.parse("test.notes", "100/s")
    Intake(bus, NOTES, hearer, limiter=Limiter(store), limit=limit)


@pytest.mark.parametrize("kind", [consumer, intake])
async def test_a_consumer_whose_queue_was_deleted_says_so_and_works_again(
    bus: Bus, channel: AbstractChannel, store: Store, kind: Any
) -> None:
    hearer = Hearer()
    kind(bus, store, hearer)
    await send(bus, "before")
    await until(lambda: hearer.heard == ["before"] and bus.is_up)
    await channel.queue_delete(NOTES.name)
    await until(lambda: not bus.is_up)
    await send(bus, "after")
    await until(lambda: hearer.heard == ["before", "after"] and bus.is_up)


# A queue is deleted and made anew before the channels of its consumers hear of its end.
_REPLACE: Final = """
Name = rabbit_misc:r(<<"{vhost}">>, queue, <<"{queue}">>),
{{ok, Queue}} = rabbit_amqqueue:lookup(Name),
Channels = lists:usort([element(1, Each) || Each <- rabbit_amqqueue:consumers(Queue)]),
[sys:suspend(Each) || Each <- Channels],
{{ok, _}} = rabbit_amqqueue:delete(Queue, false, false, <<"tests">>),
{{new, _}} =
  rabbit_amqqueue:declare(Name, true, false, amqqueue:get_arguments(Queue), none, <<"tests">>),
[sys:resume(Each) || Each <- Channels].
"""


@pytest.mark.parametrize("kind", [consumer, intake])
async def test_a_consumer_whose_queue_was_replaced_behind_its_back_works_again(
    arena: Arena, arenas: Arenas, bus: Bus, store: Store, kind: Any
) -> None:
    hearer = Hearer()
    kind(bus, store, hearer)
    await send(bus, "before")
    await until(lambda: hearer.heard == ["before"] and bus.is_up)
    replace = _REPLACE.format(vhost=arena.amqp_url.rpartition("/")[2], queue=NOTES.name)
    await asyncio.to_thread(
        subprocess.run, [RABBITMQCTL, "--quiet", "eval", replace],
        env=arenas.rabbit.env, check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    await send(bus, "after")
    await until(lambda: hearer.heard == ["before", "after"])


async def test_a_queue_made_anew_takes_delayed_messages_and_has_its_dead_queue(
    bus: Bus, channel: AbstractChannel
) -> None:
    hearer = Hearer()
    Consumer(bus, NOTES, hearer)
    await until(lambda: bus.is_up)
    await channel.queue_delete(NOTES.dead)
    await channel.queue_delete(NOTES.name)
    await until(lambda: not bus.is_up)
    await until(lambda: bus.is_up)
    await bus.command(NOTES, Note("later"), delay=1)
    await until(lambda: hearer.heard == ["later"])
    await bus.publish("dead", NOTES.dead, b"{}")


async def test_a_consumer_whose_queue_somebody_else_holds_is_not_ready_until_it_is_free(
    bus: Bus, arena: Arena, channel: AbstractChannel
) -> None:
    hearer = Hearer()
    Consumer(bus, NOTES, hearer)
    await until(lambda: bus.is_up)
    async with await aio_pika.connect(arena.amqp_url) as other:
        await channel.queue_delete(NOTES.name)
        await (await other.channel()).declare_queue(NOTES.name, exclusive=True)
        await until(lambda: not bus.is_up)
    await until(lambda: bus.is_up)
    await send(bus, "after")
    await until(lambda: hearer.heard == ["after"])


async def test_a_listener_whose_queue_was_deleted_listens_anew(bus: Bus) -> None:
    heard: list[str] = []
    gaps: list[int] = []

    async def on_event(key: str, _: bytes) -> None:
        heard.append(key)

    bus.listen("tests.#", on_event, lambda: gaps.append(1))
    await until(lambda: bus.is_up)
    # Nobody else may delete an exclusive queue; no name means the last one of this channel.
    await (await bus._links[0].channel()).queue_delete("")
    await until(lambda: not bus.is_up)
    await until(lambda: bus.is_up)
    assert len(gaps) == 2
    await bus.publish(EVENTS, "tests.1", b"{}")
    await until(lambda: heard == ["tests.1"])


async def test_a_channel_the_broker_closes_in_use_is_made_anew(
    bus: Bus, channel: AbstractChannel
) -> None:
    hearer = Hearer()
    Consumer(bus, NOTES, hearer)
    await until(lambda: bus.is_up)
    # PRECONDITION_FAILED, as after an acknowledgement that took half an hour.
    underlay = await (await bus._links[0].channel()).get_underlay_channel()
    await underlay.basic_ack(99)
    await until(lambda: not bus.is_up)
    await send(bus, "after")
    await until(lambda: hearer.heard == ["after"] and bus.is_up)


async def test_a_fault_in_a_setup_shows_and_is_tried_again(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    faults: list[Exception] = [RuntimeError("a bug"), KeyError("another")]

    async def setup(_: AbstractChannel) -> None:
        if faults:
            raise faults.pop()

    link = bus.link("faulty", setup)
    await until(lambda: len(faults) == 1 and link.trouble != "")
    assert not bus.is_up
    assert bus.trouble == "KeyError"
    await until(lambda: bus.is_up)
    assert "a bug" in caplog.text
    assert bus.trouble == ""


def status(address: str) -> int:
    try:
        with urlopen(address, timeout=5) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code


async def test_a_service_that_lost_its_queue_is_not_ready_until_it_has_one_again(
    arena: Arena, tmp_path: Path
) -> None:
    services = Services(arena, tmp_path)
    await asyncio.to_thread(services.start, "analyzer")
    ready = services.ops("analyzer", "/ready")
    try:
        async with await aio_pika.connect(arena.amqp_url) as other, asyncio.timeout(PATIENCE):
            channel = await other.channel()
            await channel.queue_delete(ANALYSIS.name)
            await channel.declare_queue(ANALYSIS.name, exclusive=True)
            while await asyncio.to_thread(status, ready) != 503:
                pass
        async with asyncio.timeout(PATIENCE):
            while await asyncio.to_thread(status, ready) != 200:
                pass
    finally:
        await asyncio.to_thread(services.stop)
