"""OpenCEP and ViaCEP: one address by its CEP."""

import re
from typing import Any, Final

from aiohttp import web

from enricher.simulator.cities import REGIONS, STATES
from enricher.simulator.places import Address, address
from enricher.simulator.wire import (
    Call,
    Endpoint,
    Provider,
    edge_refusal,
    html_answer,
    json_answer,
)

_CEP: Final = re.compile(r"[0-9]{5}-?[0-9]{3}")


def providers() -> list[Provider]:
    """OpenCEP and ViaCEP."""
    return [
        Provider(
            "opencep", 1200, (Endpoint("cep_v1", "GET", "/v1/{cep}", _opencep),), edge_refusal
        ),
        Provider(
            "viacep",
            1200,
            (
                Endpoint("cep", "GET", "/ws/{cep}/json/", _viacep),
                Endpoint("cep", "GET", "/ws/{cep}/json", _viacep),
            ),
            edge_refusal,
        ),
    ]


def _opencep(call: Call) -> web.Response:
    found = _find(call)
    if found is None:
        return json_answer(404, {"error": True})
    return json_answer(200, _common(found))


def _viacep(call: Call) -> web.Response:
    if not _CEP.fullmatch(call.parts["cep"]):
        return html_answer(400, "ViaCEP 400")
    found = _find(call)
    if found is None:
        return json_answer(200, {"erro": "true"})
    city = found.city
    return json_answer(
        200,
        {
            **_common(found),
            "unidade": "",
            "estado": STATES[city.uf].name,
            "regiao": REGIONS[city.ibge[0]],
            "gia": "1004" if city.uf == "SP" else "",
            "ddd": city.ddd,
            "siafi": city.siafi,
        },
    )


def _find(call: Call) -> Address | None:
    cep = call.parts["cep"]
    if call.hidden or not _CEP.fullmatch(cep):
        return None
    return address(cep.replace("-", ""))


def _common(found: Address) -> dict[str, Any]:
    return {
        "cep": found.masked,
        "logradouro": found.street,
        "complemento": found.complement,
        "bairro": found.district,
        "localidade": found.city.name,
        "uf": found.city.uf,
        "ibge": found.city.ibge,
    }
