"""Redis, as every service uses it: one pool, scripts by name, errors of ours.

redis-py retries commands by itself, which would run a counter or a limiter twice, so that is off:
whoever can repeat a step safely repeats the whole step.
"""

import hashlib
from collections.abc import Awaitable, Callable
from functools import wraps
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    BusyLoadingError,
    MasterDownError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from shared.errors import StoreUnavailable
from shared.gather import Gather

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
Argument = str | bytes | int | float

SCRIPTS: Final = Path(__file__).parent / "lua"
TIMEOUT: Final = 5.0
PASSING: Final = (BusyLoadingError, MasterDownError, OutOfMemoryError, ReadOnlyError)


def translated(
    call: Callable[Parameters, Awaitable[Result]],
) -> Callable[Parameters, Awaitable[Result]]:
    """Let a coroutine raise StoreUnavailable where Redis is away, and nothing of redis-py."""

    @wraps(call)
    async def wrapper(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        try:
            return await call(*args, **kwargs)
        except ResponseError as error:
            # Full, read-only, loading, without its primary: the server's trouble, which passes.
            # What is left is a fault in a script of ours, and must be seen.
            if isinstance(error, PASSING):
                raise StoreUnavailable(f"Redis: {type(error).__name__}") from None
            raise
        except (RedisError, OSError) as error:
            raise StoreUnavailable(f"Redis: {type(error).__name__}") from None

    return wrapper


class Store:
    """A pool of connections to one Redis, and the scripts of `shared/lua`."""

    def __init__(self, url: str, *, connections: int = 32) -> None:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=connections,
            timeout=TIMEOUT,
            socket_timeout=TIMEOUT,
            socket_connect_timeout=TIMEOUT,
            retry=Retry(NoBackoff(), 0),
            health_check_interval=0,
        )
        self.redis: Redis = Redis(connection_pool=pool)
        self._gather = Gather(self.redis)
        self._scripts: dict[str, tuple[str, str]] = {}

    async def __aenter__(self) -> "Store":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._gather.close()
        await self.redis.aclose()
        await self.redis.connection_pool.disconnect()

    @translated
    async def run(self, name: str, keys: list[str], *args: Argument) -> Any:
        """Run `shared/lua/<name>.lua`, atomically.

        Raises:
            StoreUnavailable: it may or may not have run; every script of ours may run again.
        """
        digest, source = self._scripts.get(name) or self._load(name)
        try:
            return await self._gather.do("EVALSHA", digest, len(keys), *keys, *args)
        except NoScriptError:
            # A Redis that has not seen it yet; EVAL leaves it there.
            return await self._gather.do("EVAL", source, len(keys), *keys, *args)

    @translated
    async def do(self, *command: Argument) -> Any:
        """Run one command, together with others of this turn of the loop.

        Raises:
            StoreUnavailable: it may or may not have run.
        """
        return await self._gather.do(*command)

    def _load(self, name: str) -> tuple[str, str]:
        source = (SCRIPTS / f"{name}.lua").read_text()
        digest = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
        self._scripts[name] = (digest, source)
        return digest, source

    @translated
    async def hash(self, key: str) -> dict[str, bytes]:
        """A whole hash; empty if there is none."""
        found: dict[Any, Any] = await self._gather.do("HGETALL", key)
        return {field.decode(): value for field, value in found.items()}

    @translated
    async def items(self, key: str) -> list[bytes]:
        """A whole list; empty if there is none."""
        found: list[Any] = await self._gather.do("LRANGE", key, 0, -1)
        return found

    @translated
    async def is_up(self) -> bool:
        """Whether Redis answers; raises StoreUnavailable where it does not."""
        return bool(await self.redis.ping())
