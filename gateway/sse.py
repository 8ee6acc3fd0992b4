"""Server-sent events on the wire (WHATWG HTML, section 9.2)."""

import random
from typing import Final

from aiohttp import web
from msgspec import Struct, json

HEADERS: Final = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    # nginx would gather the events into one answer at the end.
    "X-Accel-Buffering": "no",
}
PING: Final = b": ping\n\n"


class Head(Struct):
    """What the relay reads of an event; the rest passes through as bytes."""

    tipo: str
    seq: int


head_of: Final = json.Decoder(Head).decode


def frame(head: Head, body: bytes) -> bytes:
    """One event. JSON has no raw line breaks, so one data line carries it."""
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (head.seq, head.tipo.encode(), body)


def retry() -> bytes:
    """How long a client waits before it comes back; spread, so that they do not come at once."""
    return b"retry: %d\n\n" % random.randint(1000, 3000)  # noqa: S311


def response(task_id: str) -> web.StreamResponse:
    """A stream that is about to begin. Location is where to resume it."""
    headers = {**HEADERS, "Location": f"/api/consultas/{task_id}/eventos"}
    return web.StreamResponse(headers=headers)
