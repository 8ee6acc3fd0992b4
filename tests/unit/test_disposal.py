"""What becomes of a message whose handling, burial or acknowledgement fails."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, cast

import pytest
from aio_pika.abc import AbstractIncomingMessage
from aio_pika.exceptions import ChannelInvalidStateError
from msgspec import Struct

from shared.bus import Bus
from shared.consumer import ATTEMPT, Delivery, Disposal
from shared.errors import BusUnavailable, StoreUnavailable
from shared.topology import Queue
from tests.virtual_time import run


class Note(Struct):
    text: str


NOTES = Queue("test.notes", Note)
LAST = {ATTEMPT: 5}


class Scripted:
    """An async function that fails as told, then succeeds; it counts its calls."""

    def __init__(self, *failures: BaseException) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self._failures = list(failures)

    async def __call__(self, *args: Any, **_: Any) -> None:
        self.calls.append(args)
        if self._failures:
            raise self._failures.pop(0)


class FakeChannel:
    def __init__(self) -> None:
        self.is_closed = False
        self.basic_ack = Scripted()

    async def close(self) -> None:
        self.is_closed = True


class FakeBus:
    def __init__(self, *failures: BaseException, on_dead: Scripted | None = None) -> None:
        self.publish = Scripted(*failures)
        self.on_dead = on_dead

    @property
    def published(self) -> list[tuple[str, str]]:
        return [(exchange.partition(".")[0], key[-10:]) for exchange, key, _ in self.publish.calls]


class FakeIncoming:
    body = b'{"text":"x"}'
    priority = 5
    delivery_tag = 1

    def __init__(self, headers: dict[str, Any], *failures: BaseException) -> None:
        self.headers, self._channel = headers, FakeChannel()
        self.ack = self._channel.basic_ack = Scripted(*failures)
        self.nack = Scripted()

    @property
    def channel(self) -> FakeChannel:
        """As aio-pika has it."""
        if self._channel.is_closed:
            raise ChannelInvalidStateError
        return self._channel

    @property
    def ending(self) -> str:
        """How the broker sees it: acked, back in its queue, or neither."""
        if self._channel.is_closed or self.nack.calls:
            return "delivered again"
        return "acked" if self.ack.calls else "stuck"


def see_through(bus: FakeBus, incoming: FakeIncoming, handler: Scripted) -> None:
    disposal = Disposal(cast("Bus", bus), NOTES, handler)
    run(disposal.see_through(cast("AbstractIncomingMessage", incoming)))


def test_an_outage_while_the_dead_are_announced_is_waited_out_without_the_handler() -> None:
    on_dead = Scripted(StoreUnavailable("away"), StoreUnavailable("still"))
    bus, incoming, handler = FakeBus(on_dead=on_dead), FakeIncoming(LAST), Scripted(ValueError())
    see_through(bus, incoming, handler)
    assert (len(handler.calls), len(on_dead.calls)) == (1, 3)
    assert bus.published == [("dead", "notes.dead")]
    assert incoming.ending == "acked"


@pytest.mark.parametrize("fault", [KeyError("a bug"), asyncio.CancelledError()])
def test_a_fault_while_the_dead_are_announced_does_not_keep_them_from_being_buried(
    fault: BaseException,
) -> None:
    on_dead = Scripted(fault)
    bus, incoming, handler = FakeBus(on_dead=on_dead), FakeIncoming(LAST), Scripted(ValueError())
    see_through(bus, incoming, handler)
    assert (len(handler.calls), len(on_dead.calls)) == (1, 1)
    assert bus.published == [("dead", "notes.dead")]
    assert incoming.ending == "acked"


def test_an_outage_in_the_middle_of_a_burial_repeats_only_the_burial() -> None:
    on_dead, outage = Scripted(), BusUnavailable("away")
    bus = FakeBus(outage, outage, on_dead=on_dead)
    incoming, handler = FakeIncoming(LAST), Scripted(ValueError())
    see_through(bus, incoming, handler)
    assert (len(handler.calls), len(on_dead.calls)) == (1, 1)
    assert bus.published == [("dead", "notes.dead")] * 3
    assert incoming.ending == "acked"


def test_an_outage_before_the_next_attempt_is_no_attempt() -> None:
    bus, incoming = FakeBus(BusUnavailable("away")), FakeIncoming({})
    handler = Scripted(ValueError())
    see_through(bus, incoming, handler)
    assert len(handler.calls) == 1
    assert bus.published == [("delay", "test.notes")] * 2
    assert incoming.ending == "acked"


@pytest.mark.parametrize("headers", [{}, LAST])
def test_what_cannot_be_disposed_of_is_delivered_again(headers: dict[str, Any]) -> None:
    bus, incoming = FakeBus(UnicodeError("a bug")), FakeIncoming(headers)
    see_through(bus, incoming, Scripted(ValueError()))
    assert incoming.ending == "delivered again"


def test_a_cancellation_nobody_asked_for_is_a_failure_like_others() -> None:
    bus, incoming = FakeBus(), FakeIncoming({})
    see_through(bus, incoming, Scripted(asyncio.CancelledError()))
    assert bus.published == [("delay", "test.notes")]
    assert incoming.ending == "acked"


@pytest.mark.parametrize("failure", [TimeoutError(), Exception(), asyncio.CancelledError()])
def test_an_acknowledgement_that_fails_has_the_message_delivered_again(
    failure: BaseException,
) -> None:
    incoming = FakeIncoming({}, failure)
    see_through(FakeBus(), incoming, Scripted())
    assert incoming.ending == "delivered again"


def _in_an_outage(incoming: FakeIncoming, handler: Callable[..., Any]) -> int:
    """How often a handler is called whose channel goes away at its second call."""
    calls = 0

    async def losing(*args: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            await incoming.channel.close()
        await handler(*args)

    disposal = Disposal(cast("Bus", FakeBus()), NOTES, losing)
    run(disposal.see_through(cast("AbstractIncomingMessage", incoming)))
    return calls


def test_no_outage_is_waited_out_for_a_channel_that_is_gone() -> None:
    async def away(_: Note, __: Delivery) -> None:
        raise StoreUnavailable("for ever")

    incoming = FakeIncoming({})
    assert _in_an_outage(incoming, away) == 2
    assert not incoming.ack.calls


def test_a_reason_that_is_no_text_is_buried_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    # What a log has captured goes from one process to another here, as text.
    caplog.set_level(logging.CRITICAL, "shared.consumer")
    bus, incoming = FakeBus(), FakeIncoming(LAST)
    reasons: list[dict[str, Any]] = []

    async def publish(*_: Any, headers: dict[str, Any], **__: Any) -> None:
        reasons.append(headers)

    bus.publish = publish  # type: ignore[assignment]
    see_through(bus, incoming, Scripted(ValueError("half a pair: \ud800")))
    assert reasons[0]["x-reason"].encode() == b"ValueError: half a pair: ?"
    assert reasons[0]["x-traceback"].encode()
