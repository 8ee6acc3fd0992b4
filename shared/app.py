"""A service's life: settings, logs, servers, ops port, signals.

A service is an aiohttp Application whose `cleanup_ctx` contexts hold what it needs; aiohttp
enters them in order at start and leaves them in reverse at the end.
"""

import asyncio
import logging
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any, Final

from aiohttp import web

from shared import log
from shared.bus import Bus
from shared.cache import Cache
from shared.errors import InvalidSetting
from shared.limits import Limiter
from shared.lookups import Lookups
from shared.ops import READY, ops_application
from shared.settings import Common
from shared.store import Store
from shared.workers import Workers

STORE: Final = web.AppKey("store", Store)
BUS: Final = web.AppKey("bus", Bus)
CACHE: Final = web.AppKey("cache", Cache)
LOOKUPS: Final = web.AppKey("lookups", Lookups)
LIMITER: Final = web.AppKey("limiter", Limiter)


def base(settings: Common, name: str, **options: Any) -> web.Application:
    """An application with what every service has: Redis and the bus, and checks of both."""
    app = web.Application(**options)
    app[READY] = {}

    async def servers(app: web.Application) -> AsyncIterator[None]:
        async with (
            Store(settings.redis_url.reveal()) as store,
            Bus(settings.amqp_url.reveal(), name) as bus,
        ):
            app[STORE], app[BUS] = store, bus
            app[LOOKUPS] = Lookups(store)
            app[CACHE] = Cache(store, settings.cache_secret)
            app[LIMITER] = Limiter(store)
            app[READY]["redis"] = store.is_up
            app[READY]["rabbitmq"] = _bus_check(bus)
            beat = asyncio.create_task(Workers(store).beat(name))
            yield
            beat.cancel()
            await asyncio.gather(beat, return_exceptions=True)

    app.cleanup_ctx.append(servers)
    return app


def _bus_check(bus: Bus) -> Callable[[], "asyncio.Future[bool]"]:
    async def check() -> bool:
        return bus.is_up

    return lambda: asyncio.ensure_future(check())


def main(
    name: str,
    ops_port: int,
    settings: Common,
    build: Callable[[], web.Application],
    address: tuple[str, int] | None = None,
) -> None:
    """Run a service until SIGTERM or SIGINT.

    Args:
        name: the service, in logs.
        ops_port: where `/live`, `/ready` and `/metrics` are served.
        build: makes the application.
        address: host and port of the application's own routes, if it has any.
    """
    log.configure(name, settings.log_level)
    asyncio.run(_serve(build(), (settings.ops_host, ops_port), address))


async def _serve(
    app: web.Application, ops_address: tuple[str, int], address: tuple[str, int] | None
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=5)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        ops = web.AppRunner(ops_application(app), access_log=None)
        await ops.setup()
        stack.push_async_callback(ops.cleanup)
        await web.TCPSite(ops, *ops_address).start()
        if address is not None:
            await web.TCPSite(runner, *address).start()
        logging.getLogger(__name__).info("started", extra={"ops_port": ops_address[1]})
        await stop.wait()


def refuse(error: InvalidSetting) -> None:
    """End the process over a setting, with the one line that mends it."""
    sys.exit(f"consulta: {error}")
