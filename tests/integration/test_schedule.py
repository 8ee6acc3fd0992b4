"""Periodic jobs on a real Redis and a clock of the test's own."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from cache_service.app import scheduling
from cache_service.jobs import Jobs
from shared.errors import StoreUnavailable
from shared.jobs import JOBS
from shared.schedule import AGAIN_S, LEASE_S, Job, Scheduler, agenda
from shared.store import Argument, Store
from tests.arena import Arena

MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC).timestamp()
HOUR = 3600.0


class Time:
    """Simulated time: sleepers wake, in order, as it passes."""

    def __init__(self) -> None:
        self.now = MIDNIGHT + 1
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.now + seconds, future))
        await future

    async def until(self, end: float, idle: Any) -> None:
        """Let time pass, stopping at each moment somebody waits for."""
        while True:
            await idle()
            self._sleepers = [entry for entry in self._sleepers if not entry[1].done()]
            due = min((moment for moment, _ in self._sleepers), default=end + 1)
            if due > end:
                self.now = end
                return
            self.now = due
            for moment, future in self._sleepers:
                if moment <= due and not future.done():
                    future.set_result(None)


class Runs:
    """A job that remembers when it ran."""

    def __init__(self, time: Time) -> None:
        self.slots: list[float] = []
        self._time = time

    async def __call__(self) -> dict[str, int]:
        self.slots.append(self._time.now)
        return {"runs": len(self.slots)}


class Away(Store):
    """Away as often as it is told to be, or gone before it has answered."""

    times = answers = 0

    async def run(self, name: str, keys: list[str], *args: Argument) -> Any:
        if self.times:
            self.times -= 1
            raise StoreUnavailable("Redis: ConnectionError")
        answer = await super().run(name, keys, *args)
        if self.answers:
            self.answers -= 1
            raise StoreUnavailable("Redis: TimeoutError")
        return answer


class Slow(Store):
    """Something else happens before its next script runs."""

    meanwhile: Callable[[], Awaitable[Any]] | None = None

    async def run(self, name: str, keys: list[str], *args: Argument) -> Any:
        if (meanwhile := self.meanwhile) is not None:
            self.meanwhile = None
            await meanwhile()
        return await super().run(name, keys, *args)


async def test_each_slot_runs_once_over_two_replicas_and_five_restarts(store: Store) -> None:
    time = Time()
    hourly, often = Runs(time), Runs(time)
    jobs = [Job("every six hours", "0 */6 * * *", hourly), Job("often", "*/5 * * * *", often)]

    async def idle() -> None:
        """Until every scheduler sleeps again: each has a job asleep for each of its loops."""
        async with asyncio.timeout(10):
            while sum(not future.done() for _, future in time._sleepers) < 2 * len(jobs):
                await asyncio.sleep(0)

    for restart in range(6):
        replicas = [
            asyncio.create_task(Scheduler(store, jobs, clock=time.clock, sleep=time.sleep).run())
            for _ in range(2)
        ]
        await time.until(MIDNIGHT + 1 + (restart + 1) * 4 * HOUR, idle)
        for replica in replicas:
            replica.cancel()
        await asyncio.gather(*replicas, return_exceptions=True)
        time._sleepers.clear()

    assert hourly.slots == [MIDNIGHT + hours * HOUR for hours in (6, 12, 18, 24)]
    assert often.slots == [MIDNIGHT + n * 300 for n in range(1, 24 * 12 + 1)]
    shown = await agenda(store, [(job.name, job.cron) for job in jobs], time.now)
    assert [(entry["situacao"], entry["perdidas"]) for entry in shown] == [("ok", 0), ("ok", 0)]
    assert shown[0]["proxima"] == "2026-03-02T06:00:00.000000Z"


async def test_slots_nobody_was_there_for_are_counted_as_missed(store: Store) -> None:
    time = Time()
    job = Job("hourly", "0 * * * *", Runs(time))
    scheduler = Scheduler(store, [job], clock=time.clock, sleep=time.sleep)
    assert await scheduler.run_slot("hourly", MIDNIGHT + HOUR)
    time.now = MIDNIGHT + 5 * HOUR
    assert await scheduler.run_slot("hourly", MIDNIGHT + 5 * HOUR)
    [shown] = await agenda(store, [("hourly", "0 * * * *")], time.now)
    assert shown["perdidas"] == 3


async def killed(arena: Arena, job: Job, time: Time, slot: float | None = None) -> None:
    """Have a process begin a run, by hand if for no slot, and die during it."""
    begun = asyncio.Event()

    async def endless() -> None:
        begun.set()
        await asyncio.Event().wait()

    async with (store := Away(arena.redis_url)):
        process = Scheduler(store, [Job(job.name, job.cron, endless)], clock=time.clock)
        run = process.run_now(job.name) if slot is None else process.run_slot(job.name, slot)
        running = asyncio.create_task(run)
        await begun.wait()
        # Whatever it may have to say is not heard.
        store.times = 1000
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_run_whose_process_died_is_shown_and_does_not_stop_the_next(
    store: Store, arena: Arena
) -> None:
    time = Time()
    job = Job("fatal", "0 * * * *", Runs(time))
    await killed(arena, job, time, MIDNIGHT + HOUR)
    time.now += LEASE_S + 1
    [shown] = await agenda(store, [("fatal", "0 * * * *")], time.now)
    assert shown["situacao"] == "interrompida"
    again = Scheduler(store, [job], clock=time.clock, sleep=time.sleep)
    assert await again.run_slot("fatal", MIDNIGHT + 2 * HOUR)
    [shown] = await agenda(store, [("fatal", "0 * * * *")], time.now)
    assert shown["situacao"] == "ok"


@pytest.mark.parametrize(("died", "late"), [(180, 0), (270, 30)])
async def test_a_run_by_hand_that_dies_costs_no_slot(
    store: Store, arena: Arena, died: int, late: int
) -> None:
    time = Time()
    runs = Runs(time)
    [job] = [Job(name, cron, runs) for name, cron in JOBS if cron.startswith("*/5 ")]

    async def sleep(seconds: float) -> None:
        if len(runs.slots) == 2:
            raise TimeoutError
        time.now += seconds

    time.now = MIDNIGHT + died
    await killed(arena, job, time)
    time.now += 1
    with pytest.raises(ExceptionGroup):
        await Scheduler(store, [job], clock=time.clock, sleep=sleep).run()
    # The next slot waits until it is known that nobody runs any more, and the one after is on time.
    assert runs.slots == [MIDNIGHT + 300 + late, MIDNIGHT + 600]
    [shown] = await agenda(store, [(job.name, job.cron)], time.now)
    assert (shown["situacao"], shown["perdidas"]) == ("ok", 0)


@pytest.mark.parametrize("hangs", [False, True])
async def test_a_run_that_is_stopped_says_so_at_once_if_it_can(
    arena: Arena, monkeypatch: pytest.MonkeyPatch, hangs: bool
) -> None:
    time = Time()
    begun = asyncio.Event()

    async def endless() -> None:
        begun.set()
        await asyncio.Event().wait()

    async with (store := Slow(arena.redis_url)):
        job = Job("often", "*/5 * * * *", endless)
        time.now = MIDNIGHT + 299
        running = asyncio.create_task(Scheduler(store, [job], clock=time.clock).run_now("often"))
        await begun.wait()
        if hangs:
            monkeypatch.setattr("shared.schedule.GOODBYE_S", 0.01)
            store.meanwhile = asyncio.Event().wait
        running.cancel()
        await asyncio.wait({running})
        assert running.cancelled()
        [shown] = await agenda(store, [("often", job.cron)], time.now)
        assert shown["situacao"] == ("em_curso" if hangs else "interrompida")
        time.now += 1
        again = Scheduler(store, [Job("often", job.cron, Runs(time))], clock=time.clock)
        assert await again.run_slot("often", MIDNIGHT + 300) is not hangs


async def test_a_run_that_ends_in_an_outage_is_written_down_after_it(arena: Arena) -> None:
    time = Time()

    async def sleep(seconds: float) -> None:
        time.now += seconds

    async with (store := Away(arena.redis_url)):

        async def cut_off() -> None:
            store.times = 2

        job = Job("hourly", "0 * * * *", cut_off)
        scheduler = Scheduler(store, [job], clock=time.clock, sleep=sleep)
        assert await scheduler.run_now("hourly")
        [shown] = await agenda(store, [("hourly", job.cron)], time.now)
    assert (shown["situacao"], time.now) == ("ok", MIDNIGHT + 1 + 2 * AGAIN_S)


async def test_a_job_that_another_s_cancellation_ends_has_failed(store: Store) -> None:
    async def fails() -> None:
        raise asyncio.CancelledError

    time = Time()
    scheduler = Scheduler(store, [Job("bad", "0 * * * *", fails)], clock=time.clock)
    assert await scheduler.run_slot("bad", MIDNIGHT)
    [shown] = await agenda(store, [("bad", "0 * * * *")], time.now)
    assert shown["situacao"] == "erro"


def test_every_job_is_given_up_well_before_its_next_slot() -> None:
    nothing: Any = None
    for job in Jobs(nothing, nothing, nothing).all():
        slots = [MIDNIGHT]
        while len(slots) < 1000:
            slots.append(job.after(slots[-1]))
        assert job.lease <= min(later - slot for slot, later in pairwise(slots)) / 5


async def test_a_job_that_fails_is_shown_as_failed(store: Store) -> None:
    time = Time()

    async def fails() -> None:
        raise ValueError("personal data in here")

    scheduler = Scheduler(store, [Job("bad", "0 * * * *", fails)], clock=time.clock)
    assert await scheduler.run_slot("bad", MIDNIGHT)
    [shown] = await agenda(store, [("bad", "0 * * * *")], time.now)
    assert shown["situacao"] == "erro"
    assert shown["resultado"] == {"erro": "ValueError"}


async def test_a_job_can_be_run_by_hand_and_keeps_its_schedule(store: Store) -> None:
    time = Time()
    runs = Runs(time)
    scheduler = Scheduler(store, [Job("hourly", "0 * * * *", runs)], clock=time.clock)
    assert await scheduler.run_now("hourly")
    assert not await scheduler.run_now("hourly")
    assert await scheduler.run_slot("hourly", MIDNIGHT + HOUR)
    assert len(runs.slots) == 2
    with pytest.raises(KeyError):
        await scheduler.run_now("no such job")


async def test_a_job_run_by_hand_in_an_outage_is_the_caller_s_to_try_again(arena: Arena) -> None:
    time = Time()
    runs = Runs(time)
    async with (store := Away(arena.redis_url)):
        scheduler = Scheduler(store, [Job("hourly", "0 * * * *", runs)], clock=time.clock)
        store.times = 1
        with pytest.raises(StoreUnavailable):
            await scheduler.run_now("hourly")
        assert await scheduler.run_now("hourly")
    assert len(runs.slots) == 1


async def test_a_job_to_run_at_start_waits_for_redis(arena: Arena) -> None:
    time = Time()
    runs = Runs(time)

    async def sleep(seconds: float) -> None:
        if runs.slots:
            raise TimeoutError  # it waits for its slot
        time.now += seconds

    async with (store := Away(arena.redis_url)):
        job = Job("yearly", "0 0 1 1 *", runs)
        scheduler = Scheduler(store, [job], clock=time.clock, sleep=sleep)
        store.times = 2
        with pytest.raises(ExceptionGroup):
            await scheduling(scheduler, ("yearly",))()
    assert runs.slots == [MIDNIGHT + 1 + 2 * AGAIN_S]


async def test_the_newest_slot_that_came_in_an_outage_is_run_after_it(arena: Arena) -> None:
    time = Time()
    runs = Runs(time)

    async def sleep(seconds: float) -> None:
        if len(runs.slots) == 2:
            raise TimeoutError
        time.now += seconds

    async with (store := Away(arena.redis_url)):
        often = Job("often", "*/5 * * * *", runs)
        store.times = 123  # from 00:05:00 until 00:15:15
        with pytest.raises(ExceptionGroup):
            await Scheduler(store, [often], clock=time.clock, sleep=sleep).run()
        assert runs.slots == [MIDNIGHT + 915, MIDNIGHT + 1200]
        assert float((await store.hash("consulta:job:often"))["slot"]) == MIDNIGHT + 1200


async def test_a_claim_whose_answer_was_lost_is_made_again_and_its_slot_run(
    store: Store, arena: Arena
) -> None:
    time = Time()
    runs = Runs(time)
    job = Job("hourly", "0 * * * *", runs)
    replica = Scheduler(store, [job], clock=time.clock)
    assert await replica.run_slot("hourly", MIDNIGHT + HOUR)
    async with (away := Away(arena.redis_url)):
        scheduler = Scheduler(away, [job], clock=time.clock)
        away.answers = 2
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                await scheduler.run_slot("hourly", MIDNIGHT + 4 * HOUR)
        assert not await replica.run_slot("hourly", MIDNIGHT + 4 * HOUR)
        assert await scheduler.run_slot("hourly", MIDNIGHT + 4 * HOUR)
        assert not await scheduler.run_slot("hourly", MIDNIGHT + 4 * HOUR)
    assert len(runs.slots) == 2
    [shown] = await agenda(store, [("hourly", "0 * * * *")], time.now)
    # However often the claim was made, what it found missed counts once.
    assert (shown["situacao"], shown["perdidas"]) == ("ok", 2)


@pytest.mark.parametrize("later", [0, 7])
async def test_a_run_by_hand_whose_answer_was_lost_is_run_by_whoever_comes_next(
    arena: Arena, later: int
) -> None:
    time = Time()
    runs = Runs(time)
    async with (away := Away(arena.redis_url)):
        scheduler = Scheduler(away, [Job("hourly", "0 * * * *", runs)], clock=time.clock)
        away.answers = 1
        with pytest.raises(StoreUnavailable):
            await scheduler.run_now("hourly")
        # Held meanwhile, it comes again a moment later, and a slot beside it.
        time.now += later
        ran = await asyncio.gather(
            scheduler.run_now("hourly"), scheduler.run_slot("hourly", MIDNIGHT)
        )
        assert list(ran) == [True, False]
        assert len(runs.slots) == 1


async def test_a_claim_that_arrives_when_its_run_is_over_is_none(store: Store) -> None:
    time = Time()
    scheduler = Scheduler(store, [Job("hourly", "0 * * * *", Runs(time))], clock=time.clock)
    assert await scheduler.run_slot("hourly", MIDNIGHT + HOUR)
    last = await store.hash("consulta:job:hourly")
    # It hung in a connection that was given up.
    late = (MIDNIGHT + 2 * HOUR, time.now, LEASE_S, last["claimant"], last["slot"], 0)
    assert await store.run("job_claim", ["consulta:job:hourly"], *late) == [0, 0]
    assert await store.hash("consulta:job:hourly") == last


async def test_what_another_claimed_in_between_is_not_counted_as_missed(arena: Arena) -> None:
    time = Time()
    job = Job("hourly", "0 * * * *", Runs(time))
    async with (slow := Slow(arena.redis_url)), Store(arena.redis_url) as store:
        replica = Scheduler(store, [job], clock=time.clock)
        assert await replica.run_slot("hourly", MIDNIGHT + HOUR)
        slow.meanwhile = lambda: replica.run_slot("hourly", MIDNIGHT + 4 * HOUR)
        scheduler = Scheduler(slow, [job], clock=time.clock)
        assert await scheduler.run_slot("hourly", MIDNIGHT + 5 * HOUR)
        [shown] = await agenda(store, [("hourly", "0 * * * *")], time.now)
    assert shown["perdidas"] == 2
