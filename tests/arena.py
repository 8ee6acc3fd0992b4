"""An arena: a virtual host and a Redis database that one test, or one stack, has to itself."""

import itertools
import subprocess
from dataclasses import dataclass
from typing import Final

import redis

from deploy.local.servers import PrivateRabbit, PrivateRedis

RABBITMQCTL: Final = "/usr/lib/rabbitmq/bin/rabbitmqctl"
_DATABASES = 16


@dataclass(frozen=True)
class Arena:
    """The addresses of an empty bus and an empty store."""

    amqp_url: str
    redis_url: str


class Arenas:
    """Hands out arenas on one private RabbitMQ and one private Redis."""

    def __init__(self, rabbit: PrivateRabbit, redis_server: PrivateRedis) -> None:
        self.rabbit, self.redis_server = rabbit, redis_server
        self._count = itertools.count()
        self._ready: list[str] = []

    def new(self) -> Arena:
        """An arena nobody has used. Databases come round again after 16, emptied."""
        if not self._ready:
            self._ready = self._hosts(8)
        database = next(self._count) % _DATABASES
        redis_url = f"{self.redis_server.url.rsplit('/', 1)[0]}/{database}"
        with redis.Redis.from_url(redis_url) as client:
            client.flushdb()
        return Arena(f"{self.rabbit.url}{self._ready.pop()}", redis_url)

    def _hosts(self, number: int) -> list[str]:
        """New virtual hosts, several to a call, since starting rabbitmqctl takes a second."""
        names = [f"test-{id(self)}-{next(self._names)}" for _ in range(number)]
        add = ", ".join(
            f'rabbit_vhost:add(<<"{name}">>, <<"tests">>), '
            "rabbit_auth_backend_internal:set_permissions("
            f'<<"consulta">>, <<"{name}">>, <<".*">>, <<".*">>, <<".*">>, <<"tests">>)'
            for name in names
        )
        command = [RABBITMQCTL, "--quiet", "eval", f"{add}."]
        subprocess.run(command, env=self.rabbit.env, check=True, capture_output=True, timeout=180)
        return names

    _names = itertools.count()
