"""What is said in one turn travels together, and what cannot travel is dropped."""

import asyncio
from typing import Any, cast

import pytest
from aiormq.exceptions import AMQPConnectionError

from shared import courier as module
from shared.courier import Courier, News
from shared.link import Link

PIECE = News(["task"], 1, "iniciado", b"{}")


class FakeLink:
    """A link, and what is published over it."""

    def __init__(self) -> None:
        self.is_up = True

    async def further(self, timeout: float) -> "FakeLink":
        return self

    @property
    def is_closed(self) -> bool:
        return not self.is_up


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[News]]]:
    found: list[tuple[str, list[News]]] = []

    async def publish(_: Any, exchange: str, key: str, body: bytes, __: Any) -> None:
        assert exchange == ""
        found.append((key, module._decoder.decode(body)))

    monkeypatch.setattr(module, "publish", publish)
    return found


async def test_what_is_said_in_one_turn_is_one_message_a_gateway(
    published: list[tuple[str, list[News]]],
) -> None:
    courier = Courier(cast("Link", FakeLink()))
    for listener in ("a", "b", "a"):
        courier.send(listener, PIECE)
    assert published == []
    await courier.close()
    assert [(key, len(pieces)) for key, pieces in published] == [("news.a", 2), ("news.b", 1)]
    assert published[0][1][0] == PIECE


async def test_a_message_is_no_larger_than_a_gateway_can_take_at_once(
    published: list[tuple[str, list[News]]],
) -> None:
    courier = Courier(cast("Link", FakeLink()))
    for _ in range(2 * module.MOST + 1):
        courier.send("a", PIECE)
    await courier.close()
    assert [len(pieces) for _, pieces in published] == [module.MOST, module.MOST, 1]


async def test_without_a_connection_nothing_is_kept_and_nobody_is_held_up(
    published: list[tuple[str, list[News]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    link = FakeLink()
    courier, link.is_up = Courier(cast("Link", link)), False
    courier.send("a", PIECE)
    await asyncio.sleep(0)
    link.is_up = True
    courier.send("b", PIECE)
    await courier.close()
    assert [key for key, _ in published] == ["news.b"]

    async def lost(*_: Any) -> None:
        raise AMQPConnectionError

    monkeypatch.setattr(module, "publish", lost)
    courier.send("a", PIECE)
    await courier.close()
