"""A JSON list of lookups, taken apart item by item.

Decoded at once, eight megabytes of `[0],[0],…` are two million objects and stop the loop for most
of a second. So the body stays the bytes it came as. A first walk finds where each item ends, which
a decoder does that is given the rest of the list: it reads one value and says where the next thing
begins. Whatever is no JSON is found by this walk, before anything is taken on. Then each item is
decoded when its turn comes.
"""

import re
from array import array
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec

from gateway.problems import Problem
from gateway.streaming.pace import STEP_BYTES, Pace
from shared.errors import InvalidInput
from shared.messages import MAX_BODY

MAX_ITEMS: Final = 10_000
# With the blanks around it. A lookup has a few hundred bytes.
MAX_ITEM: Final = 16 * 1024
NOT_JSON: Final = "o corpo não é JSON válido (UTF-8)"
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_BLANK: Final = re.compile(rb"[ \t\r\n]*+")
# What msgspec says of a value that something follows: where that is, counted from 1.
_FOLLOWED: Final = re.compile(r"trailing characters \(byte (\d+)\)$")
_CUT: Final = "truncated"
_OPEN, _COMMA, _CLOSE = b"[,]"


class Items:
    """The items of a list that is known to be one.

    `cuts` are the places of its `[`, of each comma between items, and of its `]`.
    """

    def __init__(self, body: memoryview, cuts: "array[int]") -> None:
        self._body, self._cuts = body, cuts

    def __len__(self) -> int:
        return len(self._cuts) - 1

    async def __aiter__(self) -> AsyncIterator[Any]:
        """Each item as Python has it, decoded only now."""
        for place in range(len(self)):
            yield msgspec.json.decode(self._body[self._cuts[place] + 1 : self._cuts[place + 1]])


async def items_of(body: bytes | bytearray, pace: Pace | None = None) -> Items:
    """Take a list apart.

    Args:
        body: the whole of it; it must not change any more.

    Raises:
        Problem: 400 not JSON, 413 too many items or one that is too long.
        InvalidInput: JSON, but no list.
    """
    pace = pace or Pace()
    view = memoryview(body)
    start = await _after_blanks(view, 0, pace)
    _insist_on_list(view, start)
    cuts = array("Q", [start])
    first = await _after_blanks(view, start + 1, pace)
    if first < len(view) and view[first] == _CLOSE:
        cuts[0] = first
    else:
        await _cut(view, cuts, pace)
    if await _after_blanks(view, cuts[-1] + 1, pace) < len(view):
        raise Problem(400, NOT_JSON)
    return Items(view, cuts)


async def _cut(view: memoryview, cuts: "array[int]", pace: Pace) -> None:
    while len(cuts) == 1 or view[cuts[-1]] == _COMMA:
        if len(cuts) > MAX_ITEMS:
            raise Problem(413, f"no máximo {MAX_ITEMS} consultas por chamada", field="corpo")
        end = _end_of(view, cuts[-1] + 1)
        await pace.spend(end - cuts[-1])
        cuts.append(end)


def _end_of(view: memoryview, start: int) -> int:
    """Where the item that begins here ends: at the comma or the bracket that follows it."""
    window = view[start : start + MAX_ITEM + 1]
    fault = _CUT
    try:
        msgspec.json.decode(window)
    except _UNREADABLE as error:
        fault = str(error)
    followed = _FOLLOWED.search(fault)
    if followed is not None:
        end = start + int(followed[1]) - 1
        if view[end] in {_COMMA, _CLOSE}:
            return end
    elif _CUT in fault and len(window) > MAX_ITEM:
        raise Problem(413, f"no máximo {MAX_ITEM} bytes por consulta", field="corpo")
    raise Problem(400, NOT_JSON)


def _insist_on_list(view: memoryview, start: int) -> None:
    if start < len(view) and view[start] == _OPEN:
        return
    # What is too long to be looked at at once is no list either way.
    if len(view) <= MAX_BODY:
        try:
            msgspec.json.decode(view)
        except _UNREADABLE:
            raise Problem(400, NOT_JSON) from None
    raise InvalidInput("corpo", "envie uma lista de consultas")


async def _after_blanks(view: memoryview, start: int, pace: Pace) -> int:
    """The first place from here on that is not blank, or the end."""
    while True:
        found = _BLANK.match(view, start, start + STEP_BYTES)
        end = found.end() if found else start
        await pace.spend(end - start)
        if end < start + STEP_BYTES:
            return end
        start = end
