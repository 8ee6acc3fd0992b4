"""Connections that promise a request and never finish it are closed (the "slow loris").

aiohttp closes a connection that is silent between two requests, after the keep-alive time, which
has to be longer than that of a proxy in front. A new connection has less to wait for: whoever
opens one has something to say.
"""

import asyncio
from typing import Final

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

# For the first request's line and headers.
HEADER_S: Final = 10.0
TICK_S: Final = 1.0


async def close_silent(runner: web.AppRunner) -> None:
    """Close connections whose first request does not come in time, until cancelled."""
    loop = asyncio.get_running_loop()
    silent: dict[RequestHandler, float] = {}
    while True:
        await asyncio.sleep(TICK_S)
        now = loop.time()
        connections = runner.server.connections if runner.server is not None else []
        silent = {one: silent.get(one, now) for one in connections if not _heard(one)}
        for one, since in silent.items():
            if now - since >= HEADER_S:
                one.force_close()


def _heard(connection: RequestHandler) -> bool:
    # What aiohttp counts is not public, and every other way costs each request something.
    return connection._request_count > 0
