"""Says which server a service cannot reach: the variable, the place, what came of it, the mend.

One line soon, one every few seconds while it lasts, and one when it is over, whatever the number
of connections and of retries. A process that starts beside its servers says nothing.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, InvalidResponse, RedisError, ResponseError

from shared.bus import Bus
from shared.domain.network import place, why

log = logging.getLogger(__name__)

# Twice in a row, so that a reconnection in time is no news.
TICK_S: Final = 1.0
AGAIN_S: Final = 5.0
# Of Redis; what takes longer is no answer.
PING_S: Final = 2.0

# What keeps a server from serving, after the variable's name; empty while it serves.
Trouble = Callable[[], Awaitable[str]]


async def watch(variable: str, trouble: Trouble) -> None:
    """Look after a server, and tell, until cancelled.

    Args:
        variable: the setting that names it.
    """
    clock = asyncio.get_running_loop().time
    before, told, since = "", False, clock()
    while True:
        await asyncio.sleep(TICK_S)
        found = await trouble()
        if found and before and (not told or clock() - since >= AGAIN_S):
            log.warning("%s: %s", variable, found)
            told, since = True, clock()
        elif told and not found:
            log.warning("%s: it answers again", variable)
            told = False
        before = found


def of_rabbit(bus: Bus, url: str) -> Trouble:
    """What the bus lacks."""

    async def trouble() -> str:
        if bus.is_up:
            return ""
        if bus.is_connected:
            return f"{place(url)} answers, but not all can be used: {bus.trouble or 'not yet'}"
        return no_answer("AMQP_URL", url, bus.trouble or "it has not answered yet")

    return trouble


def of_redis(redis: Redis, url: str, unwritten: Callable[[], str] = str) -> Trouble:
    """What a Redis lacks. `redis` does not retry by itself.

    Args:
        unwritten: why it takes no write, although it answers; empty while it does.
    """

    async def trouble() -> str:
        try:
            async with asyncio.timeout(PING_S):
                await redis.ping()
        except AuthenticationError:
            return f"{place(url)} refuses the user or password; correct them in REDIS_URL"
        except InvalidResponse:
            return no_answer("REDIS_URL", url, "what answers there is no Redis")
        except ResponseError as error:
            return f"{place(url)} answers with an error ({error}); mend it or correct REDIS_URL"
        except (RedisError, OSError) as error:
            return no_answer("REDIS_URL", url, why(error))
        if reason := unwritten():
            return f"{place(url)} answers, but takes no write ({reason}); mend it"
        return ""

    return trouble


def no_answer(variable: str, url: str, reason: str) -> str:
    """Where, why not, and what to do."""
    name = {"AMQP_URL": "RabbitMQ", "REDIS_URL": "Redis"}[variable]
    return f"no answer from {place(url)} ({reason}); start {name} there or correct {variable}"
