"""What befalls a stack: each begins when its block is entered, and is undone when it is left."""

import asyncio
import os
import resource
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import aio_pika
from redis.asyncio import Redis

from shared.store import TIMEOUT
from tests.chaos.stack import Stack

Fault = Callable[[Stack], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def killed(stack: Stack, victim: str) -> AsyncIterator[None]:
    """A service or a server is ended with SIGKILL, and started again on the same port and data."""
    await stack.end(victim, signal.SIGKILL)
    try:
        yield
    finally:
        await stack.revive(victim)


@asynccontextmanager
async def away(stack: Stack, service: str) -> AsyncIterator[None]:
    """A service, or a server, is stopped in good order, and started again."""
    await stack.end(service, signal.SIGTERM)
    try:
        yield
    finally:
        await stack.revive(service)


@asynccontextmanager
async def rabbitmq_restarted(stack: Stack) -> AsyncIterator[None]:
    """RabbitMQ is stopped in good order, and started again."""
    async with away(stack, "rabbitmq"):
        yield


@asynccontextmanager
async def redis_disk_full(stack: Stack) -> AsyncIterator[None]:
    """Redis can add nothing to its append-only file, so it refuses to write, and even to PING.

    To write(2) a limit on the size of a file is a full disk: only the number of the error differs,
    which Redis puts into the text of its own. A small disk to fill would have to be mounted, which
    only root may do, and not in every container.
    """
    pid = await _pid(stack)
    folder = stack.redis.folder / "appendonlydir"
    # The current one has the highest number.
    *_, growing = sorted(folder.glob("*.incr.aof"), key=lambda path: path.stat().st_mtime)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (growing.stat().st_size, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)


@asynccontextmanager
async def redis_out_of_memory(stack: Stack) -> AsyncIterator[None]:
    """Redis holds more than it may, and may throw nothing away."""
    await _configure(stack, "maxmemory-policy", "noeviction")
    await _configure(stack, "maxmemory", "1")
    try:
        yield
    finally:
        await _configure(stack, "maxmemory", "0")


@asynccontextmanager
async def redis_without_replicas(stack: Stack) -> AsyncIterator[None]:
    """Redis takes no write, since nobody would have a copy of it."""
    await _configure(stack, "min-replicas-to-write", "1")
    try:
        yield
    finally:
        await _configure(stack, "min-replicas-to-write", "0")


@asynccontextmanager
async def redis_paused(stack: Stack) -> AsyncIterator[None]:
    """Redis keeps its connections and answers nothing; afterwards it does all it was told.

    For longer than its clients wait, so that they give up what is done all the same, and try again.
    """
    pid = await _pid(stack)
    os.kill(pid, signal.SIGSTOP)
    enough = time.monotonic() + TIMEOUT + 2
    try:
        yield
        await asyncio.sleep(max(0.0, enough - time.monotonic()))
    finally:
        os.kill(pid, signal.SIGCONT)


@asynccontextmanager
async def redis_flushed(stack: Stack) -> AsyncIterator[None]:
    """Redis forgets everything."""
    async with _redis(stack) as redis:
        await redis.flushall()
    yield


@asynccontextmanager
async def connections_closed(stack: Stack) -> AsyncIterator[None]:
    """An operator closes every connection to RabbitMQ, three times."""
    await _close_connections(stack)
    yield
    await _close_connections(stack)
    await _close_connections(stack)


@asynccontextmanager
async def queue_deleted(stack: Stack, name: str) -> AsyncIterator[None]:
    """Somebody deletes a work queue, with what stands in it."""
    async with await aio_pika.connect(stack.amqp_url) as connection:
        channel = await connection.channel()
        await channel.queue_delete(name)
    yield


async def _close_connections(stack: Stack) -> None:
    await asyncio.to_thread(stack.rabbitmqctl, "close_all_connections", "chaos")


def _redis(stack: Stack) -> "Redis":
    return Redis.from_url(stack.redis.url)


async def _configure(stack: Stack, name: str, value: str) -> None:
    async with _redis(stack) as redis:
        await redis.config_set(name, value)


async def _pid(stack: Stack) -> int:
    async with _redis(stack) as redis:
        return int((await redis.info("server"))["process_id"])
