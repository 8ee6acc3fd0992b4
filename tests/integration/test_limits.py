"""The limiter against a real Redis, on a clock of the test's own."""

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.limits import LEASE, Limit, Limiter, Permit
from shared.store import Store


class Clock:
    """Microseconds that pass when the test says so."""

    def __init__(self) -> None:
        self.micros = 1_800_000_000_000_000

    def __call__(self) -> int:
        return self.micros

    @property
    def seconds(self) -> float:
        return self.micros / 1e6

    def forward(self, seconds: float) -> None:
        self.micros += round(seconds * 1e6)


@pytest.mark.parametrize("text", ["", "50", "50/", "/min", "0/min", "50/0s", "-1/min", "5/year"])
def test_a_limit_that_is_none_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="50/min"):
        Limit.parse("queue", text)


def test_a_limit_has_several_windows() -> None:
    assert Limit.parse("queue", "3/min, 500/day").windows == ((3, 60.0), (500, 86400.0))
    assert not Limit.parse("queue", "off")


async def test_the_permit_past_the_limit_is_told_when_to_come_back(store: Store) -> None:
    clock = Clock()
    limiter, limit = Limiter(store, clock), Limit.parse("queue", "2/min")
    for name in ("a", "b"):
        assert await limiter.acquire(limit, name) == 0
        await limiter.settle(Permit(limit, name, used=True))
        clock.forward(10)
    retry_at = await limiter.acquire(limit, "c")
    assert retry_at == pytest.approx(clock.seconds + 40)
    clock.forward(39.9)
    assert await limiter.acquire(limit, "c") > 0
    clock.forward(0.2)
    assert await limiter.acquire(limit, "c") == 0


async def test_asking_again_with_the_same_id_costs_nothing(store: Store) -> None:
    limiter, limit = Limiter(store, Clock()), Limit.parse("queue", "2/min")
    for _ in range(5):
        assert await limiter.acquire(limit, "same") == 0
    assert await limiter.acquire(limit, "other") == 0
    assert await limiter.acquire(limit, "third") > 0


async def test_a_permit_not_used_is_free_again(store: Store) -> None:
    limiter, limit = Limiter(store, Clock()), Limit.parse("queue", "1/day")
    assert await limiter.acquire(limit, "a") == 0
    await limiter.settle(Permit(limit, "a"))
    assert await limiter.acquire(limit, "b") == 0


async def test_a_permit_counts_from_the_end_of_its_call(store: Store) -> None:
    clock = Clock()
    limiter, limit = Limiter(store, clock), Limit.parse("queue", "1/min")
    assert await limiter.acquire(limit, "a") == 0
    clock.forward(8)
    await limiter.settle(Permit(limit, "a", used=True))
    clock.forward(59)
    assert await limiter.acquire(limit, "b") > 0
    clock.forward(1.1)
    assert await limiter.acquire(limit, "b") == 0


async def test_a_permit_whose_process_died_comes_back_after_its_lease(store: Store) -> None:
    clock = Clock()
    limiter, limit = Limiter(store, clock), Limit.parse("queue", "1/min")
    assert await limiter.acquire(limit, "dead") == 0
    clock.forward(LEASE + 59)
    assert await limiter.acquire(limit, "next") > 0
    clock.forward(2)
    assert await limiter.acquire(limit, "next") == 0


async def test_every_window_holds(store: Store) -> None:
    clock = Clock()
    limiter, limit = Limiter(store, clock), Limit.parse("queue", "2/min,3/hour")
    for name in ("a", "b"):
        assert await limiter.acquire(limit, name) == 0
        await limiter.settle(Permit(limit, name, used=True))
    assert await limiter.acquire(limit, "c") == pytest.approx(clock.seconds + 60)
    clock.forward(61)
    assert await limiter.acquire(limit, "c") == 0
    await limiter.settle(Permit(limit, "c", used=True))
    assert await limiter.acquire(limit, "d") == pytest.approx(clock.seconds + 3600 - 61)


async def test_the_line_tells_each_one_its_turn(store: Store) -> None:
    clock = Clock()
    limiter, limit = Limiter(store, clock), Limit.parse("queue", "2/min")
    keys = ("line", "no flight")
    turns = [await limiter.expect(limit, keys, name, "endereco", b"") for name in "abcde"]
    assert turns[:2] == [0, 0]
    waits = [round(turn - clock.seconds) for turn in turns[2:]]
    assert waits == [60, 60, 120]


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    steps=st.lists(
        st.tuples(st.floats(0, 1.5), st.floats(0, 0.8), st.booleans()), min_size=20, max_size=60
    )
)
async def test_no_window_at_the_provider_ever_holds_more_than_the_limit(
    store: Store, steps: list[tuple[float, float, bool]]
) -> None:
    """Calls arrive some time after their permit, and are settled some time after that."""
    await store.redis.flushdb()
    clock = Clock()
    limiter, limit = Limiter(store, clock), Limit.parse("queue", "3/2s")
    arrivals: list[float] = []
    out: list[tuple[float, Permit]] = []
    for number, (pause, duration, used) in enumerate(steps):
        clock.forward(pause)
        for due, permit in [entry for entry in out if entry[0] <= clock.seconds]:
            out.remove((due, permit))
            await limiter.settle(permit)
        permit = Permit(limit, str(number), used=used)
        if await limiter.acquire(limit, permit.id) == 0:
            out.append((clock.seconds + duration, permit))
            if used:
                # Anywhere between the grant and the settlement; the latest is the hardest.
                arrivals.append(clock.seconds + duration)
    arrivals.sort()
    for first, fourth in zip(arrivals, arrivals[3:], strict=False):
        assert fourth - first >= 2 - 1e-6
    assert all(a <= b for a, b in pairwise(arrivals))
