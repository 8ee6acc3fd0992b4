"""The cache_service, put together."""

from collections.abc import AsyncIterator

from aiohttp import web

from cache_service.handlers import Handlers
from cache_service.jobs import Jobs
from cache_service.settings import Settings
from shared import metrics
from shared.app import BUS, CACHE, ENDINGS, LIMITER, LOOKUPS, REPORTER, STORE, SUPERVISOR, base
from shared.consumer import Consumer, Delivery, Handler
from shared.errors import Undecodable
from shared.flow.planner import Planner
from shared.messages import JobRequested
from shared.ops import REFRESH, Refresh
from shared.orders import Orders
from shared.queues import Queues
from shared.schedule import Scheduler
from shared.service.supervision import Work
from shared.topology import JOBS as JOB_REQUESTED
from shared.topology import REQUESTED


def build(settings: Settings) -> web.Application:
    """An application without routes of its own: it lives on the bus."""
    app = base(settings, "cache_service")

    async def consumers(app: web.Application) -> AsyncIterator[None]:
        bus, lookups, cache = app[BUS], app[LOOKUPS], app[CACHE]
        reporter, endings = app[REPORTER], app[ENDINGS]
        orders = Orders(bus, app[LIMITER], reporter, settings, settings)
        handlers = Handlers(
            planner=Planner(bus, lookups, cache, reporter, orders, endings),
            lookups=lookups,
            endings=endings,
        )
        bus.on_dead = handlers.on_dead
        Consumer(bus, REQUESTED, handlers.on_requested)
        queues = Queues(bus, app[STORE], settings.of)
        app[REFRESH] = [_gauges(queues)]
        scheduler = Scheduler(app[STORE], Jobs(app[STORE], cache, queues).all())
        Consumer(bus, JOB_REQUESTED, _by_hand(scheduler))
        app[SUPERVISOR].keep("schedule", scheduling(scheduler, settings.run_at_start))
        yield

    app.cleanup_ctx.append(consumers)
    return app


def scheduling(scheduler: Scheduler, at_start: tuple[str, ...]) -> Work:
    """The work of a scheduler, some of whose jobs run once before it."""
    due = list(at_start)

    async def schedule() -> None:
        # Once each, however often this is started again.
        while due:
            await scheduler.run_when_up(due.pop(0))
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
