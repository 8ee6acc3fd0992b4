"""The routes of a lookup: ask, follow, look, cancel."""

from collections.abc import Sequence
from typing import Any, Final, cast, get_args

from aiohttp import web

from gateway import examples, sse
from gateway.access import ACCESS, CALLER
from gateway.answers import json_answer, whole_answer
from gateway.asking import again, begin, done, seen_by, submit
from gateway.bodies import read
from gateway.hits.hits import HITS, Hit
from gateway.operation import (
    IDEMPOTENCY_KEY,
    LAST_EVENT_ID,
    LAST_EVENT_ID_QUERY,
    SSE,
    TASK_ID,
    Answer,
    operation,
)
from gateway.problems import Problem, TooManyStreams
from gateway.quotas import QUOTAS
from gateway.streams import RELAY, Signal, Stream, Told
from shared import metrics
from shared.app import ENDINGS, LOOKUPS
from shared.domain.answers import (
    Accepted,
    Done,
    LookupStatus,
    Reset,
    Revoked,
    Snapshot,
    StageStatus,
    Status,
)
from shared.errors import StoreUnavailable
from shared.lookups import View
from shared.messages import STAGES, Event, EventType, Lookup, decode_event, encode

_TOLD: Final = {name: metrics.sse_events.labels(name) for name in get_args(EventType)}

routes = web.RouteTableDef()


@routes.post("/api/consulta-stream")
@operation(
    "consultar",
    "Pedir uma consulta e receber os eventos na resposta",
    body=Lookup,
    examples=examples.LOOKUPS,
    parameters=(IDEMPOTENCY_KEY,),
    answers={
        200: Answer(
            (Event, Reset),
            "Os eventos, até o último; `Location` diz onde continuar se a conexão cair.",
            (SSE,),
            {"Location": "Onde continuar o fluxo."},
            {"cep": examples.STREAM},
        )
    },
    problems=(429,),
)
async def ask_and_stream(request: web.Request) -> web.StreamResponse:
    """Ask for a lookup, and stream its events in the answer."""
    body = await read(request)
    with request.app[QUOTAS].stream(request[CALLER]):
        if (hit := again(request, body, "frames")) is not None:
            return _whole(request, hit)
        asking, before = await begin(request, body, "frames")
        with request.app[RELAY].subscribed(asking.task_id, asking.caller.tenant) as stream:
            asking.listener = request.app[RELAY].name
            hit = await asking.take_on() if before is None else None
            if hit is not None:
                return _whole(request, hit)
            left = asking.lifetime if asking.new else None
            told: list[Told] = []
            if asking.first_event:
                told.append((sse.Head("iniciado", 1), asking.first_event))
            # A stream may last for long, and is to hold nothing that it does not need.
            del body, asking, before, hit
            return await _stream(request, stream, 0, told=told, left=left)


@routes.post("/api/consultas")
@operation(
    "consultar",
    "Pedir uma consulta e acompanhá-la depois",
    body=Lookup,
    examples={**examples.LOOKUPS, **examples.LATER},
    parameters=(IDEMPOTENCY_KEY,),
    answers={
        200: Answer(Done, "O cache tem o resultado.", examples={"cep": examples.DONE}),
        202: Answer(
            Accepted,
            "Aceita; `eventos` diz onde acompanhá-la.",
            headers={"Location": "Onde vê-la."},
            examples={"cep": examples.ACCEPTED, "mais_tarde": examples.ACCEPTED},
        ),
    },
    problems=(429,),
)
async def ask(request: web.Request) -> web.StreamResponse:
    """Ask for a lookup: the result itself if the cache has it, else where to follow it."""
    body = await read(request)
    if (hit := again(request, body, "result")) is not None:
        return whole_answer(request, encode(done(hit)), "json")
    asking, before = await begin(request, body, "result")
    status, answer = await submit(asking, before)
    if status == 200:
        return whole_answer(request, encode(answer), "json")
    headers = {"Location": f"/api/consultas/{asking.task_id}"}
    return json_answer(answer, status=status, headers=headers)


@routes.get("/api/consultas/{task_id}/eventos", allow_head=False)
@operation(
    "acompanhar",
    "Acompanhar uma consulta, do início ou de onde se parou",
    parameters=(TASK_ID, LAST_EVENT_ID, LAST_EVENT_ID_QUERY),
    answers={
        200: Answer(
            (Event, Reset),
            "Os eventos depois do último visto. Um cursor que a consulta não deu recebe um "
            "`reset` e tudo desde o início.",
            (SSE,),
            {"Location": "Onde continuar o fluxo."},
            {"fluxo": examples.STREAM},
        ),
        204: Answer(None, "Você já viu o último evento: não volte."),
    },
    ticket=True,
)
async def follow(request: web.Request) -> web.StreamResponse:
    """A lookup's events from the start, or after the last one the client has seen.

    204 once the client has seen the last: the one answer that stops an EventSource for good.
    """
    try:
        view = await _view(request)
        seen, first = _place(view, _cursor(request))
        if seen is None:
            return web.Response(status=204)
        with (
            request.app[QUOTAS].stream(request[CALLER]),
            request.app[RELAY].subscribed(view.task_id, request[CALLER].tenant) as stream,
        ):
            if view.is_hit:
                return await _replay(request, view, seen, first)
            del view
            return await _stream(request, stream, seen, first)
    except TooManyStreams:
        return await _come_back(request)
    except StoreUnavailable:
        # An EventSource says that it is one; everybody else is told by the status.
        if sse.TYPE not in request.headers.get("Accept", ""):
            raise
        return await _come_back(request)


@routes.get("/api/consultas/{task_id}")
@operation(
    "acompanhar",
    "Ver como está uma consulta",
    parameters=(TASK_ID,),
    answers={200: Answer(LookupStatus, "A consulta.", examples={"pronta": examples.STATUS})},
)
async def look(request: web.Request) -> web.Response:
    """A lookup's status, its stages, and its result once there is one."""
    view = await _view(request)
    events = [decode_event(body) for body in view.events]
    result = events[-1].data if events and events[-1].type == "completo" else None
    stages = _stages(view, events)
    return json_answer(
        LookupStatus(task_id=view.task_id, status=view.status, result=result, stages=stages)
    )


@routes.delete("/api/consultas/{task_id}")
@operation(
    "consultar",
    "Cancelar uma consulta",
    parameters=(TASK_ID,),
    answers={200: Answer(Revoked, "Cancelada.", examples={"cancelada": examples.REVOKED})},
    problems=(409,),
)
async def cancel(request: web.Request) -> web.Response:
    """End a lookup: no further provider is asked for it, and its stream ends."""
    view = await _view(request)
    ended = await request.app[ENDINGS].refuse(view.task_id, "cancelado")
    if not ended and view.status != "REVOKED":
        raise Problem(409, "a consulta já terminou")
    return json_answer(Revoked(task_id=view.task_id, status="REVOKED"))


def _place(view: View, seen: int | None) -> tuple[int | None, bytes]:
    """Where a client wants to go on: how many events it has seen, and what to tell it first.

    None if there is nothing it has not seen.

    Args:
        seen: what it says that it has seen; None if that could not be read.
    """
    if seen and view.ended and not view.events:
        # Its log is lost, which it has been told.
        return None, b""
    if seen is None or seen > len(view.events):
        return 0, _reset(view)
    whole = view.ended and 0 < len(view.events) == seen
    return (None if whole else seen), b""


def _cursor(request: web.Request) -> int | None:
    """How many events the client says it has seen; None if it says nothing that can be read."""
    last = request.headers.get("Last-Event-ID") or request.query.get("last_event_id") or "0"
    return int(last) if last.isascii() and last.isdecimal() and len(last) < 10 else None


async def _stream(
    request: web.Request,
    stream: Stream,
    seen: int,
    first: bytes = b"",
    *,
    told: list[Told] | None = None,
    left: float | None = None,
) -> web.StreamResponse:
    """All events after `seen`.

    Args:
        first: what goes before them.
        told: those of them that are here already; taken out of it, to be held by nobody.
        left: as `Relay.follow` has it.
    """
    writer = await sse.open_stream(request, stream.task_id)
    told = told or []
    seen += len(told)
    await _write(writer, told, sse.retry() + first)
    async for item in request.app[RELAY].follow(stream, seen, left):
        match item:
            case Signal.LEAVE:
                # This gateway stops; the client comes back, to any other.
                await writer.write(sse.retry())
                break
            case None if not request.app[ACCESS].holds(request[CALLER]):
                break
            case None:
                await writer.write(sse.PING)
            case fresh:
                await _write(writer, fresh)
                del fresh
        # It may be long until the next.
        del item
    return await writer.end()


async def _write(writer: sse.Writer, told: list[Told], before: bytes = b"") -> None:
    """Events, which may be large: none is held while another is written."""
    types = [head.tipo for head, _ in told]
    pieces = sse.joined(told)
    await writer.write(before + next(pieces, b""))
    for piece in pieces:
        await writer.write(piece)
        del piece
    for name in types:
        # A service of a later version may tell of what this one knows nothing of.
        if (counter := _TOLD.get(cast("EventType", name))) is not None:
            counter.inc()


async def _replay(request: web.Request, view: View, seen: int, first: bytes) -> web.StreamResponse:
    """What follows the events seen, of a hit: nobody will tell more of it."""
    told = [(sse.head_of(body), body) for body in view.events[seen:]]
    writer = await sse.open_stream(request, view.task_id)
    await _write(writer, told, sse.retry() + first)
    return await writer.end()


def _whole(request: web.Request, hit: Hit) -> web.StreamResponse:
    """All of a stream at once, since all of it is here."""
    for name in ("iniciado", *hit.question.stages, "analysis", "completo"):
        _TOLD[name].inc()
    return whole_answer(request, hit.body, "sse", f"/api/consultas/{hit.task_id}/eventos")


def _reset(view: View) -> bytes:
    """A cursor this lookup never gave out: say so, then everything is told from the start."""
    reset = Reset(data=Snapshot(status=view.status, events=len(view.events)))
    return b"event: reset\ndata: %b\n\n" % encode(reset)


async def _come_back(request: web.Request) -> web.StreamResponse:
    """Too much to do: an error would stop an EventSource for good, this brings it back later."""
    writer = await sse.open_stream(request, request.match_info["task_id"])
    await writer.write(sse.retry(later=True))
    return await writer.end()


async def _view(request: web.Request) -> View:
    """The lookup of the path, from its first event on."""
    task_id = request.match_info["task_id"]
    view = await request.app[LOOKUPS].view(task_id) or await request.app[HITS].view(task_id)
    return seen_by(request[CALLER], view)


def _stages(view: View, events: Sequence[Event]) -> dict[str, StageStatus]:
    ended = {event.type: event for event in events if event.type in STAGES}
    stages: dict[str, StageStatus] = {}
    for name in filter(None, view.flight.get("wanted", "").split(",")):
        event = ended.get(cast("Any", name))
        if event is None:
            going: Status = "STARTED" if f"claim:{name}" in view.flight else "PENDING"
            stages[name] = StageStatus(status="REVOKED" if view.status == "REVOKED" else going)
        else:
            good = event.outcome in {"ok", "degradado", "nao_encontrado"}
            stages[name] = StageStatus(
                status="SUCCESS" if good else "FAILURE", outcome=event.outcome
            )
    return stages
