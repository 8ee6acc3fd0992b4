"""What can go wrong with an answer, done to it."""

import socket
import struct
from typing import Final

from aiohttp import web

from enricher.simulator.control import Fault
from enricher.simulator.wire import Provider, edge_refusal, html_answer

# On, zero seconds: closing sends RST instead of FIN.
_NO_LINGER: Final = struct.pack("ii", 1, 0)


def spoil(
    answer: web.Response, fault: Fault, provider: Provider, retry_after: int | str | None
) -> web.Response:
    """The answer, or what comes in its place.

    `html` is a page under 200, as captive portals and some edges send; `403` is the same under
    403, a challenge. `malformed` is the true answer cut in half, as JSON under 200.
    """
    match fault:
        case "429" | "500" | "503":
            return retry_later(provider.refuse(int(fault)), retry_after)
        case "403":
            return html_answer(403, "Just a moment...")
        case "html":
            return html_answer(200, "Just a moment...")
        case "malformed":
            body = answer.body if isinstance(answer.body, bytes) else b""
            return web.Response(
                body=body[: len(body) // 2] or b"{", content_type="application/json"
            )
    return answer


def limited(retry_after: int | str | None) -> web.Response:
    """An edge's answer to too many calls, before the provider hears of them."""
    return retry_later(edge_refusal(429), retry_after)


def retry_later(answer: web.Response, retry_after: int | str | None) -> web.Response:
    """The answer with its `Retry-After`, where it takes one."""
    if retry_after is not None and answer.status in {429, 503}:
        answer.headers["Retry-After"] = str(retry_after)
    return answer


def cut_off(request: web.Request) -> web.Response:
    """Reset the connection. The answer only serves to end the handler; nobody gets it."""
    if request.transport is not None:
        connection = request.transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        request.transport.abort()
    return web.Response(status=500)
