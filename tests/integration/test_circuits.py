"""One circuit over three replicas and a real Redis, on a clock of the test's own."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from enricher.circuit import Circuit
from enricher.circuits import Circuits
from enricher.failures import BadCredential, CircuitOpen, Failure, RateLimited, ServerError
from enricher.policy import Policy
from shared.circuits import Board, Overview
from shared.errors import StoreUnavailable
from shared.store import Store
from tests.integration.clock import Clock

NAME = "opencep"
POLICY = Policy()


class Replica:
    """An enricher's circuits, and the calls that reached the provider through them."""

    def __init__(self, board: Board, clock: Clock) -> None:
        self.circuits = Circuits(board, clock=clock.monotonic, jitter=lambda seconds: seconds)
        self.circuit: Circuit = self.circuits.of(NAME, 10.0)
        self.made = 0

    async def call(
        self, outcome: Exception | None = None, after: float = 0.0, *, hurried: bool = False
    ) -> Any:
        async def fetch() -> str:
            self.made += 1
            await asyncio.sleep(after)
            if outcome is not None:
                raise outcome
            return "answer"

        return await self.circuit.call(fetch, hurried=hurried)

    async def fail(self, error: Failure, times: int = 1) -> None:
        for _ in range(times):
            with pytest.raises(type(error)):
                await self.call(error)

    async def opened(self) -> None:
        await self.fail(ServerError("500"), POLICY.consecutive)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def board(store: Store, clock: Clock) -> Board:
    return Board(store, clock.redis)


@pytest.fixture
def replicas(board: Board, clock: Clock) -> list[Replica]:
    return [Replica(board, clock) for _ in range(3)]


async def tick(replicas: list[Replica]) -> None:
    for replica in replicas:
        await replica.circuits.tick()


async def all_open(replicas: list[Replica], clock: Clock) -> None:
    """One finds out; the others hear of it. Then the open time passes."""
    await replicas[0].opened()
    await tick(replicas)
    assert {replica.circuit.state for replica in replicas} == {"ABERTO"}
    clock.forward(POLICY.open_for)
    for replica in replicas:
        replica.made = 0


async def test_what_one_replica_finds_out_holds_for_all(replicas: list[Replica]) -> None:
    first, second, third = replicas
    await first.opened()
    await tick(replicas)
    for replica in (second, third):
        with pytest.raises(CircuitOpen) as refused:
            await replica.call()
        assert refused.value.cause == "server_error"
        assert refused.value.retry_in == POLICY.open_for
        assert replica.made == 0


async def test_two_hundred_calls_at_half_open_in_three_replicas_make_one(
    replicas: list[Replica], clock: Clock
) -> None:
    await all_open(replicas, clock)
    outcomes = await asyncio.gather(
        *(replicas[number % 3].call(after=0.2) for number in range(200)), return_exceptions=True
    )
    assert sum(replica.made for replica in replicas) == 1
    assert outcomes.count("answer") == 1
    assert sum(isinstance(outcome, CircuitOpen) for outcome in outcomes) == 199
    await tick(replicas)
    assert {replica.circuit.state for replica in replicas} == {"FECHADO"}
    assert await asyncio.gather(*(replica.call() for replica in replicas)) == ["answer"] * 3


async def test_only_one_call_of_a_replica_asks_redis(
    replicas: list[Replica], monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    await all_open(replicas, clock)
    asked = 0
    ask = Board.ask

    async def counted(*args: Any) -> Any:
        nonlocal asked
        asked += 1
        return await ask(*args)

    monkeypatch.setattr(Board, "ask", counted)
    await asyncio.gather(
        *(replicas[0].call(after=0.05) for _ in range(200)), return_exceptions=True
    )
    assert asked == 1


async def test_a_probe_that_fails_opens_all_for_twice_as_long(
    replicas: list[Replica], clock: Clock
) -> None:
    await all_open(replicas, clock)
    await replicas[1].fail(ServerError("500"))
    await tick(replicas)
    for replica in replicas:
        assert replica.circuit.retry_in == 2 * POLICY.open_for


async def test_hurried_calls_of_no_replica_take_the_probe_from_one_with_more_time(
    replicas: list[Replica], clock: Clock
) -> None:
    await all_open(replicas, clock)
    await tick(replicas)
    for replica in replicas:
        assert replica.circuit.retry_in == 0
        assert replica.circuit.wait(hurried=True) == POLICY.probe_grace
        with pytest.raises(CircuitOpen):
            await replica.call(hurried=True)
    assert await replicas[1].call() == "answer"


async def test_a_cancelled_probe_leaves_the_turn_to_another_replica(
    replicas: list[Replica], clock: Clock
) -> None:
    first, second, _ = replicas
    await all_open(replicas, clock)
    probe = asyncio.create_task(first.call(after=60))
    while not first.made:
        await asyncio.sleep(0)
    with pytest.raises(CircuitOpen):
        await second.call()
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)
    await tick(replicas)
    assert await second.call() == "answer"


async def test_a_probe_cancelled_while_it_asks_leaves_no_lease(
    replicas: list[Replica], clock: Clock
) -> None:
    first, second, _ = replicas
    await all_open(replicas, clock)
    probe = asyncio.create_task(first.call())
    await asyncio.sleep(0)
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)
    assert await second.call() == "answer"


async def test_the_lease_of_a_process_that_was_killed_runs_out(
    replicas: list[Replica], board: Board, clock: Clock
) -> None:
    await all_open(replicas, clock)
    leave = await board.ask(NAME, "the probe of a process that is no more", POLICY.probe_lease)
    assert leave.verdict == "granted"
    outcomes = await asyncio.gather(
        *(replicas[number % 3].call() for number in range(200)), return_exceptions=True
    )
    assert all(isinstance(outcome, CircuitOpen) for outcome in outcomes)
    for replica in replicas:
        assert replica.circuit.retry_in == POLICY.probe_lease
    clock.forward(POLICY.probe_lease - 0.1)
    with pytest.raises(CircuitOpen):
        await replicas[2].call()
    clock.forward(0.2)
    outcomes = await asyncio.gather(
        *(replicas[number % 3].call(after=0.1) for number in range(200)), return_exceptions=True
    )
    assert sum(replica.made for replica in replicas) == 1
    assert outcomes.count("answer") == 1


async def test_a_lease_that_went_to_another_is_not_the_first_one_s_to_close(
    board: Board, clock: Clock
) -> None:
    await board.open(NAME, 0, openings=1, cause="timeout")
    assert (await board.ask(NAME, "slow", 0.01)).verdict == "granted"
    clock.forward(0.05)
    assert (await board.ask(NAME, "next", 5)).verdict == "granted"
    await board.release(NAME, "slow", well=True)
    assert (await board.ask(NAME, "third", 5)).verdict == "probing"
    await board.release(NAME, "next", well=True)
    assert (await board.ask(NAME, "third", 5)).verdict == "closed"


async def test_of_several_reasons_not_to_call_the_longest_counts(board: Board) -> None:
    await board.open(NAME, 9, openings=1, cause="rate_limited")
    await board.open(NAME, 3, openings=2, cause="timeout")
    leave = await board.ask(NAME, "probe", 5)
    assert (leave.verdict, leave.cause, leave.openings) == ("open", "rate_limited", 2)
    assert leave.seconds == 9


@pytest.mark.parametrize("error", [RateLimited(30), BadCredential("401")])
async def test_what_a_provider_told_one_replica_stops_the_others(
    board: Board, error: Failure, clock: Clock
) -> None:
    replicas = [Replica(board, clock) for _ in range(3)]
    await replicas[0].fail(error)
    await tick(replicas)
    for replica in replicas[1:]:
        with pytest.raises(CircuitOpen) as refused:
            await replica.call()
        assert refused.value.cause == error.reason
        assert refused.value.retry_in >= 30
        assert replica.made == 0


async def test_a_replica_that_starts_in_an_outage_knows(
    replicas: list[Replica], clock: Clock
) -> None:
    await replicas[0].opened()
    late = Replica(replicas[0].circuits._board, clock)
    await late.circuits.tick()
    with pytest.raises(CircuitOpen):
        await late.call()


@pytest.fixture
async def away() -> AsyncIterator[Board]:
    async with Store("redis://127.0.0.1:1/0") as store:
        yield Board(store)


async def test_without_redis_each_decides_for_itself(
    away: Board, board: Board, clock: Clock
) -> None:
    replica = Replica(away, clock)
    assert await replica.call() == "answer"
    with pytest.raises(StoreUnavailable):
        await replica.circuits.tick()
    await replica.opened()
    clock.forward(POLICY.open_for)
    await replica.fail(ServerError("500"))
    # Once it is back, the others hear what they missed.
    replica.circuit._board = replica.circuits._board = board
    other = Replica(board, clock)
    await replica.circuits.tick()
    await other.circuits.tick()
    assert (await seen(board)).state == other.circuit.state == "ABERTO"
    clock.forward(2 * POLICY.open_for)
    assert await replica.call() == "answer"
    for _ in range(2):
        await replica.circuits.tick()
        await other.circuits.tick()
    assert (await seen(board)).state == "FECHADO"
    assert await other.call() == "answer"


async def test_an_operator_s_word_reaches_every_replica(
    replicas: list[Replica], board: Board
) -> None:
    await board.force(NAME, "ABERTO")
    await tick(replicas)
    for replica in replicas:
        with pytest.raises(CircuitOpen, match="forced"):
            await replica.call()
    await board.force(NAME, "FECHADO")
    await tick(replicas)
    for replica in replicas:
        await replica.fail(ServerError("500"), 10)
        assert await replica.call() == "answer"
    await board.force(NAME, "")
    await tick(replicas)
    assert {replica.circuit.forced for replica in replicas} == {""}


async def seen(board: Board) -> Overview:
    return (await board.overview())[NAME]


async def test_the_overview_is_over_all_replicas(replicas: list[Replica], board: Board) -> None:
    await tick(replicas)
    about = await seen(board)
    assert (about.state, about.failures, about.successes) == ("FECHADO", 0, 0)
    assert (about.cause, about.reopens, about.forced, about.replicas) == ("", None, False, 3)
    for replica in replicas:
        await replica.call()
    await replicas[2].opened()
    # At once, before the others have heard of it.
    assert (await seen(board)).state == "ABERTO"
    await tick(replicas)
    about = await seen(board)
    assert (about.state, about.failures, about.successes) == ("ABERTO", 5, 3)
    assert about.cause == "server_error"
    await board.force(NAME, "FECHADO")
    about = await seen(board)
    assert (about.state, about.forced, about.cause) == ("FECHADO", True, "forced")


async def test_a_replica_that_ended_is_not_counted(replicas: list[Replica], board: Board) -> None:
    await tick(replicas)
    ticking = asyncio.create_task(replicas[0].circuits.run())
    await asyncio.sleep(0.05)
    ticking.cancel()
    await asyncio.gather(ticking, return_exceptions=True)
    assert (await seen(board)).replicas == 2


async def test_a_silent_replica_is_forgotten_but_its_circuit_is_still_listed(
    replicas: list[Replica], board: Board, clock: Clock, store: Store
) -> None:
    await tick(replicas)
    clock.forward(16)
    assert (await seen(board)).replicas == 0
    await replicas[0].circuits.tick()
    assert await store.redis.hlen("consulta:circuits") == 1


@pytest.fixture(params=["America/Sao_Paulo", "Pacific/Kiritimati"])
def zone(request: pytest.FixtureRequest) -> Iterator[str]:
    """This process in another timezone."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = request.param
    time.tzset()
    yield request.param
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


@pytest.mark.usefixtures("zone")
async def test_it_opens_and_reopens_at_the_right_time_in_every_timezone(
    board: Board, clock: Clock
) -> None:
    patient = Replica(board, clock)
    before = time.time()
    await patient.fail(RateLimited(40))
    await patient.circuits.tick()
    about = await seen(board)
    assert about.reopens is not None
    assert about.reopens.endswith("Z")
    reopens = datetime.fromisoformat(about.reopens)
    assert reopens.tzinfo == UTC
    assert abs(reopens.timestamp() - before - 40) < 5


@pytest.mark.usefixtures("zone")
async def test_it_closes_again_in_every_timezone(replicas: list[Replica], clock: Clock) -> None:
    await all_open(replicas, clock)
    assert await replicas[1].call() == "answer"


def test_a_lease_shorter_than_a_call_is_refused(board: Board) -> None:
    assert Circuits(board).of("serpro", 10.0).name == "serpro"
    with pytest.raises(ValueError, match="at least 17 s"):
        Circuits(board).of("serpro", 12.0)
