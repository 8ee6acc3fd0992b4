"""`python -m tests.bench._bare <port>`: as little as aiohttp needs to keep a stream open."""

import asyncio
import sys

from aiohttp import web


async def _hold(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await response.write(b"retry: 1000\n\n")
    await asyncio.get_running_loop().create_future()
    return response


if __name__ == "__main__":
    app = web.Application()
    app.router.add_get("/", _hold)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, handler_cancellation=True)
