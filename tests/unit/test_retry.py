"""Retries of one provider, in virtual time."""

import asyncio
from typing import Any

import backoff
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enricher.breaker import Breaker
from enricher.budget import RetryBudget
from enricher.call import (
    LAST_BILLED_CALL,
    LAST_CALL,
    TRIES_ALONE,
    TRIES_WITH_FALLBACK,
    Guarded,
    Terms,
)
from enricher.failures import (
    BadCredential,
    Blocked,
    Challenged,
    CircuitOpen,
    CutShort,
    Disconnected,
    Failure,
    Malformed,
    NotCalled,
    NotFound,
    Outage,
    OutOfQuota,
    OutOfTime,
    RateLimited,
    Rejected,
    ServerError,
    StaleCredential,
    TimedOut,
    Unavailable,
)
from enricher.policy import Policy
from enricher.providers.base import Answer
from shared.consumer import PutOff
from shared.limits import Permit
from tests.scripted import ANSWER, QUERY, Scripted, always, permits, terms
from tests.virtual_time import now, run

OUTAGES = [ServerError("503"), TimedOut("late"), Disconnected("reset"), Malformed("half")]
VERDICTS = [NotFound(), NotFound(confirmed=False), Rejected("400"), Blocked("a minor's data")]
NEVER = Policy(consecutive=10**6, minimum=10**6)


def guarded(provider: Scripted, *, policy: Policy | None = None, **more: Any) -> Guarded:
    circuit = Breaker(provider.name, policy, clock=now, jitter=lambda s: s)
    return Guarded(provider, circuit, RetryBudget(clock=now), clock=now, **more)


async def asked(link: Guarded, *, deadline: float = 60, alone: bool = False) -> Answer | Failure:
    try:
        return await link.ask(QUERY, permits(), terms(deadline, alone=alone))
    except Failure as failure:
        return failure


def test_the_pauses_are_of_one_two_four_and_eight_seconds_at_most() -> None:
    async def main() -> None:
        provider = Scripted(OUTAGES * 2)
        link = guarded(provider, policy=NEVER, jitter=lambda longest: longest)
        assert isinstance(await asked(link, alone=True), ServerError)
        assert provider.calls == [0, 1, 3, 7, 15]

    run(main())
    assert Guarded(Scripted(), Breaker("test")).jitter is backoff.full_jitter


def test_a_pause_is_cut_short_so_that_one_more_call_fits_before_the_deadline() -> None:
    async def main() -> None:
        provider = Scripted(OUTAGES * 2)
        link = guarded(provider, policy=NEVER, jitter=lambda longest: longest)
        await asked(link, deadline=6, alone=True)
        assert provider.calls[:3] == [0, 1, 3]
        assert provider.calls[3] == pytest.approx(6 - LAST_CALL, abs=0.1)
        assert 6 - provider.calls[3] > LAST_CALL

    run(main())


@settings(max_examples=200, deadline=None)
@given(
    outcomes=st.lists(st.sampled_from([*OUTAGES, *VERDICTS, ANSWER]), max_size=8),
    deadline=st.floats(0, 40),
    latency=st.floats(0, 12),
    alone=st.booleans(),
    billed=st.booleans(),
    shares=st.lists(st.floats(0, 1), min_size=5, max_size=5),
)
def test_whatever_happens_the_retries_keep_to_their_bounds(
    outcomes: list[Failure | Answer],
    deadline: float,
    latency: float,
    alone: bool,
    billed: bool,
    shares: list[float],
) -> None:
    async def main() -> None:
        provider = Scripted(outcomes, latency=latency)
        provider.__dict__["billed"] = billed
        share = iter(shares)
        link = guarded(provider, policy=NEVER, jitter=lambda longest: longest * next(share))
        outcome = await asked(link, deadline=deadline, alone=alone)

        tries = len(provider.calls)
        most = TRIES_ALONE if alone else TRIES_WITH_FALLBACK
        least = LAST_BILLED_CALL if billed else LAST_CALL
        if deadline < least:
            assert (tries, type(outcome)) == (0, OutOfTime)
            return
        assert 1 <= tries <= (1 if billed else most)
        assert all(deadline - at >= least for at in provider.calls)
        # Nothing outlasts the deadline.
        assert now() <= deadline + 0.05
        gaps = zip(provider.calls, provider.calls[1:], strict=False)
        for (before, after), longest in zip(gaps, (1, 2, 4, 8), strict=False):
            assert after - before <= longest + min(latency, 10) + 1e-6
        # An answer, or an error that no repetition can mend, ends it; else each try was needed.
        told = [*outcomes, *[ANSWER] * 8][:tries]
        left = deadline - provider.calls[-1]
        if latency < min(10, left):
            assert outcome is told[-1]
        elif latency > min(10, left):
            assert type(outcome) is (TimedOut if left >= 10 else CutShort)
        assert all(isinstance(one, Outage) for one in told[:-1]) or latency >= 10
        if isinstance(outcome, Outage) and not billed and tries < most:
            assert deadline - now() <= LAST_CALL + 0.1

    run(main())


@pytest.mark.parametrize("error", [*VERDICTS, BadCredential("401"), Challenged("403")])
def test_what_a_repetition_cannot_mend_is_not_repeated(error: Failure) -> None:
    async def main() -> None:
        provider = Scripted([error])
        assert await asked(guarded(provider), alone=True) is error
        assert len(provider.calls) == 1

    run(main())


def test_five_impatient_askers_prove_nothing_of_a_provider_that_needs_its_time() -> None:
    async def main() -> None:
        provider = Scripted(latency=1.2)
        link = guarded(provider)
        asked_of = [asked(link, deadline=1, alone=True) for _ in range(5)]
        assert {type(outcome) for outcome in await asyncio.gather(*asked_of)} == {CutShort}
        assert (len(provider.calls), now()) == (5, 1)
        assert (link.breaker.state, link.breaker.failures) == ("FECHADO", 0)
        assert await asked(link, deadline=3) is ANSWER

    run(main())


@pytest.mark.parametrize(("deadline", "failure"), [(10, TimedOut), (9.9, CutShort)])
def test_a_call_that_had_the_provider_s_own_time_does(
    deadline: float, failure: type[Failure]
) -> None:
    async def main() -> None:
        provider = Scripted(latency=60)
        link = guarded(provider)
        assert type(await asked(link, deadline=deadline)) is failure
        assert link.breaker.failures == (failure is TimedOut)

    run(main())


def test_the_time_the_client_itself_gave_it_is_the_provider_s_own() -> None:
    async def main() -> None:
        link = guarded(Scripted([TimedOut("no answer within 10 s")] * 5))
        assert type(await asked(link, alone=True)) is TimedOut
        assert (link.breaker.state, link.breaker.cause) == ("ABERTO", "timeout")

    run(main())


def test_somebody_with_more_time_who_joins_gives_the_call_his() -> None:
    async def main() -> None:
        provider = Scripted(latency=1.2)
        link = guarded(provider)

        async def latest() -> float:
            return 5.0

        for left in (1, 0.1):
            hurried = Terms(now() + left, always, latest)
            assert await link.ask(QUERY, permits(), hurried) is ANSWER

    run(main())


async def later() -> float:
    """Somebody with a minute has joined."""
    return 60.0


@pytest.mark.parametrize("failure", [OutOfTime, OutOfQuota])
@pytest.mark.parametrize("is_wanted", [True, False])
def test_nor_does_it_end_for_want_of_a_permit_that_comes_in_his_time(
    failure: type[NotCalled], is_wanted: bool
) -> None:
    async def main() -> None:
        provider, held = Scripted(), permits()
        take = held.take

        async def until(_: Any, *, by: float, quota_by: float) -> list[Permit]:
            if min(by, quota_by) < 20:
                raise failure("none in time")
            return await take(provider, by=by, quota_by=quota_by)

        async def wanted() -> bool:
            return is_wanted

        held.__dict__["take"] = until
        hurried = Terms(3, wanted, later, alone=True)
        if is_wanted:
            assert await guarded(provider).ask(QUERY, held, hurried) is ANSWER
            return
        with pytest.raises(failure):
            await guarded(provider).ask(QUERY, held, hurried)
        assert provider.calls == []

    run(main())


def test_nor_does_it_end_because_of_a_pause_that_ends_in_his_time() -> None:
    async def main() -> None:
        link, told = guarded(Scripted([RateLimited(10)])), list[float]()
        with pytest.raises(PutOff) as put_off:
            await link.ask(QUERY, permits(told), Terms(3, always, later, alone=True))
        assert (told, put_off.value.seconds) == ([10], 10)

    run(main())


def test_nor_because_the_pause_grew_while_it_was_waited_for_in_hand() -> None:
    async def main() -> None:
        link = guarded(Scripted([RateLimited(2)]))
        asked = asyncio.create_task(link.ask(QUERY, permits(), Terms(5, always, joins, alone=True)))
        await asyncio.sleep(1)
        link.breaker._open("rate_limited", 9)
        with pytest.raises(PutOff):
            await asked

    async def joins() -> float:
        return 60.0 if now() else 5.0

    run(main())


def test_nor_does_he_count_as_hurried_where_the_next_call_may_prove_something() -> None:
    async def main() -> None:
        link = guarded(Scripted([ServerError("503")]), policy=Policy(consecutive=1, open_for=1))
        assert isinstance(await asked(link), ServerError)
        await asyncio.sleep(1)
        # The probe is kept for somebody who has the provider's own time.
        with pytest.raises(CircuitOpen):
            await link.ask(QUERY, permits(), Terms(now() + 1, always))
        assert await link.ask(QUERY, permits(), Terms(now() + 1, always, later)) is ANSWER

    run(main())


def test_nor_are_there_fewer_retries() -> None:
    async def main() -> None:
        provider = Scripted(OUTAGES)
        link = guarded(provider, policy=NEVER, jitter=lambda longest: longest)
        hurried = Terms(0.52, always, later, alone=True)
        assert await link.ask(QUERY, permits(), hurried) is ANSWER
        assert provider.calls == [0, 1, 3, 7, 15]

    run(main())


def test_a_billed_call_whose_mark_took_until_it_is_too_late_is_not_made() -> None:
    async def main() -> None:
        provider, held, marks = Scripted(), permits(), list[str]()
        provider.__dict__["billed"] = True

        async def mark(name: str) -> str:
            marks.append(name)
            await asyncio.sleep(1.5)
            return "mark"

        async def unmark(name: str, mark: str) -> None:
            assert mark == "mark"
            marks.remove(name)

        held.mark, held.unmark = mark, unmark
        link = guarded(provider)
        with pytest.raises(OutOfTime):
            await link.ask(QUERY, held, terms(4))
        assert (provider.calls, marks, now()) == ([], [], 1.5)
        # It was no call, so it does not say how fast the provider is either.
        assert link.breaker.window.timed == 0
        # Somebody with more time may have joined.
        assert await link.ask(QUERY, held, Terms(5.5, always, later)) is ANSWER

    run(main())


def test_nor_is_a_probe_whose_leave_did() -> None:
    class Slow(Breaker):
        async def _agree(self, probe: str) -> None:
            await asyncio.sleep(2)
            await super()._agree(probe)

    async def main() -> None:
        provider = Scripted([ServerError("503")])
        circuit = Slow("slow", Policy(consecutive=1), clock=now, jitter=lambda s: s)
        link = Guarded(provider, circuit, RetryBudget(clock=now), clock=now)
        assert isinstance(await asked(link), ServerError)
        await asyncio.sleep(circuit.retry_in + circuit.policy.probe_grace)
        assert isinstance(await asked(link, deadline=now() + 2.1), OutOfTime)
        assert provider.calls == [0]
        # Somebody else may make it.
        assert await asked(link, deadline=now() + 60) is ANSWER

    run(main())


def test_a_stale_credential_is_renewed_once_each_time() -> None:
    async def main() -> None:
        stale = StaleCredential("refused")
        provider = Scripted([stale, ANSWER, stale, ServerError("503"), stale, stale])
        link = guarded(provider, jitter=lambda longest: longest)
        assert await asked(link) is ANSWER
        assert provider.calls == [0, 0]
        # The retry's own call may find it stale again; one that was just renewed may not.
        assert isinstance(await asked(link), BadCredential)
        assert provider.calls == [0, 0, 0, 0, 1, 1]
        assert (link.breaker.state, link.breaker.cause) == ("ABERTO", "credential")
        assert link.breaker.failures == 1

    run(main())


def test_an_answer_that_comes_while_the_deadline_is_looked_up_is_not_thrown_away() -> None:
    async def main() -> None:
        link = guarded(Scripted(latency=1.2))

        async def latest() -> float:
            await asyncio.sleep(0.5)
            return 1.0

        assert await link.ask(QUERY, permits(), Terms(1, always, latest)) is ANSWER

    run(main())


def test_a_circuit_that_opens_ends_the_retries_with_the_provider_s_own_error() -> None:
    async def main() -> None:
        provider = Scripted(OUTAGES * 5)
        link = guarded(provider, policy=Policy(consecutive=2))
        assert isinstance(await asked(link, alone=True), TimedOut)
        assert len(provider.calls) == 2
        assert isinstance(await asked(link, alone=True), CircuitOpen)

    run(main())


def test_retries_stay_within_a_fifth_of_the_calls() -> None:
    async def main() -> None:
        provider = Scripted([ServerError("503")] * 10_000)
        link = guarded(provider, policy=NEVER)
        await asyncio.gather(*(asked(link, alone=True) for _ in range(1000)))
        assert len(provider.calls) == 1200

    run(main())


def test_a_few_retries_are_free() -> None:
    async def main() -> None:
        provider = Scripted([ServerError("503")] * 4)
        assert await asked(guarded(provider, policy=NEVER), alone=True) is ANSWER

    run(main())


@settings(deadline=None)
@given(steps=st.lists(st.tuples(st.floats(0, 5), st.booleans()), max_size=200))
def test_a_budget_never_grants_more_than_its_share(steps: list[tuple[float, bool]]) -> None:
    moment = 0.0
    budget = RetryBudget(share=0.2, minimum=3, window=10, clock=lambda: moment)
    calls: list[float] = []
    retries: list[float] = []
    for passed, fails in steps:
        moment += passed
        budget.call()
        calls.append(moment)
        if fails and not budget.is_spent:
            budget.retry()
            retries.append(moment)
        recent = [sum(at > moment - 10 for at in times) for times in (calls, retries)]
        assert not (fails and retries and retries[-1] == moment) or (
            recent[1] <= max(3, 0.2 * recent[0])
        )


def test_the_only_provider_s_short_pause_is_waited_for_and_told() -> None:
    async def main() -> None:
        provider = Scripted([RateLimited(3)])
        link, told = guarded(provider), list[float]()
        assert await link.ask(QUERY, permits(told), terms(alone=True)) is ANSWER
        assert provider.calls == [0, 3]
        assert told == [3]

    run(main())


def test_the_only_provider_is_called_again_when_it_said_it_would_be_back() -> None:
    async def main() -> None:
        provider = Scripted([Unavailable(3)])
        link, told = guarded(provider), list[float]()
        first = asyncio.create_task(link.ask(QUERY, permits(told), terms(alone=True)))
        await asyncio.sleep(1)
        # Whoever comes meanwhile waits as well.
        assert await asked(link, alone=True) is ANSWER
        assert await first is ANSWER
        assert (provider.calls, told) == ([0, 3, 3], [3])

    run(main())


def test_a_pause_of_some_seconds_is_waited_for_in_the_queue_and_only_once() -> None:
    async def main() -> None:
        provider = Scripted([RateLimited(10), RateLimited(10)])
        link, told, held = guarded(provider), list[float](), permits()
        with pytest.raises(PutOff) as later:
            await link.ask(QUERY, permits(told), terms(alone=True))
        assert (told, later.value.seconds, now()) == ([10], 10, 0)
        await asyncio.sleep(10)
        # It comes back with the calls it has made.
        held.made[provider.name] = 1
        with pytest.raises(RateLimited):
            await link.ask(QUERY, held, terms(alone=True))
        assert provider.calls == [0, 10]

    run(main())


@pytest.mark.parametrize("billed", [False, True])
def test_it_is_not_where_the_first_call_may_have_been_billed_or_another_can_be_asked(
    billed: bool,
) -> None:
    async def main() -> None:
        provider = Scripted([Unavailable(3)])
        provider.__dict__["billed"] = billed
        assert isinstance(await asked(guarded(provider), alone=billed), Unavailable)
        assert (provider.calls, now()) == ([0], 0)

    run(main())


def test_what_was_put_off_has_the_tries_that_are_left() -> None:
    async def main() -> None:
        provider = Scripted([ServerError("503")] * 9)
        held = permits()
        held.made[provider.name] = TRIES_ALONE - 2
        with pytest.raises(ServerError):
            await guarded(provider, policy=NEVER).ask(QUERY, held, terms(alone=True))
        assert len(provider.calls) == 2

    run(main())


def test_everybody_who_waited_gets_an_answer_after_one_probe() -> None:
    async def main() -> None:
        provider = Scripted([RateLimited(3)], latency=0.5)
        link = guarded(provider)
        first = asyncio.create_task(asked(link, alone=True))
        await asyncio.sleep(1)
        rest = [asyncio.create_task(asked(link, alone=True)) for _ in range(50)]
        assert set(map(id, await asyncio.gather(first, *rest))) == {id(ANSWER)}
        # The probe alone at 3.5 s, the others once it went well.
        assert provider.calls == [0, 3.5, *[4.0] * 50]

    run(main())


@pytest.mark.parametrize(
    ("pause", "deadline", "alone"), [(30, 60, True), (3, 3.2, True), (3, 60, False)]
)
def test_a_long_pause_or_one_with_an_alternative_is_not(
    pause: float, deadline: float, alone: bool
) -> None:
    async def main() -> None:
        provider = Scripted([RateLimited(pause)])
        assert isinstance(await asked(guarded(provider), deadline=deadline, alone=alone), Failure)
        assert (provider.calls, now()) == ([0], 0)

    run(main())


def test_a_second_refusal_is_final() -> None:
    async def main() -> None:
        provider = Scripted([RateLimited(3), RateLimited(3), ANSWER])
        assert isinstance(await asked(guarded(provider), alone=True), RateLimited)
        assert provider.calls == [0, 3]

    run(main())


@pytest.mark.parametrize(
    ("error", "latency"),
    [(ServerError("503"), 0.2), (TimedOut("late"), 30.0), (RateLimited(1), 0.2)],
    ids=["503", "hang", "429"],
)
def test_ten_minutes_of_outage_at_a_hundred_lookups_a_second_cost_less_than_a_call_a_second(
    error: Failure, latency: float
) -> None:
    """An enricher takes on a hundred orders at a time; what it cannot take waits in the queue."""

    async def main() -> None:
        provider = Scripted([error] * 100_000, latency=latency)
        link = guarded(provider)
        slots = asyncio.Semaphore(100)

        async def lookup() -> None:
            try:
                await asked(link, deadline=now() + 60)
            finally:
                slots.release()

        lookups = set()
        while now() < 600:
            await slots.acquire()
            lookups.add(task := asyncio.create_task(lookup()))
            task.add_done_callback(lookups.discard)
            await asyncio.sleep(0.01)
        await asyncio.gather(*lookups)
        calls = sum(at < 600 for at in provider.calls)
        assert calls < 600

    run(main())


def test_a_lookup_that_was_cancelled_while_it_waited_for_a_quota_is_called_for_no_more() -> None:
    async def main() -> None:
        provider = Scripted()
        held = permits()
        take = held.take

        async def slowly(*args: Any, **more: Any) -> list[Permit]:
            await asyncio.sleep(2)
            return await take(*args, **more)

        held.__dict__["take"] = slowly

        async def cancelled() -> bool:
            return False

        terms = Terms(60.0, cancelled, alone=True)
        with pytest.raises(OutOfTime):
            await guarded(provider).ask(QUERY, held, terms)
        assert provider.calls == []

    run(main())
