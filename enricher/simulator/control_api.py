"""`/_control` over HTTP."""

from typing import Any

import msgspec
from aiohttp import web

from enricher.simulator.control import Control
from enricher.simulator.wire import json_answer
from shared.errors import InvalidInput


def routes(control: Control) -> list[web.RouteDef]:
    """Read and change settings, read and clear the log."""

    async def read(_: web.Request) -> web.Response:
        return json_answer(200, control.settings)

    async def change(request: web.Request) -> web.Response:
        name = request.match_info["provider"]
        if name not in control.settings:
            known = ", ".join(control.settings)
            return _refuse(404, "provider", f"não existe; os provedores são {known}")
        try:
            fields: dict[str, Any] = msgspec.json.decode(await request.read(), type=dict[str, Any])
            return json_answer(200, control.change(name, fields))
        except msgspec.DecodeError:
            return _refuse(422, "corpo", "deve ser um objeto JSON")
        except InvalidInput as error:
            return _refuse(422, error.field, error.message)

    async def reset(_: web.Request) -> web.Response:
        control.reset()
        return web.Response(status=204)

    async def read_log(_: web.Request) -> web.Response:
        return json_answer(200, list(control.log))

    async def clear_log(_: web.Request) -> web.Response:
        control.log.clear()
        return web.Response(status=204)

    return [
        web.get("/_control", read),
        web.delete("/_control", reset),
        web.get("/_control/log", read_log),
        web.delete("/_control/log", clear_log),
        web.put("/_control/{provider}", change),
    ]


def _refuse(status: int, field: str, message: str) -> web.Response:
    return json_answer(status, {"campo": field, "mensagem": message})
