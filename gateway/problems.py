"""Errors as `application/problem+json` (RFC 9457), in Portuguese, naming the field.

Nothing a client sent is repeated in them.
"""

import asyncio
import logging
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler
from msgspec import json

from shared.errors import InvalidInput, StoreUnavailable, Unavailable

log = logging.getLogger(__name__)

RETRY_AFTER_S: Final = 2
TITLES: Final = {
    400: "Pedido malformado",
    401: "Não autenticado",
    403: "Não autorizado",
    404: "Não encontrado",
    405: "Método não permitido",
    408: "Tempo esgotado",
    409: "Conflito",
    413: "Corpo grande demais",
    415: "Tipo de conteúdo não aceito",
    422: "Campo inválido",
    429: "Limite atingido",
    500: "Erro interno",
    503: "Temporariamente indisponível",
}
_DETAILS: Final = {
    404: "este endereço não existe; veja /openapi.json",
    405: "use um dos métodos do cabeçalho Allow",
    413: "envie no máximo 64 KiB",
}


class TooManyStreams(Exception):
    """The gateway, or this caller, has as many streams open as it may."""


class Problem(Exception):
    """An answer that ends the request."""

    def __init__(
        self, status: int, detail: str, *, field: str = "", headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.field = status, detail, field
        self.headers = headers or {}


def answer(
    status: int, detail: str, *, field: str = "", headers: dict[str, str] | None = None
) -> web.Response:
    """The problem as a response."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": TITLES.get(status, "Erro"),
        "status": status,
        "detail": detail,
    }
    if field:
        body["campo"] = field
    return web.Response(
        status=status,
        body=json.encode(body),
        content_type="application/problem+json",
        headers=headers,
    )


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every error into its problem."""
    try:
        return await handler(request)
    except ConnectionError:
        # The client has gone, which is nobody's error. aiohttp, which would log it as one, is
        # about to cancel this request for the same reason.
        raise asyncio.CancelledError from None
    except Exception as error:
        # With a part of another answer out, this one would be put into the middle of it, and its
        # client would wait for ever. Raised, it has aiohttp cut the connection.
        if request.writer.output_size:
            raise
        return _problem(request, error)


def _problem(request: web.Request, error: Exception) -> web.Response:
    retry = {"Retry-After": str(RETRY_AFTER_S)}
    match error:
        case Problem():
            return answer(error.status, error.detail, field=error.field, headers=error.headers)
        case InvalidInput():
            return answer(422, error.message, field=error.field)
        case TooManyStreams():
            return answer(429, "há fluxos abertos demais; feche algum ou espere", headers=retry)
        case Unavailable():
            return answer(503, away(error), headers=retry)
        case web.HTTPException():
            if error.status < 400:
                raise error
            allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
            detail = _DETAILS.get(error.status, error.reason)
            return answer(error.status, detail, headers=allow)
        case _:
            log.error("a request failed", extra={"route": _route(request)}, exc_info=error)
            return answer(500, "erro nosso, já registrado; tente de novo")


def away(error: Unavailable) -> str:
    """Which of our servers does not answer."""
    which = "o armazenamento" if isinstance(error, StoreUnavailable) else "a fila"
    return f"{which} não responde; tente de novo"


def _route(request: web.Request) -> str:
    """The route's pattern: the path itself may hold what must not be logged."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unknown"
