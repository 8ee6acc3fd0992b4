"""Messages that cannot be handled: they are put aside with the reason, and stop nobody."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final
from uuid import uuid4

import aio_pika
import msgspec
import pytest
from aio_pika.abc import AbstractChannel, HeadersType
from redis.asyncio import Redis

from consulta.dead_letters import DeadLetters
from shared.consumer import ATTEMPT, MAX_ATTEMPTS
from shared.topology import LOOKUPS, QUEUES, REQUESTED
from tests.arena import Arenas
from tests.chaos import raw
from tests.chaos.poison import ORIGIN, SHAPES, good, poisons
from tests.services import Services

POISONS: Final = 1000
GOOD: Final = 100
PATIENCE_S: Final = 90


@pytest.fixture(scope="module")
def services(arenas: Arenas, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Every service that reads from the bus."""
    services = Services(arenas.new(), tmp_path_factory.mktemp("poison"))
    try:
        services.start()
        yield services
    finally:
        services.stop()


@pytest.fixture
async def channel(services: Services) -> AsyncIterator[AbstractChannel]:
    """A foreign service's channel."""
    async with await aio_pika.connect(services.env["AMQP_URL"]) as connection:
        yield await connection.channel(on_return_raises=True)


async def test_a_thousand_poison_messages_are_put_aside_and_the_good_ones_served(
    channel: AbstractChannel,
) -> None:
    assert len(SHAPES) >= 20
    events = await _events(channel)
    bad = list(poisons(POISONS))
    asked = [str(uuid4()) for _ in range(GOOD)]
    lookups = await channel.get_exchange(LOOKUPS)
    for place, poison in enumerate(bad):
        await lookups.publish(_message(poison.body, poison.headers), poison.queue.name)
        if place % (POISONS // GOOD) == 0:
            number = place // (POISONS // GOOD)
            body = msgspec.json.encode(good(asked[number], number))
            await lookups.publish(_message(body), "lookup.requested")

    ends = await _ends(events, {*asked, *(each.task_id for each in bad if each.task_id)})
    assert Counter(ends[task_id] for task_id in asked) == {"completo": GOOD}
    told = [ends[each.task_id] for each in bad if each.task_id]
    assert set(told) == {"error"}
    async with asyncio.timeout(PATIENCE_S):
        while sum([await _depth(channel, queue.dead) for queue in QUEUES]) < POISONS:
            await asyncio.sleep(0.05)
    found = [each for queue in QUEUES for each in await _take(channel, queue.dead)]
    expected = Counter((each.queue.name, _digest(each.body)) for each in bad)
    assert Counter((name, _digest(body)) for name, body, _ in found) == expected
    assert all(reason for _, _, reason in found)


@pytest.mark.parametrize(
    "properties",
    [
        {"headers": {"x-attempt": "many", "traceparent": 17, "x-death": "yesterday"}},
        {"headers": {"x-attempt": 10**12, "x-delivery-count": -1}},
        {"content_type": "text/plain", "content_encoding": "gzip", "priority": 255},
        {"expiration": 600, "type": "x" * 200, "reply_to": "nobody", "correlation_id": "1"},
    ],
)
async def test_a_good_request_with_odd_properties_is_served(
    channel: AbstractChannel, properties: dict[str, Any]
) -> None:
    events = await _events(channel)
    task_id = str(uuid4())
    body = msgspec.json.encode(good(task_id, 1))
    lookups = await channel.get_exchange(LOOKUPS)
    await lookups.publish(aio_pika.Message(body, **properties), "lookup.requested")
    assert await _ends(events, {task_id}) == {task_id: "completo"}


async def test_a_dead_letter_whose_cause_is_mended_completes_its_lookup(
    services: Services, channel: AbstractChannel
) -> None:
    events = await _events(channel)
    task_id = str(uuid4())
    # In the place of the lookup's state stands something else, so that its script fails.
    async with Redis.from_url(services.env["REDIS_URL"]) as redis:
        await redis.set(f"consulta:lookup:{task_id}", "not a hash")
        lookups = await channel.get_exchange(LOOKUPS)
        # As if it had been tried four times: this is the last.
        last = _message(msgspec.json.encode(good(task_id, 1000)), {ATTEMPT: MAX_ATTEMPTS})
        await lookups.publish(last, REQUESTED.name)
        async with asyncio.timeout(PATIENCE_S), DeadLetters(services.env["AMQP_URL"]) as dead:
            while not (letters := await dead.letters(REQUESTED.name)):
                await asyncio.sleep(0.05)
            assert "WRONGTYPE" in letters[0].reason
            await redis.delete(f"consulta:lookup:{task_id}")
            assert (await dead.replay(REQUESTED.name)).replayed == 1
            assert await _ends(events, {task_id}) == {task_id: "completo"}
            assert await dead.letters(REQUESTED.name) == []


# Microseconds where seconds belong, as a clock of some other language gives them.
_LATE: Final = (1_790_000_000_000_000).to_bytes(8, "big")


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        pytest.param(raw.TIMESTAMP, _LATE, id="a date past year 9999"),
        pytest.param(raw.CONTENT_TYPE, raw.short(b"\xff\xfe"), id="a type that is not UTF-8"),
        pytest.param(raw.HEADERS, raw.table(b"\xff", b"t\x01"), id="a name that is not UTF-8"),
        pytest.param(raw.HEADERS, raw.table(b"at", b"T" + _LATE), id="a header with such a date"),
    ],
)
async def test_properties_a_client_library_fails_on_do_not_block_the_queue(
    services: Services, flag: int, value: bytes
) -> None:
    async with await aio_pika.connect(services.env["AMQP_URL"]) as connection:
        channel = await connection.channel(publisher_confirms=False)
        events = await _events(channel)
        odd, plain = str(uuid4()), str(uuid4())
        for number, task_id in enumerate((odd, plain)):
            body = msgspec.json.encode(good(task_id, number))
            if task_id == odd:
                await raw.publish(channel, LOOKUPS, "lookup.requested", body, flag, value)
            else:
                lookups = await channel.get_exchange(LOOKUPS)
                await lookups.publish(_message(body), "lookup.requested")
        assert await _ends(events, {odd, plain}) == {odd: "completo", plain: "completo"}


def _message(body: bytes, headers: HeadersType | None = None) -> aio_pika.Message:
    return aio_pika.Message(
        body, headers=headers, delivery_mode=2, message_id=uuid4().hex, priority=5
    )


async def _events(channel: AbstractChannel) -> aio_pika.abc.AbstractQueue:
    queue = await channel.declare_queue(exclusive=True)
    await queue.bind("events", f"{ORIGIN}.#")
    return queue


async def _ends(queue: aio_pika.abc.AbstractQueue, tasks: set[str]) -> dict[str, str]:
    """How each of these lookups ended."""
    ends: dict[str, str] = {}
    try:
        async with asyncio.timeout(PATIENCE_S), queue.iterator(no_ack=True) as messages:
            async for message in messages:
                event = msgspec.json.decode(message.body)
                if event["tipo"] in {"completo", "error"} and event["task_id"] in tasks:
                    assert ends.setdefault(event["task_id"], event["tipo"]) == event["tipo"]
                    if len(ends) == len(tasks):
                        break
    except TimeoutError:
        pytest.fail(f"{len(tasks) - len(ends)} of {len(tasks)} lookups have not ended")
    return ends


async def _depth(channel: AbstractChannel, name: str) -> int:
    queue = await channel.declare_queue(name, passive=True)
    return queue.declaration_result.message_count or 0


async def _take(channel: AbstractChannel, name: str) -> list[tuple[str, bytes, str]]:
    """Empty a dead queue: where each message came from, its body, and the reason."""
    queue = await channel.get_queue(name)
    found = []
    while (message := await queue.get(fail=False)) is not None:
        reason, origin = message.headers.get("x-reason"), message.headers.get("x-queue")
        found.append((str(origin), message.body, str(reason or "")))
        await message.ack()
    return found


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
