"""`python -m tests.bench._handler <port>`: what a hit could cost at best in aiohttp.

It decodes the same body, asks Redis for one value and answers with it, with the event loop and the
garbage collector set as in the services.
"""

import gc
import os
import sys
from typing import Final

import msgspec
import uvloop
from aiohttp import web
from redis.asyncio import Redis


class Body(msgspec.Struct):
    """What a lookup asks for."""

    identificador: str
    tipo: str


_decode: Final = msgspec.json.Decoder(Body).decode


def build(redis: Redis) -> web.Application:
    """One route, the same as ours."""

    async def hit(request: web.Request) -> web.Response:
        asked = _decode(await request.read())
        found = await redis.get(f"bench:{asked.tipo}:{asked.identificador}")
        return web.Response(body=found, content_type="application/json")

    app = web.Application()
    app.router.add_post("/api/consultas", hit)
    return app


if __name__ == "__main__":
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    web.run_app(
        build(Redis.from_url(os.environ["REDIS_URL"])),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        access_log=None,
        print=None,
        loop=uvloop.new_event_loop(),
    )
