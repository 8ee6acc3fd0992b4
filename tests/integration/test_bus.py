"""Publishing and consuming on a real broker."""

import asyncio
import time
from typing import Any

import aio_pika
import msgspec
import pytest
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from shared.bus import Bus
from shared.consumer import ATTEMPT, Consumer, Delivery
from shared.errors import BusUnavailable, StoreUnavailable
from shared.intake import Intake
from shared.limits import Limit, Limiter, Permit
from shared.link import UNCONFIRMED
from shared.lookups import Lookups
from shared.messages import encode
from shared.reporter import Reporter, event
from shared.store import Store
from shared.topology import DELAY_LEVELS, DELIVER, EVENTS, LONGEST_DELAY, delay_route
from tests.arena import Arena
from tests.integration.notes import NOTES, PATIENCE, Note


class Hearer:
    """A handler that remembers what it was given, and fails as told."""

    def __init__(self, *failures: Exception) -> None:
        self.heard: list[tuple[str, Delivery]] = []
        self._failures = list(failures)
        self._new = asyncio.Event()

    async def __call__(self, note: Note, delivery: Delivery) -> None:
        if self._failures:
            raise self._failures.pop(0)
        self.heard.append((note.text, delivery))
        self._new.set()

    async def until(self, number: int) -> list[str]:
        async with asyncio.timeout(PATIENCE):
            while len(self.heard) < number:
                self._new.clear()
                await self._new.wait()
        return [text for text, _ in self.heard]


async def grave(channel: AbstractChannel) -> AbstractIncomingMessage:
    """The next dead letter, waited for."""
    arrived: asyncio.Future[AbstractIncomingMessage] = asyncio.get_running_loop().create_future()
    queue = await channel.get_queue(NOTES.dead)

    async def on_message(incoming: AbstractIncomingMessage) -> None:
        await incoming.ack()
        if not arrived.done():
            arrived.set_result(incoming)

    tag = await queue.consume(on_message)
    try:
        return await asyncio.wait_for(arrived, PATIENCE)
    finally:
        await queue.cancel(tag)


async def test_a_message_reaches_its_handler_with_its_priority(
    bus: Bus, channel: AbstractChannel
) -> None:
    hearer = Hearer()
    Consumer(bus, NOTES, hearer)
    await bus.command(NOTES, Note("one"), priority=7)
    assert await hearer.until(1) == ["one"]
    assert hearer.heard[0][1].priority == 7


async def test_an_asker_is_told_many_events_at_once_in_their_order(
    bus: Bus, store: Store, channel: AbstractChannel
) -> None:
    queue = await channel.declare_queue(exclusive=True)
    await queue.bind(EVENTS, "billing.#")
    log = [encode(event("aguardando", {"n": number})) for number in range(2 * UNCONFIRMED)]
    await Reporter(bus, Lookups(store)).tell_one("task", "billing", log)
    heard: list[int] = []
    async with asyncio.timeout(30):
        while len(heard) < len(log):
            message = await queue.get(no_ack=True, fail=False)
            if message is not None:
                heard.append(msgspec.json.decode(message.body)["seq"])
    assert heard == list(range(1, len(log) + 1))


async def test_no_message_waits_for_the_one_before_it_to_be_drained_unless_there_are_too_many(
    bus: Bus, channel: AbstractChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    hearer = Hearer()
    Consumer(bus, NOTES, hearer)
    await bus.command(NOTES, Note("first"))
    await hearer.until(1)

    async def never(_: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        patch.setattr(asyncio.StreamWriter, "drain", never)
        sent = [bus.command(NOTES, Note(str(number))) for number in range(50)]
        await asyncio.wait_for(asyncio.gather(*sent), PATIENCE)
        # Had the broker confirmed none, these would be held back.
        patch.setattr("shared.link.UNCONFIRMED", 0)
        with pytest.raises(BusUnavailable):
            await bus.command(NOTES, Note("one more"), timeout=0.6)


async def test_a_message_no_queue_takes_is_an_error(bus: Bus) -> None:
    with pytest.raises(BusUnavailable):
        await bus.publish("lookups", "no.such.queue", b"{}")


async def test_an_outage_of_ours_is_waited_out_without_an_attempt(
    bus: Bus, channel: AbstractChannel
) -> None:
    hearer = Hearer(StoreUnavailable("away"), StoreUnavailable("still away"))
    Consumer(bus, NOTES, hearer)
    await bus.command(NOTES, Note("patient"))
    assert await hearer.until(1) == ["patient"]
    assert hearer.heard[0][1].attempt == 1


async def test_a_handler_that_fails_gets_the_message_again_later(
    bus: Bus, channel: AbstractChannel
) -> None:
    hearer = Hearer(ValueError("once"))
    Consumer(bus, NOTES, hearer)
    await bus.command(NOTES, Note("again"), priority=8)
    assert await hearer.until(1) == ["again"]
    delivery = hearer.heard[0][1]
    assert (delivery.attempt, delivery.priority) == (2, 8)


async def test_after_the_last_attempt_the_message_is_buried_with_the_reason(
    bus: Bus, channel: AbstractChannel
) -> None:
    Consumer(bus, NOTES, Hearer(ValueError("for ever")))
    message = aio_pika.Message(b'{"text":"x"}', headers={ATTEMPT: 5}, message_id="m")
    await (await channel.get_exchange("lookups")).publish(message, NOTES.name)
    dead = await grave(channel)
    assert dead.body == b'{"text":"x"}'
    assert "for ever" in str(dead.headers["x-reason"])
    assert "Traceback" in str(dead.headers["x-traceback"])


async def test_a_fault_in_announcing_the_dead_holds_up_nobody(
    bus: Bus, channel: AbstractChannel, store: Store
) -> None:
    async def faulty(*_: object) -> None:
        raise KeyError("a bug")

    bus.on_dead = faulty
    taker = Taker(store)
    limit = Limit.parse("test.notes", "100/s")
    Intake(bus, NOTES, taker, limiter=taker.limiter, limit=limit, concurrency=1)
    await (await channel.get_exchange("lookups")).publish(aio_pika.Message(b"{}"), NOTES.name)
    await bus.command(NOTES, Note("good"))
    assert await taker.hearer.until(1) == ["good"]
    assert (await grave(channel)).body == b"{}"
    await bus.drain()
    queue = await channel.get_queue(NOTES.name)
    for link in bus._links:
        await link.close()
    assert (await queue.declare()).message_count == 0


@pytest.mark.parametrize(
    "body", [b"", b"not json", b"[]", b'{"text":1}', b"{}", b'{"text":"\xff"}', b"[" * 9999]
)
async def test_a_body_that_is_no_message_is_buried_at_once_and_blocks_nothing(
    bus: Bus, channel: AbstractChannel, body: bytes
) -> None:
    hearer = Hearer()
    Consumer(bus, NOTES, hearer)
    await (await channel.get_exchange("lookups")).publish(aio_pika.Message(body), NOTES.name)
    await bus.command(NOTES, Note("good"))
    assert await hearer.until(1) == ["good"]
    dead = await grave(channel)
    assert dead.body == body
    assert dead.headers["x-reason"]


async def test_what_was_taken_and_not_acknowledged_comes_again(
    arena: Arena, channel: AbstractChannel
) -> None:
    began = asyncio.Event()

    async def never(_: Note, __: Delivery) -> None:
        began.set()
        await asyncio.Event().wait()

    first = Bus(arena.amqp_url, "first")
    async with first:
        consumer = Consumer(first, NOTES, never)
        await first.command(NOTES, Note("kept"))
        await began.wait()
        for task in consumer._running:  # the process dies in the middle of its handler
            task.cancel()
    async with Bus(arena.amqp_url, "second") as second:
        hearer = Hearer()
        Consumer(second, NOTES, hearer)
        assert await hearer.until(1) == ["kept"]


@pytest.mark.parametrize("delay", [1, 2, 3])
async def test_a_delayed_message_arrives_no_earlier(
    bus: Bus, channel: AbstractChannel, delay: int
) -> None:
    hearer = Hearer()
    Consumer(bus, NOTES, hearer)
    began = time.monotonic()
    await bus.command(NOTES, Note("later"), delay=delay)
    await hearer.until(1)
    assert time.monotonic() - began >= delay


@pytest.mark.parametrize("seconds", [0.2, 1, 2, 59.5, 86400, LONGEST_DELAY])
def test_the_levels_a_message_waits_on_add_up_to_its_delay(seconds: float) -> None:
    exchange, key = delay_route(seconds, "some.queue")
    *bits, first, second = key.split(".")
    assert (first, second, len(bits)) == ("some", "queue", DELAY_LEVELS)
    levels = [DELAY_LEVELS - 1 - place for place, bit in enumerate(bits) if bit == "1"]
    assert seconds <= sum(2**level for level in levels) < seconds + 1
    assert exchange == f"delay.{max(levels)}"


def test_a_delay_beyond_the_levels_is_refused() -> None:
    with pytest.raises(ValueError, match="seconds"):
        delay_route(LONGEST_DELAY + 1, "queue")
    assert delay_route(0, "queue")[0] == DELIVER


async def test_a_delayed_message_for_a_queue_that_is_gone_blocks_no_level(
    bus: Bus, channel: AbstractChannel
) -> None:
    exchange, key = delay_route(1, "no.such.queue")
    await bus.publish(exchange, key, b"{}")
    hearer = Hearer()
    Consumer(bus, NOTES, hearer)
    await bus.command(NOTES, Note("behind it"), delay=1)
    assert await hearer.until(1) == ["behind it"]


async def test_the_bus_comes_back_after_its_connection_is_lost(
    bus: Bus, channel: AbstractChannel
) -> None:
    hearer = Hearer()
    Consumer(bus, NOTES, hearer)
    await bus.command(NOTES, Note("before"))
    await hearer.until(1)
    for link in (bus._publisher, *bus._links):
        lost = await link.channel()
        await lost.close()
    async with asyncio.timeout(PATIENCE):
        while len(hearer.heard) < 2:
            try:
                await bus.command(NOTES, Note("after"))
                await hearer.until(2)
            except BusUnavailable:
                continue
    assert hearer.heard[1][0] == "after"


class Counted(Limiter):
    """Counts how often it has answered."""

    asked = 0

    async def acquire(self, permit: Permit, **options: Any) -> float:
        wait = await super().acquire(permit, **options)
        self.asked += 1
        return wait


class Taker:
    """A handler of a limited queue."""

    def __init__(self, store: Store) -> None:
        self.limiter = Limiter(store)
        self.hearer = Hearer()

    async def __call__(self, note: Any, delivery: Delivery, permit: Permit) -> None:
        permit.used = True
        await self.hearer(note, delivery)


async def test_the_highest_priority_goes_when_the_permit_comes(
    bus: Bus, channel: AbstractChannel, store: Store
) -> None:
    taker = Taker(store)
    limit = Limit.parse("test.notes", "1/1s")
    assert await taker.limiter.acquire(Permit(limit, "somebody else's")) == 0
    await taker.limiter.settle(Permit(limit, "somebody else's", used=True))
    Intake(bus, NOTES, taker, limiter=taker.limiter, limit=limit)
    for number in range(5):
        await bus.command(NOTES, Note(f"low {number}"), priority=1)
    await bus.command(NOTES, Note("urgent"), priority=10)
    assert await taker.hearer.until(3) == ["urgent", "low 0", "low 1"]


async def test_an_urgent_message_overtakes_what_a_queue_without_a_limit_has_ready(
    bus: Bus, channel: AbstractChannel, store: Store
) -> None:
    order: list[str] = []

    async def busy(note: Note, _: Delivery, __: Permit) -> None:
        order.append(note.text)
        if len(order) == 1:
            await bus.command(NOTES, Note("urgent"), priority=10)
        # As a handler does: some work, some waiting for somebody else, and so on.
        for _turn in range(20):
            sum(range(10_000))
            await asyncio.sleep(0)

    low = (bus.command(NOTES, Note(f"low {number}"), priority=1) for number in range(300))
    await asyncio.gather(*low)
    Intake(bus, NOTES, busy, limiter=Limiter(store), limit=Limit("test.notes"), concurrency=300)
    async with asyncio.timeout(PATIENCE):
        while len(order) < 301:
            await asyncio.sleep(0.01)
    assert order.index("urgent") < 100


async def test_a_queue_without_a_limit_has_as_many_in_hand_as_it_may(
    bus: Bus, channel: AbstractChannel, store: Store
) -> None:
    gate, inside, most = asyncio.Event(), 0, 0

    async def waiting(_: Note, __: Delivery, ___: Permit) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        if inside == 7:
            gate.set()
        await gate.wait()
        inside -= 1

    Intake(bus, NOTES, waiting, limiter=Limiter(store), limit=Limit("test.notes"), concurrency=7)
    for number in range(20):
        await bus.command(NOTES, Note(str(number)))
    queue = await channel.get_queue(NOTES.name)
    async with asyncio.timeout(PATIENCE):
        while not gate.is_set() or inside or (await queue.declare()).message_count:
            await asyncio.sleep(0)
    assert most == 7


async def test_a_consumer_that_stops_answers_for_all_it_has_in_hand(
    bus: Bus, channel: AbstractChannel, store: Store
) -> None:
    hearer, number = Hearer(), 200

    async def taker(note: Note, delivery: Delivery, _: Permit) -> None:
        await hearer(note, delivery)
        await asyncio.sleep(0.01)

    for count in range(number):
        await bus.command(NOTES, Note(str(count)))
    Intake(bus, NOTES, taker, limiter=Limiter(store), limit=Limit("test.notes"), concurrency=200)
    await hearer.until(20)
    await bus.drain()
    handled = len(hearer.heard)
    for link in bus._links:
        await link.close()
    queue = await channel.get_queue(NOTES.name)
    assert (await queue.declare()).message_count == number - handled


async def test_a_consumer_that_stops_leaves_what_comes_then_to_others(
    bus: Bus, channel: AbstractChannel, store: Store
) -> None:
    inside, gate = asyncio.Event(), asyncio.Event()

    async def waiting(_: Note, __: Delivery, ___: Permit) -> None:
        inside.set()
        await gate.wait()

    Intake(bus, NOTES, waiting, limiter=Limiter(store), limit=Limit("test.notes"))
    await bus.command(NOTES, Note("in hand"))
    queue = await channel.get_queue(NOTES.name)
    async with asyncio.timeout(PATIENCE):
        await inside.wait()
        # It rings again for the next one.
        while not (await queue.declare()).consumer_count:
            await asyncio.sleep(0)
        draining = asyncio.create_task(bus.drain())
        while (await queue.declare()).consumer_count:
            await asyncio.sleep(0)
        await bus.command(NOTES, Note("next"))
        assert (await queue.declare()).message_count == 1
        assert not draining.done()
        gate.set()
        await draining


async def test_a_limited_queue_that_was_empty_wakes_for_each_message(
    bus: Bus, channel: AbstractChannel, store: Store
) -> None:
    taker = Taker(store)
    limit = Limit.parse("test.notes", "100/s")
    Intake(bus, NOTES, taker, limiter=taker.limiter, limit=limit)
    for number in range(1, 6):
        await bus.command(NOTES, Note(str(number)))
        await taker.hearer.until(number)


async def test_a_permit_that_another_process_gives_back_unused_is_not_slept_over(
    bus: Bus, channel: AbstractChannel, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.intake.AGAIN_S", 0.05, raising=False)
    taker, limiter = Taker(store), Counted(store)
    limit = Limit.parse("test.notes", "1/day")
    only = Permit(limit)
    assert await taker.limiter.acquire(only) == 0
    Intake(bus, NOTES, taker, limiter=limiter, limit=limit)
    await bus.command(NOTES, Note("waiting"))
    async with asyncio.timeout(PATIENCE):
        while not limiter.asked:
            await asyncio.sleep(0)
    await taker.limiter.settle(only)
    assert await taker.hearer.until(1) == ["waiting"]


async def test_a_limited_consumer_holds_no_message_while_it_waits(
    bus: Bus, channel: AbstractChannel, store: Store
) -> None:
    taker = Taker(store)
    limit = Limit.parse("test.notes", "1/day")
    assert await taker.limiter.acquire(Permit(limit, "the only one")) == 0
    Intake(bus, NOTES, taker, limiter=taker.limiter, limit=limit)
    await bus.command(NOTES, Note("waiting"))
    queue = await channel.get_queue(NOTES.name)
    async with asyncio.timeout(PATIENCE):
        while (await queue.declare()).message_count != 1:
            await asyncio.sleep(0)
