"""A request's `traceparent` goes on to whatever is published for it."""

from aiohttp import web
from aiohttp.typedefs import Handler

from shared.domain.trace import TRACE, carrying


@web.middleware
async def trace(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Carry the trace while the request is served."""
    if TRACE not in request.headers:
        return await handler(request)
    with carrying(request.headers.get(TRACE)):
        return await handler(request)
