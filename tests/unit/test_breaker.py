"""The breaker of one replica, in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from enricher.breaker import Breaker
from enricher.failures import (
    BadCredential,
    Blocked,
    Challenged,
    CircuitOpen,
    CutShort,
    Failure,
    NotFound,
    RateLimited,
    Rejected,
    ServerError,
    TimedOut,
    Unavailable,
)
from tests.virtual_time import now, run

Call = Callable[[], Awaitable[str]]


def breaker(**more: Any) -> Breaker:
    return Breaker("test", clock=now, jitter=lambda seconds: seconds, **more)


def fails(error: Exception, after: float = 0.0) -> Call:
    async def call() -> str:
        await asyncio.sleep(after)
        raise error

    return call


def works(after: float = 0.0) -> Call:
    async def call() -> str:
        await asyncio.sleep(after)
        return "answer"

    return call


async def feed(circuit: Breaker, *errors: Exception | None, after: float = 0.0) -> None:
    for error in errors:
        try:
            await circuit.call(works(after) if error is None else fails(error, after))
        except Failure as failure:
            assert failure is error  # noqa: PT017 - the breaker passes on what it was given


def test_it_opens_after_five_failures_in_a_row_and_keeps_the_error() -> None:
    async def main() -> None:
        circuit = breaker()
        await feed(circuit, *[ServerError("500")] * 4)
        assert circuit.state == "FECHADO"
        last = ServerError("the fifth")
        with pytest.raises(ServerError) as caught:
            await circuit.call(fails(last))
        assert caught.value is last
        assert (circuit.state, circuit.cause) == ("ABERTO", "server_error")
        with pytest.raises(CircuitOpen) as refused:
            await circuit.call(works())
        assert refused.value.retry_in == 5

    run(main())


def test_an_answer_begins_the_count_anew_but_an_ignored_error_does_not() -> None:
    async def main() -> None:
        for answer in (None, NotFound(), Blocked("a minor's data")):
            circuit = breaker()
            await feed(circuit, *[ServerError("500")] * 4, answer, *[ServerError("500")] * 4)
            assert circuit.state == "FECHADO"
        for ignored in (NotFound(confirmed=False), Rejected("400"), CutShort("up")):
            circuit = breaker()
            await feed(circuit, *[ServerError("500")] * 4, ignored, ServerError("500"))
            assert circuit.state == "ABERTO"

    run(main())


def test_half_of_twenty_calls_failing_is_enough() -> None:
    async def main() -> None:
        circuit = breaker()
        await feed(circuit, *[TimedOut("late"), None] * 9, None)
        assert circuit.state == "FECHADO"
        await feed(circuit, TimedOut("late"))
        assert (circuit.state, circuit.cause) == ("ABERTO", "failure_rate")

    run(main())


def test_calls_that_prove_nothing_are_no_part_of_the_rate() -> None:
    async def main() -> None:
        circuit = breaker()
        await feed(circuit, *[NotFound(confirmed=False)] * 30, *[ServerError("500")] * 4)
        assert circuit.state == "FECHADO"

    run(main())


def test_failures_of_an_hour_ago_do_not_count() -> None:
    async def main() -> None:
        circuit = breaker()
        await feed(circuit, *[TimedOut("late"), None] * 9)
        await asyncio.sleep(3600)
        await feed(circuit, *[TimedOut("late"), None] * 9)
        assert circuit.state == "FECHADO"

    run(main())


def test_slow_answers_open_it_too() -> None:
    async def main() -> None:
        circuit = breaker()
        await asyncio.gather(*(circuit.call(works(9)) for _ in range(20)))
        assert (circuit.state, circuit.cause) == ("ABERTO", "slow_calls")

    run(main())


def test_open_times_double_up_to_the_longest_and_begin_anew_once_closed() -> None:
    async def main() -> None:
        circuit = breaker()
        await feed(circuit, *[ServerError("500")] * 5)
        lengths = []
        for _ in range(7):
            lengths.append(circuit.retry_in)
            await asyncio.sleep(circuit.retry_in)
            await feed(circuit, ServerError("500"))
        assert lengths == [5, 10, 20, 40, 80, 120, 120]
        await asyncio.sleep(circuit.retry_in)
        assert circuit.state == "MEIO_ABERTO"
        await feed(circuit, None)
        assert (circuit.state, circuit.cause) == ("FECHADO", "")
        await feed(circuit, *[ServerError("500")] * 5)
        assert circuit.retry_in == 5

    run(main())


def test_an_outage_of_days_overflows_nothing() -> None:
    async def main() -> None:
        circuit = breaker()
        await feed(circuit, *[ServerError("500")] * 5)
        for _ in range(2000):
            await asyncio.sleep(circuit.retry_in)
            await feed(circuit, ServerError("500"))
        assert circuit.retry_in == 120

    run(main())


async def opened(circuit: Breaker) -> None:
    await feed(circuit, *[ServerError("500")] * 5)
    await asyncio.sleep(circuit.retry_in)


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (None, "FECHADO"),
        (NotFound(), "FECHADO"),
        (Blocked("a minor's data"), "FECHADO"),
        (ServerError("500"), "ABERTO"),
        (RateLimited(7), "ABERTO"),
        (BadCredential("401"), "ABERTO"),
        (Challenged("403"), "ABERTO"),
        (NotFound(confirmed=False), "MEIO_ABERTO"),
        (Rejected("400"), "MEIO_ABERTO"),
        (CutShort("up"), "MEIO_ABERTO"),
        (asyncio.CancelledError(), "MEIO_ABERTO"),
    ],
)
def test_of_two_hundred_calls_at_half_open_one_is_made(error: Exception | None, state: str) -> None:
    made = 0

    async def main() -> None:
        nonlocal made
        circuit = breaker()
        await opened(circuit)

        async def probe() -> str:
            nonlocal made
            made += 1
            await asyncio.sleep(1)
            if error is not None:
                raise error
            return "answer"

        outcomes = await asyncio.gather(
            *(circuit.call(probe) for _ in range(200)), return_exceptions=True
        )
        assert sum(isinstance(outcome, CircuitOpen) for outcome in outcomes) == 199
        assert circuit.state == state
        if state == "MEIO_ABERTO":
            # Nothing was proved, so the next one may try at once.
            await circuit.call(works())
            assert circuit.state == "FECHADO"

    run(main())
    assert made == 1


def test_calls_cut_short_leave_no_trace() -> None:
    async def main() -> None:
        circuit = breaker()
        await feed(circuit, *[CutShort("up")] * 100, after=0.8)
        assert (circuit.state, circuit.failures, circuit.successes) == ("FECHADO", 0, 0)
        assert (circuit.window.timed, circuit.window.percentile(0.95)) == (0, None)
        # Even where they had been slow by then.
        await asyncio.gather(
            *(feed(circuit, CutShort("up"), after=9) for _ in range(100)), feed(circuit, None)
        )
        assert circuit.state == "FECHADO"

    run(main())


def test_a_probe_cut_short_changes_neither_the_state_nor_the_open_times() -> None:
    async def main() -> None:
        circuit = breaker()
        await opened(circuit)
        await feed(circuit, *[CutShort("up")] * 9, after=0.8)
        assert circuit.state == "MEIO_ABERTO"
        await feed(circuit, ServerError("500"))
        assert circuit.retry_in == 10

    run(main())


def test_hurried_calls_leave_the_probe_to_one_with_more_time_but_not_for_ever() -> None:
    async def main() -> None:
        circuit = breaker()
        await opened(circuit)
        with pytest.raises(CircuitOpen) as refused:
            await circuit.call(works(), hurried=True)
        assert (refused.value.retry_in, circuit.retry_in) == (5, 0)
        assert (await circuit.ready(4, hurried=True), await circuit.ready(0)) == (False, True)
        await asyncio.sleep(5)
        with pytest.raises(CutShort):
            await circuit.call(fails(CutShort("up"), 0.8), hurried=True)
        # One after the other they would prove nothing, and nobody else would have a turn.
        assert (circuit.wait(hurried=True), circuit.retry_in) == (5, 0)
        await asyncio.sleep(5)
        assert await circuit.call(works(0.5), hurried=True) == "answer"
        assert circuit.state == "FECHADO"

    run(main())


def test_the_end_of_a_pause_is_everybody_s() -> None:
    async def main() -> None:
        circuit = breaker()
        await feed(circuit, RateLimited(3))
        assert circuit.wait(hurried=True) == 3
        await asyncio.sleep(3)
        assert await circuit.call(works(), hurried=True) == "answer"

    run(main())


def test_a_cancelled_probe_gives_its_lease_back() -> None:
    async def main() -> None:
        circuit = breaker()
        await opened(circuit)
        probe = asyncio.create_task(circuit.call(works(60)))
        await asyncio.sleep(1)
        with pytest.raises(CircuitOpen):
            await circuit.call(works())
        probe.cancel()
        await asyncio.gather(probe, return_exceptions=True)
        assert await circuit.call(works()) == "answer"

    run(main())


def test_what_began_before_it_opened_has_no_say_afterwards() -> None:
    async def main() -> None:
        circuit = breaker()
        late = [asyncio.create_task(circuit.call(fails(TimedOut("late"), 9))) for _ in range(50)]
        await asyncio.sleep(0)
        await opened(circuit)
        await feed(circuit, None)
        assert circuit.state == "FECHADO"
        await asyncio.gather(*late, return_exceptions=True)
        assert circuit.state == "FECHADO"

    run(main())


def test_a_pause_lasts_as_long_as_the_provider_says_and_is_no_failure_of_it() -> None:
    async def main() -> None:
        circuit = breaker()
        await feed(circuit, RateLimited(30))
        assert (circuit.state, circuit.cause, circuit.retry_in) == ("ABERTO", "rate_limited", 30)
        assert circuit.failures == 0
        await asyncio.sleep(30)
        await feed(circuit, RateLimited(2))
        assert circuit.retry_in == 2
        await asyncio.sleep(2)
        await feed(circuit, None, *[ServerError("500")] * 5)
        assert circuit.retry_in == 5

    run(main())


def test_an_outage_that_says_when_it_ends_is_counted_and_waited_out() -> None:
    async def main() -> None:
        circuit = breaker()
        await feed(circuit, Unavailable(30))
        assert (circuit.state, circuit.cause, circuit.retry_in) == ("ABERTO", "unavailable", 30)
        assert (circuit.failures, circuit.window.failure_rate) == (1, 1)
        await asyncio.sleep(30)
        # A probe that fails so is a probe that fails: of the two times the longer one counts.
        await feed(circuit, Unavailable(1))
        assert (circuit.state, circuit.cause, circuit.retry_in) == ("ABERTO", "unavailable", 5)
        await asyncio.sleep(5)
        await feed(circuit, Unavailable(40))
        assert circuit.retry_in == 40
        await asyncio.sleep(40)
        await feed(circuit, ServerError("500"))
        assert (circuit.cause, circuit.retry_in) == ("server_error", 20)

    run(main())


def test_of_several_outages_in_a_row_the_longest_word_counts() -> None:
    async def main() -> None:
        circuit = breaker()
        calls = [fails(Unavailable(pause), 1) for pause in (3, 1, 2, 2, 1)]
        await asyncio.gather(*map(circuit.call, calls), return_exceptions=True)
        assert (circuit.state, circuit.retry_in, circuit.failures) == ("ABERTO", 3, 5)
        circuit.forced = "FECHADO"
        await feed(circuit, Unavailable(60))
        circuit.forced = ""
        assert circuit.retry_in == 3

    run(main())


def test_a_later_answer_can_only_lengthen_a_pause() -> None:
    async def main() -> None:
        circuit = breaker()
        calls = [fails(RateLimited(pause), 1) for pause in (3, 30, 3)]
        await asyncio.gather(*map(circuit.call, calls), return_exceptions=True)
        assert circuit.retry_in == 30

    run(main())


@pytest.mark.parametrize("error", [BadCredential("401"), Challenged("403")])
def test_what_would_fail_every_call_opens_it_at_once(error: Failure) -> None:
    async def main() -> None:
        circuit = breaker()
        await feed(circuit, error)
        assert (circuit.state, circuit.cause, circuit.retry_in) == ("ABERTO", error.reason, 120)

    run(main())


def test_nobody_waits_for_what_ends_too_late_or_for_an_operator() -> None:
    async def main() -> None:
        circuit = breaker()
        assert (await circuit.ready(0), circuit.report().reopens) == (True, None)
        await feed(circuit, RateLimited(30))
        assert circuit.report().reopens is not None
        assert (await circuit.ready(29), now()) == (False, 0)
        assert (await circuit.ready(30), now()) == (True, 30)
        assert (circuit.state, circuit.report().reopens) == ("MEIO_ABERTO", None)
        circuit.forced = "ABERTO"
        assert (await circuit.ready(5), now()) == (False, 30)

    run(main())


def test_an_operator_holds_it_open_or_closed() -> None:
    async def main() -> None:
        circuit = breaker()
        circuit.forced = "ABERTO"
        with pytest.raises(CircuitOpen, match="forced"):
            await circuit.call(works())
        circuit.forced = "FECHADO"
        await feed(circuit, *[ServerError("500")] * 50, RateLimited(30), BadCredential("401"))
        assert await circuit.call(works()) == "answer"
        circuit.forced = ""
        # What it saw meanwhile counts: the next failure opens it.
        await feed(circuit, ServerError("500"))
        assert (circuit.state, circuit.cause) == ("ABERTO", "failure_rate")
        circuit.forced = "FECHADO"
        assert await circuit.call(works()) == "answer"
        circuit.forced = ""
        assert circuit.state == "ABERTO"

    run(main())


def test_whoever_waits_is_let_go_as_soon_as_the_probe_went_well() -> None:
    async def main() -> None:
        circuit = breaker()
        await feed(circuit, RateLimited(4))
        assert not await circuit.ready(3)
        assert now() == 0
        waiting = [asyncio.create_task(circuit.ready(10)) for _ in range(20)]
        await asyncio.sleep(4)
        probe = asyncio.create_task(circuit.call(works(2)))
        assert all(await asyncio.gather(*waiting))
        await probe
        assert await circuit.ready(10)
        assert now() == 6

    run(main())
