"""BrasilAPI: companies handed on from Minha Receita, CEPs from several sources, area codes."""

from typing import Any, Final

from aiohttp import web

from enricher.simulator.cities import STATES
from enricher.simulator.companies import company
from enricher.simulator.minhareceita import bare_cnpj, record
from enricher.simulator.people import plain
from enricher.simulator.places import address, cities_of
from enricher.simulator.wire import (
    Call,
    Endpoint,
    Provider,
    edge_refusal,
    html_answer,
    json_answer,
)
from shared.errors import InvalidInput

_SOURCES: Final = ("correios", "viacep", "widenet", "correios-alt")


def provider() -> Provider:
    """BrasilAPI."""
    return Provider(
        "brasilapi",
        900,
        (
            Endpoint("cnpj_v1", "GET", "/api/cnpj/v1/{cnpj}", _cnpj),
            Endpoint("cep_v1", "GET", "/api/cep/v1/{cep}", _cep_v1),
            Endpoint("cep_v2", "GET", "/api/cep/v2/{cep}", _cep_v2),
            Endpoint("ddd_v2", "GET", "/api/ddd/v2/{ddd}", _ddd),
        ),
        _refuse,
    )


def _turned_away(call: Call) -> web.Response | None:
    """Its edge's answer to clients that do not say who they are."""
    agent = call.headers.get("User-Agent", "")
    if not agent:
        return edge_refusal(429)
    return html_answer(403, "Just a moment...") if agent == "node" else None


def _cnpj(call: Call) -> web.Response:
    if refusal := _turned_away(call):
        return refusal
    asked = call.parts["cnpj"]
    try:
        cnpj = bare_cnpj(asked)
    except InvalidInput:
        return _error(400, f"CNPJ {asked} inválido.", "bad_request", "BadRequestError")
    found = company(cnpj)
    if found is None or call.hidden:
        return _error(404, f"CNPJ {asked} não encontrado.", "not_found", "NotFoundError")
    return json_answer(200, record(found))


def _cep_v1(call: Call) -> web.Response:
    return _cep(call, {})


def _cep_v2(call: Call) -> web.Response:
    found = address(_padded(call.parts["cep"]) or "00000000")
    if found is None:
        return _cep(call, {})
    state = STATES[found.city.uf]
    coordinates = {"longitude": str(state.longitude), "latitude": str(state.latitude)}
    location = {"type": "Point", "coordinates": coordinates}
    return _cep(call, {"timezoneName": "America/Sao_Paulo", "location": location})


def _cep(call: Call, more: dict[str, Any]) -> web.Response:
    if refusal := _turned_away(call):
        return refusal
    cep = _padded(call.parts["cep"])
    if cep is None:
        reason = "CEP informado possui mais do que 8 caracteres."
        return _cep_error(
            400,
            "CEP deve conter exatamente 8 caracteres.",
            "validation_error",
            [{"message": reason, "service": "cep_validation"}],
        )
    found = address(cep)
    if found is None or call.hidden:
        # Word for word what it also says when every source is down.
        return _cep_error(
            404,
            "Todos os serviços de CEP retornaram erro.",
            "service_error",
            [
                {"name": "ServiceError", "message": "CEP NAO ENCONTRADO", "service": source}
                for source in _SOURCES
            ],
        )
    return json_answer(
        200,
        {
            "cep": found.cep,
            "state": found.city.uf,
            "city": found.city.name,
            "neighborhood": found.district,
            "street": found.street,
            "service": "open-cep",
            "ibge": {"city": found.city.ibge, "state": found.city.ibge[:2]},
            **more,
        },
    )


def _padded(text: str) -> str | None:
    digits = "".join(sign for sign in text if sign in "0123456789")
    return digits.zfill(8) if 0 < len(digits) <= 8 else None


def _ddd(call: Call) -> web.Response:
    if refusal := _turned_away(call):
        return refusal
    ddd = call.parts["ddd"]
    if len(ddd) != 2 or not ddd.isdecimal():
        return _error(400, "DDD deve conter apenas 2 dígitos", "ddd_error", "DDD_INVALID")
    found = cities_of(ddd)
    if not found or call.hidden:
        return _error(404, "DDD não encontrado", "ddd_error", "DDD_NOT_FOUND")
    states: dict[str, list[str]] = {}
    for city in found:
        states.setdefault(city.uf, []).append(plain(city.name).upper())
    return json_answer(200, [{"state": uf, "cities": names} for uf, names in states.items()])


def _refuse(status: int) -> web.Response:
    if status == 500:
        return _error(500, "Erro interno do servidor.", "internal_error", "InternalError")
    return edge_refusal(status)


def _error(status: int, message: str, kind: str, name: str) -> web.Response:
    return _cached(json_answer(status, {"message": message, "type": kind, "name": name}))


def _cep_error(status: int, message: str, kind: str, errors: list[dict[str, str]]) -> web.Response:
    content = {"message": message, "type": kind, "name": "CepPromiseError", "errors": errors}
    return _cached(json_answer(status, content))


def _cached(response: web.Response) -> web.Response:
    """Errors too are sent as cacheable for a day, which a client has to ignore."""
    response.headers["Cache-Control"] = "max-age=0, s-maxage=86400, stale-while-revalidate, public"
    return response
