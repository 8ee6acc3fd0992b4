"""The ops port: is it alive, is it ready, and its metrics."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from shared.errors import Unavailable

Check = Callable[[], Awaitable[bool]]
READY: Final = web.AppKey("ready", dict[str, Check])
# What is told beside them, and makes no service unready.
TOLD: Final = web.AppKey("told", dict[str, Check])
# Brings gauges up to date before they are read; where it cannot, they stay as they were.
Refresh = Callable[[], Awaitable[None]]
REFRESH: Final = web.AppKey("refresh", list[Refresh])
# A check that hangs is a check that failed; probes usually wait a second or more.
CHECK_TIMEOUT: Final = 0.8


def ops_application(
    service: web.Application, down: Callable[[], list[str]] = list
) -> web.Application:
    """`/live`, `/ready` with the state of each dependency, `/metrics`.

    Args:
        down: names the background tasks that do not run at the moment.
    """

    async def live(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def ready(_: web.Request) -> web.Response:
        states = {name: await _holds(check) for name, check in service[READY].items()}
        good = all(states.values())
        for name, check in service.get(TOLD, {}).items():
            states[name] = await _holds(check)
        told = {"ready": good, "checks": states, "down": down()}
        return web.json_response(told, status=200 if good else 503)

    async def metrics(_: web.Request) -> web.Response:
        for refresh in service.get(REFRESH, []):
            with contextlib.suppress(Unavailable, TimeoutError):
                await asyncio.wait_for(refresh(), CHECK_TIMEOUT)
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/live", live), web.get("/ready", ready), web.get("/metrics", metrics)])
    return app


async def _holds(check: Check) -> bool:
    try:
        return await asyncio.wait_for(check(), CHECK_TIMEOUT)
    except (Unavailable, TimeoutError):
        return False
