"""Redis on a Unix socket of this machine: named like any other, and as near as loopback."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from deploy.local.process import Child
from deploy.local.servers import PrivateRedis
from shared.cache import Cache
from shared.errors import InvalidSetting, StoreUnavailable
from shared.settings import Common, Secret, load
from shared.store import Store
from tests.arena import Arena, Arenas
from tests.gateway.gateways import Gateways

SOCKET = "unix:///run/redis/redis.sock"


class _Listening(Child):
    """A Redis that listens on a socket as well."""

    def __init__(self, folder: Path, path: Path) -> None:
        super().__init__("redis", folder)
        self._path = path

    def spawn(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        super().spawn([*command, "--unixsocket", str(self._path)], env)


class SocketRedis(PrivateRedis):
    """A private Redis on a socket."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.path = self.folder / "redis.sock"
        self._redis = _Listening(self.folder, self.path)


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SocketRedis]:
    # Not below a test's own folder: a socket's path has at most 107 bytes.
    with SocketRedis(tmp_path_factory.mktemp("socket")) as redis:
        yield redis


async def test_a_gateway_works_through_it(redis: SocketRedis, arenas: Arenas) -> None:
    url = f"unix://:{redis.password}@{redis.path}?db=3"
    async with Gateways(Arena(arenas.new().amqp_url, url)) as gateways:
        gateway = await gateways.start()
        task = (await gateway.ask())["task_id"]
        status, answer = await gateway.json("GET", f"/api/consultas/{task}")
        assert (status, answer["status"]) == (200, "STARTED")
        # It is the database that was named.
        async with Store(f"{redis.url.rsplit('/', 1)[0]}/3") as direct:
            assert await direct.redis.exists(f"consulta:lookup:{task}")


async def test_a_password_may_stand_at_either_place(redis: SocketRedis) -> None:
    for url in (
        f"unix://:{redis.password}@{redis.path}",
        f"unix://default:{redis.password}@{redis.path}?db=1",
        f"unix://{redis.path}?db=2&password={redis.password}",
    ):
        async with Store(load(Common, {"REDIS_URL": url}).redis_url.reveal()) as store:
            cache = Cache(store, Secret("secret"))
            await cache.set("cep", "01001000", "endereco", {"uf": "SP"}, source="test")
            assert await cache.get("cep", "01001000", "endereco") is not None
    async with Store(f"unix://{redis.path}") as store:
        with pytest.raises(StoreUnavailable):
            await store.is_up()


async def test_where_no_socket_is_redis_is_away(tmp_path: Path) -> None:
    async with Store(f"unix://{tmp_path}/none.sock") as store:
        with pytest.raises(StoreUnavailable):
            await store.is_up()


@pytest.mark.parametrize("url", [SOCKET, f"{SOCKET}?db=2", "unix://:secret@/run/redis.sock"])
def test_a_socket_is_this_machine(url: str) -> None:
    # Beyond it, CACHE_SECRET would have to be set.
    assert load(Common, {"REDIS_URL": url}).redis_url.reveal() == url


@pytest.mark.parametrize("url", ["unix://", "unix:///", "unix://run/redis.sock", "unix://?db=1"])
def test_a_socket_without_its_whole_path_is_refused_with_the_mend(url: str) -> None:
    with pytest.raises(InvalidSetting, match=r"REDIS_URL: .*unix:///path/of/redis.sock"):
        load(Common, {"REDIS_URL": url})


@pytest.mark.parametrize("url", ["redis://", "redis:///0", "http://127.0.0.1", "redis.sock"])
def test_what_is_no_address_of_a_redis_is_refused(url: str) -> None:
    with pytest.raises(InvalidSetting, match=r"REDIS_URL: .*redis://host:port/"):
        load(Common, {"REDIS_URL": url})


def test_a_broker_has_no_socket() -> None:
    with pytest.raises(InvalidSetting, match=r"AMQP_URL: .*amqp://host:port/$"):
        load(Common, {"AMQP_URL": SOCKET})
