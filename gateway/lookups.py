"""The routes of a lookup: ask, follow, look, cancel."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, cast

from aiohttp import web
from msgspec import json

from gateway import sse
from gateway.access import CALLER
from gateway.answers import json_answer
from gateway.asking import Asking, begin, seen_by, submit
from gateway.bodies import lookup_from, read_json
from gateway.operation import operation
from gateway.problems import Problem, TooManyStreams
from gateway.quotas import QUOTAS
from gateway.streams import RELAY, Signal, Stream
from shared import metrics
from shared.app import LOOKUPS
from shared.lookups import View
from shared.messages import STAGES, Event, Lookup, addressed, decode_event, encode
from shared.reporter import Reporter, event

REPORTER: Final = web.AppKey("reporter", Reporter)

routes = web.RouteTableDef()


@routes.post("/api/consulta-stream")
@operation("consultar", body=Lookup)
async def ask_and_stream(request: web.Request) -> web.StreamResponse:
    """Ask for a lookup, and stream its events in the answer."""
    asking, before = await begin(request, lookup_from(await read_json(request)))
    relay = request.app[RELAY]
    with _room(request), relay.subscribed(asking.task_id) as stream:
        if before is None:
            async with asking:
                events = await asking.known()
                if events is not None:
                    return await _stream_hit(request, asking, events)
                await asking.publish()
        return await _stream(request, stream, 0)


@routes.post("/api/consultas")
@operation("consultar", body=Lookup)
async def ask(request: web.Request) -> web.Response:
    """Ask for a lookup: the result itself if the cache has it, else where to follow it."""
    asking, before = await begin(request, lookup_from(await read_json(request)))
    status, answer = await submit(asking, before)
    headers = {"Location": f"/api/consultas/{asking.task_id}"} if status == 202 else None
    return json_answer(answer, status=status, headers=headers)


@routes.get("/api/consultas/{task_id}/eventos")
@operation("acompanhar")
async def follow(request: web.Request) -> web.StreamResponse:
    """A lookup's events from the start, or after the last one the client has seen.

    204 once the client has seen the last: the one answer that stops an EventSource for good.
    """
    view = await _view(request)
    seen = _cursor(request)
    if seen is None or seen > len(view.events):
        return await _restart(request, view)
    if view.ended and 0 < len(view.events) == seen:
        return web.Response(status=204)
    try:
        with _room(request), request.app[RELAY].subscribed(view.task_id) as stream:
            return await _stream(request, stream, seen)
    except TooManyStreams:
        return await _come_back(request, view.task_id)


@routes.get("/api/consultas/{task_id}")
@operation("acompanhar")
async def look(request: web.Request) -> web.Response:
    """A lookup's status, its stages, and its result once there is one."""
    view = await _view(request)
    events = [decode_event(body) for body in view.events]
    result = events[-1].data if events and events[-1].type == "completo" else None
    answer = {
        "task_id": view.task_id,
        "status": view.status,
        "resultado": result,
        "etapas": _stages(view, events),
    }
    return json_answer(answer)


@routes.delete("/api/consultas/{task_id}")
@operation("consultar")
async def cancel(request: web.Request) -> web.Response:
    """End a lookup: no further provider is asked for it, and its stream ends."""
    view = await _view(request)
    lookups = request.app[LOOKUPS]
    verdict, flight = await lookups.leave(view.task_id)
    if verdict == "alone":
        await lookups.revoke(view.task_id)
        data = {"codigo": "cancelado", "mensagem": "cancelada por quem a pediu"}
        ended = event("error", data, "cancelado")
        recorded = await request.app[REPORTER].report(flight, "end", ended)
        verdict = "ended" if recorded.verdict == "ended" else "alone"
    if verdict != "alone" and view.status != "REVOKED":
        raise Problem(409, "a consulta já terminou")
    return json_answer({"task_id": view.task_id, "status": "REVOKED"})


@contextmanager
def _room(request: web.Request) -> Iterator[None]:
    """A place among the open streams.

    Raises:
        TooManyStreams: there is none.
    """
    with request.app[QUOTAS].stream(request[CALLER]), metrics.sse_streams.track_inprogress():
        yield


def _cursor(request: web.Request) -> int | None:
    """How many events the client says it has seen; None if it says nothing that can be read."""
    last = request.headers.get("Last-Event-ID") or request.query.get("last_event_id") or "0"
    return int(last) if last.isascii() and last.isdecimal() and len(last) < 10 else None


async def _stream(
    request: web.Request, stream: Stream, seen: int, first: bytes = b""
) -> web.StreamResponse:
    writer = await sse.open_stream(request, stream.task_id)
    await writer.write(sse.retry() + first)
    async for item in request.app[RELAY].follow(stream, seen):
        match item:
            case Signal.LEAVE:
                # This gateway stops; the client comes back, to any other.
                await writer.write(sse.retry())
                break
            case None:
                await writer.write(sse.PING)
            case (head, body):
                await writer.write(sse.frame(head, body))
                metrics.sse_events.labels(head.tipo).inc()
    return await writer.end()


async def _stream_hit(
    request: web.Request, asking: Asking, events: Sequence[Event]
) -> web.StreamResponse:
    """All of it in one write, since all of it is here."""
    frames = []
    for seq, told in enumerate(events, 1):
        body = addressed(encode(told), asking.task_id, seq)
        frames.append(sse.frame(sse.Head(told.type, seq), body))
        metrics.sse_events.labels(told.type).inc()
    writer = await sse.open_stream(request, asking.task_id)
    await writer.write(b"".join(frames))
    await asking.keep(list(events))
    metrics.lookups.labels(asking.asked.kind, "completo").inc()
    return await writer.end()


async def _restart(request: web.Request, view: View) -> web.StreamResponse:
    """A cursor this lookup never gave out: say so, and tell everything from the start."""
    snapshot = {"status": view.status, "eventos": len(view.events)}
    reset = b"event: reset\ndata: %b\n\n" % json.encode({"dados": snapshot})
    with _room(request), request.app[RELAY].subscribed(view.task_id) as stream:
        return await _stream(request, stream, 0, reset)


async def _come_back(request: web.Request, task_id: str) -> web.StreamResponse:
    """Too much to do: an error would stop an EventSource for good, this brings it back later."""
    writer = await sse.open_stream(request, task_id)
    await writer.write(sse.retry(later=True))
    return await writer.end()


async def _view(request: web.Request) -> View:
    """The lookup of the path, from its first event on."""
    view = await request.app[LOOKUPS].view(request.match_info["task_id"])
    return seen_by(request[CALLER], view)


def _stages(view: View, events: Sequence[Event]) -> dict[str, dict[str, Any]]:
    ended = {event.type: event for event in events if event.type in STAGES}
    stages: dict[str, dict[str, Any]] = {}
    for name in filter(None, view.flight.get("wanted", "").split(",")):
        event = ended.get(cast("Any", name))
        if event is None:
            status = "STARTED" if f"claim:{name}" in view.flight else "PENDING"
            stages[name] = {"status": "REVOKED" if view.status == "REVOKED" else status}
        else:
            good = event.outcome in {"ok", "degradado", "nao_encontrado"}
            stages[name] = {
                "status": "SUCCESS" if good else "FAILURE", "situacao": event.outcome
            }  # fmt: skip
    return stages
