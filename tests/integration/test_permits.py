"""The permits of a stage's calls, on a real Redis and a clock of the test's own."""

import asyncio
import math
from contextlib import suppress

import pytest

from enricher.failures import CutShort, Disconnected, NotFound, ServerError, TimedOut
from enricher.permits import Permits
from shared.errors import StoreUnavailable
from shared.limits import LEASE, SLACK, UNANSWERED, Limit, Limiter, Permit
from shared.store import Store
from tests.scripted import Scripted, forgotten, never_before

LIMIT = Limit.parse("queue", "2/min")


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


async def nothing(_: float) -> None:
    """Nobody is told of a wait."""


async def test_an_order_held_through_an_outage_is_not_called_under_its_old_permit(
    store: Store,
) -> None:
    clock = Clock()
    limiter, first = Limiter(store, monotonic=clock), Permit(LIMIT)
    assert await limiter.acquire(first) == 0
    before = first.id
    clock.seconds = LEASE
    permits = Permits(limiter, first, nothing, never_before, forgotten, clock)
    provider = Scripted()
    granted = await permits.take(provider, by=math.inf, quota_by=0)
    assert granted[1] is first
    assert first.id != before
    await permits.use(granted, provider)
    assert await store.redis.zrange(LIMIT.key, 0, -1) == [first.id.encode()]


async def test_the_credential_s_permit_does_not_grow_old_while_the_queue_s_is_waited_for(
    store: Store,
) -> None:
    clock = Clock()
    provider = Scripted()
    provider.rate = Limit.parse("scripted", "5/min")

    class Slow(Limiter):
        """The queue's permit takes long to come."""

        async def renew(self, permit: Permit, seconds: float) -> float:
            wait = await super().renew(permit, seconds)
            if permit.limit == LIMIT and not waited:
                waited.append(clock.seconds)
                clock.seconds += LEASE
            return wait

    waited: list[float] = []
    limiter = Slow(store, monotonic=clock)
    permits = Permits(limiter, Permit(LIMIT), nothing, never_before, forgotten, clock)
    granted = await permits.take(provider, by=math.inf, quota_by=math.inf)
    assert all(limiter.lasts(permit, provider.timeout) for permit in granted)
    assert await store.redis.zcard("consulta:permits:scripted") == 1


async def test_what_was_granted_only_just_can_still_be_used_a_little_later(store: Store) -> None:
    clock = Clock()
    limiter, first = Limiter(store, monotonic=clock), Permit(LIMIT)
    assert await limiter.acquire(first) == 0
    provider = Scripted()
    clock.seconds = LEASE - SLACK - provider.timeout
    permits = Permits(limiter, first, nothing, never_before, forgotten, clock)
    granted = await permits.take(provider, by=math.inf, quota_by=0)
    clock.seconds += 1
    await permits.use(granted, provider)
    assert first.used


@pytest.mark.parametrize("late", ["before", "while"])
async def test_a_call_that_comes_too_late_for_its_permits_is_not_marked_as_made(
    store: Store, late: str
) -> None:
    clock, marks = Clock(), set[str]()

    async def mark(provider: str) -> str:
        marks.add(provider)
        clock.seconds += LEASE if late == "while" else 0
        return "mark"

    async def unmark(provider: str, mark: str) -> None:
        assert mark == "mark"
        marks.remove(provider)

    provider = Scripted()
    provider.__dict__["billed"] = True
    limiter, first = Limiter(store, monotonic=clock), Permit(LIMIT)
    assert await limiter.acquire(first) == 0
    permits = Permits(limiter, first, nothing, mark, unmark, clock)
    granted = await permits.take(provider, by=math.inf, quota_by=0)
    clock.seconds += LEASE if late == "before" else 0
    with pytest.raises(StoreUnavailable):
        await permits.use(granted, provider)
    assert (marks, first.used) == (set(), False)


@pytest.mark.parametrize(
    ("outcome", "margin"),
    [
        (None, 0),
        (ServerError("500"), 0),
        (NotFound(), 0),
        (TimedOut("late"), UNANSWERED),
        (CutShort("late"), UNANSWERED),
        (Disconnected("reset"), UNANSWERED),
        (asyncio.CancelledError(), UNANSWERED),
    ],
)
async def test_only_an_answer_says_that_a_call_has_arrived(
    store: Store, outcome: BaseException | None, margin: float
) -> None:
    limiter, first = Limiter(store), Permit(LIMIT)
    assert await limiter.acquire(first) == 0
    permits = Permits(limiter, first, nothing, never_before, forgotten)
    provider = Scripted()
    granted = await permits.take(provider, by=math.inf, quota_by=0)
    await permits.use(granted, provider)
    with suppress(type(outcome) if outcome else ValueError), permits.answering(granted):
        if outcome is not None:
            raise outcome
    assert first.margin == margin
