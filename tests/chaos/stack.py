"""A stack with a broker and a store of its own, every part of which can be killed."""

import asyncio
import subprocess
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import aio_pika
import aiohttp

from deploy.local.servers import PrivateRabbit, PrivateRedis
from shared.topology import QUEUES, UNROUTABLE
from tests.arena import RABBITMQCTL, Arena
from tests.services import Services

SERVICES: Final = (
    "gateway", "cache_service", "telegram", "endereco", "telefone", "cadastro", "analyzer",
)  # fmt: skip
SERVERS: Final = ("redis", "rabbitmq")
# Limits wide enough not to slow a load down, so that limited queues are taken from as they are
# in production, permit first. One is narrow, so that lookups also wait; one is without.
_RATES: Final = {
    "RATE_TELEGRAM": "30000/min", "RATE_ENDERECO": "30000/min", "RATE_TELEFONE": "off",
    "RATE_CADASTRO": "30000/min", "RATE_ANALYSIS": "100/s",
}  # fmt: skip
# What a provider of the simulator is asked for once per subject, by the kind of the subject.
_ONCE: Final = {"telegram": "cpf", "bridge_endereco": "cpf", "minhareceita": "cnpj"}


class Stack:
    """Everything a lookup needs, on ports of its own."""

    def __init__(self, folder: Path) -> None:
        self._rabbit = PrivateRabbit(folder / "rabbitmq")
        self._redis = PrivateRedis(folder / "redis")
        self.amqp_url = self._rabbit.url
        self.services = Services(Arena(self.amqp_url, self._redis.url), folder, **_RATES)

    def __enter__(self) -> Self:
        try:
            self._rabbit.start()
            self._redis.start()
            self.services.start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        try:
            self.services.stop()
        finally:
            self._rabbit.stop()
            self._redis.stop()

    async def kill(self, victim: str) -> None:
        """SIGKILL; returns once it has gone."""
        match victim:
            case "rabbitmq":
                await asyncio.to_thread(self._rabbit.kill)
            case "redis":
                await asyncio.to_thread(self._redis.kill)
            case _:
                await asyncio.to_thread(self.services.kill, victim)

    async def revive(self, victim: str) -> None:
        """Start it again, on the same port and data; returns once it serves."""
        match victim:
            case "rabbitmq":
                await asyncio.to_thread(self._rabbit.start)
            case "redis":
                await asyncio.to_thread(self._redis.start)
            case _:
                await asyncio.to_thread(self.services.start, victim)

    async def ready(self, http: aiohttp.ClientSession) -> dict[str, bool]:
        """What each service says of itself."""
        found = {}
        for name in SERVICES:
            async with http.get(self.services.ops(name, "/ready")) as answer:
                found[name] = answer.status == 200
        return found

    async def slow_down(self, http: aiohttp.ClientSession, latency_ms: int) -> None:
        """Have every provider take so long, and forget the calls there were."""
        url = f"{self.services.simulator}/_control"
        async with http.get(url) as answer:
            providers = await answer.json()
        for provider in providers:
            settings = {"latency_ms": latency_ms, "jitter_ms": latency_ms // 2}
            async with http.put(f"{url}/{provider}", json=settings) as answer:
                assert answer.status == 200
        async with http.delete(f"{url}/log"):
            pass

    async def called_again(self, http: aiohttp.ClientSession, subjects: Counter[str]) -> int:
        """Calls at providers beyond one a subject. `subjects` counts the distinct ones by kind."""
        async with http.get(f"{self.services.simulator}/_control/log") as answer:
            entries = await answer.json()
        # The date of a registry's data is asked for beside its subjects.
        calls = Counter(entry["provider"] for entry in entries if entry["endpoint"] != "updated")
        return sum(calls[provider] - subjects[kind] for provider, kind in _ONCE.items())

    async def left(self) -> dict[str, int]:
        """How many messages stand in each dead queue and in each work queue, where any do."""
        names = [name for queue in QUEUES for name in (queue.name, queue.dead)]
        async with await aio_pika.connect(self.amqp_url) as connection:
            channel = await connection.channel()
            counts = {}
            for name in (*names, f"{UNROUTABLE}.dead"):
                queue = await channel.declare_queue(name, passive=True)
                counts[name] = queue.declaration_result.message_count or 0
        return {name: count for name, count in counts.items() if count}

    async def held(self) -> dict[str, int]:
        """Messages per work queue and dead queue, those in a consumer's hands included."""
        listed = await asyncio.to_thread(
            subprocess.run,
            [RABBITMQCTL, "--quiet", "--no-table-headers", "list_queues", "name", "messages"],
            env=self._rabbit.env, check=True, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        counts = dict(line.split("\t") for line in listed.stdout.splitlines())
        ours = {name for queue in QUEUES for name in (queue.name, queue.dead)}
        return {name: int(count) for name, count in counts.items() if name in ours and count != "0"}
