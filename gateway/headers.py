"""Headers that keep browsers in their place: security headers on everything, CORS by list."""

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

SECURITY: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
# What nobody keeps on the way.
PRIVATE: Final = "no-store"
_ALLOWED: Final = {
    "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key, Last-Event-ID",
    "Access-Control-Max-Age": "600",
}
_EXPOSED: Final = "Location, Retry-After"
# Of a request that comes from a page on the list.
ORIGIN: Final = web.RequestKey("origin", str)


async def secure(request: web.Request, response: web.StreamResponse) -> None:
    """Add the security headers; answers of the API hold personal data, so nobody keeps them.

    Pages and modules are asked for anew, or an upgrade would mix old ones with new ones.
    """
    for name, value in SECURITY.items():
        response.headers.setdefault(name, value)
    keep = PRIVATE if request.path.startswith("/api/") else "no-cache"
    response.headers.setdefault("Cache-Control", keep)


def cors(
    origins: frozenset[str],
) -> list[Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]]:
    """What answers preflights of these origins, and lets them read what they asked for."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = request.headers.get("Origin", "")
        if origin not in origins:
            return await handler(request)
        # Before the handler: a stream sends its headers long before it returns.
        request[ORIGIN] = origin
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            return web.Response(status=204, headers=_ALLOWED)
        return await handler(request)

    return [middleware] if origins else []


async def allow(request: web.Request, response: web.StreamResponse) -> None:
    """Name the origin that may read this answer."""
    origin = request.get(ORIGIN)
    if origin is not None:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = _EXPOSED
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        response.headers["Vary"] = "Origin"
