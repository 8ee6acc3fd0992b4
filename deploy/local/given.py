"""Servers that are given rather than started: whether they are there, before all else starts."""

import asyncio
import logging

from redis.asyncio import Redis

from deploy.local.process import ServerError
from shared.errors import BusRefused, BusUnavailable, InvalidSetting
from shared.link import knock
from shared.service.reachable import no_answer, of_redis
from shared.settings import read, url

_PATIENCE_S = 4.0
# What it logs of a connection that fails is said by our one line.
logging.getLogger("aiormq").addHandler(logging.NullHandler())


def check(amqp_url: str | None, redis_url: str | None) -> None:
    """Look for the servers whose addresses are given; None and empty ones are not.

    Raises:
        ServerError: one is not there, or refuses: the variable, the place, and the mend.
    """
    asyncio.run(_check(amqp_url, redis_url))


async def _check(amqp_url: str | None, redis_url: str | None) -> None:
    if redis_url:
        _parse("REDIS_URL", redis_url, "redis", "rediss", "unix")
        async with Redis.from_url(redis_url) as redis:
            if trouble := await of_redis(redis, redis_url)():
                raise ServerError(f"REDIS_URL: {trouble}")
    if amqp_url:
        _parse("AMQP_URL", amqp_url, "amqp", "amqps")
        try:
            await knock(amqp_url, _PATIENCE_S)
        except BusRefused as error:
            raise ServerError(f"AMQP_URL: {error}") from None
        except BusUnavailable as error:
            found = no_answer("AMQP_URL", amqp_url, str(error))
            raise ServerError(f"AMQP_URL: {found}") from None


def _parse(variable: str, text: str, *schemes: str) -> None:
    try:
        read({variable: text}, variable, url(*schemes), "")
    except InvalidSetting as error:
        raise ServerError(str(error)) from None
