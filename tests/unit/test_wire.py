"""One connection's commands and answers: the order is all that says which answer is whose."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from redis.exceptions import ConnectionError as Ended
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as Silent

from shared.store.connection import Watcher, Wire
from tests.transports import Transport
from tests.virtual_time import run


class Heard(Watcher):
    """What came unasked, and whether the end was told."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.ends = 0

    def pushed(self, message: list[Any]) -> None:
        self.messages.append(message)

    def lost(self) -> None:
        self.ends += 1


def made(
    heard: Heard | None = None, clock: Callable[[], float] | None = None
) -> tuple[Wire, Transport]:
    transport, loop = Transport(), asyncio.get_running_loop()
    return Wire(transport, 5.0, heard or Heard(), clock or loop.time), transport


async def test_what_is_asked_in_one_turn_is_one_write_and_answered_in_order() -> None:
    wire, transport = made()
    answers = [wire.ask(("GET", name)) for name in "abc"]
    await asyncio.sleep(0)
    assert transport.written == [b"".join(b"*2\r\n$3\r\nGET\r\n$1\r\n%c\r\n" % c for c in b"abc")]
    # In pieces, as TCP may bring it.
    for piece in (b"$1\r", b"\n1\r\n$1\r\n2", b"\r\n_\r\n"):
        wire.data_received(piece)
    assert [await answer for answer in answers] == [b"1", b"2", None]


async def test_an_answer_nobody_waits_for_goes_to_nobody_else() -> None:
    wire, _ = made()
    first, second = wire.ask(("GET", "a")), wire.ask(("GET", "b"))
    first.cancel()
    wire.data_received(b"+of a\r\n+of b\r\n")
    assert await second == b"of b"


async def test_an_error_is_for_whoever_asked() -> None:
    wire, _ = made()
    good, bad = wire.ask(("GET", "a")), wire.ask(("HGET", "a"))
    after = wire.ask(("GET", "b"))
    wire.data_received(b"+a\r\n-ERR wrong number of arguments\r\n+b\r\n")
    with pytest.raises(ResponseError, match="wrong number"):
        await bad
    assert (await good, await after) == (b"a", b"b")


async def test_what_comes_unasked_answers_nobody() -> None:
    heard = Heard()
    wire, _ = made(heard)
    answer = wire.ask(("GET", "a"))
    wire.data_received(b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n+a\r\n")
    assert await answer == b"a"
    assert heard.messages == [[b"invalidate", [b"a"]]]


async def test_the_end_of_the_connection_fails_what_is_under_way_and_sends_nothing_more() -> None:
    heard = Heard()
    wire, transport = made(heard)
    sent = wire.ask(("INCR", "a"))
    await asyncio.sleep(0)
    unsent = wire.ask(("INCR", "b"))
    wire.connection_lost(None)
    late = wire.ask(("INCR", "c"))
    for answer in (sent, unsent, late):
        with pytest.raises(Ended):
            await answer
    await asyncio.sleep(0)
    assert len(transport.written) == 1
    assert not wire.is_open
    assert heard.ends == 1


async def test_an_answer_that_is_no_answer_ends_the_connection() -> None:
    wire, transport = made()
    answer = wire.ask(("GET", "a"))
    wire.data_received(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with pytest.raises(Ended):
        await answer
    assert transport.ended


async def test_an_answer_to_nothing_ends_the_connection() -> None:
    wire, transport = made()
    wire.data_received(b"+OK\r\n")
    assert transport.ended


def test_silence_ends_the_connection_for_all() -> None:
    async def scene() -> None:
        wire, transport = made()
        first = wire.ask(("GET", "a"))
        await asyncio.sleep(4)
        second = wire.ask(("GET", "b"))
        assert not transport.ended
        await asyncio.sleep(2)
        for answer in (first, second):
            with pytest.raises(Silent):
                await answer
        assert transport.ended

    run(scene())


def test_a_connection_with_nothing_to_answer_may_be_silent() -> None:
    async def scene() -> None:
        wire, transport = made()
        answer = wire.ask(("GET", "a"))
        wire.data_received(b"+a\r\n")
        await asyncio.sleep(60)
        assert await answer == b"a"
        assert not transport.ended

    run(scene())


def test_each_stall_of_the_loop_is_looked_at_twice_however_many_there_were() -> None:
    async def scene() -> None:
        stood = 0.0
        wire, transport = made(clock=lambda: asyncio.get_running_loop().time() + stood)
        for _ in range(2):
            # The loop stands still for 6 seconds, and the answer lies in the socket meanwhile.
            answer = wire.ask(("GET", "a"))
            stood += 6
            await asyncio.sleep(0.6)
            assert not transport.ended
            wire.data_received(b"+a\r\n")
            assert await answer == b"a"
            # What is asked and answered between them, and a look at it.
            answer = wire.ask(("GET", "b"))
            wire.data_received(b"+b\r\n")
            assert await answer == b"b"
            await asyncio.sleep(0.6)

    run(scene())
