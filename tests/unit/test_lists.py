"""A list taken apart item by item is the list a decoder would have made of it at once, or none."""

import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.problems import Problem
from gateway.streaming.lists import MAX_ITEM, MAX_ITEMS, items_of
from gateway.streaming.pace import STEP_BYTES, STEP_ITEMS, Pace
from shared.errors import InvalidInput

REFUSED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)
BLANKS = st.text(" \t\r\n", max_size=3)


def taken_apart(body: bytes) -> list[Any] | int:
    """The items, or the status of the refusal."""

    async def items() -> list[Any]:
        found = await items_of(body, Pace(_at_once))
        listed = [item async for item in found]
        assert len(found) == len(listed)
        return listed

    walk = items()
    try:
        walk.send(None)
    except StopIteration as ended:
        found: list[Any] = ended.value
        return found
    except Problem as problem:
        return problem.status
    except InvalidInput:
        return 422
    raise AssertionError("it waits for something")


async def _at_once() -> None:
    """No turn for anybody, so that there need be no loop."""


def at_once(body: bytes) -> list[Any] | int:
    """The same, of a decoder that is given the whole."""
    try:
        found = msgspec.json.decode(body)
    except REFUSED:
        return 400
    return found if isinstance(found, list) else 422


@st.composite
def lists(draw: st.DrawFn) -> bytes:
    """A list of anything, with blanks where they may stand, written in one of two ways."""
    items = draw(st.lists(VALUES, max_size=8))
    plain = draw(st.booleans())
    parts = [
        draw(BLANKS) + json.dumps(item, ensure_ascii=plain, indent=draw(st.none() | st.just(1)))
        for item in items
    ]
    text = "[" + ",".join(part + draw(BLANKS) for part in parts) + "]"
    return (draw(BLANKS) + text + draw(BLANKS)).encode(errors="surrogatepass")


@settings(deadline=None)
@given(lists())
def test_a_list_has_the_items_that_a_decoder_finds(body: bytes) -> None:
    assert taken_apart(body) == at_once(body)


@settings(deadline=None)
@given(lists(), st.data())
def test_a_list_that_was_tampered_with_has_the_same_items_or_is_refused_alike(
    body: bytes, data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(body)))
    cut = data.draw(st.integers(0, 3))
    put = data.draw(
        st.binary(max_size=3) | st.sampled_from([b'"', b"\\", b"[", b"]", b"},{", b","])
    )
    tampered = body[:place] + put + body[place + cut :]
    assert taken_apart(tampered) == at_once(tampered)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from([*b'[]{},:"\\ \n1-.eEu0tfn\xc3\xa9\xff']), max_size=24))
def test_whatever_looks_like_a_list_is_judged_alike(letters: list[int]) -> None:
    for body in (bytes(letters), b"[" + bytes(letters) + b"]"):
        assert taken_apart(body) == at_once(body)


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"[", b"]", b"[,]", b"[1,]", b"[1 2]", b"[1]]", b"[1] x", b"[1}", b"[{]}",
        b'["]', b'["\\"]', b"[1", b"[1,", b"[nul]", b"\xef\xbb\xbf[]", b"[1e999]", b'["\x00"]',
        b"{}", b"7", b"{", b'{"a":[1]}', b"[" * 100_000, b"[" * 5000 + b"]" * 5000,
    ],
)  # fmt: skip
def test_what_is_no_list_is_refused_as_ever(body: bytes) -> None:
    assert taken_apart(body) == at_once(body)


def test_ten_thousand_items_are_a_list_and_one_more_is_none() -> None:
    assert taken_apart(b"[" + b"0," * (MAX_ITEMS - 1) + b"0]") == [0] * MAX_ITEMS
    assert taken_apart(b"[" + b"0," * MAX_ITEMS + b"0]") == 413
    # What would follow is not looked at.
    assert taken_apart(b"[" + b"0," * MAX_ITEMS + b"x") == 413


def test_an_item_may_be_as_long_as_a_line_and_no_longer() -> None:
    text = "x" * (MAX_ITEM - 2)
    whole = json.dumps(text).encode()
    assert len(whole) == MAX_ITEM
    assert taken_apart(b"[%b,%b]" % (whole, whole)) == [text, text]
    for longer in (b" " + whole, whole + b" ", whole[:-1] + b'x"'):
        assert taken_apart(b"[0,%b]" % longer) == 413
        assert taken_apart(b"[%b,0]" % longer) == 413


class Counted(Pace):
    """Notes how many items and bytes pass between two turns."""

    def __init__(self) -> None:
        super().__init__(self._note)
        self.seen = [(0, 0)]

    async def spend(self, size: int) -> None:
        items, bytes_ = self.seen[-1]
        self.seen[-1] = (items + 1, bytes_ + size)
        await super().spend(size)

    async def _note(self) -> None:
        self.seen.append((0, 0))


MIB8 = 8 * 2**20
WIDE = b"[" + b"[]," * 270 + b"[]]"


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (b"[" + b"[0]," * (MIB8 // 4), MAX_ITEMS * 4),
        (b"[" + b",".join([WIDE] * 10_000) + b"]", len(WIDE) * 10_000),
        (b"[" + b" " * MIB8 + b"]", MIB8),
        (b" " * MIB8 + b"[]", MIB8),
        (b"[]" + b" " * MIB8, MIB8),
        (b"[" + b",".join([b'"' + b"\\\\" * 400 + b'"'] * 10_000) + b"]", 10_000 * 802),
    ],
    ids=["many", "wide", "blank inside", "blank before", "blank after", "escapes"],
)
async def test_between_two_turns_of_the_loop_little_of_a_long_list_is_read(
    body: bytes, read: int
) -> None:
    pace = Counted()
    with suppress(Problem):
        await items_of(body, pace)
    items, sizes = zip(*pace.seen, strict=True)
    assert max(items) <= STEP_ITEMS
    assert max(sizes) <= STEP_BYTES + MAX_ITEM
    assert sum(sizes) >= read
