"""Many lookups in one call, each answered on its own.

The body is a JSON list, or, without building a list first, one JSON object a line
(`application/x-ndjson`); the answer has the same form, in the same order. Lookups are taken on
while the answer is being written, and lines while the body is still being read, a window of them
at a time: a slow bus slows the reading down, and memory stays what the window takes. A list is
read whole before: if it is none, nothing is taken on. How much of such bodies is held at once is
bounded.
"""

import asyncio
from collections.abc import AsyncIterable
from typing import Any, Final

import msgspec
from aiohttp import web

from gateway import examples
from gateway.access import CALLER
from gateway.asking import Asking, submit
from gateway.bodies import in_time, lookup_from, unpacked
from gateway.operation import JSON, NDJSON, Answer, operation
from gateway.problems import Problem, away
from gateway.sse import Writer
from gateway.streaming.lines import lines_of
from gateway.streaming.lists import Items, items_of
from gateway.streaming.room import ROOM
from shared.domain.answers import BulkItem
from shared.errors import InvalidInput, Unavailable
from shared.messages import Lookup

MAX_LIST: Final = 8 * 1024 * 1024
# For a list that is sent whole, and for a client to take the next part of its answer.
LIST_S: Final = 60.0
ANSWER_S: Final = 60.0
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
    problems=(429,),
)
async def bulk(request: web.Request) -> web.StreamResponse:
    """Take on a list of lookups."""
    if request.content_type == NDJSON:
        lines = lines_of(request.content)
        return await _answer(request, lines, NDJSON, b"", b"", b"\n", b"")
    if request.content_type != JSON:
        raise Problem(415, f"envie Content-Type: {JSON} ou {NDJSON}")
    with request.app[ROOM].taken(request[CALLER].tenant, _size(request)):
        items = await in_time(unpacked(_list(request)), LIST_S)
        return await _answer(request, items, JSON, b"[", b",", b"", b"]")


async def _answer(
    request: web.Request,
    items: AsyncIterable[Any],
    form: str,
    first: bytes,
    between: bytes,
    after: bytes,
    last: bytes,
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": form})
    await response.prepare(request)
    writer = Writer(request, response, ANSWER_S)
    window: asyncio.Queue[asyncio.Task[BulkItem] | None] = asyncio.Queue(WINDOW)

    async def read() -> None:
        index = 0
        try:
            async for item in items:
                asked = _asked(request, item)
                await window.put(asyncio.create_task(_one(request, index, asked)))
                index += 1
        except Exception:
            # A body that breaks off ends the answer too, which else would wait for it.
            await window.put(None)
            raise
        await window.put(None)

    reader = asyncio.create_task(read())
    try:
        await writer.write(first)
        mark = b""
        while (task := await window.get()) is not None:
            await writer.write(mark + msgspec.json.encode(await task) + after)
            mark = between
        await reader
        await writer.write(last)
    finally:
        # What was begun for a client that has gone is finished; the rest is not begun.
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
    if not request.content.at_eof():
        # What was not read is no other request.
        response.force_close()
    return await writer.end()


def _asked(request: web.Request, item: Any) -> Lookup | InvalidInput:
    """The lookup of an item, or what is wrong with it; either is small, whatever the item is."""
    if isinstance(item, InvalidInput):
        return item
    try:
        return lookup_from(item, request[CALLER], PRIORITY)
    except InvalidInput as error:
        return error


async def _one(request: web.Request, index: int, asked: Lookup | InvalidInput) -> BulkItem:
    """One lookup's answer, as if it had been asked for alone."""
    try:
        if isinstance(asked, InvalidInput):
            raise asked
        status, answer = await submit(Asking(request.app, request[CALLER], asked, "result"))
    except Problem as problem:
        return BulkItem(index=index, http=problem.status, detail=problem.detail)
    except InvalidInput as error:
        return BulkItem(index=index, http=422, field_=error.field, detail=error.message)
    except Unavailable as error:
        return BulkItem(index=index, http=503, detail=away(error))
    return BulkItem(index=index, http=status, **msgspec.structs.asdict(answer))


async def _list(request: web.Request) -> Items:
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > MAX_LIST:
            raise _too_large()
    return await items_of(body)


def _size(request: web.Request) -> int:
    """Bytes the body may come to: what it says, if it says so and comes as it is."""
    told = request.content_length
    if told is not None and told > MAX_LIST:
        raise _too_large()
    return MAX_LIST if told is None or "Content-Encoding" in request.headers else told


def _too_large() -> Problem:
    return Problem(413, f"envie no máximo {MAX_LIST} bytes, ou linhas em {NDJSON}")
