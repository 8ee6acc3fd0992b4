"""The OpenAPI 3.1 document, from the routes and the types they declare."""

from collections.abc import Iterator
from typing import Any, Final, get_args, get_origin

from aiohttp import web
from msgspec import json, to_builtins

from gateway import examples
from gateway.components import VERSION, Components
from gateway.operation import JSON, NDJSON, Answer, Operation, Parameter, operation_of
from gateway.problems import TITLES
from shared.domain.answers import ProblemDetails, Reset
from shared.messages import EventType

# What any route may answer, what those that take a body may, and those with a name in the path.
_ALWAYS: Final = (401, 403, 503)
_OF_BODIES: Final = (400, 408, 413, 415, 422)
_OF_NAMES: Final = (404,)
_ABOUT: Final = """\
Consultas de CPF, CNPJ, CEP e telefone, etapa por etapa, no momento em que cada fonte responde.

Peça em `POST /api/consulta-stream` e leia os eventos na própria resposta; ou peça em
`POST /api/consultas` e acompanhe onde a resposta indicar. Um fluxo que caiu continua de onde parou,
em qualquer gateway, com `Last-Event-ID`. Um identificador nunca vai num endereço.

Erros são `application/problem+json` (RFC 9457), em português, com o campo a corrigir em `campo`.
"""
_SECURITY: Final = {
    "chave": {
        "type": "http",
        "scheme": "bearer",
        "description": "Uma chave de API, `csl_…`, feita com `python -m consulta keys add`. Cada "
        "operação diz o escopo que pede. Um gateway sem chaves atende só a própria máquina, sem "
        "chave e sem proxy no caminho.",
    },
    "bilhete": {
        "type": "apiKey",
        "in": "query",
        "name": "ticket",
        "description": "O bilhete que vem em `eventos` na resposta ao pedido: abre o fluxo daquela "
        "consulta, enquanto ela pode ser vista (`KEEP_S`), para quem não define cabeçalhos "
        "(`EventSource`).",
    },
}
_TAGS: Final = {
    "consultas": "Pedir, acompanhar, ver e cancelar consultas.",
    "circuitos": "Os circuitos que protegem cada provedor.",
    "filas": "As filas e seus limites.",
    "cache": "O que o cache guarda.",
    "agenda": "As tarefas periódicas.",
}


def document(app: web.Application) -> dict[str, Any]:
    """The document of every route that has a contract."""
    routes = sorted(_routes(app), key=lambda route: route[:2])
    components = Components([ProblemDetails, *_types(routes)])
    paths: dict[str, dict[str, Any]] = {}
    for path, method, name, contract in routes:
        paths.setdefault(path, {})[method] = _operation(path, name, contract, components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "consulta",
            "version": VERSION,
            "description": _ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": about} for name, about in _TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": components.schemas,
            "responses": {
                str(status): _problem(status, components) for status in examples.PROBLEMS
            },
            "securitySchemes": _SECURITY,
        },
    }


Routes = list[tuple[str, str, str, Operation]]


def _routes(app: web.Application) -> Iterator[tuple[str, str, str, Operation]]:
    for route in app.router.routes():
        contract = operation_of(route.handler)
        # Every GET answers HEAD too, which goes without saying.
        if contract is not None and route.resource is not None and route.method != "HEAD":
            module, handler = route.handler.__module__, getattr(route.handler, "__name__", "")
            name = f"{module.rpartition('.')[2]}_{handler}"
            yield route.resource.canonical, route.method.lower(), name, contract


def _types(routes: Routes) -> Iterator[Any]:
    for *_, contract in routes:
        for body in (contract.body, *(answer.body for answer in contract.answers.values())):
            for part in _choice(body):
                yield from (part, *_items(part))
        for parameter in contract.parameters:
            yield parameter.type


def _choice(body: Any) -> tuple[Any, ...]:
    return body if isinstance(body, tuple) else () if body is None else (body,)


def _items(part: Any) -> tuple[Any, ...]:
    return get_args(part) if get_origin(part) is list else ()


def _operation(path: str, name: str, contract: Operation, components: Components) -> dict[str, Any]:
    group = path.split("/")[2]
    told: dict[str, Any] = {
        "operationId": name,
        "tags": [group if group in _TAGS else "consultas"],
        "summary": contract.summary,
        # The names beside a scheme are the roles it needs (OpenAPI 3.1, Security Requirement).
        "security": [{"chave": [contract.scope]}, *([{"bilhete": []}] if contract.ticket else [])],
        "parameters": [_parameter(one, components) for one in contract.parameters],
        "responses": _responses(path, contract, components),
    }
    if contract.body is not None:
        told["requestBody"] = {
            "required": True,
            "content": {
                media: _content(media, contract.body, contract.examples, components)
                for media in contract.media
            },
        }
    return told


def _parameter(parameter: Parameter, components: Components) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.where,
        "required": parameter.where == "path",
        "description": parameter.about,
        "schema": components.of(parameter.type),
        "example": parameter.example,
    }


def _responses(path: str, contract: Operation, components: Components) -> dict[str, Any]:
    answers = {
        str(status): _answer(answer, components) for status, answer in contract.answers.items()
    }
    statuses = {*_ALWAYS, *contract.problems}
    statuses.update(_OF_BODIES if contract.body is not None else ())
    statuses.update(_OF_NAMES if "{" in path else ())
    problems = {str(one): {"$ref": f"#/components/responses/{one}"} for one in sorted(statuses)}
    return {**answers, **problems}


def _answer(answer: Answer, components: Components) -> dict[str, Any]:
    told: dict[str, Any] = {"description": answer.about}
    if answer.body is not None:
        told["content"] = {
            media: _content(media, answer.body, answer.examples, components)
            for media in answer.media
        }
    if answer.headers:
        told["headers"] = {
            name: {"description": about, "schema": {"type": "string"}}
            for name, about in answer.headers.items()
        }
    return told


def _content(media: str, body: Any, shown: Any, components: Components) -> dict[str, Any]:
    match media:
        case "text/event-stream":
            # Until OpenAPI 3.2 (`itemSchema`) a stream's schema is understood as each event's.
            content: dict[str, Any] = {
                "schema": {"anyOf": [_sse_event(one, components) for one in body]}
            }
        case "application/x-ndjson":
            # The schema is that of the text; an extension says what stands in each line.
            content = {
                "schema": {"type": "string", "description": "Um objeto JSON por linha."},
                "x-item-schema": components.of(get_args(body)[0]),
            }
        case _:
            schemas = [components.of(one) for one in _choice(body)]
            content = {"schema": schemas[0] if len(schemas) == 1 else {"anyOf": schemas}}
    if shown:
        content["examples"] = {
            name: {"value": _shown(media, to_builtins(value))} for name, value in shown.items()
        }
    return content


def _sse_event(of: Any, components: Components) -> dict[str, Any]:
    """What a client makes of one event of a stream (WHATWG HTML, 9.2)."""
    data = {
        "type": "string",
        "contentMediaType": JSON,
        "contentSchema": components.of(of),
    }
    if of is Reset:
        properties: dict[str, Any] = {"event": {"const": "reset"}, "data": data}
    else:
        names = {"enum": list(get_args(EventType)), "description": "O `tipo` do evento."}
        id_ = {"type": "string", "pattern": "^[0-9]+$", "description": "O `seq` do evento."}
        properties = {"id": id_, "event": names, "data": data}
    return {"type": "object", "properties": properties, "required": list(properties)}


def _shown(media: str, value: Any) -> Any:
    if media == NDJSON:
        return b"".join(json.encode(item) + b"\n" for item in value).decode()
    return value


def _problem(status: int, components: Components) -> dict[str, Any]:
    shown = ProblemDetails(
        type="about:blank",
        title=TITLES[status],
        status=status,
        detail=examples.PROBLEMS[status],
        field_="identificador" if status == 422 else "",
    )
    told: dict[str, Any] = {
        "description": TITLES[status],
        "content": {
            "application/problem+json": {
                "schema": components.of(ProblemDetails),
                "examples": {"erro": {"value": to_builtins(shown)}},
            }
        },
    }
    if status in {429, 503}:
        about = "Segundos depois dos quais tentar de novo."
        told["headers"] = {"Retry-After": {"description": about, "schema": {"type": "string"}}}
    return told
