"""Hosts whose clocks differ from Redis' by a minute wait no less and no longer for it."""

import time

import pytest
from aiohttp.test_utils import TestServer

from enricher.http import session
from enricher.simulator.app import build
from shared.bus import Bus
from shared.intake import Intake
from shared.limits import Limit
from shared.store import Store
from tests.contract.test_providers_on_simulator import KNOWN
from tests.integration.enriching import Enricher
from tests.integration.notes import NOTES, Note
from tests.integration.test_bus import Counted, Taker

ahead_or_behind = pytest.mark.parametrize("seconds", [60, -60], ids=["ahead", "behind"])


@pytest.fixture
def off(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process's wall clock is off."""
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() + seconds)


@ahead_or_behind
@pytest.mark.usefixtures("off", "channel")
async def test_a_limited_consumer_asks_once_a_permit_and_once_more(bus: Bus, store: Store) -> None:
    taker, limiter = Taker(store), Counted(store)
    limit = Limit.parse("test.notes", "1/1s")
    Intake(bus, NOTES, taker, limiter=limiter, limit=limit)
    for number in range(3):
        await bus.command(NOTES, Note(str(number)))
    await taker.hearer.until(3)
    assert limiter.asked <= 8


@ahead_or_behind
@pytest.mark.usefixtures("off")
async def test_a_stage_has_the_time_that_its_lookup_has_left(store: Store) -> None:
    server = TestServer(build())
    async with server, session() as http:
        fault = {"fault": "503", "latency_ms": 0}
        async with http.put(server.make_url("/_control/opencep"), json=fault):
            pass
        enricher = Enricher(store, server, http, "endereco", "cep", ["opencep"])
        enricher.prazo = 0.4
        await enricher.lookup(KNOWN["cep"])
        # Too little for a call, whatever the host's clock says.
        assert enricher.tries == {"opencep": 0}
        enricher.prazo = 60
        await enricher.lookup(KNOWN["cep"])
        assert enricher.tries == {"opencep": 5}
