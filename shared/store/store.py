"""Redis, as every service uses it: one connection, scripts by name, errors of ours.

redis-py retries commands by itself, which would run a counter or a limiter twice, so that is off:
whoever can repeat a step safely repeats the whole step.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable
from functools import wraps
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import DataError, NoScriptError, RedisError, ResponseError

from shared.errors import StoreRefused, StoreUnavailable
from shared.store.connection import Pipeline, Watcher

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
Argument = str | bytes | int | float

SCRIPTS: Final = Path(__file__).parent / "lua"
# What several scripts do stands in `parts/`; a script's line `-- parts: …` has them put before it.
_PARTS: Final = re.compile(r"^-- parts: (.+)$", re.MULTILINE)
TIMEOUT: Final = 5.0
# An error's code is its first word: with these our own command is at fault. All others are the
# server's trouble, which passes: full (OOM, MISCONF), read-only, stuck in a script (BUSY), loading,
# without its primary or its replicas, …
_FAULTS: Final = frozenset({"ERR", "WRONGTYPE"})
# What comes as ERR and is no fault of the command either.
_TROUBLES: Final = re.compile(
    r"max number of clients|Script killed by user|DB index is out of range"
)


def translated(
    call: Callable[Parameters, Awaitable[Result]],
) -> Callable[Parameters, Awaitable[Result]]:
    """Let a coroutine raise StoreUnavailable where Redis is away, and nothing of redis-py."""

    @wraps(call)
    async def wrapper(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        try:
            return await call(*args, **kwargs)
        except DataError:
            raise  # an argument of ours that redis-py cannot send
        except ResponseError as error:
            code = _code(error)
            if code in _FAULTS and not _TROUBLES.search(str(error)):
                raise
            raise StoreRefused(f"Redis: {code}") from None
        except (RedisError, OSError) as error:
            raise StoreUnavailable(f"Redis: {type(error).__name__}") from None

    return wrapper


def _code(error: ResponseError) -> str:
    """The code Redis gave an error; redis-py takes those it knows out of the text."""
    return error.status_code or str(error).partition(" ")[0]


class Store:
    """One Redis: a connection for what is asked all the time, and the scripts of `lua/`.

    `redis` is redis-py's own client, beside that connection: for whoever asks what is wrong with
    Redis, in a time of his own.
    """

    def __init__(self, url: str) -> None:
        options: dict[str, Any] = {
            "socket_timeout": TIMEOUT,
            "socket_connect_timeout": TIMEOUT,
            "retry": Retry(NoBackoff(), 0),
            "health_check_interval": 0,
        }
        self.redis: Redis = Redis.from_url(url, **options)
        made = ConnectionPool.from_url(url, protocol=3, **options)
        self._pipeline = Pipeline(made.make_connection, TIMEOUT)
        self._scripts: dict[str, tuple[str, str]] = {}

    async def __aenter__(self) -> "Store":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pipeline.close()
        await self.redis.aclose()

    def watch(self, watcher: Watcher) -> None:
        """Have somebody hear of the connection, and of what Redis says on it unasked."""
        self._pipeline.watch(watcher)

    @translated
    async def run(self, name: str, keys: list[str], *args: Argument) -> Any:
        """Run `lua/<name>.lua`, atomically.

        Raises:
            StoreUnavailable: it may or may not have run; every script of ours may run again.
        """
        digest, source = self._scripts.get(name) or self._load(name)
        try:
            return await self._pipeline.do("EVALSHA", digest, len(keys), *keys, *args)
        except NoScriptError:
            # A Redis that has not seen it yet; EVAL leaves it there.
            return await self._pipeline.do("EVAL", source, len(keys), *keys, *args)

    @translated
    async def do(self, *command: Argument) -> Any:
        """Run one command, together with others of this turn of the loop.

        Raises:
            StoreUnavailable: it may or may not have run.
        """
        return await self._pipeline.do(*command)

    def _load(self, name: str) -> tuple[str, str]:
        source = _source(name)
        digest = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
        self._scripts[name] = (digest, source)
        return digest, source

    @translated
    async def hash(self, key: str) -> dict[str, bytes]:
        """A whole hash; empty if there is none."""
        found: dict[Any, Any] = await self._pipeline.do("HGETALL", key)
        return {field.decode(): value for field, value in found.items()}

    @translated
    async def items(self, key: str) -> list[bytes]:
        """A whole list; empty if there is none."""
        found: list[Any] = await self._pipeline.do("LRANGE", key, 0, -1)
        return found

    @translated
    async def now(self) -> float:
        """Unix seconds of Redis' clock: the one that all hosts share, whatever their own say."""
        seconds, micros = await self._pipeline.do("TIME")
        return float(seconds) + float(micros) / 1e6

    @translated
    async def is_up(self) -> bool:
        """Whether Redis answers whoever only reads; raises StoreUnavailable where it does not."""
        # No PING: a Redis whose disk is full answers that with an error, and serves every read.
        await self._pipeline.do("EXISTS", "consulta:version")
        return True


def _source(name: str) -> str:
    """A script with the parts it names."""
    text = (SCRIPTS / f"{name}.lua").read_text()
    named = _PARTS.search(text)
    parts = re.split(r"[,\s]+", named.group(1)) if named is not None else []
    return "".join([*((SCRIPTS / "parts" / f"{part}.lua").read_text() for part in parts), text])
