"""The routes of a lookup: ask, follow, look, cancel."""

import logging
from collections.abc import Sequence
from typing import Any, Final, cast
from uuid import uuid4

from aiohttp import web

from gateway import sse
from gateway.answers import json_answer
from gateway.asking import known, publish, submit
from gateway.bodies import lookup_from, read_json
from gateway.problems import Problem
from gateway.streams import ORIGIN, Relay, Stream
from shared import metrics
from shared.app import LOOKUPS
from shared.lookups import View
from shared.messages import STAGES, Event, Lookup, addressed, decode_event, encode
from shared.reporter import Reporter, event

log = logging.getLogger(__name__)

RELAY: Final = web.AppKey("relay", Relay)
REPORTER: Final = web.AppKey("reporter", Reporter)

routes = web.RouteTableDef()


@routes.post("/api/consulta-stream")
async def ask_and_stream(request: web.Request) -> web.StreamResponse:
    """Ask for a lookup, and stream its events in the answer."""
    asked = lookup_from(await read_json(request))
    task_id = str(uuid4())
    events = await known(request.app, asked)
    if events is not None:
        return await _stream_hit(request, task_id, asked, events)
    stream = request.app[RELAY].subscribe(task_id)
    try:
        await publish(request.app, task_id, asked)
        return await _stream(request, stream, 0)
    finally:
        request.app[RELAY].unsubscribe(stream)


@routes.post("/api/consultas")
async def ask(request: web.Request) -> web.Response:
    """Ask for a lookup: the result itself if the cache has it, else where to follow it."""
    asked = lookup_from(await read_json(request))
    status, answer = await submit(request.app, asked)
    location = f"/api/consultas/{answer['task_id']}"
    headers = {"Location": location} if status == 202 else None
    return json_answer(answer, status=status, headers=headers)


@routes.get("/api/consultas/{task_id}/eventos")
async def follow(request: web.Request) -> web.StreamResponse:
    """A lookup's events from the start, or after the last one the client has seen."""
    view = await _view(request)
    last = request.headers.get("Last-Event-ID") or request.query.get("last_event_id") or "0"
    seen = int(last) if last.isdecimal() and len(last) < 10 else 0
    if view.ended and 0 < len(view.events) <= seen:
        # The one answer that stops a native EventSource for good.
        return web.Response(status=204)
    stream = request.app[RELAY].subscribe(view.task_id)
    try:
        return await _stream(request, stream, min(seen, len(view.events)))
    finally:
        request.app[RELAY].unsubscribe(stream)


@routes.get("/api/consultas/{task_id}")
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


async def _stream(request: web.Request, stream: Stream, seen: int) -> web.StreamResponse:
    response = sse.response(stream.task_id)
    await response.prepare(request)
    await response.write(sse.retry())
    with metrics.sse_streams.track_inprogress():
        async for item in request.app[RELAY].follow(stream, seen):
            if item is None:
                await response.write(sse.PING)
                continue
            head, body = item
            await response.write(sse.frame(head, body))
            metrics.sse_events.labels(head.tipo).inc()
    await response.write_eof()
    return response


async def _stream_hit(
    request: web.Request, task_id: str, asked: Lookup, events: Sequence[Event]
) -> web.StreamResponse:
    """All of it in one write, since all of it is here."""
    response = sse.response(task_id)
    frames = []
    for seq, told in enumerate(events, 1):
        body = addressed(encode(told), task_id, seq)
        frames.append(sse.frame(sse.Head(told.type, seq), body))
        metrics.sse_events.labels(told.type).inc()
    await response.prepare(request)
    await response.write(b"".join(frames))
    await request.app[LOOKUPS].keep(task_id, ORIGIN, asked.kind, events)
    metrics.lookups.labels(asked.kind, "completo").inc()
    await response.write_eof()
    return response


async def _view(request: web.Request) -> View:
    """The lookup of the path, from its first event on."""
    view = await request.app[LOOKUPS].view(request.match_info["task_id"])
    if view is None:
        raise Problem(404, "não há consulta com este task_id")
    return view


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
