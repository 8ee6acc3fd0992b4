"""Hedged calls, in virtual time."""

import asyncio

import pytest

from enricher.breaker import Breaker
from enricher.budget import RetryBudget
from enricher.call import Guarded
from enricher.chain import Chain
from enricher.failures import Failure, NotFound, ServerError
from enricher.providers.base import Answer
from shared.consumer import PutOff
from shared.messages import Attempt
from tests.scripted import ANSWER, QUERY, Scripted, always, permits
from tests.virtual_time import now, run


def link(provider: Scripted) -> Guarded:
    return Guarded(provider, Breaker(provider.name, clock=now), RetryBudget(clock=now), clock=now)


async def chained(
    first: Guarded, second: Guarded, *, hedging: bool = True
) -> tuple[str | Failure, list[tuple[str, str]]]:
    chain = Chain("endereco", [first, second], hedging)
    found = await chain.ask(QUERY, permits(), deadline=now() + 60, wanted=always)
    told = found if isinstance(found, Failure) else found[1]
    return told, [(attempt.provider, attempt.reason) for attempt in chain.attempts]


async def known(first: Guarded) -> None:
    """A provider whose calls have taken between 0.1 and 0.29 s so far."""
    for hundredths in range(10, 30):
        first.breaker.window.add(hundredths / 100, failed=False)


def test_the_second_is_asked_when_the_first_is_slower_than_its_p95() -> None:
    async def main() -> None:
        slow, quick = Scripted(latency=5, name="slow"), Scripted(latency=0.1, name="quick")
        first = link(slow)
        await known(first)
        assert await chained(first, link(quick)) == ("quick", [("slow", "outrun")])
        assert (quick.calls, now()) == ([0.29], 0.39)
        await asyncio.sleep(10)
        # The loser was cancelled, which says nothing against it.
        assert (first.breaker.failures, first.breaker.state) == (0, "FECHADO")

    run(main())


def test_a_first_that_is_as_quick_as_ever_is_asked_alone() -> None:
    async def main() -> None:
        first, second = Scripted(latency=0.2, name="first"), Scripted(name="second")
        guarded = link(first)
        await known(guarded)
        assert await chained(guarded, link(second)) == ("first", [])
        assert second.calls == []

    run(main())


def test_it_is_off_unless_asked_for_and_until_enough_is_known() -> None:
    async def main() -> None:
        for hedging in (False, True):
            slow, quick = Scripted(latency=5, name="slow"), Scripted(name="quick")
            first = link(slow)
            if not hedging:
                await known(first)
            assert await chained(first, link(quick), hedging=hedging) == ("slow", [])
            assert quick.calls == []

    run(main())


def test_a_hedge_that_fails_leaves_the_first_its_time() -> None:
    async def main() -> None:
        slow = Scripted(latency=2, name="slow")
        broken = Scripted([ServerError("503")] * 5, name="broken")
        first = link(slow)
        await known(first)
        told, attempts = await chained(first, link(broken))
        assert (told, attempts) == ("slow", [("broken", "server_error")])
        assert len(broken.calls) == 1

    run(main())


def test_a_first_that_fails_leaves_the_hedge_its_time() -> None:
    async def main() -> None:
        # One that the second may still contradict: it says so of everybody in an outage.
        first = link(Scripted([NotFound(confirmed=False)], latency=1, name="first"))
        await known(first)
        told = await chained(first, link(Scripted(latency=2, name="second")))
        assert told == ("second", [("first", "not_found")])
        assert now() == pytest.approx(2.29)

    run(main())


def test_what_the_hedge_says_for_sure_is_not_the_first_s_word() -> None:
    async def main() -> None:
        first = link(Scripted(latency=2, name="first"))
        await known(first)
        told, _ = await chained(first, link(Scripted([NotFound()], latency=0.1, name="second")))
        assert (told, now()) == ("first", 2)

    run(main())


def test_what_the_first_says_for_sure_ends_it() -> None:
    async def main() -> None:
        first = link(Scripted([NotFound()], latency=1, name="sure"))
        await known(first)
        told, attempts = await chained(first, link(Scripted(latency=30, name="other")))
        assert isinstance(told, NotFound)
        assert (attempts, now()) == ([("sure", "not_found")], 1)

    run(main())


def test_one_that_bills_is_never_asked_beside_another() -> None:
    async def main() -> None:
        slow, bills = Scripted(latency=5, name="slow"), Scripted(name="bills")
        bills.__dict__["billed"] = True
        first = link(slow)
        await known(first)
        assert await chained(first, link(bills)) == ("slow", [])
        assert bills.calls == []

    run(main())


def test_a_first_that_has_to_wait_for_long_leaves_it_to_the_hedge() -> None:
    async def main() -> None:
        for outcomes, answered in [([], True), ([ServerError("503")], False)]:

            async def waits() -> Answer:
                await asyncio.sleep(1)
                raise PutOff(30)

            first = link(Scripted(act=waits, name="first"))
            await known(first)
            second = link(Scripted(outcomes, latency=2, name="second"))
            chain = Chain("endereco", [first, second], hedging=True)
            asking = chain.ask(QUERY, permits(), deadline=now() + 60, wanted=always)
            if answered:
                assert await asking == (ANSWER, "second")
                continue
            with pytest.raises(PutOff):
                await asking
            # It comes back to the first alone.
            assert chain.attempts == [Attempt("second", "server_error")]

    run(main())


def test_both_fail_and_the_chain_goes_on() -> None:
    async def main() -> None:
        outage = [ServerError("503")] * 9
        first = link(Scripted(outage, latency=1, name="first"))
        await known(first)
        last = Scripted(name="last")
        chain = Chain(
            "endereco", [first, link(Scripted(outage, name="second")), link(last)], hedging=True
        )
        found = await chain.ask(QUERY, permits(), deadline=now() + 60, wanted=always)
        assert not isinstance(found, Failure)
        assert found == (ANSWER, "last")
        assert isinstance(found[0], Answer)
        assert {attempt.provider for attempt in chain.attempts} == {"first", "second"}

    run(main())
