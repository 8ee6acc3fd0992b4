"""What the tests of the gateway share: gateways, keys, and the services behind them, by hand.

What a lookup's events are, and when they come, is up to the test.
"""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from shared.bus import Bus
from shared.flow import planner
from shared.lookups import Lookups
from shared.messages import Requested, Stage
from shared.reporter import Reporter
from shared.store import Store
from tests.arena import Arena, Arenas
from tests.gateway.backstage import Backstage
from tests.gateway.gateways import Gateway, Gateways
from tests.gateway.keyring import Keyring


@pytest.fixture(scope="module")
def arena(arenas: Arenas) -> Arena:
    """One for all tests of a file: each has lookups and keys of its own, and no cache is filled."""
    return arenas.new()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bus(arena: Arena) -> AsyncIterator[Bus]:
    """The bus, with its queues."""
    async with Bus(arena.amqp_url, "tests") as bus:
        await bus.declared()
        yield bus


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def store(arena: Arena) -> AsyncIterator[Store]:
    """The store."""
    async with Store(arena.redis_url) as store:
        yield store


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lasting(arena: Arena, bus: Bus) -> AsyncIterator[Gateways]:
    """Gateways for all tests of a file."""
    del bus
    async with Gateways(arena) as gateways:
        yield gateways


@pytest_asyncio.fixture(loop_scope="module")
async def gateways(arena: Arena, bus: Bus) -> AsyncIterator[Gateways]:
    """Gateways for one test."""
    del bus
    async with Gateways(arena) as gateways:
        yield gateways


@pytest.fixture(autouse=True, scope="module")
def apart() -> Iterator[None]:
    """Have no two lookups share a flight, though most are for the same address."""
    of = planner.asks

    def asks(request: Requested, stages: list[Stage]) -> str:
        return f"{of(request, stages)}:{request.task_id}"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planner, "asks", asks)
        yield


@pytest.fixture
def backstage(bus: Bus, store: Store) -> Backstage:
    """What stands behind the gateways of this test."""
    lookups = Lookups(store)
    return Backstage(lookups, Reporter(bus, lookups))


@pytest.fixture(scope="module")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    """A file of keys, with one in it."""
    ring = Keyring(tmp_path_factory.mktemp("keys") / "keys.json")
    ring.make()
    return ring


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def locked(lasting: Gateways, keyring: Keyring) -> AsyncIterator[Gateway]:
    """A gateway with keys, that looks at their file often."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gateway.app.KEYS_S", 0.02)
        yield await lasting.start(keyring.file)
