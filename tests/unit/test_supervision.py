"""Loops that live as long as their service are started again when they end; in virtual time."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest

from shared import metrics
from shared.service.supervision import LONGEST_S, Supervisor
from tests.virtual_time import now, run


class Work:
    """Does, each time it is started, the next of these things; then it runs until cancelled."""

    def __init__(self, *turns: Callable[[], Awaitable[None]]) -> None:
        self._turns = list(turns)
        self.starts: list[float] = []
        self.left: list[float] = []

    async def __call__(self) -> None:
        self.starts.append(now())
        if self._turns:
            await self._turns.pop(0)()
            return
        try:
            await asyncio.sleep(1e6)
        finally:
            await asyncio.sleep(1)
            self.left.append(now())


async def fails() -> None:
    raise ValueError("a fault of ours")


async def ends() -> None:
    pass


async def is_cancelled_by_somebody_else() -> None:
    raise asyncio.CancelledError


def _supervisor() -> Supervisor:
    return Supervisor(clock=now)


@pytest.mark.parametrize("how", [fails, ends, is_cancelled_by_somebody_else])
def test_whatever_ends_is_logged_and_started_again(
    how: Callable[[], Awaitable[None]], caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        work = Work(how)
        async with _supervisor() as supervisor:
            supervisor.keep("ticker", work)
            await asyncio.sleep(10)
        assert work.starts == [0, 1]

    run(main())
    [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert vars(record)["task"] == "ticker"
    assert (record.exc_info is not None) == (how is not ends)


def test_the_pauses_grow_to_a_bound_and_are_short_again_after_it_ran_well() -> None:
    async def for_long() -> None:
        await asyncio.sleep(1000)

    async def main() -> None:
        work = Work(*[fails] * 8, for_long, fails)
        async with _supervisor() as supervisor:
            supervisor.keep("ticker", work)
            await asyncio.sleep(2000)
        pauses = [
            after - before for before, after in zip(work.starts, work.starts[1:], strict=False)
        ]
        assert pauses == [1, 2, 4, 8, 16, LONGEST_S, LONGEST_S, LONGEST_S, 1000 + 1, 2]

    run(main())


def test_what_is_down_is_named_until_it_is_started_again() -> None:
    async def main() -> None:
        async with _supervisor() as supervisor:
            supervisor.keep("well", Work())
            supervisor.keep("ill", Work(fails))
            await asyncio.sleep(0.5)
            assert (supervisor.down, _up("well"), _up("ill")) == (["ill"], 1, 0)
            restarts = metrics.task_restarts.labels("ill")._value.get()
            await asyncio.sleep(1)
            assert (supervisor.down, _up("ill")) == ([], 1)
            assert metrics.task_restarts.labels("ill")._value.get() == restarts + 1

    run(main())


def test_at_the_end_each_is_let_do_its_last_things_and_none_is_started_again() -> None:
    async def main() -> None:
        work, waiting = Work(), Work(fails)
        async with _supervisor() as supervisor:
            supervisor.keep("ticker", work)
            supervisor.keep("waits to be started", waiting)
            await asyncio.sleep(0.5)
        assert (work.left, now()) == ([1.5], 1.5)
        await asyncio.sleep(100)
        assert (work.starts, waiting.starts) == ([0], [0])

    run(main())


def test_one_that_fails_on_its_way_out_is_not_started_again() -> None:
    async def until_cancelled() -> None:
        try:
            await asyncio.sleep(1e6)
        finally:
            raise ValueError("on its way out")

    async def main() -> None:
        work = Work(until_cancelled)
        async with _supervisor() as supervisor:
            supervisor.keep("ticker", work)
            await asyncio.sleep(1)
        assert (work.starts, now()) == ([0], 1)

    run(main())


def test_a_name_stands_for_one_task() -> None:
    async def main() -> None:
        async with _supervisor() as supervisor:
            supervisor.keep("ticker", Work())
            with pytest.raises(ValueError, match="ticker"):
                supervisor.keep("ticker", Work())
            # Let it begin, so that its end is one in good order.
            await asyncio.sleep(0)

    run(main())


def _up(name: str) -> float:
    value: float = metrics.task_up.labels(name)._value.get()
    return value
