"""Who shares a flight, and who does not: what it was told has to be an answer for each of them."""

from collections.abc import Awaitable, Callable

import msgspec
import pytest

from shared.cache import Cache
from shared.flow.planner import asks
from shared.messages import Outcome, Requested
from shared.store import Store
from tests.contract.test_providers_on_simulator import KNOWN
from tests.integration.test_ordered_again import REGISTRATION, Desk, desk

__all__ = ["desk"]

HOW: dict[str, Callable[[Cache], Awaitable[int]]] = {
    "subject": lambda cache: cache.invalidate("cpf", KNOWN["cpf"]),
    "pattern": lambda cache: cache.invalidate_pattern("consulta:v1:cpf:*"),
    "key": lambda cache: cache.invalidate_pattern(
        f"consulta:v1:cpf:{cache.digest('cpf', KNOWN['cpf'])}"
    ),
    "version": lambda cache: cache.raise_version(),
}


@pytest.mark.parametrize("how", HOW)
async def test_nobody_joins_a_flight_that_was_told_what_is_valid_no_longer(
    desk: Desk, how: str
) -> None:
    cache = desk.planner.cache
    await cache.set("cpf", KNOWN["cpf"], "telegram", REGISTRATION, source="yesterday")
    first = await desk.flight(await desk.ask("cpf"))
    assert first == await desk.flight(await desk.ask("cpf"))
    assert await _told(desk, first) == ["iniciado", "telegram"]
    await HOW[how](cache)
    second = await desk.flight(await desk.ask("cpf"))
    assert second != first
    assert await _told(desk, second) == ["iniciado"]
    # The end of the first leaves the second where whoever asks next finds it.
    await desk.ended(first, "telegram", "ok")
    await desk.planner.endings.fail(first, "erro_interno")
    assert second == await desk.flight(await desk.ask("cpf"))


async def test_a_cleaning_parts_nobody(desk: Desk, store: Store) -> None:
    cache = desk.planner.cache
    await cache.set("cpf", KNOWN["cpf"], "telegram", REGISTRATION, source="yesterday")
    await cache.raise_version()
    flight = await desk.flight(await desk.ask("cpf"))
    assert await cache.clean() == 1
    assert flight == await desk.flight(await desk.ask("cpf"))
    await desk.planner.endings.fail(flight, "erro_interno")
    assert await store.redis.keys("consulta:inflight:*") == []


@pytest.mark.parametrize("outcome", ["expirado", "limitado"])
async def test_who_has_much_more_time_is_not_given_what_too_little_time_made(
    desk: Desk, outcome: Outcome
) -> None:
    hurried = await desk.flight(await desk.ask("cpf", prazo=5))
    await desk.ended(hurried, "telegram", outcome)
    # With about as much time it would have come to the same.
    assert hurried == await desk.flight(await desk.ask("cpf", prazo=9))
    patient = await desk.flight(await desk.ask("cpf", prazo=60))
    assert patient != hurried
    assert await _told(desk, patient) == ["iniciado"]
    assert patient == await desk.flight(await desk.ask("cpf", prazo=600))


async def test_an_answer_is_one_for_whoever_has_more_time_too(desk: Desk) -> None:
    flight = await desk.flight(await desk.ask("cpf", prazo=5))
    await desk.ended(flight, "telegram", "ok", REGISTRATION)
    assert flight == await desk.flight(await desk.ask("cpf", prazo=600))


def test_no_two_purposes_are_one() -> None:
    """Nor what is no purpose, and the word for it."""
    given = [(None, None), ("None", None), (None, "None"), ("a\0b", None), ("a", "b\0None")]
    made = {
        asks(
            Requested(
                task_id="t", origin="o", identifier="1", kind="cep", purpose=one, legal_basis=other
            ),
            ["endereco"],
        )
        for one, other in given
    }
    assert len(made) == len(given)


async def _told(desk: Desk, flight: str) -> list[str]:
    return [msgspec.json.decode(body)["tipo"] for body in await desk.lookups.log(flight)]
