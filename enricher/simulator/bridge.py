"""The bridge, our own format for person data an operator has contracted.

One bridge may answer for each stage or one for all, so every one here knows all three; they
differ in latency.
"""

from typing import Annotated, Any, Final, Literal

import msgspec
from aiohttp import web

from enricher.simulator.draw import Draw
from enricher.simulator.people import Person, person
from enricher.simulator.wire import REVOKED, Call, Endpoint, Provider, json_answer
from shared.errors import InvalidInput
from shared.identifiers import parse

_LATENCIES: Final = {"telegram": 500, "bridge_endereco": 1200, "bridge_telefone": 800}
_REFUSALS: Final = {
    405: "use POST",
    429: "limite de consultas excedido",
    500: "erro interno",
    503: "serviço em manutenção",
}


class _Lookup(msgspec.Struct):
    kind: Literal["cpf"]
    stage: Literal["telegram", "endereco", "telefone"]
    value: Annotated[str, msgspec.Meta(max_length=32)]
    purpose: str | None = None
    legal_basis: str | None = None
    request_id: str | None = None


_decoder: Final = msgspec.json.Decoder(_Lookup)


def providers() -> list[Provider]:
    """The three bridges."""
    endpoint = Endpoint("lookup", "POST", "/lookup", _lookup)
    return [
        Provider(name, latency_ms, (endpoint,), _refuse) for name, latency_ms in _LATENCIES.items()
    ]


def _lookup(call: Call) -> web.Response:
    if call.bearer() in {"", REVOKED}:
        return _error(401, "chave ausente ou inválida")
    try:
        asked = _decoder.decode(call.body)
    except msgspec.ValidationError:
        return _error(422, "pedido com campos ausentes ou inválidos")
    except msgspec.DecodeError:
        return _error(400, "o corpo não é JSON")
    call.label, call.subject = asked.stage, asked.value
    try:
        found = person(parse(asked.kind, asked.value).value)
    except InvalidInput as error:
        return _error(422, f"o CPF {error.message}")
    if found is None or call.hidden:
        return _error(404, "pessoa não encontrada")
    return json_answer(
        200,
        {
            "data": _STAGES[asked.stage](found),
            "source": "Cadastro simulado",
            "source_date": Draw(f"{asked.stage}:{found.cpf}").date(2024, 2025),
        },
    )


def _telegram(found: Person) -> dict[str, Any]:
    return {
        "nome": found.name,
        "nascimento": found.born,
        "sexo": found.sex,
        "usuario": found.user,
    }


def _address(found: Person) -> dict[str, Any]:
    home = found.address
    return {
        "cep": home.cep,
        "logradouro": home.street,
        "numero": found.number,
        "complemento": found.complement,
        "bairro": home.district,
        "municipio": home.city.name,
        "uf": home.city.uf,
    }


def _phones(found: Person) -> dict[str, Any]:
    return {"numeros": found.phones}


_STAGES: Final = {"telegram": _telegram, "endereco": _address, "telefone": _phones}


def _refuse(status: int) -> web.Response:
    return _error(status, _REFUSALS[status])


def _error(status: int, message: str) -> web.Response:
    return json_answer(status, {"message": message})
