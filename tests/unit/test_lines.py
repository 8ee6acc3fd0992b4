"""Lines of JSON: what counts as one, and when the others have their turn."""

import asyncio
from itertools import pairwise
from typing import Any
from unittest.mock import Mock

import pytest
from aiohttp import StreamReader

from gateway.streaming.lines import lines_of
from gateway.streaming.lists import MAX_ITEM, MAX_ITEMS
from gateway.streaming.pace import STEP_ITEMS, Pace
from shared.errors import InvalidInput


def content(text: bytes) -> StreamReader:
    """A body that has come whole."""
    reader = StreamReader(Mock(_reading_paused=False), 2**16, loop=asyncio.get_running_loop())
    reader.feed_data(text)
    reader.feed_eof()
    return reader


async def items(text: bytes, pace: Pace | None = None) -> list[Any]:
    """What stands in the lines: the field instead of an error."""
    found = [item async for item in lines_of(content(text), pace)]
    return [item.field if isinstance(item, InvalidInput) else item for item in found]


async def test_a_bad_line_is_an_item_and_a_blank_one_is_none() -> None:
    text = b'{"a":1}\n\n  \r\n[0]\nno\n\xff\n7'
    assert await items(text) == [{"a": 1}, [0], "linha", "linha", 7]


@pytest.mark.parametrize("line", [b"\n", b"0\n"])
async def test_after_the_last_that_may_come_one_item_says_so(line: bytes) -> None:
    most = await items(line * MAX_ITEMS)
    more = await items(line * (MAX_ITEMS + 1))
    endless = await items(line * (5 * MAX_ITEMS))
    assert most == ([0] * MAX_ITEMS if line == b"0\n" else [])
    assert more == endless == [*most, "lote"]


async def test_what_follows_a_line_that_is_too_long_is_not_read() -> None:
    assert await items(b"0\n" + b" " * MAX_ITEM + b"\n0\n") == [0, "linha"]


async def test_the_others_have_their_turn_however_many_lines_came_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read, turns = 0, [0]
    readline = StreamReader.readline

    async def counted(reader: StreamReader) -> bytes:
        nonlocal read
        read += 1
        return await readline(reader)

    async def turn() -> None:
        turns.append(read)

    monkeypatch.setattr(StreamReader, "readline", counted)
    await items(b"\n" * 65_536, Pace(turn))
    assert read == MAX_ITEMS + 1
    assert max(later - before for before, later in pairwise(turns)) == STEP_ITEMS
    assert turns[-1] >= MAX_ITEMS - STEP_ITEMS
