"""`python -m tests.bench._bare <port>`: as little as aiohttp needs for streams.

`GET /` opens one; `POST /?rounds=<n>` writes its body to each of them, so many times.
"""

import asyncio
import sys
from typing import Final

import uvloop
from aiohttp import web

_open: Final[set[web.StreamResponse]] = set()


async def _hold(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await response.write(b"retry: 1000\n\n")
    _open.add(response)
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        _open.discard(response)
    return response


async def _tell(request: web.Request) -> web.Response:
    chunk = await request.read()
    for _ in range(int(request.query["rounds"])):
        for response in _open:
            await response.write(chunk)
    return web.Response()


if __name__ == "__main__":
    app = web.Application()
    app.router.add_get("/", _hold)
    app.router.add_post("/", _tell)
    web.run_app(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        access_log=None,
        print=None,
        handler_cancellation=True,
        loop=uvloop.new_event_loop(),
    )
