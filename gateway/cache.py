"""The routes of the cache: statistics, invalidation, version."""

from aiohttp import web

from gateway import examples
from gateway.answers import json_answer
from gateway.bodies import read_json
from gateway.operation import Answer, operation
from shared.app import CACHE
from shared.domain.answers import (
    CacheStatistics,
    InvalidatePattern,
    InvalidateSubject,
    Removed,
    SchemaVersion,
)
from shared.errors import InvalidInput

routes = web.RouteTableDef()


@routes.get("/api/cache/estatisticas")
@operation(
    "administrar",
    "O que o cache guarda, e quanto acerta",
    answers={200: Answer(CacheStatistics, "O cache agora.", examples={"cache": examples.CACHE})},
)
async def statistics(request: web.Request) -> web.Response:
    """`total_keys`, `hits`, `misses`, `memory_used`."""
    return json_answer(await request.app[CACHE].statistics())


@routes.post("/api/cache/invalidar")
@operation(
    "administrar",
    "Esquecer um identificador, ou tudo o que combina com um padrão",
    body=(InvalidatePattern, InvalidateSubject),
    examples=examples.INVALIDATIONS,
    answers={
        200: Answer(
            Removed,
            "Quantas chaves saíram.",
            examples={name: Removed(removed=1) for name in examples.INVALIDATIONS},
        )
    },
)
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
    return json_answer(Removed(removed=removed))


@routes.post("/api/cache/versao")
@operation(
    "administrar",
    "Invalidar tudo o que foi guardado até agora, em todos os processos",
    answers={
        200: Answer(SchemaVersion, "A versão nova.", examples={"versao": SchemaVersion(version=3)})
    },
)
async def raise_version(request: web.Request) -> web.Response:
    """Make everything cached before invalid, in every process at once."""
    return json_answer(SchemaVersion(version=await request.app[CACHE].raise_version()))
