"""The routes of the circuits: how each stands over all replicas, and an operator's hand on them."""

from typing import Any, Final

from aiohttp import web

from gateway import examples
from gateway.answers import json_answer
from gateway.bodies import read_json
from gateway.operation import Answer, Parameter, operation
from gateway.problems import Problem
from shared.app import STORE
from shared.circuits import Board, Forced, Overview
from shared.domain.answers import CircuitOrder
from shared.errors import InvalidInput

routes = web.RouteTableDef()

_FORCED: Final[dict[Any, Forced]] = {"ABERTO": "ABERTO", "FECHADO": "FECHADO", "AUTOMATICO": ""}


@routes.get("/api/circuitos")
@operation(
    "administrar",
    "Todos os circuitos",
    answers={
        200: Answer(
            dict[str, Overview],
            "Cada circuito pelo nome.",
            examples={"circuitos": {"telegram_api": examples.CIRCUIT}},
        )
    },
)
async def look(request: web.Request) -> web.Response:
    """Every circuit by name: state, counts, reason, time of reopening."""
    return json_answer(await Board(request.app[STORE]).overview())


@routes.put("/api/circuitos/{nome}")
@operation(
    "administrar",
    "Segurar um circuito aberto ou fechado, ou soltá-lo",
    body=CircuitOrder,
    examples=examples.CIRCUIT_ORDERS,
    parameters=(Parameter("nome", "path", "O circuito.", "telegram_api"),),
    answers={200: Answer(Overview, "O circuito agora.", examples={"abrir": examples.CIRCUIT})},
)
async def force(request: web.Request) -> web.Response:
    """Hold a circuit open or closed in every replica, or leave it to itself again."""
    body = await read_json(request)
    match body:
        case {"estado": str(word)} if word in _FORCED:
            forced = _FORCED[word]
        case _:
            raise InvalidInput("estado", f"use {', '.join(_FORCED)}")
    board, name = Board(request.app[STORE]), request.match_info["nome"]
    known = await board.overview()
    if name not in known:
        raise Problem(404, f"não há este circuito; existem {', '.join(known) or 'nenhum ainda'}")
    await board.force(name, forced)
    return json_answer((await board.overview())[name])
