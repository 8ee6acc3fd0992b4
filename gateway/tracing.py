"""A request's `traceparent` goes on to whatever is published for it."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from shared.domain.trace import TRACE, carrying

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def trace(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Carry the trace while the request is served."""
    with carrying(request.headers.get(TRACE)):
        return await handler(request)
