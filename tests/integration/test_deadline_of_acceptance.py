"""A lookup's time runs from its acceptance, whoever accepts it and whenever its message is read."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from shared.lookups import KEEP_S, SLACK_S, Lookups, Plan
from shared.messages import Requested
from shared.reporter import event
from shared.results import started
from shared.store import Store
from tests.integration.test_sweeper import TASK, Clock, clock, lookups, request

__all__ = ["clock", "lookups"]

KEY = f"consulta:lookup:{TASK}"
DAY = 86400


async def plan(lookups: Lookups, asked: Requested) -> Plan:
    first = started("cep", ["endereco"])
    return await lookups.plan(asked, "digest", "subject", ["endereco"], first)


async def accepted(lookups: Lookups, seconds: float, **more: Any) -> Requested:
    """The message of a lookup that a gateway accepted."""
    about = {"origin": "gateway", "kind": "cep", "tenant": "acme"}
    _, deadline = await lookups.accept(TASK, seconds, **about)
    asked = request(**more)
    asked.origin, asked.tenant = "gateway", "acme"
    asked.expires = datetime.fromtimestamp(deadline, UTC)
    return msgspec.json.decode(msgspec.json.encode(asked), type=Requested)


async def test_a_message_that_is_read_late_has_the_rest_of_its_time(
    lookups: Lookups, clock: Clock
) -> None:
    asked = await accepted(lookups, 60)
    clock.forward(50)
    begun = await plan(lookups, asked)
    assert begun.verdict == "leads"
    assert begun.seconds == pytest.approx(10, abs=0.01)


async def test_a_message_that_is_read_after_its_deadline_begins_nothing(
    lookups: Lookups, clock: Clock, store: Store
) -> None:
    asked = await accepted(lookups, 5, prazo=5)
    clock.forward(300)
    assert (await plan(lookups, asked)).verdict == "late"
    assert await store.redis.keys("consulta:flight:*") == []


async def test_without_a_trace_of_it_the_message_alone_tells_its_deadline_and_its_tenant(
    lookups: Lookups, clock: Clock, store: Store
) -> None:
    asked = await accepted(lookups, 60)
    await store.redis.flushdb()
    clock.forward(50)
    begun = await plan(lookups, asked)
    assert begun.verdict == "leads"
    assert begun.seconds == pytest.approx(10, abs=0.01)
    assert (await store.hash(KEY))["tenant"] == b"acme"
    await store.redis.flushdb()
    clock.forward(11)
    # Whoever accepted it has seen to its end, or has told that its state is lost.
    assert (await plan(lookups, asked)).verdict == "gone"
    assert await store.redis.exists(KEY) == 0


async def test_a_late_message_of_a_service_on_the_bus_is_heard_and_ended(
    lookups: Lookups, clock: Clock
) -> None:
    asked = request(prazo=5, expira_em="2023-11-14T22:13:25Z")
    assert asked.expires is not None
    clock.forward(asked.expires.timestamp() - clock.ms / 1000 + 1)
    assert (await plan(lookups, asked)).verdict == "late"
    view = await lookups.view(TASK)
    assert view is not None
    assert view.left < 0


async def test_a_delay_counts_from_the_acceptance(lookups: Lookups, clock: Clock) -> None:
    asked = await accepted(lookups, 2 * 3600 + 60, atraso=2 * 3600)
    clock.forward(3600)
    early = await plan(lookups, asked)
    assert early.verdict == "early"
    assert early.seconds == pytest.approx(3600, abs=0.01)
    clock.forward(3601)
    begun = await plan(lookups, asked)
    assert begun.verdict == "leads"
    assert begun.seconds == pytest.approx(59, abs=0.01)


async def test_its_key_outlives_its_delay_and_its_deadline(lookups: Lookups, store: Store) -> None:
    asked = await accepted(lookups, 12 * DAY + 60, atraso=12 * DAY)
    assert (await plan(lookups, asked)).verdict == "early"
    left = await store.redis.ttl(KEY)
    assert 12 * DAY + 60 + SLACK_S >= left >= 12 * DAY + SLACK_S
    assert (await store.hash(KEY))["tenant"] == b"acme"


async def test_a_deadline_in_the_far_future_is_no_more_than_was_asked_for(
    lookups: Lookups,
) -> None:
    begun = await plan(lookups, request(prazo=60, expira_em="9999-01-01T00:00:00Z"))
    assert begun.seconds == pytest.approx(60, abs=0.01)


async def test_what_will_not_begin_leaves_a_stone_for_as_long_as_its_message_can_come(
    lookups: Lookups, clock: Clock, store: Store
) -> None:
    asked = await accepted(lookups, 7 * DAY, atraso=7 * DAY - 60)
    early = await plan(lookups, asked)
    await lookups.schedule(asked, early.deadline - asked.deadline)
    verdict, flight, _ = await lookups.leave(TASK)
    assert verdict == "alone"
    await lookups.record(flight, "end", event("error"))
    # The identifier goes at once.
    assert b"01001000" not in b"".join((await store.hash(KEY)).values())
    assert await store.redis.zcard("consulta:scheduled") == 0
    assert await store.redis.ttl(KEY) >= 7 * DAY + KEEP_S - 1
    clock.forward(7 * DAY - 60)
    assert (await plan(lookups, asked)).verdict == "ended"
    assert await store.redis.keys("consulta:inflight:*") == []


async def test_an_asker_who_joins_and_leaves_keeps_its_own_deadline_watched_until_its_end(
    lookups: Lookups, store: Store
) -> None:
    await plan(lookups, request())
    verdict, flight, _ = await lookups.leave(TASK)
    assert verdict == "alone"
    assert await store.redis.zscore("consulta:deadlines", TASK)
    await lookups.record(flight, "end", event("error"))
    assert await store.redis.zscore("consulta:deadlines", TASK)
    assert (await lookups.leave(TASK))[0] == "again"
    await lookups.settled(TASK)
    assert await store.redis.zscore("consulta:deadlines", TASK) is None


async def test_a_lookup_whose_flight_was_evicted_can_still_be_ended(
    lookups: Lookups, store: Store
) -> None:
    begun = await plan(lookups, request())
    await store.redis.delete(f"consulta:flight:{begun.flight}")
    verdict, flight, _ = await lookups.leave(TASK)
    assert (verdict, flight != begun.flight) == ("alone", True)
    assert (await lookups.record(flight, "end", event("error"))).verdict == "new"


async def test_an_answer_from_the_cache_does_not_replace_a_lookup_that_was_begun(
    lookups: Lookups,
) -> None:
    events = [event("iniciado"), event("completo")]
    await lookups.accept(TASK, 60, origin="gateway", kind="cep")
    begun = await plan(lookups, request())
    assert not await lookups.keep(TASK, "gateway", "cep", events)
    await lookups.record(begun.flight, "end", event("error"))
    assert not await lookups.keep(TASK, "gateway", "cep", events)
    view = await lookups.view(TASK)
    assert view is not None
    assert view.status == "FAILURE"


async def test_one_that_was_only_accepted_is_answered_by_the_cache_and_has_ended(
    lookups: Lookups, store: Store
) -> None:
    await store.redis.zadd("consulta:slots:key", {TASK: 1})
    await lookups.accept(TASK, 60, origin="gateway", kind="cep", slots="consulta:slots:key")
    assert await lookups.keep(TASK, "gateway", "cep", [event("iniciado"), event("completo")])
    assert await store.redis.zcard("consulta:slots:key") == 0
    assert await store.redis.zcard("consulta:deadlines") == 0
    assert (await plan(lookups, request())).verdict == "ended"
