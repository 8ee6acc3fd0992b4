"""The routes of the cache: statistics, invalidation, version."""

from aiohttp import web

from gateway.answers import json_answer
from gateway.bodies import read_json
from gateway.operation import operation
from shared.app import CACHE
from shared.errors import InvalidInput

routes = web.RouteTableDef()


@routes.get("/api/cache/estatisticas")
@operation("administrar")
async def statistics(request: web.Request) -> web.Response:
    """`total_keys`, `hits`, `misses`, `memory_used`."""
    return json_answer(await request.app[CACHE].statistics())


@routes.post("/api/cache/invalidar")
@operation("administrar")
async def invalidate(request: web.Request) -> web.Response:
    """Forget one subject (`tipo`, `identificador`), or all that match `padrao`."""
    body = await read_json(request)
    cache = request.app[CACHE]
    match body:
        case {"padrao": str(pattern)}:
            removed = await cache.invalidate_pattern(pattern)
        case {"tipo": str(kind), "identificador": str(identifier)}:
            removed = await cache.invalidate(kind, identifier)
        case _:
            raise InvalidInput("padrao", "envie padrao, ou tipo e identificador")
    return json_answer({"removidas": removed})


@routes.post("/api/cache/versao")
@operation("administrar")
async def raise_version(request: web.Request) -> web.Response:
    """Make everything cached before invalid, in every process at once."""
    return json_answer({"versao": await request.app[CACHE].raise_version()})
