"""The application: each provider's endpoints behind its latency, limit and faults."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from enricher.simulator import brasilapi, bridge, ceps, minhareceita, opencnpj, serpro
from enricher.simulator.control import Control, digest
from enricher.simulator.control_api import routes
from enricher.simulator.faults import cut_off, limited, spoil
from enricher.simulator.wire import Call, Endpoint, Provider

MAX_BODY: Final = 64 * 1024
# A call that hangs or is held ends when its client leaves or, at last, after this many seconds.
LONGEST_HANG: Final = 300.0

Sleep = Callable[[float], Awaitable[object]]


def build(clock: Callable[[], float] = time.time, sleep: Sleep = asyncio.sleep) -> web.Application:
    """Make the simulator.

    Args:
        clock: the time in Unix seconds, for the log, limits and tokens.
        sleep: waits for a latency, in seconds.
    """
    providers = [
        *bridge.providers(),
        serpro.provider(clock),
        minhareceita.provider(),
        opencnpj.provider(),
        brasilapi.provider(),
        *ceps.providers(),
    ]
    control = Control(providers, clock)
    closing = asyncio.Event()
    app = web.Application(client_max_size=MAX_BODY)
    app.router.add_get("/live", _live)
    app.router.add_routes(routes(control))
    for provider in providers:
        for endpoint in provider.endpoints:
            handler = _handler(provider, endpoint, control, sleep, closing)
            app.router.add_route("*", f"/{provider.name}{endpoint.path}", handler)

    async def close(_: web.Application) -> None:
        closing.set()
        control.reset()

    app.on_shutdown.append(close)
    return app


async def _live(_: web.Request) -> web.Response:
    return web.Response(text="ok")


def _handler(
    provider: Provider,
    endpoint: Endpoint,
    control: Control,
    sleep: Sleep,
    closing: asyncio.Event,
) -> Handler:
    name = provider.name

    async def handle(request: web.Request) -> web.StreamResponse:
        entry = control.arrived(name, request.method, endpoint.label)
        settings = control.settings[name]
        if control.over_limit(name):
            entry.status = 429
            return limited(settings.retry_after)
        # Both are settled on arrival, so that the order of the calls is all they depend on.
        fault, delay = control.strike(name), control.delay(name)
        call = Call(
            parts=request.match_info,
            headers=request.headers,
            body=await request.read(),
            hidden=fault == "false_404",
            label=endpoint.label,
            subject="/".join(request.match_info.values()),
        )
        if request.method == endpoint.method:
            answer = endpoint.answer(call)
        else:
            answer = provider.refuse(405)
        entry.endpoint, entry.subject = call.label, digest(call.subject)
        if fault == "hang":
            await _at_most(LONGEST_HANG, closing.wait())
        if fault in {"hang", "reset"}:
            return cut_off(request)
        answer = spoil(answer, fault, provider, settings.retry_after)
        if delay:
            await sleep(delay)
        if settings.held:
            await _at_most(LONGEST_HANG, control.let_go(name))
        entry.status = answer.status
        return answer

    return handle


async def _at_most(seconds: float, wait: Awaitable[object]) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await wait
