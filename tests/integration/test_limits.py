"""The limiter against a real Redis, on a clock of the test's own."""

from dataclasses import dataclass, field
from heapq import heappop, heappush

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.bus import Bus
from shared.limits import LEASE, SLACK, UNANSWERED, Limit, Limiter, Permit
from shared.queues import Queues
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
        assert await limiter.acquire(Permit(limit, name)) == 0
        await limiter.settle(Permit(limit, name, used=True))
        clock.forward(10)
    assert await limiter.acquire(Permit(limit, "c")) == pytest.approx(40)
    clock.forward(39.9)
    assert await limiter.acquire(Permit(limit, "c")) > 0
    clock.forward(0.2)
    assert await limiter.acquire(Permit(limit, "c")) == 0


async def test_asking_again_with_the_same_id_costs_nothing(store: Store) -> None:
    limiter, limit = Limiter(store, Clock()), Limit.parse("queue", "2/min")
    for _ in range(5):
        assert await limiter.acquire(Permit(limit, "same")) == 0
    assert await limiter.acquire(Permit(limit, "other")) == 0
    assert await limiter.acquire(Permit(limit, "third")) > 0


async def test_a_permit_not_used_is_free_again(store: Store) -> None:
    limiter, limit = Limiter(store, Clock()), Limit.parse("queue", "1/day")
    assert await limiter.acquire(Permit(limit, "a")) == 0
    await limiter.settle(Permit(limit, "a"))
    assert await limiter.acquire(Permit(limit, "b")) == 0


async def test_a_permit_counts_from_the_end_of_its_call(store: Store) -> None:
    clock = Clock()
    limiter, limit = Limiter(store, clock), Limit.parse("queue", "1/min")
    assert await limiter.acquire(Permit(limit, "a")) == 0
    clock.forward(8)
    await limiter.settle(Permit(limit, "a", used=True))
    clock.forward(59)
    assert await limiter.acquire(Permit(limit, "b")) > 0
    clock.forward(1.1)
    assert await limiter.acquire(Permit(limit, "b")) == 0


@pytest.mark.parametrize(("takes", "stands_at"), [(8, 8 + UNANSWERED), (LEASE - 1, LEASE)])
async def test_one_whose_call_got_no_answer_counts_until_it_has_arrived_for_certain(
    store: Store, takes: float, stands_at: float
) -> None:
    clock = Clock()
    limiter, limit = Limiter(store, clock), Limit.parse("queue", "1/min")
    began, permit = clock.micros, Permit(limit, "a")
    assert await limiter.acquire(permit) == 0
    permit.use()
    clock.forward(takes)
    await limiter.settle(permit)
    score = await store.redis.zscore(limit.key, "a")
    assert score == began + stands_at * 1e6
    permit.answered()
    await limiter.settle(permit)
    assert await store.redis.zscore(limit.key, "a") == clock.micros


async def test_a_permit_whose_process_died_comes_back_after_its_lease(store: Store) -> None:
    clock = Clock()
    limiter, limit = Limiter(store, clock), Limit.parse("queue", "1/min")
    assert await limiter.acquire(Permit(limit, "dead")) == 0
    clock.forward(LEASE + 59)
    assert await limiter.acquire(Permit(limit, "next")) > 0
    clock.forward(2)
    assert await limiter.acquire(Permit(limit, "next")) == 0


async def test_every_window_holds(store: Store) -> None:
    clock = Clock()
    limiter, limit = Limiter(store, clock), Limit.parse("queue", "2/min,3/hour")
    for name in ("a", "b"):
        assert await limiter.acquire(Permit(limit, name)) == 0
        await limiter.settle(Permit(limit, name, used=True))
    assert await limiter.acquire(Permit(limit, "c")) == pytest.approx(60)
    clock.forward(61)
    assert await limiter.acquire(Permit(limit, "c")) == 0
    await limiter.settle(Permit(limit, "c", used=True))
    assert await limiter.acquire(Permit(limit, "d")) == pytest.approx(3600 - 61)


@pytest.mark.parametrize("text", ["1/day", "2/day"])
async def test_whoever_would_sleep_over_one_that_is_out_asks_again_soon(
    store: Store, text: str
) -> None:
    limiter, limit = Limiter(store, Clock()), Limit.parse("queue", text)
    count, _ = limit.windows[0]
    for number in range(count):
        assert await limiter.acquire(Permit(limit, str(number))) == 0
    # All but the last have been used, so the first to come free by itself is a day off.
    for number in range(count - 1):
        await limiter.settle(Permit(limit, str(number), used=True))
    last, waiting = Permit(limit, str(count - 1)), Permit(limit)
    assert await limiter.acquire(waiting, again=10) == 10
    assert await limiter.acquire(waiting) == 86400
    # Only its own process hears of this.
    await limiter.settle(last)
    assert await limiter.acquire(waiting, again=10) == 0
    waiting.used = True
    await limiter.settle(waiting)
    assert await limiter.acquire(Permit(limit), again=10) == 86400


async def test_forgotten_permits_are_waited_out(store: Store) -> None:
    clock = Clock()
    knows, idle, fresh = (Limiter(store, clock) for _ in range(3))
    limit = Limit.parse("queue", "2/min")
    await idle.look()
    for _ in range(2):
        assert await knows.acquire(Permit(limit)) == 0
    clock.forward(1)
    await store.redis.flushdb()
    assert [await limiter.acquire(Permit(limit)) for limiter in (knows, idle, fresh)] == [100] * 3
    clock.forward(99.9)
    assert await knows.acquire(Permit(limit)) > 0
    clock.forward(0.2)
    assert await fresh.acquire(Permit(limit)) == 0
    assert await knows.acquire(Permit(limit)) == 0
    assert await idle.acquire(Permit(limit)) == 60


async def test_a_process_that_was_idle_tells_those_that_cannot_know(store: Store) -> None:
    clock = Clock()
    idle, fresh = Limiter(store, clock), Limiter(store, clock)
    limit = Limit.parse("queue", "9/min")
    await idle.look()
    clock.forward(1)
    await store.redis.flushdb()
    assert await fresh.acquire(Permit(limit)) == 0
    clock.forward(5)
    await idle.look()
    assert await fresh.acquire(Permit(limit)) == 95


async def test_a_pause_is_an_hour_and_a_lease_at_most_and_whoever_knows_better_ends_it(
    store: Store,
) -> None:
    clock = Clock()
    limiter, limit = Limiter(store, clock), Limit.parse("queue", "2/min,500/day")
    assert await limiter.acquire(Permit(limit)) == 0
    clock.forward(1)
    await store.redis.flushdb()
    waiting = Permit(limit)
    assert await limiter.acquire(waiting) == LEASE + 3600
    assert await limiter.acquire(waiting, again=10) == 10
    await store.redis.hdel("consulta:permits", "lost")
    assert await limiter.acquire(waiting) == 0


async def test_what_protects_no_provider_knows_no_pause(store: Store) -> None:
    clock = Clock()
    limiter, limit = Limiter(store, clock), Limit.parse("key", "1/hour")
    await limiter.look()
    assert await limiter.acquire(Permit(limit), lease=0) == 0
    clock.forward(1)
    await store.redis.flushdb()
    await limiter.look()
    assert await limiter.acquire(Permit(limit), lease=0) == 0
    assert await limiter.acquire(Permit(limit), lease=0) == 3600


async def test_the_line_and_the_queues_tell_of_the_pause(store: Store, bus: Bus) -> None:
    limiter, limit = Limiter(store), Limit.parse("stage.endereco", "50/min")
    await limiter.look()
    await store.redis.flushdb()
    await limiter.look()
    wait = await limiter.expect(limit, ("line", "no flight"), "a", "endereco", b"")
    assert LEASE + 50 < wait <= LEASE + 60
    found = await Queues(bus, store, {limit.name: limit}).statistics()
    assert found["filas"][limit.name]["permissoes"] == 0


async def test_the_line_tells_each_one_its_turn(store: Store) -> None:
    clock = Clock()
    limiter, limit = Limiter(store, clock), Limit.parse("queue", "2/min")
    keys = ("line", "no flight")
    waits = [await limiter.expect(limit, keys, name, "endereco", b"") for name in "abcde"]
    assert waits == [0, 0, 60, 60, 120]


async def test_a_permit_too_old_for_its_call_is_given_back_and_taken_anew(store: Store) -> None:
    clock = Clock()
    limiter, limit = Limiter(store, clock, lambda: clock.seconds), Limit.parse("queue", "1/min")
    permit = Permit(limit)
    assert await limiter.renew(permit, 10) == 0
    first = permit.id
    clock.forward(LEASE - SLACK - 10)
    assert await limiter.renew(permit, 10) == 0
    assert permit.id == first
    clock.forward(0.1)
    assert not limiter.lasts(permit, 10)
    assert await limiter.renew(permit, 10) == 0
    assert permit.id != first
    assert limiter.lasts(permit, 10)
    # The only one, so the first is free.
    assert await store.redis.zrange(limit.key, 0, -1) == [permit.id.encode()]


async def test_an_answer_that_got_lost_makes_a_permit_no_younger(store: Store) -> None:
    clock = Clock()
    limiter, limit = Limiter(store, clock, lambda: clock.seconds), Limit.parse("queue", "1/min")
    permit = Permit(limit, "same")
    assert await limiter.acquire(Permit(limit, "same")) == 0
    clock.forward(LEASE - SLACK - 5)
    assert await limiter.acquire(permit) == 0
    assert limiter.lasts(permit, 5)
    assert not limiter.lasts(permit, 5.1)


COUNT, WINDOW, CALL = 3, 2.0, 10.0


@dataclass(order=True)
class _Due:
    """What one holder of a permit does next, and when."""

    at: float
    number: int
    does: str = field(compare=False)


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    holders=st.lists(
        st.tuples(
            st.floats(0, 6),  # after the one before it
            st.one_of(st.floats(0, 2), st.sampled_from(["an outage"] * 3)),  # until it calls
            st.one_of(st.floats(0, 1), st.floats(0, CALL)),  # until the call arrives and is over
            st.sampled_from(["settles", "settles", "gives up", "dies", "never calls"]),
        ),
        min_size=12,
        max_size=40,
    )
)
async def test_no_window_at_the_provider_ever_holds_more_than_the_limit(
    store: Store, holders: list[tuple[float, float | str, float, str]]
) -> None:
    """Permits are held for any time before their call, which arrives at its very end."""
    await store.redis.flushdb()
    clock = Clock()
    limiter = Limiter(store, clock, lambda: clock.seconds)
    limit = Limit("queue", ((COUNT, WINDOW),))
    permits = [Permit(limit, str(number)) for number in range(len(holders))]
    arrivals: list[float] = []
    asked = clock.seconds
    outage = asked + LEASE + WINDOW + 60
    due: list[_Due] = []
    for number, (pause, *_) in enumerate(holders):
        asked += pause
        heappush(due, _Due(asked, number, "take"))
    while due:
        step = heappop(due)
        clock.forward(max(0.0, step.at - clock.seconds))
        _, held, takes, ends = holders[step.number]
        permit = permits[step.number]
        if step.does == "settle":
            await limiter.settle(permit)
        elif step.does == "arrive":
            arrivals.append(clock.seconds)
        elif wait := await limiter.renew(permit, CALL):
            heappush(due, _Due(clock.seconds + wait, step.number, step.does))
        elif step.does == "take":
            # Whoever an outage holds up goes on with all the others at its end.
            ready = clock.seconds + held if isinstance(held, float) else outage
            heappush(due, _Due(max(ready, clock.seconds), step.number, "call"))
        elif ends == "never calls":
            await limiter.settle(permit)
        else:
            permit.used, permit.margin = True, 0.0 if ends == "settles" else UNANSWERED
            heappush(due, _Due(clock.seconds + takes, step.number, "arrive"))
            # One that is given up is still on its way.
            over = {"settles": takes, "gives up": max(0.0, takes - UNANSWERED)}.get(ends)
            if over is not None:
                heappush(due, _Due(clock.seconds + over, step.number, "settle"))
    for first, next_one in zip(arrivals, arrivals[COUNT:], strict=False):
        assert next_one - first >= WINDOW - 1e-5


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    flushed=st.sets(st.integers(1, 100), max_size=3),
    takes=st.lists(st.sampled_from([0, 0, 3, 100]), min_size=1, max_size=9),
)
async def test_no_window_holds_more_when_redis_forgets_the_permits(
    store: Store, flushed: set[int], takes: list[int]
) -> None:
    """Two replicas ask at every tick for all there is; a call arrives after so many, and is over.

    Args:
        flushed: the ticks at whose beginning Redis is emptied.
    """
    await store.redis.flushdb()
    clock, tick = Clock(), 0.3
    replicas, limit = [Limiter(store, clock) for _ in range(2)], Limit("queue", ((COUNT, WINDOW),))
    for replica in replicas:
        await replica.look()
    out: list[tuple[int, Permit]] = []
    arrivals: list[float] = []
    for now in range(round((LEASE + WINDOW) / tick) + 110):
        clock.forward(tick)
        if now in flushed:
            await store.redis.flushdb()
        for replica in (replicas[now % 2], replicas[1 - now % 2]):
            while not await replica.acquire(permit := Permit(limit, used=True)):
                out.append((now + takes[len(out) % len(takes)], permit))
        for arrives, permit in out:
            if arrives == now:
                arrivals.append(clock.seconds)
                await replicas[0].settle(permit)
    for first, next_one in zip(arrivals, arrivals[COUNT:], strict=False):
        assert next_one - first >= WINDOW - 1e-5
