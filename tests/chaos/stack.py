"""A stack with a broker and a store of its own, to every part of which something may happen."""

import asyncio
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import aio_pika
import aiohttp
from aio_pika.exceptions import ChannelNotFoundEntity
from redis.asyncio import Redis

from deploy.local.servers import PrivateRabbit, PrivateRedis
from shared.limits import BIRTH, Limit
from shared.topology import QUEUES, UNROUTABLE
from tests.arena import RABBITMQCTL, Arena
from tests.chaos.load import LOOKUPS
from tests.services import APART, Services

SERVICES: Final = tuple(name for name in APART if name != "simulator")
SERVERS: Final = ("redis", "rabbitmq")
# One limit binds, so that there are calls to exceed it and orders that stand in a queue. The others
# are too wide to slow a load down, so that limited queues are taken from as they are in
# production, permit first; one is without.
_RATES: Final = {
    "RATE_TELEGRAM": f"{max(14, LOOKUPS // 40)}/s", "RATE_ENDERECO": "30000/min",
    "RATE_TELEFONE": "off", "RATE_CADASTRO": "30000/min", "RATE_ANALYSIS": "100/s",
}  # fmt: skip
LIMITS: Final = {
    (stage := variable.removeprefix("RATE_").lower()): Limit.parse(stage, rate)
    for variable, rate in _RATES.items()
}
# Billed by the call, so it is never called again.
_SERPRO: Final = {"PROVIDER_SERPRO_KEY": "chaos:simulator"}


class Stack:
    """Everything a lookup needs, on ports of its own."""

    def __init__(self, folder: Path) -> None:
        self._rabbit = PrivateRabbit(folder / "rabbitmq")
        # A write beyond a limit on the size of its files is to fail, not to end it.
        self.redis = PrivateRedis(folder / "redis", ("env", "--ignore-signal=XFSZ"))
        self.amqp_url = self._rabbit.url
        arena = Arena(self.amqp_url, self.redis.url)
        self.services = Services(arena, folder, **_RATES, **_SERPRO)
        # Whether nothing is known to be wrong with it.
        self.is_sound = True

    def __enter__(self) -> Self:
        try:
            self._rabbit.start()
            self.redis.start()
            self.services.start(*APART)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End everything, and complain of a service that does not end in good order."""
        try:
            self.services.stop()
        finally:
            self._rabbit.stop()
            self.redis.stop()

    @contextmanager
    def on_trial(self) -> Iterator[None]:
        """What fails in the block leaves a stack that proves nothing more."""
        self.is_sound = False
        yield
        self.is_sound = True

    async def end(self, victim: str, how: signal.Signals) -> None:
        """SIGKILL or SIGTERM; returns once it has gone."""
        servers: dict[str, PrivateRabbit | PrivateRedis]
        servers = {"rabbitmq": self._rabbit, "redis": self.redis}
        server = servers.get(victim)
        if server is None:
            await asyncio.to_thread(self.services.kill, victim, how)
        else:
            kills = how is signal.SIGKILL
            await asyncio.to_thread(server.kill if kills else server.stop)

    async def revive(self, victim: str) -> None:
        """Start it again, on the same port and data; returns once it serves."""
        match victim:
            case "rabbitmq":
                await asyncio.to_thread(self._rabbit.start)
            case "redis":
                await asyncio.to_thread(self.redis.start)
            case _:
                await asyncio.to_thread(self.services.start, victim)

    async def ready(self, http: aiohttp.ClientSession) -> dict[str, bool]:
        """What each service says of itself."""
        found = {}
        for name in SERVICES:
            async with http.get(self.services.ops(name, "/ready")) as answer:
                found[name] = answer.status == 200
        return found

    async def slow_down(self, http: aiohttp.ClientSession, latency_ms: int, jitter_ms: int) -> None:
        """Have every provider take so long, and forget the calls there were."""
        url = f"{self.services.simulator}/_control"
        async with http.get(url) as answer:
            providers = await answer.json()
        for provider in providers:
            settings = {"latency_ms": latency_ms, "jitter_ms": jitter_ms}
            async with http.put(f"{url}/{provider}", json=settings) as answer:
                assert answer.status == 200
        async with http.delete(f"{url}/log"):
            pass

    async def free_permits(self) -> None:
        """Have none in use: what a fault left unsettled would be out of use for its lease, and
        what it made Redis forget is waited out for longer."""
        async with Redis.from_url(self.redis.url) as redis:
            await redis.hdel(BIRTH, "lost")
            if keys := await redis.keys(f"{BIRTH}:*"):
                await redis.delete(*keys)

    async def calls(self, http: aiohttp.ClientSession) -> list[dict[str, Any]]:
        """The calls at providers since then."""
        async with http.get(f"{self.services.simulator}/_control/log") as answer:
            entries: list[dict[str, Any]] = await answer.json()
            return entries

    async def left(self) -> dict[str, int]:
        """How many messages stand in each dead queue and in each work queue, where any do.

        A queue that is missing has one, under the name `no <queue>`.
        """
        names = [name for queue in QUEUES for name in (queue.name, queue.dead)]
        counts = {}
        async with await aio_pika.connect(self.amqp_url) as connection:
            channel = await connection.channel()
            for name in (*names, f"{UNROUTABLE}.dead"):
                try:
                    queue = await channel.declare_queue(name, passive=True)
                except ChannelNotFoundEntity:
                    counts[f"no {name}"] = 1
                    channel = await connection.channel()
                else:
                    counts[name] = queue.declaration_result.message_count or 0
        return {name: count for name, count in counts.items() if count}

    def held(self) -> dict[str, int]:
        """Messages per work queue and dead queue, those in a consumer's hands included."""
        listed = self.rabbitmqctl("--no-table-headers", "list_queues", "name", "messages")
        counts = dict(line.split("\t") for line in listed.splitlines())
        ours = {name for queue in QUEUES for name in (queue.name, queue.dead)}
        return {name: int(count) for name, count in counts.items() if name in ours and count != "0"}

    def rabbitmqctl(self, *arguments: str) -> str:
        """Run it; what it printed."""
        command = [RABBITMQCTL, "--quiet", *arguments]
        done = subprocess.run(
            command, env=self._rabbit.env, check=True, capture_output=True, text=True, timeout=60
        )
        return done.stdout
