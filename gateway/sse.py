"""Server-sent events on the wire (WHATWG HTML, section 9.2)."""

import asyncio
import random
from collections.abc import Awaitable, Iterator
from socket import AF_UNIX, IPPROTO_TCP, SO_SNDBUF, SOL_SOCKET, TCP_USER_TIMEOUT
from typing import Final

from aiohttp import web
from aiohttp.web_request import BaseRequest
from msgspec import Struct, json

TYPE: Final = "text/event-stream"
HEADERS: Final = {
    "Content-Type": f"{TYPE}; charset=utf-8",
    "Cache-Control": "no-cache",
    # nginx would gather the events into one answer at the end.
    "X-Accel-Buffering": "no",
}
PING: Final = b": ping\n\n"
WRITE_TIMEOUT_S: Final = 15.0
VANISHED_MS: Final = 30_000
# What the kernel may hold for one client; it would take megabytes for one that does not read.
UNREAD: Final = 65536
# Bytes that go out in one write; of a transport's buffer, which is full at 64 KiB, a part.
TOGETHER: Final = 16384


class Head(Struct):
    """What the relay reads of an event; the rest passes through as bytes."""

    tipo: str
    seq: int


head_of: Final = json.Decoder(Head).decode


def frame(head: Head, body: bytes) -> bytes:
    """One event. JSON has no raw line breaks, so one data line carries it."""
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (head.seq, head.tipo.encode(), body)


def joined(told: list[tuple[Head, bytes]]) -> Iterator[bytes]:
    """These events as they go out: as many in one write as there is room for. Empties the list,
    so that none is held while another is written.
    """
    while told:
        size, number = len(told[0][1]), 1
        while number < len(told) and size + len(told[number][1]) <= TOGETHER:
            size += len(told[number][1])
            number += 1
        piece = b"".join([frame(head, body) for head, body in told[:number]])
        del told[:number]
        yield piece


def retry(*, later: bool = False) -> bytes:
    """How long a client waits before it comes back; spread, so that they do not come at once."""
    least, most = (5000, 15000) if later else (1000, 3000)
    return b"retry: %d\n\n" % random.randint(least, most)  # noqa: S311


class Writer:
    """An open stream. A client that takes nothing for a while is cut off, and may come back.

    Args:
        patience: how long that is, in seconds; WRITE_TIMEOUT_S unless it is given.
    """

    def __init__(
        self, request: web.Request, response: web.StreamResponse, patience: float = 0
    ) -> None:
        self._request, self._response, self._patience = request, response, patience

    async def write(self, data: bytes) -> None:
        """Write, or cut the client off.

        Raises:
            ConnectionResetError: it has gone, or was cut off.
        """
        transport = self._request.transport
        if (
            len(data) <= TOGETHER
            and transport is not None
            and not transport.get_write_buffer_size()
        ):
            # There is nothing to wait for, and waiting is dear: what was written is in the socket,
            # and this is too little for the transport to say that it is full.
            await self._response.write(data)
            return
        await taken(self._request, self._response.write(data), self._patience)

    async def end(self) -> web.StreamResponse:
        """The regular end of the stream."""
        await self._response.write_eof()
        return self._response


async def taken(request: BaseRequest, sending: Awaitable[None], patience: float = 0) -> None:
    """Wait for what is being sent, or cut off a client that takes nothing for so long.

    Raises:
        ConnectionResetError: it has gone, or was cut off.
    """
    try:
        async with asyncio.timeout(patience or WRITE_TIMEOUT_S):
            await sending
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("the client does not read") from None


async def open_stream(request: web.Request, task_id: str) -> Writer:
    """Begin a stream. Its Location is where to resume it."""
    headers = {**HEADERS, "Location": f"/api/consultas/{task_id}/eventos"}
    response = web.StreamResponse(headers=headers)
    socket = request.transport.get_extra_info("socket") if request.transport else None
    if socket is not None and socket.family != AF_UNIX:
        # A peer that vanished without a word is given up after this, not after hours.
        socket.setsockopt(IPPROTO_TCP, TCP_USER_TIMEOUT, VANISHED_MS)
        socket.setsockopt(SOL_SOCKET, SO_SNDBUF, UNREAD)
    await response.prepare(request)
    # They are sent, and would be kept for as long as the stream lasts.
    response.headers.clear()
    return Writer(request, response)
