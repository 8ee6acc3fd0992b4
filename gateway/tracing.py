"""A request's `traceparent` goes on to whatever is published for it."""

from collections.abc import Awaitable

from aiohttp import web
from aiohttp.typedefs import Handler

from shared.domain.trace import TRACE, carrying


@web.middleware
def trace(request: web.Request, handler: Handler) -> Awaitable[web.StreamResponse]:
    """Carry the trace while the request is served. Without one it is not in the way of a stream,
    which would hold its frame.
    """
    if TRACE not in request.headers:
        return handler(request)
    return _traced(request, handler)


async def _traced(request: web.Request, handler: Handler) -> web.StreamResponse:
    with carrying(request.headers.get(TRACE)):
        return await handler(request)
