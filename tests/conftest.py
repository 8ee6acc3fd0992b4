"""Real servers for the tests: a RabbitMQ and a Redis of their own, started once a run.

They are private even where AMQP_URL and REDIS_URL are set: tests empty them and kill them.
"""

import signal
from collections.abc import AsyncIterator, Iterator

import pytest

from deploy.local.servers import PrivateRabbit, PrivateRedis
from shared.bus import Bus
from shared.store import Store
from tests.arena import Arena, Arenas

# A shell that puts the run in the background with & has it ignore SIGINT, and all that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def arenas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arenas]:
    """One broker and one store for the run."""
    folder = tmp_path_factory.mktemp("servers")
    with PrivateRabbit(folder / "rabbitmq") as rabbit, PrivateRedis(folder / "redis") as redis:
        yield Arenas(rabbit, redis)


@pytest.fixture
def arena(arenas: Arenas) -> Arena:
    """An empty bus and store."""
    return arenas.new()


@pytest.fixture
async def store(arena: Arena) -> AsyncIterator[Store]:
    """An empty store."""
    async with Store(arena.redis_url) as store:
        yield store


@pytest.fixture
async def bus(arena: Arena, store: Store) -> AsyncIterator[Bus]:
    """An empty bus. As in a service, it closes before the store its consumers use."""
    del store
    async with Bus(arena.amqp_url, "tests") as bus:
        await bus.declared()
        yield bus
