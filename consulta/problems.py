"""Turn what is no success into the error it stands for."""

from contextlib import suppress
from typing import Any

import aiohttp
import msgspec

from consulta.errors import ApiError


class _Problem(msgspec.Struct):
    detail: str = ""
    campo: str = ""
    title: str = ""


async def refuse(answer: aiohttp.ClientResponse) -> None:
    """Raise the ApiError of an answer that is no success.

    Raises:
        ApiError: with the problem's field and detail where the answer holds a problem.
    """
    if answer.status < 300:
        return
    problem = _Problem()
    if answer.content_type == "application/problem+json":
        with suppress(msgspec.DecodeError):
            problem = msgspec.json.decode(await answer.read(), type=_Problem)
    detail = problem.detail or problem.title or f"o servidor respondeu {answer.status}"
    raise ApiError(answer.status, problem.campo, detail, _seconds(answer))


def decoded(body: bytes, into: Any) -> Any:
    """An answer as its type.

    Raises:
        ApiError: it is something else; then the address is likely not a gateway's.
    """
    try:
        return msgspec.json.decode(body, type=into)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ApiError(200, "", "a resposta não é a de um gateway") from None


def _seconds(answer: aiohttp.ClientResponse) -> float | None:
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isdecimal() and len(text) < 7 else None
