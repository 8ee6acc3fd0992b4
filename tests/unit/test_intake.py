"""An intake has as much room as is used, keeps nobody's message, and never cuts its channel."""

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from msgspec import Struct

from shared import intake as module
from shared.bus import Bus
from shared.errors import StoreUnavailable
from shared.intake import CALM_S, Intake
from shared.limits import Limit, Limiter
from shared.topology import Queue
from tests.virtual_time import run


class Note(Struct):
    text: str


NOTES = Queue("test.notes", Note)
OnMessage = Callable[[AbstractIncomingMessage], Awaitable[None]]


class FakeIncoming:
    """A message that says how it was answered."""

    body, priority, delivery_tag = b'{"text":"x"}', 5, 1

    def __init__(self, broker: "FakeBroker", tag: str | None = None) -> None:
        self.headers: dict[str, Any] = {}
        self.consumer_tag, self._broker = tag, broker
        self.channel = SimpleNamespace(basic_ack=self._ack, is_closed=False)

    async def _ack(self, *_: Any, **__: Any) -> None:
        self._broker.answered(self.consumer_tag)

    async def nack(self, requeue: bool = True) -> None:
        assert requeue
        self._broker.waiting += 1
        self._broker.answered(self.consumer_tag)


class FakeBroker:
    """A queue with so many messages, whose broker takes a second for each answer."""

    name = "test.notes"

    def __init__(self, waiting: int = 0) -> None:
        self.waiting, self.cut, self.got = waiting, False, 0
        self.channel = SimpleNamespace(close=self._close)
        self._next = 0
        # By consumer: the callback (of one that is cancelled, none), its prefetch, what it has.
        self.consumers: dict[str, tuple[OnMessage | None, int, int]] = {}

    @property
    def prefetch(self) -> list[int]:
        return [room for callback, room, _ in self.consumers.values() if callback is not None]

    @property
    def in_hand(self) -> int:
        return self.got + sum(taken for _, _, taken in self.consumers.values())

    async def _close(self) -> None:
        self.cut = True

    async def _answer(self) -> None:
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            # As aiormq does it.
            self.cut = True
            raise

    async def set_qos(self, prefetch_count: int) -> None:
        await self._answer()
        self._next = prefetch_count

    async def consume(
        self, callback: OnMessage, consumer_tag: str, arguments: dict[str, bool]
    ) -> None:
        assert arguments["x-cancel-on-ha-failover"]
        await self._answer()
        self.consumers[consumer_tag] = callback, self._next, 0
        self.deliver()

    async def cancel(self, tag: str) -> None:
        _, room, taken = self.consumers[tag]
        self.consumers[tag] = None, room, taken
        await self._answer()

    def put(self, number: int) -> None:
        self.waiting += number
        self.deliver()

    def deliver(self) -> None:
        for tag, (callback, room, taken) in self.consumers.items():
            if callback is None:
                continue
            number = min(self.waiting, room - taken)
            self.waiting -= number
            self.consumers[tag] = callback, room, taken + number
            for _ in range(number):
                incoming = cast(AbstractIncomingMessage, FakeIncoming(self, tag))
                asyncio.get_running_loop().create_task(cast(Any, callback(incoming)))

    async def get(self, **_: Any) -> FakeIncoming | None:
        await self._answer()
        if not self.waiting:
            return None
        self.waiting, self.got = self.waiting - 1, self.got + 1
        return FakeIncoming(self)

    def answered(self, tag: str | None) -> None:
        if tag is None:
            self.got -= 1
            return
        callback, room, taken = self.consumers[tag]
        self.consumers[tag] = callback, room, taken - 1
        self.deliver()


class FakeLimiter:
    """A Redis that is away so often, then one that grants."""

    def __init__(self, away: int = 0) -> None:
        self.asked, self._away = 0, away

    async def acquire(self, *_: Any, **__: Any) -> float:
        self.asked += 1
        if self.asked <= self._away:
            raise StoreUnavailable("Redis is away")
        return 0.0

    async def settle(self, _: Any) -> None:
        """Done."""


class Stage:
    """An intake on a fake broker, and a handler that waits to be let go."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, waiting: int = 0, limit: str = "off", away: int = 0
    ) -> None:
        self.broker, self.limiter = FakeBroker(waiting), FakeLimiter(away)
        self.gate, self.handled = asyncio.Event(), 0

        async def declare(*_: Any) -> AbstractQueue:
            return cast(AbstractQueue, self.broker)

        async def declared() -> None:
            pass

        monkeypatch.setattr(module, "declare_queue", declare)
        link = SimpleNamespace(is_up=True)
        bus = SimpleNamespace(link=lambda *_: link, owns=lambda _: None, declared=declared)
        self.intake = Intake(
            cast(Bus, bus),
            NOTES,
            self._handle,
            limiter=cast(Limiter, self.limiter),
            limit=Limit.parse(NOTES.name, limit),
            concurrency=50,
        )

    async def _handle(self, *_: Any) -> None:
        await self.gate.wait()
        self.handled += 1

    async def begin(self) -> None:
        await self.intake._setup(cast(AbstractChannel, self.broker))


@pytest.mark.parametrize("after", [0.5, 1.5, 2.0, 2.5, 3.5, 7.5])
@pytest.mark.parametrize("waiting", [0, 1, 100])
def test_one_that_stops_leaves_no_consumer_and_finishes_what_it_has(
    monkeypatch: pytest.MonkeyPatch, after: float, waiting: int
) -> None:
    async def main() -> None:
        stage = Stage(monkeypatch, waiting)
        await stage.begin()
        await asyncio.sleep(after)
        stage.gate.set()
        await stage.intake.drain()
        assert stage.broker.prefetch == []
        assert (stage.broker.in_hand, stage.broker.waiting) == (0, waiting - stage.handled)
        assert not stage.broker.cut

    run(main())


def test_the_room_grows_while_all_of_it_is_used_up_to_what_may_be_in_hand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        stage = Stage(monkeypatch, 100)
        await stage.begin()
        await asyncio.sleep(60)
        assert stage.broker.prefetch == [1, 1, 2, 4, 8, 16, 16, 2]
        assert stage.broker.in_hand == 50
        stage.gate.set()
        await asyncio.sleep(1)
        assert stage.handled == 100
        # Nothing to do for a while: an urgent message is not to come after fifty others.
        await asyncio.sleep(3 * CALM_S + 20)
        assert stage.broker.prefetch == [1]
        await stage.intake.drain()

    run(main())


def test_one_message_at_a_time_is_no_reason_to_change_anything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        stage = Stage(monkeypatch)
        stage.gate.set()
        await stage.begin()
        await asyncio.sleep(5)
        for number in range(100):
            stage.broker.put(1)
            await asyncio.sleep(1)
            assert stage.handled == number + 1
        # A second place, which the first message asked for, and whoever it replaced.
        assert len(stage.broker.consumers) <= 2
        await stage.intake.drain()

    run(main())


def test_a_message_goes_back_while_redis_is_away_and_is_handled_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        stage = Stage(monkeypatch, 1, "100/s", away=5)
        stage.gate.set()
        await stage.begin()
        seen = []
        while not stage.handled:
            await asyncio.sleep(0.1)
            seen.append((stage.broker.waiting, tuple(stage.broker.prefetch)))
        # Nobody takes it meanwhile, and others may.
        assert (1, ()) in seen
        assert stage.limiter.asked > 5
        await stage.intake.drain()
        assert (stage.broker.waiting, stage.broker.in_hand) == (0, 0)

    run(main())


class Lossy(FakeLimiter):
    """Grants permits, of which the answers get lost."""

    def __init__(self, lost: int) -> None:
        super().__init__(lost)
        self.out: set[str] = set()

    async def acquire(self, permit: Any, **options: Any) -> float:
        self.out.add(permit.id)
        return await super().acquire(permit, **options)

    async def settle(self, permit: Any) -> None:
        if not permit.used:
            self.out.discard(permit.id)


def test_permits_whose_answers_got_lost_are_used_or_given_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        stage = Stage(monkeypatch, 30, "100/s")
        stage.intake._limiter = limiter = cast(Any, Lossy(5))
        stage.gate.set()
        await stage.begin()
        while stage.handled < 30:
            await asyncio.sleep(1)
        await stage.intake.drain()
        # Nothing was called by this handler, so nothing is out.
        assert limiter.out == set()
        assert (stage.broker.waiting, stage.broker.in_hand, stage.intake._in_hand) == (0, 0, 0)

    run(main())


def test_after_many_permits_without_a_wait_there_are_consumers_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        stage = Stage(monkeypatch, 1000, "100/s", away=1)
        await stage.begin()
        await asyncio.sleep(100)
        assert stage.broker.got == module.PLENTY
        assert stage.broker.prefetch != []
        assert stage.broker.in_hand == 50
        stage.gate.set()
        await stage.intake.drain()

    run(main())


def test_a_fault_in_asking_for_a_permit_leaves_no_message_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        stage = Stage(monkeypatch, 1, "100/s")

        async def fault(*_: Any, **__: Any) -> float:
            raise ValueError("a bug")

        monkeypatch.setattr(stage.limiter, "acquire", fault)
        await stage.begin()
        await asyncio.sleep(60)
        # Its channel is given up, and what it had is anybody's.
        assert stage.broker.cut
        assert (stage.broker.waiting, stage.intake._in_hand) == (1, 0)

    run(main())
