"""How long the client of the bus waits for a lookup's end, in virtual time and without a broker."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Self

import msgspec
import pytest

from consulta.bus import BusClient
from consulta.errors import LookupLost
from shared.errors import BusRefused
from shared.messages import Event, Requested, decode, encode
from tests.virtual_time import now, run

LONGEST = 1000


class Broker:
    """Stands where the bus does: confirms what is published, and tells what a test has to tell."""

    def __init__(self, _: str, __: str) -> None:
        self.asked: list[tuple[float, Requested]] = []
        self.on_asked: Callable[[Requested], Coroutine[Any, Any, None]] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        Broker.made = self

    made: "Broker"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()

    def listen(
        self, _: str, on_event: Callable[[str, bytes], Awaitable[None]], on_up: Callable[[], None]
    ) -> None:
        self._on_event, self.on_up = on_event, on_up
        on_up()

    async def refusal(self) -> BusRefused:
        await asyncio.Event().wait()
        raise AssertionError("it refuses nothing")

    async def publish(self, _: str, __: str, body: bytes, **___: Any) -> None:
        request = decode(body, Requested)
        self.asked.append((now(), request))
        if self.on_asked is not None:
            self._tasks.add(asyncio.create_task(self.on_asked(request)))

    async def tell(self, request: Requested, type_: Any, seq: int) -> None:
        event = Event(type=type_, timestamp="t", task_id=request.task_id, seq=seq)
        await self._on_event("", encode(event))


@pytest.fixture(autouse=True)
def _without_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consulta.bus._Guest", Broker)


async def _heard(client: BusClient, **options: Any) -> list[str]:
    async with asyncio.timeout(LONGEST):
        return [event.type async for event in client.request("cep", "01001-000", **options)]


def test_a_lookup_without_an_end_is_given_up_ten_seconds_after_its_deadline() -> None:
    async def ask() -> None:
        async with BusClient("amqp://x", "billing") as client:
            with pytest.raises(LookupLost):
                await _heard(client, delay=30, deadline=20)
        assert now() == pytest.approx(60)
        # Its log was asked for before that, and never before the lookup had begun.
        assert [at for at, _ in Broker.made.asked] == [0, pytest.approx(55)]

    run(ask())


def test_what_is_told_again_and_again_keeps_no_lookup_waiting() -> None:
    async def stutter(request: Requested) -> None:
        while True:
            await Broker.made.tell(request, "endereco", 2)  # the first is lost
            await asyncio.sleep(0.5)

    async def ask() -> None:
        async with BusClient("amqp://x", "billing") as client:
            Broker.made.on_asked = stutter
            with pytest.raises(LookupLost):
                await _heard(client, deadline=20)
        assert now() == pytest.approx(30)

    run(ask())


def test_an_end_that_was_missed_while_the_broker_was_away_is_asked_for() -> None:
    async def again(request: Requested) -> None:
        if len(Broker.made.asked) == 1:
            await Broker.made.tell(request, "iniciado", 1)
            await asyncio.sleep(29)
            Broker.made.on_up()  # a second before it would have been given up
        elif now() >= 29:
            await asyncio.sleep(3)
            await Broker.made.tell(request, "completo", 2)

    async def ask() -> None:
        async with BusClient("amqp://x", "billing") as client:
            Broker.made.on_asked = again
            assert await _heard(client, deadline=20) == ["iniciado", "completo"]
        assert now() == pytest.approx(32)

    run(ask())


def test_the_same_request_is_repeated_with_what_it_asked_for() -> None:
    async def ask() -> None:
        async with BusClient("amqp://x", "billing") as client:
            with pytest.raises(LookupLost):
                await _heard(client, delay=5, deadline=20, priority=9)
        (_, first), (_, again) = Broker.made.asked
        assert (first.delay, again.delay) == (5, 0)
        assert msgspec.structs.replace(again, delay=5) == first
        # However late it is read, its time is reckoned from here.
        assert first.expires is not None
        assert before <= first.expires.timestamp() - 25 <= time.time()

    before = time.time()
    run(ask())
