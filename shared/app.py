"""A service's life: settings, logs, servers, ops port, signals.

A service is an aiohttp Application whose `cleanup_ctx` contexts hold what it needs; aiohttp
enters them in order at start and leaves them in reverse at the end.
"""

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import uvloop
from aiohttp import web

from shared import log, properties
from shared.bus import Bus
from shared.cache import Cache
from shared.domain.lifetime import END_S, REQUESTS_S
from shared.errors import BusRefused, InvalidSetting
from shared.flow.ending import Endings
from shared.flow.sweeper import Sweeper
from shared.limits import Limiter
from shared.lookups import Lookups
from shared.ops import READY, TOLD, Check, ops_application
from shared.patience import close_silent
from shared.reporter import Reporter
from shared.service.reachable import Trouble, of_rabbit, of_redis, watch
from shared.service.settings import Service
from shared.service.supervision import Supervisor
from shared.settings import Common
from shared.store import Store
from shared.tasks import end, waiting
from shared.workers import Workers

STORE: Final = web.AppKey("store", Store)
BUS: Final = web.AppKey("bus", Bus)
CACHE: Final = web.AppKey("cache", Cache)
LOOKUPS: Final = web.AppKey("lookups", Lookups)
LIMITER: Final = web.AppKey("limiter", Limiter)
REPORTER: Final = web.AppKey("reporter", Reporter)
ENDINGS: Final = web.AppKey("endings", Endings)
SUPERVISOR: Final = web.AppKey("supervisor", Supervisor)


def base(settings: Service, name: str, *, writes: bool = True, **options: Any) -> web.Application:
    """An application with what every service has: Redis, the bus, a supervisor, checks of each.

    Args:
        writes: whether it is of no use while Redis can only be read.
    """
    app = web.Application(**options)
    app[READY], app[TOLD] = {}, {}
    supervisor = app[SUPERVISOR] = Supervisor()

    async def servers(app: web.Application) -> AsyncIterator[None]:
        async with (
            Store(settings.redis_url.reveal()) as store,
            Bus(settings.amqp_url.reveal(), name) as bus,
            # Its tasks say goodbye in the store.
            supervisor,
        ):
            app[STORE], app[BUS] = store, bus
            app[LOOKUPS] = Lookups(store, keep_s=settings.keep_s)
            app[CACHE] = Cache(store, settings.cache_secret)
            app[LIMITER] = Limiter(store)
            app[REPORTER] = Reporter(bus, app[LOOKUPS])
            app[ENDINGS] = Endings(app[LOOKUPS], app[REPORTER])
            sweeper = Sweeper(bus, app[LOOKUPS], app[ENDINGS])
            workers = Workers(store)
            app[READY]["redis"] = store.is_up
            app[READY if writes else TOLD]["redis_writes"] = _check(lambda: not workers.trouble)
            app[READY]["rabbitmq"] = _check(lambda: bus.is_up)
            app[READY]["tasks"] = _check(lambda: not supervisor.down)
            supervisor.keep("heartbeat", lambda: workers.beat(name))
            supervisor.keep("permits", app[LIMITER].watch)
            supervisor.keep("sweeper", sweeper.end)
            supervisor.keep("starter", sweeper.begin)
            supervisor.keep("teller", sweeper.tell)
            for variable, trouble in _servers(settings, bus, store, workers).items():
                # One each: what is gathered, and cancelled, ends with the first of it to end.
                supervisor.keep(f"reachable {variable}", partial(watch, variable, trouble))
            yield

    app.cleanup_ctx.append(servers)
    return app


def _servers(settings: Common, bus: Bus, store: Store, workers: Workers) -> dict[str, Trouble]:
    return {
        "AMQP_URL": of_rabbit(bus, settings.amqp_url.reveal()),
        "REDIS_URL": of_redis(store.redis, settings.redis_url.reveal(), lambda: workers.trouble),
    }


def _check(holds: Callable[[], bool]) -> Check:
    async def check() -> bool:
        return holds()

    return check


@dataclass(frozen=True)
class Address:
    """Where to listen, and the variable that says so; `share` lets several processes do it."""

    host: str
    port: int
    variable: str
    share: bool = False


def main(
    name: str,
    ops_port: int,
    settings: Common,
    build: Callable[[], web.Application],
    address: Address | None = None,
    *,
    variable: str = "",
) -> None:
    """Run a service until SIGTERM or SIGINT.

    Args:
        name: the service, in logs.
        ops_port: where `/live`, `/ready` and `/metrics` are served.
        build: makes the application.
        address: where the application's own routes are served, if it has any.
        variable: what sets `ops_port`, where that is not `<NAME>_OPS_PORT`.
    """
    log.configure(name, settings.log_level)
    properties.install()
    variable = variable or f"{name.upper()}_OPS_PORT"
    # What is imported stays, so the collector need not look at it again and again; and it need
    # not look after every 700 objects, of which a single message makes as many.
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    try:
        # Half of a service's time is the event loop's own, and uvloop halves that.
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(build(), Address(settings.ops_host, ops_port, variable), address))
    except InvalidSetting as error:
        refuse(error)
    except BusRefused as error:
        refuse(InvalidSetting(f"AMQP_URL: {error}"))


async def _serve(app: web.Application, ops_address: Address, address: Address | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        ops = web.AppRunner(ops_application(app, _down(app)), access_log=None, shutdown_timeout=1)
        runner = runner_of(app)
        # Left in reverse: readiness fails first, and is still answered while the rest ends.
        await ops.setup()
        stack.push_async_callback(ops.cleanup)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await listen(ops, ops_address)
        if address is not None:
            await listen(runner, address)
            app[SUPERVISOR].keep("patience", lambda: close_silent(runner))
        logging.getLogger(__name__).info("started", extra={"ops_port": ops_address.port})
        try:
            await _stopped(stop, app)
        finally:
            app[READY]["stopping"] = _no
            loop.call_later(END_S, _give_up)


async def _stopped(stop: asyncio.Event, app: web.Application) -> None:
    """Wait for a signal.

    Raises:
        BusRefused: RabbitMQ refuses for good what this service cannot do without.
    """
    if BUS not in app:
        await stop.wait()
        return
    signalled = asyncio.create_task(stop.wait())
    refused = asyncio.create_task(app[BUS].refusal())
    await asyncio.wait({signalled, refused}, return_when=asyncio.FIRST_COMPLETED)
    await end([signalled, refused])
    if not stop.is_set():
        raise refused.result()


def _down(app: web.Application) -> Callable[[], list[str]]:
    return lambda: app[SUPERVISOR].down if SUPERVISOR in app else []


def _give_up() -> None:
    """End at once. What was in hand comes back to its queue, as after any crash."""
    waits = sorted(map(waiting, asyncio.all_tasks()))
    logging.getLogger(__name__).error("did not end in time", extra={"tasks": waits})
    os._exit(1)


def runner_of(app: web.Application) -> web.AppRunner:
    """What serves a service's own routes to whoever comes."""
    return web.AppRunner(
        app,
        access_log=None,
        handler_cancellation=True,
        shutdown_timeout=REQUESTS_S,
        keepalive_timeout=75,
        # Beyond these, a request line or header is an attack.
        max_line_size=8190,
        max_field_size=8190,
    )


async def listen(runner: web.AppRunner, address: Address) -> None:
    """Serve at an address.

    Raises:
        InvalidSetting: it cannot be had.
    """
    site = web.TCPSite(
        runner, address.host, address.port, backlog=1024, reuse_port=address.share or None
    )
    try:
        await site.start()
    except OSError as error:
        raise InvalidSetting(
            f"{address.variable}: cannot listen on {address.host}:{address.port} "
            f"({error.strerror}); set a free one"
        ) from None


async def _no() -> bool:
    return False


def refuse(error: InvalidSetting) -> None:
    """End the process over a setting, with the one line that mends it."""
    sys.exit(f"consulta: {error}")
