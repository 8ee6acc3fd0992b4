"""The cache_service, put together."""

from collections.abc import AsyncIterator

from aiohttp import web

from cache_service.handlers import Handlers
from cache_service.jobs import Jobs
from cache_service.planner import Planner
from cache_service.settings import Settings
from cache_service.sweeper import Sweeper
from shared import metrics
from shared.app import BUS, CACHE, LIMITER, LOOKUPS, STORE, SUPERVISOR, base
from shared.consumer import Consumer, Delivery, Handler
from shared.errors import Undecodable
from shared.messages import JobRequested
from shared.ops import REFRESH, Refresh
from shared.orders import Orders
from shared.queues import Queues
from shared.reporter import Reporter
from shared.schedule import Scheduler
from shared.service.supervision import Work
from shared.topology import ANALYZED, DEADLINE, REQUESTED
from shared.topology import JOBS as JOB_REQUESTED


def build(settings: Settings) -> web.Application:
    """An application without routes of its own: it lives on the bus."""
    app = base(settings, "cache_service")

    async def consumers(app: web.Application) -> AsyncIterator[None]:
        bus, lookups, cache = app[BUS], app[LOOKUPS], app[CACHE]
        reporter = Reporter(bus, lookups)
        orders = Orders(bus, app[LIMITER], reporter, settings)
        handlers = Handlers(
            planner=Planner(bus, lookups, cache, reporter, orders),
            lookups=lookups,
            cache=cache,
            reporter=reporter,
            ttl=settings.ttl,
            ttl_not_found=settings.ttl_not_found,
        )
        bus.on_dead = handlers.on_bad_request
        Consumer(bus, REQUESTED, handlers.on_requested)
        Consumer(bus, ANALYZED, handlers.on_analyzed)
        Consumer(bus, DEADLINE, handlers.on_deadline)
        queues = Queues(bus, app[STORE], settings.of)
        app[REFRESH] = [_gauges(queues)]
        scheduler = Scheduler(app[STORE], Jobs(app[STORE], cache, queues).all())
        Consumer(bus, JOB_REQUESTED, _by_hand(scheduler))
        app[SUPERVISOR].keep("schedule", _schedule(scheduler, settings.run_at_start))
        app[SUPERVISOR].keep("sweeper", Sweeper(bus, lookups).run)
        yield

    app.cleanup_ctx.append(consumers)
    return app


def _schedule(scheduler: Scheduler, at_start: tuple[str, ...]) -> Work:
    due = list(at_start)

    async def schedule() -> None:
        # Once each, however often this is started again.
        while due:
            await scheduler.run_now(due.pop(0))
        await scheduler.run()

    return schedule


def _by_hand(scheduler: Scheduler) -> Handler:
    async def on_job_requested(request: JobRequested, _: Delivery) -> None:
        try:
            await scheduler.run_now(request.name)
        except KeyError:
            raise Undecodable("no such job") from None

    return on_job_requested


def _gauges(queues: Queues) -> Refresh:
    async def refresh() -> None:
        for name, ready in (await queues.depths()).items():
            metrics.queue_messages.labels(name).set(ready)

    return refresh
