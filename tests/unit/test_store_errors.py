"""Whose fault an error of Redis is: its own trouble passes, a fault of ours must be seen."""

from typing import Any

import pytest
from redis._parsers.base import BaseParser
from redis.asyncio import Redis
from redis.exceptions import DataError, ResponseError

from shared.errors import StoreRefused, StoreUnavailable
from shared.store import translated

IN_SCRIPT = " script: af62aa1e38446b1d08328c5522a4cb53720ae452, on @user_script:2."
TROUBLES = [
    "OOM command not allowed when used memory > 'maxmemory'.",
    "MISCONF Errors writing to the AOF file: No space left on device",
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist.",
    "NOREPLICAS Not enough good replicas to write.",
    "READONLY You can't write against a read only replica.",
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "LOADING Redis is loading the dataset in memory",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "TRYAGAIN Multiple keys request during rehashing of slot",
    "CLUSTERDOWN The cluster is down",
    "NOPERM User default has no permissions to run the 'evalsha' command",
    "NOAUTH Authentication required.",
    "ERR max number of clients reached",
    "ERR max number of clients + cluster connections reached",
    "ERR DB index is out of range",
    "ERR Script killed by user with SCRIPT KILL...",
]
FAULTS = [
    "ERR unknown command 'EVALSHAH', with args beginning with: ",
    "ERR wrong number of arguments for 'hset' command",
    "ERR user_script:3: Script attempted to access nonexistent global variable 'kyes'",
    "WRONGTYPE Operation against a key holding the wrong kind of value",
]


@pytest.mark.parametrize("where", ["", IN_SCRIPT], ids=["command", "script"])
@pytest.mark.parametrize("text", TROUBLES)
async def test_trouble_of_redis_is_an_outage(text: str, where: str) -> None:
    with pytest.raises(StoreUnavailable):
        await _met(text + where)


@pytest.mark.parametrize("where", ["", IN_SCRIPT], ids=["command", "script"])
@pytest.mark.parametrize("text", FAULTS)
async def test_a_fault_of_ours_is_seen(text: str, where: str) -> None:
    with pytest.raises(ResponseError):
        await _met(text + where)


async def test_the_error_names_the_trouble_and_nothing_of_the_command() -> None:
    with pytest.raises(StoreUnavailable, match=r"^Redis: MISCONF$"):
        await _met("MISCONF Errors writing to the AOF file: No space left on device")


async def test_one_that_answers_is_told_from_one_that_does_not() -> None:
    with pytest.raises(StoreRefused):
        await _met("OOM command not allowed when used memory > 'maxmemory'.")
    async with Redis(host="127.0.0.1", port=1) as nobody:
        with pytest.raises(StoreUnavailable) as away:
            await translated(nobody.ping)()
    assert not isinstance(away.value, StoreRefused)


async def test_an_argument_that_cannot_be_sent_is_a_fault_of_ours() -> None:
    @translated
    async def call() -> None:
        raise DataError("Invalid input of type: 'NoneType'")

    with pytest.raises(DataError):
        await call()


async def _met(text: str) -> None:
    """Meet this answer of Redis, as redis-py makes an error of it."""
    error: Any = BaseParser.parse_error(text)  # type: ignore[no-untyped-call]

    @translated
    async def call() -> None:
        raise error

    await call()
