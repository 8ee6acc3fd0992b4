"""The work of a lookup in Taskiq: three tasks at once, then one that makes a result of them.

After its documentation: the aio-pika broker, results in Redis that expire, a session that is opened
when a worker starts. Changed from its defaults, in its favour: a worker may have more than ten
messages in hand, and results are asked for more often than five times a second.
"""

import asyncio
import os
from typing import Any, Final

import aiohttp
from taskiq import TaskiqEvents, TaskiqState
from taskiq_aio_pika import AioPikaBroker
from taskiq_redis import RedisAsyncResultBackend

from tests.bench import _work

CHECK_S: Final = 0.05

results: Any = RedisAsyncResultBackend(os.environ["REDIS_URL"], result_ex_time=3600)
broker = AioPikaBroker(os.environ["AMQP_URL"], qos=100).with_result_backend(results)


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def _open(state: TaskiqState) -> None:
    state.http = aiohttp.ClientSession()


@broker.on_event(TaskiqEvents.WORKER_SHUTDOWN)
async def _close(state: TaskiqState) -> None:
    await state.http.close()


@broker.task
async def fetch(stage: str, cpf: str) -> dict[str, Any]:
    """Ask the provider of a stage."""
    answer = await _work.asked(broker.state.http, os.environ["SIMULATOR"], stage, cpf)
    return _work.outcome(stage, answer)


@broker.task
async def merge(outcomes: list[dict[str, Any]]) -> Any:
    """Make one result of the stages."""
    return _work.merged(outcomes)


async def look_up(cpf: str) -> Any:
    """One lookup, from the call to its result."""
    outcomes = await asyncio.gather(*(_result(fetch, stage, cpf) for stage in _work.STAGES))
    return await _result(merge, list(outcomes))


async def _result(task: Any, *given: Any) -> Any:
    sent = await task.kiq(*given)
    result = await sent.wait_result(check_interval=CHECK_S, timeout=60)
    result.raise_for_error()
    return result.return_value
