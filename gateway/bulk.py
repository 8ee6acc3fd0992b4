"""Many lookups in one call, each answered on its own.

The body is a JSON list, or, for as many as one likes to send without building a list first,
one JSON object a line (`application/x-ndjson`); the answer has the same form, in the same order.
Lookups are taken on while the body is still being read and the answer being written, a window of
them at a time: a slow bus slows the reading down, and memory stays what the window takes.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final
from uuid import uuid4

import msgspec
from aiohttp import web

from gateway import examples
from gateway.access import CALLER
from gateway.asking import Asking, submit
from gateway.bodies import in_time, lookup_from
from gateway.operation import JSON, NDJSON, Answer, operation
from gateway.problems import Problem
from shared.domain.answers import BulkItem
from shared.errors import InvalidInput, Unavailable
from shared.messages import Lookup

MAX_ITEMS: Final = 10_000
MAX_LIST: Final = 8 * 1024 * 1024
MAX_LINE: Final = 16 * 1024
# For a list that is sent whole.
LIST_S: Final = 60.0
WINDOW: Final = 100
# Whoever waits for an answer goes before whoever sends thousands.
PRIORITY: Final = 1

routes = web.RouteTableDef()


@routes.post("/api/consultas/lote")
@operation(
    "consultar",
    "Pedir até 10 000 consultas de uma vez, cada uma respondida por si",
    body=list[Lookup],
    media=(JSON, NDJSON),
    examples=examples.BULK,
    answers={
        200: Answer(
            list[BulkItem],
            "Uma resposta por item, na mesma ordem e na forma do pedido.",
            (JSON, NDJSON),
            examples=examples.BULK_ITEMS,
        )
    },
)
async def bulk(request: web.Request) -> web.StreamResponse:
    """Take on a list of lookups."""
    if request.content_type == NDJSON:
        return await _answer(request, _lines(request), NDJSON, b"", b"", b"\n", b"")
    if request.content_type != "application/json":
        raise Problem(415, f"envie Content-Type: application/json ou {NDJSON}")
    items = _listed(await in_time(_whole(request), LIST_S))
    return await _answer(request, items, "application/json", b"[", b",", b"", b"]")


async def _answer(
    request: web.Request,
    items: AsyncIterator[Any],
    form: str,
    first: bytes,
    between: bytes,
    after: bytes,
    last: bytes,
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": form})
    await response.prepare(request)
    window: asyncio.Queue[asyncio.Task[BulkItem] | None] = asyncio.Queue(WINDOW)

    async def read() -> None:
        index = 0
        try:
            async for item in items:
                await window.put(asyncio.create_task(_one(request, index, item)))
                index += 1
        except Exception:
            # A body that breaks off ends the answer too, which else would wait for it.
            await window.put(None)
            raise
        await window.put(None)

    reader = asyncio.create_task(read())
    try:
        await response.write(first)
        mark = b""
        while (task := await window.get()) is not None:
            await response.write(mark + msgspec.json.encode(await task) + after)
            mark = between
        await reader
        await response.write(last)
    finally:
        # What was begun for a client that has gone is finished; the rest is not begun.
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
    await response.write_eof()
    return response


async def _one(request: web.Request, index: int, item: Any) -> BulkItem:
    """One lookup's answer, as if it had been asked for alone."""
    if index >= MAX_ITEMS:
        item = InvalidInput("lote", f"no máximo {MAX_ITEMS} consultas por chamada")
    try:
        asking = Asking(request.app, request[CALLER], _lookup(item), str(uuid4()))
        status, answer = await submit(asking)
    except Problem as problem:
        return BulkItem(index=index, http=problem.status, detail=problem.detail)
    except InvalidInput as error:
        return BulkItem(index=index, http=422, field_=error.field, detail=error.message)
    except Unavailable:
        return BulkItem(index=index, http=503, detail="a fila não responde; tente de novo")
    return BulkItem(index=index, http=status, **msgspec.structs.asdict(answer))


def _lookup(item: Any) -> Lookup:
    if isinstance(item, InvalidInput):
        raise item
    return lookup_from({"prioridade": PRIORITY, **item} if isinstance(item, dict) else item)


async def _lines(request: web.Request) -> AsyncIterator[Any]:
    """The items of a body with one JSON object a line; a bad line is an item of its own."""
    while True:
        try:
            line = await in_time(_line(request))
        except Problem:
            yield InvalidInput("linha", "não chegou a tempo; o resto não foi lido")
            return
        if not line:
            return
        if not line.strip():
            continue
        if len(line) > MAX_LINE:
            yield InvalidInput("linha", f"no máximo {MAX_LINE} bytes; o resto não foi lido")
            return
        try:
            yield msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            yield InvalidInput("linha", "não é um objeto JSON (UTF-8) numa linha só")


async def _line(request: web.Request) -> bytes:
    try:
        return await request.content.readline()
    except ValueError:  # past aiohttp's own bound
        return b"x" * (MAX_LINE + 1)


async def _whole(request: web.Request) -> list[Any]:
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > MAX_LIST:
            raise Problem(413, f"envie no máximo {MAX_LIST} bytes, ou linhas em {NDJSON}")
    try:
        items = msgspec.json.decode(bytes(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Problem(400, "o corpo não é JSON válido (UTF-8)") from None
    if not isinstance(items, list):
        raise InvalidInput("corpo", "envie uma lista de consultas")
    if len(items) > MAX_ITEMS:
        raise Problem(413, f"no máximo {MAX_ITEMS} consultas por chamada", field="corpo")
    return items


async def _listed(items: list[Any]) -> AsyncIterator[Any]:
    for item in items:
        yield item
