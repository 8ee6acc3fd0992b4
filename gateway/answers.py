"""Answers, and one that is given much faster than any other."""

import time
from email.utils import formatdate
from functools import lru_cache
from typing import Any, Final, Literal

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import SERVER_SOFTWARE
from aiohttp.web_request import BaseRequest
from msgspec import json

from gateway import sse
from gateway.headers import ORIGIN, PRIVATE, SECURITY

_FORMS: Final = {"json": {"Content-Type": "application/json"}, "sse": sse.HEADERS}


def json_answer(
    answer: Any, *, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    """A body as JSON."""
    return web.Response(
        body=json.encode(answer), status=status, content_type="application/json", headers=headers
    )


def whole_answer(
    request: web.Request, body: bytes, form: Literal["json", "sse"], location: str = ""
) -> web.StreamResponse:
    """A good answer of the API, with the headers that all have."""
    # What needs other headers goes the long way.
    if ORIGIN in request or request.version != HttpVersion11 or not request.keep_alive:
        headers = {**_FORMS[form], "Location": location} if location else _FORMS[form]
        return web.Response(body=body, headers=headers)
    head = _head(form, int(time.time()))
    told = f"Location: {location}\r\n".encode() if location else b""
    return Whole(b"%b%bContent-Length: %d\r\n\r\n%b" % (head, told, len(body), body))


class Whole(web.StreamResponse):
    """A response whose bytes are all there, head and body, and go out as they are.

    aiohttp makes a dictionary of the headers for each response, asks whoever may add some, and
    puts them into text: a quarter of what a hit costs in all.
    """

    def __init__(self, whole: bytes) -> None:
        super().__init__()
        self._whole = whole

    @property
    def keep_alive(self) -> bool:
        return True

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter:
        writer = request.writer
        if len(self._whole) > sse.TOGETHER:
            # A write as large may wait by itself.
            await sse.taken(request, writer.write(self._whole))
        else:
            await writer.write(self._whole)
        if request.protocol.writing_paused:
            # Each request has a writer of its own, so none of them sees what has piled up of all.
            await sse.taken(request, writer.drain())
        return writer

    async def write_eof(self, data: bytes = b"") -> None:
        """It has been written."""


@lru_cache(maxsize=2 * len(_FORMS))
def _head(form: str, second: int) -> bytes:
    """What all answers of a form begin with in one second."""
    every = {
        "Date": formatdate(second, usegmt=True),
        "Server": SERVER_SOFTWARE,
        **SECURITY,
        "Cache-Control": PRIVATE,
        **_FORMS[form],
    }
    lines = ["HTTP/1.1 200 OK", *(f"{name}: {value}" for name, value in every.items()), ""]
    return "\r\n".join(lines).encode()
