"""Read request bodies, and say what is wrong with them by field."""

import asyncio
import re
from collections.abc import Awaitable
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web

from gateway.access import Caller
from gateway.problems import Problem
from shared.errors import InvalidInput
from shared.keys import USUAL_PRIORITY
from shared.messages import MAX_BODY, Lookup

Read = TypeVar("Read")

# A body that comes more slowly than this is meant to keep us waiting.
BODY_S: Final = 15.0
# How each field wants to be; a decoder's own words are English, and name types, not mends.
_MENDS: Final = {
    "identificador": "deve ser um texto de 1 a 64 caracteres",
    "tipo": "use cpf, cnpj, cep ou telefone",
    "prioridade": "use um número inteiro de 1 (por último) a 10 (primeiro)",
    "atraso": "use segundos, de 0 a 1036800 (12 dias)",
    "prazo": "use segundos, de 1 a 86400",
    "atualizar": "use true ou false",
    "etapas": "use uma lista de telegram, endereco, telefone, cadastro",
    "finalidade": "deve ser um texto de até 200 caracteres",
    "base_legal": "deve ser um texto de até 200 caracteres",
}


async def read_json(request: web.Request) -> Any:
    """The body as Python has it.

    Raises:
        Problem: as `read` and `decoded`.
    """
    return decoded(await read(request))


async def read(request: web.Request) -> bytes:
    """The body of a request that says it is JSON.

    Raises:
        Problem: 415 another content type, 408 too slow, 400 cannot be unpacked. (413 is aiohttp's.)
    """
    if request.content_type != "application/json":
        raise Problem(415, "envie Content-Type: application/json")
    return _at_hand(request) or await in_time(unpacked(request.read()))


def decoded(body: bytes) -> Any:
    """A body as Python has it.

    Raises:
        Problem: 400 not JSON.
    """
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Problem(400, "o corpo não é JSON válido (UTF-8)") from None


def _at_hand(request: web.Request) -> bytes:
    """A body that has come with its headers, as nearly all do: it needs no clock and no wait."""
    if not request.content.is_eof():
        return b""
    body = request.content.read_nowait()
    if len(body) > MAX_BODY:
        raise web.HTTPRequestEntityTooLarge(max_size=MAX_BODY, actual_size=len(body))
    return body


async def unpacked(read: Awaitable[Read]) -> Read:
    """What is read of a body that is what its headers say.

    Raises:
        Problem: 400; the connection is of no further use.
    """
    try:
        return await read
    except web.RequestPayloadError:
        detail = "o corpo não é o que dizem os cabeçalhos; confira Content-Encoding e o tamanho"
        raise Problem(400, detail, headers={"Connection": "close"}) from None


async def in_time(read: Awaitable[Read], seconds: float | None = None) -> Read:
    """What is read of a body, unless its sender takes too long over it.

    Raises:
        Problem: 408; the connection is of no further use.
    """
    try:
        async with asyncio.timeout(BODY_S if seconds is None else seconds):
            return await read
    except TimeoutError:
        detail = "o corpo não chegou a tempo; envie-o de uma vez"
        raise Problem(408, detail, headers={"Connection": "close"}) from None


def lookup_from(body: Any, caller: Caller, usual: int = USUAL_PRIORITY) -> Lookup:
    """The body as a lookup.

    Args:
        usual: the priority of one that names none, as far as the caller may go.

    Raises:
        InvalidInput: names the field and its mend.
    """
    if isinstance(body, dict):
        body = {"prioridade": min(usual, caller.highest), **body}
    try:
        asked = msgspec.convert(body, Lookup)
    except msgspec.ValidationError as error:
        raise _named(str(error)) from None
    if asked.priority > caller.highest:
        mend = f"acima do máximo da sua chave; use um número de 1 a {caller.highest}"
        raise InvalidInput("prioridade", mend)
    return asked


def _named(text: str) -> InvalidInput:
    path = re.search(r"`\$\.([a-z_]+)", text)
    named = path or re.search(r"field `([A-Za-z_]{1,40})`", text)
    field = named.group(1) if named else "corpo"
    if "unknown field" in text:
        return InvalidInput(field, f"campo desconhecido; existem {', '.join(_MENDS)}")
    if "missing required" in text:
        return InvalidInput(field, f"falta este campo; {_MENDS.get(field, '')}")
    return InvalidInput(field, _MENDS.get(field, "envie um objeto JSON"))
