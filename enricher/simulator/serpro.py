"""Serpro: a token for a key and secret, then Receita Federal's record of a cpf.

Its gateway is WSO2's, which hands out one token until it expires and refuses in its own format.
"""

import binascii
from base64 import b64decode
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import parse_qs
from uuid import uuid4

from aiohttp import web

from enricher.simulator.people import MINOR, PARTIAL, person
from enricher.simulator.wire import REVOKED, Call, Endpoint, Provider, json_answer
from shared.errors import InvalidInput
from shared.identifiers import parse

LIFETIME: Final = 3600
_STATUSES: Final = {
    "0": "Regular",
    "2": "Suspensa",
    "3": "Titular Falecido",
    "4": "Pendente de Regularização",
    "5": "Cancelada por Multiplicidade",
    "8": "Nula",
    "9": "Cancelada de Ofício",
}
_FAULTS: Final = {
    405: (900906, "No matching resource found"),
    429: (900802, "Message throttled out"),
    500: (900900, "Unclassified Authentication Failure"),
    503: (700700, "API blocked"),
}


def provider(clock: Callable[[], float]) -> Provider:
    """Serpro, whose tokens expire by `clock`, in seconds."""
    serpro = _Serpro(clock)
    return Provider(
        "serpro",
        900,
        (
            Endpoint("token", "POST", "/token", serpro.token),
            Endpoint("cpf", "GET", "/consulta-cpf-df/v1/cpf/{ni}", serpro.lookup),
        ),
        lambda status: _fault(status, *_FAULTS[status]),
        serpro.forget,
    )


class _Serpro:
    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._token, self._expires = "", 0.0

    def forget(self) -> None:
        self._token, self._expires = "", 0.0

    def token(self, call: Call) -> web.Response:
        if not _authorized(call.headers.get("Authorization", "")):
            return json_answer(
                401,
                {"error": "invalid_client", "error_description": "Client Authentication failed."},
            )
        form = parse_qs(call.body.decode("ascii", "replace"))
        if form.get("grant_type") != ["client_credentials"]:
            return json_answer(400, {"error": "unsupported_grant_type"})
        if self._clock() >= self._expires:
            self._token, self._expires = uuid4().hex, self._clock() + LIFETIME
        return json_answer(
            200,
            {
                "access_token": self._token,
                "scope": "am_application_scope default",
                "token_type": "Bearer",
                "expires_in": int(self._expires - self._clock()),
            },
        )

    def lookup(self, call: Call) -> web.Response:
        token = call.bearer()
        if not token:
            return _fault(401, 900902, "Missing Credentials")
        if token != self._token or self._clock() >= self._expires:
            return _fault(401, 900901, "Invalid Credentials")
        ni = call.parts["ni"]
        try:
            cpf = parse("cpf", ni).value
        except InvalidInput:
            cpf = ""
        if cpf != ni:
            return _message(400, "CPF inválido.")
        found = person(cpf)
        if found is None or call.hidden:
            return _message(404, "CPF não encontrado.")
        if cpf.startswith(MINOR):
            return _message(422, "CPF de menor de idade.")
        status = {"codigo": found.status, "descricao": _STATUSES[found.status]}
        content: dict[str, Any] = {"ni": cpf, "nome": found.name, "situacao": status}
        if cpf.startswith(PARTIAL):
            return json_answer(206, content)
        year, month, day = found.born.split("-")
        content["nascimento"] = f"{day}{month}{year}"
        if found.died:
            content["obito"] = found.died
        return json_answer(200, content)


def _authorized(header: str) -> bool:
    scheme, _, encoded = header.partition(" ")
    try:
        key, colon, secret = b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return False
    return scheme.lower() == "basic" and bool(key and colon and secret) and key != REVOKED


def _message(status: int, text: str) -> web.Response:
    return json_answer(status, {"codigo": status, "mensagem": text})


def _fault(status: int, code: int, message: str) -> web.Response:
    return json_answer(
        status, {"fault": {"code": code, "message": message, "description": message}}
    )
