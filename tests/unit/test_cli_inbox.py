"""Events come out in order and once, however they went in."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from consulta.inbox import Inbox
from shared.messages import Event


def event(seq: int) -> Event:
    return Event(type="aguardando", timestamp="2026-02-25T14:30:45.123456Z", seq=seq)


def taken(inbox: Inbox) -> list[object]:
    return [event.seq for event in iter(inbox.take, None)]


@given(st.lists(st.integers(1, 8), max_size=40))
def test_any_order_and_any_repetition_give_the_sequence(extra: list[int]) -> None:
    inbox, given_back = Inbox(), []
    for seq in [*extra, *range(1, 9)]:
        inbox.offer(event(seq))
        given_back += taken(inbox)
    assert given_back == list(range(1, 9))


def test_a_gap_is_known_until_it_closes() -> None:
    inbox, gaps = Inbox(), []
    for seq in (2, 4, 1, 3):
        inbox.offer(event(seq))
        taken(inbox)
        gaps.append(inbox.has_gap)
    assert gaps == [True, True, True, False]


def test_numbers_that_are_none_of_ours_are_not_kept() -> None:
    inbox = Inbox()
    for seq in (0, -1, 10**9):
        inbox.offer(event(seq))
    inbox.offer(Event(type="iniciado", timestamp="2026-02-25T14:30:45.123456Z"))
    assert not inbox.has_gap
    assert taken(inbox) == []


async def test_waiting_ends_with_news_or_with_the_time() -> None:
    inbox = Inbox()
    assert not await inbox.wait(0)
    waiting = asyncio.create_task(inbox.wait(20))
    await asyncio.sleep(0)
    inbox.miss()
    assert await waiting
    assert inbox.stale
