"""Lookups as lines of JSON, taken on while they come."""

from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
from aiohttp import StreamReader

from gateway.bodies import in_time
from gateway.problems import Problem
from gateway.streaming.lists import MAX_ITEM, MAX_ITEMS
from gateway.streaming.pace import Pace
from shared.errors import InvalidInput

_REST: Final = "o resto não foi lido"


async def lines_of(content: StreamReader, pace: Pace | None = None) -> AsyncIterator[Any]:
    """Each line as Python has it; a bad line is an item of its own, and a blank one is none.

    Every line counts, the blank ones too: after the last that may come one more item says so, and
    what is left of the body is not read.
    """
    pace, count = pace or Pace(), 0
    while True:
        try:
            line = await in_time(_line(content))
        except Problem:
            yield InvalidInput("linha", f"não chegou a tempo; {_REST}")
            return
        count += 1
        if not line:
            return
        if count > MAX_ITEMS:
            yield InvalidInput("lote", f"no máximo {MAX_ITEMS} linhas por chamada; {_REST}")
            return
        if len(line) > MAX_ITEM:
            yield InvalidInput("linha", f"no máximo {MAX_ITEM} bytes; {_REST}")
            return
        if line.strip():
            try:
                item = msgspec.json.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                item = InvalidInput("linha", "não é um objeto JSON (UTF-8) numa linha só")
            yield item
        # What was read at once comes without a wait, however many lines it is.
        await pace.spend(len(line))


async def _line(content: StreamReader) -> bytes:
    try:
        return await content.readline()
    except ValueError:  # past aiohttp's own bound
        return b"x" * (MAX_ITEM + 1)
